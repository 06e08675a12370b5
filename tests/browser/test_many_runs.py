"""Trade-offs over many runs, in a real browser: layers, imports, selections, views, links, the dial, 10,000 points."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from cache.importers import import_results
from cache.store import open_store
from cache.store.results import put_results
from tests.benchmarks.runs import COLLECTION, metric_keys, random_runs
from tests.browser.conftest import Dashboard, running, window
from tests.browser.steps import (
    chosen_run,
    expect_points,
    expect_traces,
    keyed,
    plot,
    screenshot,
    tables,
    upload,
    wait_ready,
)
from tests.browser.test_tradeoffs import click_point, expect_axes
from tests.filled_store import fill_text, text_study, write_study
from tests.foreign_files import BASE, write_others, write_saves
from tests.tiny_text import write_tiny_adapter, write_tiny_model

TOFU = f"TOFU forget10 · {BASE}"
RUNS = 10_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result files of other tools."""
    folder = tmp_path_factory.mktemp("files")
    write_saves(folder)
    return write_others(folder)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Dashboard]:
    """A dashboard on 17 recorded models, a tree of open-unlearning and ten thousand random runs."""
    folder = tmp_path_factory.mktemp("many")
    cache = folder / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    import_results(store, [files / "saves"])
    put_results(store, random_runs(RUNS, metric_keys()))
    store.close()
    with running(cache, str(write_study(text_study(), folder))) as server:
        yield server


def open_page(page: Page, board: Dashboard, link: str = "") -> None:
    page.goto(f"{board.url}/tradeoffs{link}")
    wait_ready(page)


def test_a_box_chooses_runs_and_says_what_differs(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?run=NPO+10&run=GradAscent+10")
    panel = chosen_run(page, "NPO 10")
    expect(panel).to_be_visible()
    expect(page.get_by_text(re.compile(r"paired sign-flip test p [=<] "))).to_be_visible()
    expect(page.get_by_text("Settings that differ")).to_be_visible()
    screenshot(page, "tradeoffs-pair")
    plot(page).hover()
    page.locator("[data-title='Box Select']").click()
    area = plot(page).locator(".nsewdrag").first.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 2, area["y"] + 2)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 2, area["y"] + area["height"] - 2, steps=8)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"(run=.*){10}"))
    wait_ready(page)
    expect(page.get_by_text(re.compile("And 5 more"))).to_be_visible()


def test_a_copied_link_restores_the_view_in_another_browser(
    page: Page, board: Dashboard, browser: Browser
) -> None:
    link = (
        "?x=forget%2Ftruth_ratio&y=retain%2Fprobability&chart=Frontier&intervals=ellipses&grey=yes&ideal=yes"
        "&run=NPO+6&run=NPO+8&method=NPO&turn=no"
    )
    open_page(page, board, link)
    expect_axes(
        page,
        "Truth ratio on forget  (higher is better →)",
        "Probability of the true answer on retain  (higher is better →)",
    )
    with window(browser, "light") as other:
        other.goto(page.url)
        wait_ready(other)
        expect_axes(other, "Truth ratio on forget", "Probability of the true answer on retain")
        expect(chosen_run(other, "NPO 8")).to_be_visible()
        expect(other.get_by_text("Ellipses are 95 %")).to_be_visible()
        expect(other.get_by_role("button", name="Filter (on)")).to_be_visible()
        expect_traces(other, some="NPO", none="GradAscent")


def test_another_protocol_is_drawn_only_when_asked_for(page: Page, board: Dashboard) -> None:
    # Imported runs have no least kept, the usual vertical axis.
    axes = "x=forget%2Fprobability&y=all%2Fmodel_utility"
    open_page(page, board, f"?layer=this+study&layer={TOFU.replace(' ', '+')}&{axes}")
    warning = page.get_by_text("Not shown, because measured under another protocol than standard")
    expect(warning).to_be_visible()
    expect_points(page, 17)
    page.get_by_text("Show them together").click()
    expect(page.get_by_text("These points were measured under different protocols")).to_be_visible()
    wait_ready(page)
    expect_points(page, 28)
    expect(page).to_have_url(re.compile("mix=yes"))
    screenshot(page, "tradeoffs-mixed")
    imported = f"tofu_{BASE}_forget10_NPO step 90"
    open_page(page, board, f"?layer=this+study&layer={quote(TOFU)}&mix=yes&run=NPO+10&run={quote(imported)}")
    expect(
        page.get_by_text("The two have different collections of probes, so no test is possible.")
    ).to_be_visible()


def test_published_numbers_keep_their_source_and_flags(page: Page, board: Dashboard) -> None:
    open_page(
        page,
        board,
        "?layer=WMDP%2C+Zephyr-7B&x=forget%2Flm_eval%3Awmdp_bio%3Aacc&y=all%2Flm_eval%3Ammlu%3Aacc",
    )
    expect(page.get_by_text("not checked against the paper")).to_be_visible()
    expect(page.get_by_role("link", name="WMDP (Li et al. 2024)")).to_be_visible()
    expect(page.get_by_text("Faint points are published results.")).to_be_visible()
    screenshot(page, "tradeoffs-published")


