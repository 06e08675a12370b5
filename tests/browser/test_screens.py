"""Every page on phone, tablet and desk: whole titles, long lists, and nothing serious that axe-core finds."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from cache.store import open_store
from tests.browser.conftest import Dashboard, running, window
from tests.browser.steps import marks, plot, wait_ready
from tests.browser.test_compare import write_image_study
from tests.filled_store import fill_images, fill_text, image_study, text_study, write_study

PAGES = ("", "compare", "tradeoffs", "examples", "build", "runs")
PICTURES = "compare?study=random-pictures"
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
ALWAYS = {"heading-order", "region", "page-has-heading-one"}
"""Rules that axe-core calls moderate and that hold here all the same."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("screens")
    cache = folder / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    store.close()
    studies = [
        write_study(text_study(), folder / "text"),
        write_image_study(image_study(), folder / "images"),
    ]
    with running(cache, *map(str, studies)) as server:
        yield server


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Thirty methods whose names begin alike."""
    folder = tmp_path_factory.mktemp("long")
    study = text_study()
    bases = [spec for spec in study.models if spec.part == "unlearned"]
    names = [f"tofu_Llama-3.2-1B-Instruct_forget10_NPO_beta{n}" for n in range(30)]
    made = [
        replace(
            bases[n % len(bases)], name=f"{name} 2", method=name, fingerprint=f"{n:032}:{'0' * 16}", step=2
        )
        for n, name in enumerate(names)
    ]
    whole = replace(study, models=(*study.models[:2], *made))
    (folder / "cache").mkdir()
    store = open_store(folder / "cache" / "evidence.sqlite")
    # Each knows what the model of the study knows that it stands for.
    known = [
        replace(spec, method=base.method, step=base.step)
        for spec, base in zip(made, itertools.cycle(bases), strict=False)
    ]
    fill_text(replace(whole, models=(*study.models[:2], *known)), store)
    store.close()
    path = write_study(whole, folder / "study")
    with running(folder / "cache", str(path)) as server:
        yield server


def test_thirty_models_are_searched_and_ticked_together_one_line_each(
    page: Page, long_names: Dashboard
) -> None:
    page.goto(f"{long_names.url}/runs")
    wait_ready(page)
    picker = page.get_by_role("group", name="Models", exact=True)
    rows = picker.get_by_role("checkbox")
    expect(rows).to_have_count(32)
    boxes = [rows.nth(place).bounding_box() for place in (2, 12)]
    assert boxes[0] and boxes[1] and (boxes[1]["y"] - boxes[0]["y"]) / 10 < 36
    expect(picker.get_by_text("beta7", exact=True)).to_have_attribute(
        "title", re.compile("tofu_.*_NPO_beta7")
    )
    picker.get_by_role("button", name="Select no model but the original").click()
    wait_ready(page)
    expect(picker.get_by_role("checkbox", checked=True)).to_have_count(1)
    picker.get_by_role("searchbox", name="Search models").fill("beta2")
    expect(rows).to_have_count(11)
    picker.get_by_role("button", name="Select all models").click()
    wait_ready(page)
    picker.get_by_role("searchbox", name="Search models").fill("")
    expect(rows).to_have_count(32)
    expect(picker.get_by_role("checkbox", checked=True)).to_have_count(12)


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_thirty_long_names_leave_the_chart_to_be_seen(
    browser: Browser, long_names: Dashboard, width: int
) -> None:
    with window(browser, "light", width) as page:
        page.goto(f"{long_names.url}/tradeoffs")
        wait_ready(page)
        expect(marks(page).nth(31)).to_be_visible()
        legend, area = plot(page).locator(".legend"), plot(page).locator(".nsewdrag").first
        boxes = legend.bounding_box(), area.bounding_box()
        assert boxes[0] and boxes[1]
        assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"] + 1  # above the plot, not over it
        assert boxes[1]["height"] > 400
        names = plot(page).locator(".annotation:visible text").all_text_contents()
        methods = [name for name in names if name.startswith("beta")]
        assert 1 <= len(methods) <= 9 and not any("tofu" in name for name in names)
        shown = [
            each.bounding_box() for each in plot(page).locator(".annotation:visible .annotation-text-g").all()
        ]
        for place, one in enumerate(shown):
            for other in shown[:place]:
                assert one and other
                apart = (
                    one["x"] + one["width"] <= other["x"] + 1
                    or other["x"] + other["width"] <= one["x"] + 1
                    or one["y"] + one["height"] <= other["y"] + 1
                    or other["y"] + other["height"] <= one["y"] + 1
                )
                assert apart, names
        page.goto(f"{long_names.url}/tradeoffs?run=tofu_Llama-3.2-1B-Instruct_forget10_NPO_beta3+2")
        wait_ready(page)
        expect(plot(page).locator(".annotation").get_by_text("beta3", exact=False).first).to_be_visible()


def test_names_of_metrics_are_whole_on_phone_tablet_and_desk(browser: Browser, board: Dashboard) -> None:
    for width in (390, 768, 1280, 1440):
        with window(browser, "light", width) as page:
            page.goto(f"{board.url}/tradeoffs")
            wait_ready(page)
            for name in ("Horizontal axis", "Vertical axis"):
                box = page.get_by_role("combobox", name=name)
                expect(box).to_have_value(re.compile("·"))
                assert box.evaluate("box => box.scrollWidth <= box.clientWidth"), (width, name)


@pytest.mark.parametrize("view", ["Strength", "Trajectories"])
def test_a_fourth_view_covers_no_button_on_a_phone(browser: Browser, board: Dashboard, view: str) -> None:
    with window(browser, "light", 390) as page:
        page.goto(f"{board.url}/tradeoffs?chart={view}")
        wait_ready(page)
        boxes = [page.get_by_role("button", name=name).bounding_box() for name in ("More views", "Layers")]
        assert boxes[0] and boxes[1] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


@pytest.mark.parametrize("width", [390, 768])
def test_the_title_of_every_page_is_whole(browser: Browser, board: Dashboard, width: int) -> None:
    with window(browser, "light", width) as page:
        for name in PAGES:
            page.goto(f"{board.url}/{name}")
            wait_ready(page)
            header = page.get_by_test_id("stHeader").bounding_box()
            title = page.get_by_role("heading", level=1).bounding_box()
            assert header is not None and title is not None
            assert title["y"] >= header["y"] + header["height"], name


def test_answers_and_examples_begin_on_a_phones_first_screen(browser: Browser, board: Dashboard) -> None:
    with window(browser, "light", 390) as page:
        page.goto(f"{board.url}/compare")
        wait_ready(page)
        first = page.get_by_role("article").first.bounding_box()
        assert first is not None and first["y"] < 600  # of 844
        page.goto(f"{board.url}/examples")
        wait_ready(page)
        table = page.get_by_test_id("stDataFrame").first.bounding_box()
        assert table is not None and table["y"] < 620


def test_a_prompt_that_was_asked_comes_back_after_next(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/compare?prompt=Who+is+there%3F")
    wait_ready(page)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Forget probe 2 of 6")).to_be_visible()
    page.get_by_role("button", name="Your prompt: Who is there?").click()
    expect(page.get_by_role("textbox", name="Your own prompt")).to_have_value("Who is there?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, PICTURES, "examples?study=random-pictures"])
def test_axe_finds_nothing_serious(
    browser: Browser, board: Dashboard, name: str, scheme: Literal["light", "dark"]
) -> None:
    with window(browser, scheme) as page:
        page.goto(f"{board.url}/{name}")
        wait_ready(page)
        assert not serious(page)


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, and what is against ALWAYS, one line each."""
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{each['id']}: {node['html'][:160]} {json.dumps([check.get('message') for check in node['any']])}"
        for each in found
        if each["impact"] in ("serious", "critical") or each["id"] in ALWAYS
        for node in each["nodes"]
    ]
