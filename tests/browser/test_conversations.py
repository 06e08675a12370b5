"""Compare with more of the conversation than its last question: typed, asked, marked as given, and in the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Dashboard, running
from tests.browser.steps import screenshot, wait_ready
from tests.browser.test_compare import LOADING_MS, write_tiny_study


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder: Path = tmp_path_factory.mktemp("conversations")
    study = write_tiny_study(folder / "tiny")
    study.write_text(study.read_text().replace("max_new_tokens = 120", "max_new_tokens = 12"))
    with running(folder / "cache", str(study)) as server:
        yield server


def test_a_begun_answer_is_asked_and_marked_and_its_link_shows_it_again(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/compare")
    wait_ready(page)
    page.get_by_text("More of the conversation").click()
    page.get_by_role("textbox", name="System text").fill("Be brief.")
    page.get_by_role("textbox", name="Earlier turns").fill("Who is Ada?")
    page.get_by_role("textbox", name="The answer begins with").fill("Sure, <b>here</b> is")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Begin each earlier turn with")).to_be_visible()
    page.get_by_role("textbox", name="Earlier turns").fill("user: Who is Ada?\nassistant: A poet.")
    screenshot(page, "compare-conversation-typed")
    page.get_by_role("button", name="Run").click()
    card = page.get_by_role("article").first
    expect(card.locator(".given")).to_have_text("Sure, <b>here</b> is", timeout=LOADING_MS)
    expect(page.get_by_text("3 set")).to_be_visible()
    expect(page).to_have_url(re.compile("begun=Sure"))
    screenshot(page, "compare-conversation")
    page.goto(page.url)
    wait_ready(page)
    expect(page.get_by_role("article").first.locator(".given")).to_have_text("Sure, <b>here</b> is")
    expect(page.get_by_text("Earlier turns (3)")).to_be_visible()
    page.get_by_role("button", name="Back to the probe").click()
    expect(page.locator(".given")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("begun="))