def test_an_imported_run_tells_its_numbers_settings_and_examples(page: Page, board: Dashboard) -> None:
    open_page(page, board, f"?layer={TOFU.replace(' ', '+')}")
    click_point(page, "NPO", 2)
    expect(page.get_by_text("protocol open-unlearning").first).to_be_visible()
    page.get_by_text("Provenance and settings").click()
    expect(page.get_by_text('"trainer.handler": "NPO"').first).to_be_visible()
    page.get_by_text("120 examples").click()
    screenshot(page, "tradeoffs-imported")


@pytest.mark.parametrize(
    "view", ["Trajectories", "Parallel", "Matrix", "Slices", "Table", "Best", "Agreement"]
)
def test_every_view_is_drawn(page: Page, board: Dashboard, view: str) -> None:
    open_page(page, board, f"?chart={view}")
    wanted = tables(page) if view in ("Table", "Best") else plot(page)
    expect(wanted.first).to_be_visible()
    screenshot(page, f"tradeoffs-{view.lower()}")


@pytest.mark.parametrize("view", ["Frontier", "Trajectories", "Parallel", "Matrix", "Slices", "Agreement"])
def test_every_saved_figure_says_probes_and_protocol(page: Page, board: Dashboard, view: str) -> None:
    open_page(page, board, f"?chart={view}")
    expect(plot(page).first).to_be_visible()
    page.get_by_role("button", name="Save figure").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML", exact=True).click()
    saved = Path(download.value.path()).read_text()
    assert re.search(r'"text":"n = 6( to \d+)? probes; protocol standard; ', saved)


def test_names_from_files_are_text_and_nothing_else(page: Page, board: Dashboard, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> ![x](http://example.org/y) =cmd()"
    table = tmp_path / "evil.csv"
    table.write_text(
        "model,method,step,collection,forget/probability,retain/probability\n"
        + "".join(f'"{evil} {n}","<b>{evil}",{n},"<i>evil",0.{n},0.{n}\n' for n in (1, 2, 3))
    )
    page.goto(f"{board.url}/runs")
    wait_ready(page)
    upload(page, table)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("3 new runs")).to_be_visible()
    link = "?layer=%3Ci%3Eevil&x=forget%2Fprobability&y=retain%2Fprobability&run=" + quote(f"{evil} 2")
    open_page(page, board, link)
    expect(plot(page)).to_be_visible()
    expect(page.locator("img[src='x']")).to_have_count(0)
    expect_traces(page, some="&lt;b>&lt;img")
    expect(page.get_by_text(f"<i>evil · protocol as in evil.csv · <b>{evil} · step 2")).to_be_visible()
    for view in ("Table", "Parallel", "Agreement"):
        open_page(page, board, f"?layer=%3Ci%3Eevil&chart={view}")
        if view != "Agreement":
            expect((plot(page) if view == "Parallel" else tables(page)).first).to_be_visible()
        expect(page.locator("img[src='x']")).to_have_count(0)


def test_best_says_the_condition_and_how_each_method_stands_to_it(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?chart=Best")
    expect(
        page.get_by_text(re.compile(r"Condition: forget · Probability .* at most 0\.\d+ \(Retained has"))
    ).to_be_visible()
    expect(page.get_by_text(re.compile("is the best|No run meets the condition"))).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="LaTeX").click()
    assert r"\toprule" in Path(download.value.path()).read_text()


def test_ten_thousand_runs_are_drawn_and_answer(page: Page, board: Dashboard) -> None:
    link = f"?layer={COLLECTION}&x=forget%2Fprobability&y=retain%2Fprobability"
    open_page(page, board, link)
    expect_points(page, RUNS)
    assert plot(page).evaluate("plot => plot.data.some(trace => trace.type == 'scattergl')")
    screenshot(page, "tradeoffs-ten-thousand")
    open_page(page, board, f"?layer={COLLECTION}&chart=Parallel")
    expect(page.get_by_text("Drag along an axis")).to_be_visible()
    open_page(page, board, f"?layer={COLLECTION}&chart=Table")
    expect(tables(page).first).to_be_visible()


def test_figures_and_the_whole_study_are_saved(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    page.get_by_role("button", name="Save figure").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG", exact=True).click()
    assert Path(download.value.path()).read_text().startswith("<svg")
    page.keyboard.press("Escape")
    page.get_by_test_id("stSidebar").get_by_role("button", name="Report").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report as one HTML page").click()
    saved = Path(download.value.path()).read_text()
    assert saved.startswith("<!doctype html>")
    assert "NPO 10" in saved


def test_dropped_files_become_runs_and_bad_ones_get_a_line(
    page: Page, board: Dashboard, files: Path, tmp_path: Path
) -> None:
    half = tmp_path / "TOFU_EVAL.json"
    half.write_text('{"forget_Q_A_Prob": ')
    page.goto(f"{board.url}/runs")
    wait_ready(page)
    chosen = [files / "muse_results.csv", files / "mine.csv", half]
    upload(page, *chosen)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("6 new runs, 0 replaced, 0 already imported.")).to_be_visible()
    expect(page.get_by_text("is truncated")).to_be_visible()
    screenshot(page, "runs-import")
    page.get_by_label("Or a path on this machine").fill(str(files / "saves"))
    page.get_by_label("Or a path on this machine").press("Enter")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("0 new runs, 0 replaced, 11 already imported.")).to_be_visible()
    keyed(page, "forget_mine").get_by_role("button", name="Forget").click()
    expect(page.get_by_text("mine", exact=True)).to_have_count(0)


