"""The Trade-offs page as a person uses it, on a study of random evidence without weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cache.store import open_store
from cache.store.results import put_results
from tests.benchmarks.runs import COLLECTION, metric_keys, random_runs
from tests.browser.conftest import Dashboard, StartDashboard, running
from tests.browser.steps import (
    axis_title,
    chosen_run,
    expect_cards,
    expect_marked,
    keyed,
    marks,
    plot,
    screenshot,
    wait_ready,
)
from tests.filled_store import fill_text, text_study, write_study


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard on 17 recorded models without weights."""
    folder = tmp_path_factory.mktemp("tradeoffs")
    cache = folder / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    store.close()
    with running(cache, str(write_study(text_study(), folder))) as server:
        yield server


def open_page(page: Page, board: Dashboard, link: str = "") -> None:
    page.goto(f"{board.url}/tradeoffs{link}")
    wait_ready(page)
    expect(plot(page)).to_have_count(1)
    expect(marks(page).first).to_be_visible()


def choose_question(page: Page, name: str) -> None:
    box = page.get_by_role("combobox", name="Question")
    box.click()
    page.get_by_role("option", name=name, exact=True).click()


def expect_axes(page: Page, x: str, y: str) -> None:
    expect(axis_title(page, "x", x)).to_be_visible()
    expect(axis_title(page, "y", y)).to_be_visible()


def click_point(page: Page, trace: str, index: int) -> None:
    """Click the index-th point of the trace of that name, where a person sees it."""
    spot = plot(page).evaluate(
        """(plot, [name, index]) => {
            const trace = plot.data.find(one => one.name === name && one.customdata);
            const {xaxis, yaxis} = plot._fullLayout;
            const box = plot.getBoundingClientRect();
            const at = (axis, value) => axis._offset + axis.d2p(value);
            const value = (list, i) => list._inputArray ? list._inputArray[i] : list[i];
            return [box.x + at(xaxis, value(trace.x, index)), box.y + at(yaxis, value(trace.y, index))];
        }""",
        [trace, index],
    )
    page.mouse.move(*spot)
    page.mouse.click(*spot)
    wait_ready(page)


RANGES = (
    "['xaxis', 'yaxis'].map(name => document.querySelector('.js-plotly-plot')._fullLayout[name].range.map("
    "end => end.toFixed(4)))"
)


def ranges(page: Page) -> str:
    """The plotted ranges of both axes."""
    return str(page.evaluate(f"JSON.stringify({RANGES})"))


def zoom(page: Page) -> None:
    """Draw a rectangle in the middle of the plot."""
    area = plot(page).locator(".nsewdrag").first.bounding_box()
    assert area is not None
    at = [(area["x"] + share * area["width"], area["y"] + share * area["height"]) for share in (0.3, 0.7)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=8)
    page.mouse.up()


def test_every_checkpoint_is_a_point_and_the_axes_say_which_way_is_better(
    page: Page, board: Dashboard
) -> None:
    open_page(page, board)
    expect(marks(page)).to_have_count(17)
    forgotten = "Probability of the true answer on forget  (lower is better →)"
    expect_axes(page, forgotten, "Least kept (utility, retain, neighbour)  (higher is better →)")
    screenshot(page, "tradeoffs")


