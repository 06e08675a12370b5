"""The Examples page as a person uses it, on a study of random evidence without weights."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cache.store import open_store
from tests.browser.conftest import Dashboard, running
from tests.browser.steps import screenshot, wait_ready
from tests.browser.test_compare import write_image_study
from tests.filled_store import fill_images, fill_text, image_study, text_study, write_study


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("examples")
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


def open_page(page: Page, board: Dashboard, link: str = "") -> None:
    page.goto(f"{board.url}/examples{link}")
    wait_ready(page)


def downloaded(page: Page) -> list[dict[str, str]]:
    """The rows that are shown, as the CSV has them."""
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    with Path(download.value.path()).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_probe_is_a_row_with_counts_by_model(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    expect(page.get_by_text("6 of 6 probes")).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(2)
    expect(page.get_by_text("Held against Retained")).to_be_visible()
    rows = downloaded(page)
    assert len(rows) == 6
    assert "NPO 2: distance to Retained" in rows[0] and "Retained: distance to Retained" not in rows[0]
    assert {"Original: answer", "NPO 2: outcome", "NPO 2: probability"} <= set(rows[0])
    changes = [
        abs(float(row["GradAscent 10: probability"]) - float(row["Original: probability"])) for row in rows
    ]
    assert max(changes) > 0
    screenshot(page, "examples")


def test_counts_say_closer_or_farther_and_the_verdict(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    text = Path(download.value.path()).read_text()
    rows = {row["model"]: row for row in csv.DictReader(text.splitlines())}
    assert "inf" not in text.lower()
    assert {"verdict", "closer", "same", "farther", "distance"} <= set(rows["NPO 2"])
    # The first numbers are those that tell models apart.
    assert list(rows["NPO 2"])[:5] == ["model", "verdict", "alike", "short", "past"]
    assert sum(int(rows["NPO 2"][side]) for side in ("alike", "short", "past")) == 6
    assert rows["NPO 2"]["verdict"] and not rows["Retained"]["verdict"]
    assert sum(int(rows["NPO 2"][side]) for side in ("closer", "same", "farther")) == 6
    assert rows["Retained"]["closer"] == ""
    page.get_by_role("combobox", name="Order").click()
    expect(page.get_by_role("option", name="Farther from retained first")).to_be_visible()


def test_controls_of_a_row_stand_on_one_line(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    find, metric = page.get_by_role("textbox", name="Find"), page.get_by_role("combobox", name="Metric")
    leak, forget = page.get_by_text("leak", exact=True).first, page.get_by_role("radio", name="Forget")
    rows = (("Find", find, "Some model’s answer is", leak), ("Metric", metric, "Probes", forget))
    for label, control, other, choice in rows:
        titles = [page.get_by_text(name, exact=True).first.bounding_box() for name in (label, other)]
        box, chosen = control.bounding_box(), choice.bounding_box()
        assert titles[0] and titles[1] and box and chosen
        assert abs(titles[0]["y"] - titles[1]["y"]) <= 1, label
        assert abs(box["y"] + box["height"] / 2 - chosen["y"] - chosen["height"] / 2) <= 2, label


def test_filters_live_in_the_address_and_come_back_with_a_link(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    page.get_by_role("radio", name="Retain").click()
    wait_ready(page)
    page.get_by_placeholder("Regular expression").fill("born|work")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"find=born"))
    expect(page).to_have_url(re.compile(r"role=retain"))
    wait_ready(page)
    shown = page.get_by_text(re.compile(r"\d of 6 probes")).inner_text()
    rows = downloaded(page)
    assert rows and all(re.search("born|work", " ".join(row.values())) for row in rows)
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    wait_ready(page)
    expect(page.get_by_text(shown)).to_be_visible()
    expect(page.get_by_placeholder("Regular expression")).to_have_value("born|work")


def test_a_broken_expression_is_said_in_place(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?find=(")
    expect(page.get_by_role("alert")).to_contain_text("not a regular expression")
    page.get_by_placeholder("Regular expression").fill("born")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"of 6 probes"))).to_be_visible()


def test_an_expression_that_explodes_elsewhere_is_answered(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?find=(a%2B)%2B%24")
    expect(page.get_by_text(re.compile(r"of 6 probes|No probe fits"))).to_be_visible()


def test_nothing_that_fits_is_said(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?find=nothing+like+this")
    expect(page.get_by_text("No probe fits these filters.")).to_be_visible()


def test_a_row_opens_in_compare(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?order=file")
    opens = page.get_by_role("button", name="Open in Compare")
    expect(opens).to_be_disabled()
    grid = page.get_by_test_id("stDataFrame").last
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 36 + 76 + 38)  # the box of the second row
    wait_ready(page)
    expect(opens).to_be_enabled()
    opens.click()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    wait_ready(page)
    expect(page.get_by_text("Forget probe 2 of 6")).to_be_visible()


def test_image_examples_have_pictures_and_values_and_no_answers(dark_page: Page, board: Dashboard) -> None:
    page = dark_page
    open_page(page, board, "?study=random-pictures")
    expect(page.get_by_text("3 of 3 probes")).to_be_visible()
    expect(page.get_by_text("Answers", exact=True)).to_have_count(0)
    assert "Original: answer" not in downloaded(page)[0]
    # The cells are drawn on a canvas; the rows are high where they hold pictures.
    grid = page.get_by_test_id("stDataFrame").last.bounding_box()
    assert grid is not None and grid["height"] > 3 * 90
    page.get_by_test_id("stPopoverButton").filter(has_text="Columns").click()
    page.get_by_role("button", name="Pictures").click()
    page.keyboard.press("Escape")
    wait_ready(page)
    grid = page.get_by_test_id("stDataFrame").last.bounding_box()
    assert grid is not None and grid["height"] < 3 * 90
    screenshot(page, "examples-images")


def test_trade_offs_lead_to_all_examples_of_a_metric(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/tradeoffs?run=NPO+6")
    wait_ready(page)
    page.get_by_role("button", name="All probes in Examples").click()
    expect(page.get_by_role("heading", name="Examples")).to_be_visible()
    wait_ready(page)
    assert any("NPO 6" in name for name in downloaded(page)[0])