def test_a_curve_is_evaluated_read_and_tried_in_compare(page: Page, browser: Browser, tmp_path: Path) -> None:
    base = write_tiny_model(tmp_path / "base")
    write_tiny_adapter(base, tmp_path / "adapter")
    rows = "\n".join(
        f'{{"id": "q{n}", "prompt": "Who is {n}?", "answer": "It is Ada {n}."}}' for n in range(4)
    )
    for role in ("forget", "retain"):
        (tmp_path / f"{role}.jsonl").write_text(rows.replace('"q', f'"{role}'))
    models = (
        'name = "Original"\npart = "original"\nsource = "base"',
        'name = "NPO 4"\npart = "unlearned"\nsource = "base"\nadapter = "adapter"\nmethod = "NPO"\nstep = 4',
    )
    text = 'name = "Tiny"\nmodality = "text"\n[decoding]\nmax_new_tokens = 8\n'
    text += "".join(f"[[models]]\n{model}\n" for model in models)
    text += "".join(f'[[probes]]\nfile = "{role}.jsonl"\nrole = "{role}"\n' for role in ("forget", "retain"))
    (tmp_path / "study.toml").write_text(text)
    with running(tmp_path / "cache", str(tmp_path / "study.toml")) as server:
        page.goto(f"{server.url}/runs")
        wait_ready(page)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text("Everything that can be evaluated")).to_be_visible(timeout=120_000)
        page.goto(f"{server.url}/tradeoffs?chart=Strength")
        wait_ready(page)
        page.get_by_role("button", name="Evaluate the curve").click()
        curve_is_whole(page)
        screenshot(page, "tradeoffs-strength")
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowLeft")
        page.get_by_role("button", name="Try a = 0.5 in Compare").click()
        wait_ready(page)
        expect(page.get_by_role("article", name="NPO 4 × 0.5")).to_be_visible()
        # The ends of the dial are no further models: they would count as unlearned ones on the front.
        expect(page.get_by_role("article", name=re.compile("NPO 4 × [01]$"))).to_have_count(0)
        expect(page).to_have_url(re.compile(r"dial=0\.5"))
        # Another person finds the curve at once, and its models nowhere else until they are wanted there.
        with window(browser, "light") as other:
            other.goto(f"{server.url}/tradeoffs?chart=Strength")
            curve_is_whole(other)
            other.goto(f"{server.url}/tradeoffs")
            wait_ready(other)
            expect_points(other, 2)
            other.goto(f"{server.url}/tradeoffs?chart=Strength")
            curve_is_whole(other)
            other.get_by_role("button", name="Show the curve on all pages").click()
            wait_ready(other)
            other.get_by_role("radio", name="Frontier").click()
            expect_points(other, 5)


def curve_is_whole(page: Page) -> None:
    """Wait until both panels of the strength view show five strengths."""
    charts = "[...document.querySelectorAll('.js-plotly-plot')]"
    line = "trace => trace.mode != 'lines+markers' || trace._length == 5"
    page.wait_for_function(
        f"() => {charts}.length == 2 && {charts}.every(chart => chart._fullData?.every({line}))",
        timeout=120_000,
    )
    wait_ready(page)


def test_a_layer_with_one_metric_says_so_and_shows_it(page: Page, board: Dashboard, tmp_path: Path) -> None:
    table = tmp_path / "lonely.csv"
    table.write_text("model,forget/probability,protocol\nalone,0.25,mine\n")
    page.goto(f"{board.url}/runs")
    wait_ready(page)
    upload(page, table)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("1 new runs")).to_be_visible()
    open_page(page, board, "?layer=lonely")
    expect(page.get_by_text("A plot needs two metrics, but the 1 runs of these layers have")).to_be_visible()
    expect(page.get_by_text("Protocol: mine.")).to_be_visible()
    expect(tables(page)).to_be_visible()