def test_clicking_a_point_names_the_model_and_shows_what_it_changed(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    click_point(page, "NPO", 4)
    expect(chosen_run(page, "NPO 10")).to_be_visible()
    expect(page.get_by_text("Probes that changed most")).to_be_visible()
    expect(page).to_have_url(re.compile(r"run=NPO"))
    page.get_by_text("Provenance", exact=True).click()
    expect(page.get_by_text('"fingerprint"').first).to_be_visible()
    screenshot(page, "tradeoffs-chosen")


def test_the_panel_tells_the_number_at_which_the_point_lies(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?run=NPO+10")
    at = plot(page).evaluate(
        """plot => {
            const trace = plot.data.find(one => one.name === "NPO" && one.customdata);
            return [trace.x, trace.y].map(list => (list._inputArray ?? list)[4].toFixed(3));
        }"""
    )
    told = page.get_by_test_id("stMetricValue")
    expect(told).to_have_text(at)
    expect(page.get_by_text(re.compile("^Lower is better. 95 % interval"))).to_be_visible()
    expect(page.get_by_text(re.compile("^Higher is better. 95 % interval"))).to_be_visible()


def test_a_view_of_the_menu_stands_in_the_bar_once_it_is_chosen(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    bar = keyed(page, "views_bar").get_by_role("radio")
    expect(bar).to_have_text(["Frontier", "Best", "Table"])
    page.get_by_role("button", name="More views").click()
    page.get_by_role("menuitem", name="Parallel").click()
    expect(page.get_by_text("Draw a box on an axis")).to_be_visible()
    expect(bar).to_have_text(["Frontier", "Best", "Table", "Parallel"])
    expect(page).to_have_url(re.compile("chart=Parallel"))
    page.get_by_role("radio", name="Frontier").click()
    expect(bar).to_have_text(["Frontier", "Best", "Table"])
    expect(axis_title(page, "y", "Least kept")).to_be_visible()


def test_on_a_phone_the_chart_begins_on_the_upper_half_of_the_screen(page: Page, board: Dashboard) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, board)
    box = plot(page).bounding_box()
    assert box is not None and box["y"] < 844 / 2
    title = page.get_by_role("heading", name="Trade-offs").bounding_box()
    header = page.get_by_test_id("stHeader").bounding_box()
    assert title is not None and header is not None and title["y"] >= header["y"] + header["height"]


def test_a_changed_probe_opens_in_compare_with_the_model_ticked(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?run=NPO+6")
    page.get_by_role("button", name="Open the chosen probe in Compare").click()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    wait_ready(page)
    expect(page).to_have_url(re.compile(r"probe=forget-"))
    expect(page).to_have_url(re.compile(r"models=NPO\+6|models=NPO%206"))
    expect_cards(page, "Original", "Retained", "GradAscent 10", "NPO 2", "NPO 6", "IdkDPO 2")


def test_axes_live_in_the_address(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    choose_question(page, "Forgotten vs neighbours")
    # As a person does: see the preset answer before the next click. A click in between overtakes it.
    expect(page.get_by_role("combobox", name="Vertical axis")).to_have_value(re.compile("neighbour"))
    expect(axis_title(page, "y", "neighbour")).to_be_visible()
    wait_ready(page)
    keyed(page, "more_axes").get_by_role("button").click()
    page.get_by_text("Up and right are better").click()
    forget, neighbour = (
        f"Probability of the true answer on {role}  ({way})"
        for role, way in (("forget", "← lower is better"), ("neighbour", "higher is better →"))
    )
    expect_axes(page, forget, neighbour)
    expect(page).to_have_url(re.compile("y=neighbour%2Fprobability.*turn=no"))
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    wait_ready(page)
    expect_axes(page, forget, neighbour)


def test_the_card_of_a_metric_tells_formula_range_and_source(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?y=all%2Fmodel_utility")
    keyed(page, "card_vertical_axis").get_by_role("button").click()
    card = page.get_by_test_id("stPopoverBody")
    expect(card.get_by_role("heading", name="Model utility")).to_be_visible()
    expect(card.locator(".katex").first).to_be_visible()
    expect(card.get_by_text("0 to 1")).to_be_visible()
    screenshot(page, "tradeoffs-card")


def test_a_click_redraws_neither_the_chart_nor_the_page_around_it(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    page.evaluate("""() => {
        window.kept = document.querySelector(".js-plotly-plot");
        window.changed = 0;
        new MutationObserver(all => { window.changed += all.length; })
            .observe(document.querySelector("[data-testid='stSidebar']"), {subtree: true, childList: true});
    }""")
    click_point(page, "NPO", 4)
    expect(chosen_run(page, "NPO 10")).to_be_visible()
    expect(page).to_have_url(re.compile(r"run=NPO"))
    assert page.evaluate(
        "window.kept === document.querySelector('.js-plotly-plot') && window.kept.isConnected"
    )
    assert page.evaluate("window.changed") == 0


def test_other_axes_move_the_points_of_the_drawing_that_stands_there(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    before = page.get_by_role("figure", name="Least kept")
    expect(before).to_be_visible()
    page.evaluate("""() => {
        const chart = document.querySelector(".js-plotly-plot");
        window.kept = [chart, ...chart.querySelectorAll(".main-svg")];
    }""")
    choose_question(page, "Forgotten vs neighbours")
    expect(page.get_by_role("figure", name="on neighbour")).to_be_visible()
    expect(before).to_have_count(0)
    expect(axis_title(page, "y", "neighbour")).to_be_visible()
    assert page.evaluate("window.kept.length > 1 && window.kept.every(each => each.isConnected)")


def test_chosen_runs_are_marked_on_the_chart_and_stay_so_on_other_axes(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?run=NPO+6&run=Original")
    expect_marked(page, {"NPO": [2], "Original": [0]})
    choose_question(page, "Forgotten vs neighbours")
    expect(axis_title(page, "y", "neighbour")).to_be_visible()
    expect_marked(page, {"NPO": [2], "Original": [0]})
    click_point(page, "NPO", 4)
    expect_marked(page, {"NPO": [4]})
    chosen_run(page, "NPO 10").get_by_role("combobox").press("Backspace")
    expect_marked(page, {})


def test_reset_goes_to_the_ranges_of_what_is_shown_not_of_what_was(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    first = ranges(page)
    choose_question(page, "Memorised vs truth ratio")
    expect(axis_title(page, "y", "Truth ratio")).to_be_visible()
    wait_ready(page)
    second = ranges(page)
    assert second != first
    zoom(page)
    page.wait_for_function(f"JSON.stringify({RANGES}) !== '{second}'")
    plot(page).hover()
    page.get_by_role("button", name="Reset axes").click()
    page.wait_for_function(f"JSON.stringify({RANGES}) === '{second}'")
    zoom(page)
    page.wait_for_function(f"JSON.stringify({RANGES}) !== '{second}'")
    zoomed = ranges(page)
    page.get_by_role("button", name="Chart").click()
    page.get_by_text("Grey out dominated points").click()
    page.wait_for_function("""() => document.querySelector(".js-plotly-plot").data
        .some(trace => Array.isArray(trace.marker?.opacity) && trace.marker.opacity.includes(0.3))""")
    assert ranges(page) == zoomed  # other looks leave the zoom alone


def test_a_click_after_numbers_have_come_shows_them_all_over_the_page(
    page: Page, start_dashboard: StartDashboard, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    server = start_dashboard(write_study(text_study(), tmp_path), cache=cache)
    open_page(page, server)
    put_results(store, random_runs(3, metric_keys()))  # as another process would
    store.close()
    click_point(page, "NPO", 4)
    expect(chosen_run(page, "NPO 10")).to_be_visible()
    page.get_by_role("button", name="Layers").click()
    page.get_by_role("combobox", name="Layers").click()
    expect(page.get_by_role("option", name=f"{COLLECTION} (imported)")).to_be_visible()


def test_the_plotted_values_can_be_taken_along(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    with page.expect_download() as download:
        keyed(page, "export_plotted").get_by_role("button", name="Download CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 1 + 17
    assert lines[0].startswith("Model,Protocol,Method,Step,Probability of the true answer on forget,")


def test_the_whole_chart_with_its_axis_titles_is_on_the_first_screen(page: Page, board: Dashboard) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    open_page(page, board)
    expect(axis_title(page, "x", "Probability of the true answer")).to_be_in_viewport(ratio=1)
    expect(axis_title(page, "y", "Least kept")).to_be_in_viewport(ratio=1)
    expect(plot(page).get_by_text("over-forgotten")).to_be_visible()


def test_the_dark_theme_draws_light_ink(dark_page: Page, board: Dashboard) -> None:
    open_page(dark_page, board)
    ink = axis_title(dark_page, "y", "Least kept").evaluate("title => getComputedStyle(title).fill")
    assert min(map(int, re.findall(r"\d+", ink)[:3])) > 200
    screenshot(dark_page, "tradeoffs")
