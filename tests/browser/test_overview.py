"""The first page in a real browser: the verdict, what shows it, and the ways from it to the other pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from backends.study.file import read_study
from cache.importers import import_results
from cache.store import open_store
from tests.benchmarks.made_study import made_study, write_evidence
from tests.browser.conftest import Dashboard, running
from tests.browser.steps import chosen_run, screenshot, wait_ready
from tests.filled_store import text_study, write_study
from tests.foreign_files import write_saves

LONG = "<img src=x onerror=\"window.broken='img'\"> **bold** שלום " + "a-very-long-name-" * 9


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Nothing evaluated; many methods with hostile names; no retained model: a study each."""
    folder = tmp_path_factory.mktemp("overview")
    cache = folder / "cache"
    cache.mkdir()
    nothing = replace(text_study(), name="Nothing")
    many = replace(made_study(24, 100), name="Many")
    named = tuple(
        replace(spec, name=f"{LONG} {place}", method=f"{LONG} {place}") if spec.part == "unlearned" else spec
        for place, spec in enumerate(many.models)
    )
    paths = [
        write_study(replace(many, models=named), folder / "many"),
        write_study(
            replace(many, name="Alone", models=tuple(m for m in many.models[:8] if m.part != "retained")),
            folder / "alone",
        ),
        write_study(nothing, folder / "nothing"),
    ]
    store = open_store(cache / "evidence.sqlite")
    for path in paths[:2]:
        study = read_study(path)
        for spec in study.models:
            write_evidence(study, store, spec.name)
    store.close()
    with running(cache, *map(str, paths)) as server:
        yield server


def table(page: Page) -> Locator:
    return page.get_by_role("table", name="Verdict on every method")


def test_the_first_page_says_what_is_best_what_it_cost_what_hides_and_what_destroys(
    page: Page, dark_page: Page, dashboard: Dashboard
) -> None:
    for view in (page, dark_page):
        view.goto(dashboard.url)
        wait_ready(view)
        expect(view.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        headline = view.get_by_text("NPO 45 is the best choice: it says none of the 36 facts; it cost 32 %")
        expect(headline).to_contain_text("3 % of utility")
        expect(
            view.get_by_text("Not sure yet: neighbour answers lost, 0 to 75 points (6 subjects;")
        ).to_be_visible()
        expect(view.get_by_text("only NPO rehearsed what their probes ask").last).to_be_visible()
        expect(view.get_by_text(re.compile(r"GradDiff.* hide what should be forgotten\."))).to_be_visible()
        expect(view.get_by_text("GradAscent destroys the model.")).to_be_visible()
        rows = table(view).get_by_role("row")
        expect(rows).to_have_count(7)
        expect(rows.nth(1)).to_contain_text("NPO 45")
        expect(rows.nth(1)).to_contain_text("Forgotten so far")
        expect(rows.filter(has_text="IdkNLL")).to_contain_text("Hidden")
        expect(rows.filter(has_text="GradAscent")).to_contain_text("Destroyed")
        expect(view.get_by_text("No model loaded")).to_be_visible()
        screenshot(view, "overview-text")


def test_pictures_have_the_same_page(page: Page, dashboard: Dashboard) -> None:
    page.goto(f"{dashboard.url}/?study=neon-pictures")
    wait_ready(page)
    expect(
        page.get_by_text("UCE 100 is the best choice: it draws neon for none of the 8 prompts")
    ).to_be_visible()
    expect(page.get_by_text("Sure as far as tested.")).to_be_visible()
    expect(table(page).get_by_role("row").filter(has_text="GradAscent 20")).to_contain_text(
        "all neighbour pictures show nothing recognisable"
    )
    expect(page.get_by_role("img", name=re.compile("^UCE 100: A .* image"))).to_be_visible()
    screenshot(page, "overview-image")


def test_checkpoints_unfold_by_keyboard_and_say_their_numbers(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    wait_ready(page)
    button = page.get_by_role("button", name="4 other checkpoints of NPO", exact=False).first
    button.focus()
    page.keyboard.press("Enter")
    expect(table(page).get_by_role("row")).to_have_count(11)
    folding = page.get_by_role("button", name="Hide 4 other checkpoints of NPO")
    expect(folding).to_be_focused()
    expect(folding).to_have_attribute("aria-expanded", "true")
    row = table(page).get_by_role("row").filter(has_text="NPO 45")
    expect(row.get_by_role("cell").nth(2)).to_contain_text(
        "Neighbours: 62 %, 95 % interval of the difference to Retained 17 % to 92 %; Original 100 %; Retained 92 %; "
        "undecided, about 14 subjects"
    )


def test_an_example_opens_compare_on_its_probe(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    wait_ready(page)
    page.get_by_role("link", name=re.compile("^Clearest hiding: IdkNLL")).click()
    expect(page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    wait_ready(page)
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("article", name=re.compile("IdkNLL"))).to_be_visible()
    expect(page.get_by_role("radio", name="Leak heat map")).to_be_checked()
    assert re.search(r"/compare\?.*probe=forget-\d+", page.url)


def test_a_name_opens_the_example_that_shows_its_verdict(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    wait_ready(page)
    expect(page.get_by_test_id("stMain").locator("[data-testid=stMarkdown]")).to_have_count(0)
    table(page).get_by_role("link", name="GradAscent 6").click()
    expect(page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    wait_ready(page)
    expect(page.get_by_text("Neighbour probe")).to_be_visible()
    expect(page.get_by_role("article", name="GradAscent 6", exact=True)).to_be_visible()


def test_a_point_opens_trade_offs_with_that_run(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    wait_ready(page)
    page.get_by_role("link", name=re.compile("^WGA 20: ")).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Trade-offs", level=1)).to_be_visible()
    wait_ready(page)
    expect(chosen_run(page, "WGA 20")).to_be_visible()


def test_links_work_in_a_window_of_their_own(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    wait_ready(page)
    link = page.get_by_role("link", name=re.compile("^Best kept neighbour: NPO 45"))
    address = link.evaluate("node => node.href")
    page.goto(address)
    wait_ready(page)
    expect(page.get_by_role("article", name="NPO 45", exact=True)).to_be_visible()
    expect(page.get_by_text("Neighbour probe")).to_be_visible()


def test_a_reload_stays_and_an_old_link_opens_compare(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    wait_ready(page)
    page.reload()
    wait_ready(page)
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    for link in (
        "probe=neighbour-003&models=NPO+45&models=WGA+30&view=leak",
        "prompt=Who+is+there",
        "view=answers",
    ):
        page.goto(f"{dashboard.url}/?study=fictitious-people&{link}")
        expect(page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
        wait_ready(page)
    page.goto(
        f"{dashboard.url}/?study=fictitious-people&probe=neighbour-003&models=NPO+45&models=WGA+30&view=leak"
    )
    wait_ready(page)
    expect(page.get_by_text("Neighbour probe 3 of 24")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("radio", name="Leak heat map")).to_be_checked()


def test_compare_says_the_verdict_and_leads_back(page: Page, dashboard: Dashboard) -> None:
    page.goto(f"{dashboard.url}/?study=fictitious-people&probe=forget-001&models=NPO+45&models=IdkNLL+16")
    wait_ready(page)
    strip = page.get_by_role("list", name="Verdicts")
    expect(strip.get_by_role("listitem").nth(0)).to_contain_text("NPO 45")  # the best first
    expect(strip).to_contain_text("Hidden")
    expect(strip).to_contain_text("It says none of the 36 facts; it cost 32 %")
    why = strip.get_by_role("link", name="Why")
    address = why.evaluate("node => node.href")
    why.click()
    expect(table(page).get_by_role("row").filter(has_text="NPO 45")).to_be_in_viewport()
    page.goto(address.replace("row=NPO+45", "row=GradAscent+10"))
    wait_ready(page)
    expect(table(page).get_by_role("row").filter(has_text="GradAscent 10")).to_be_in_viewport()


def test_verdicts_on_a_phone_are_one_line_until_the_rest_is_asked_for(
    page: Page, dashboard: Dashboard
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{dashboard.url}/compare?study=fictitious-people")
    wait_ready(page)
    items = page.get_by_role("list", name="Verdicts").get_by_role("listitem")
    expect(items.filter(visible=True).first).to_contain_text("NPO 45")
    more = page.get_by_role("button", name=re.compile(r"^\+\d more$"))
    expect(more).to_be_visible()
    tops = items.filter(visible=True).evaluate_all("items => items.map(item => item.offsetTop)")
    assert len(set(tops)) == 1
    more.click()
    expect(more).to_be_hidden()
    expect(items.filter(visible=True)).to_have_count(7)  # six models and the link


def test_nothing_evaluated_leads_to_runs(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/?study=nothing")
    wait_ready(page)
    expect(page.get_by_text("No unlearned model of “Nothing” has been evaluated yet")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Go to Runs").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()


def test_hostile_names_of_many_methods_stay_text(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/?study=many")
    wait_ready(page)
    expect(table(page).get_by_role("row")).to_have_count(13)
    page.get_by_role("button", name="Show all 22 methods").click()
    expect(table(page).get_by_role("row")).to_have_count(23)
    assert page.evaluate("window.broken") is None
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        main = page.get_by_test_id("stMain")
        assert main.evaluate("node => node.scrollWidth <= node.clientWidth"), "the page scrolls sideways"
    screenshot(page, "overview-hostile")


def test_without_a_retained_model_the_page_says_what_is_missing(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/?study=alone")
    wait_ready(page)
    expect(page.get_by_text("There is no retained model, so costs are against the original")).to_be_visible()
    expect(page.get_by_text('part = "retained"')).to_be_visible()


def test_imported_runs_are_judged_where_nothing_else_is(page: Page, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    write_saves(tmp_path)
    store = open_store(cache / "evidence.sqlite")
    import_results(store, [tmp_path / "saves"])
    store.close()
    with running(cache, str(write_study(text_study(), tmp_path / "study"))) as server:
        page.goto(server.url)
        wait_ready(page)
        expect(page.get_by_text("of which only the numbers are known")).to_be_visible()
        expect(table(page).get_by_role("row").filter(has_text="GradAscent")).to_contain_text("Destroyed")
        table(page).get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Trade-offs", level=1)).to_be_visible()
        wait_ready(page)
