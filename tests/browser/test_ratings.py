"""Rating blind on Compare: two answers without names, compared by mouse and by key, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from cache.store import open_store
from cache.store.ratings import ratings_of
from tests.browser.conftest import Dashboard, running
from tests.browser.steps import screenshot, wait_ready
from tests.filled_store import fill_text, text_study, write_study


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A recorded text study."""
    folder = tmp_path_factory.mktemp("ratings")
    cache = folder / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    store.close()
    with running(cache, str(write_study(text_study(), folder / "text"))) as server:
        yield server


def test_answers_are_rated_without_names_and_kept(board: Dashboard, page: Page) -> None:
    page.goto(f"{board.url}/?probe=forget-0-born")
    wait_ready(page)
    page.get_by_role("button", name="Rate blind").click()
    main = page.get_by_test_id("stMain")
    expect(main.get_by_role("heading", name="Which gives less away")).to_be_visible()
    for spec in text_study().models:
        expect(main.get_by_text(spec.name, exact=True)).to_have_count(0)
    page.get_by_role("textbox", name="Your name or initials").fill("AB")
    page.get_by_role("textbox", name="Your name or initials").press("Enter")
    expect(main.get_by_text("0 rated by you")).to_be_visible()
    page.get_by_role("button", name="Left gives less away").click()
    expect(main.get_by_text("1 rated by you")).to_be_visible()
    page.keyboard.press("s")
    expect(main.get_by_text("2 rated by you")).to_be_visible()
    wait_ready(page)
    screenshot(page, "rating")
    page.get_by_text("Results so far").click()
    expect(main.get_by_text("catch trials")).to_be_visible()
    page.get_by_role("button", name="Stop rating").click()
    expect(page.get_by_role("article").first).to_be_visible()
    store = open_store(board.cache / "evidence.sqlite")
    kept = ratings_of(text_study(), store)
    assert [(each.choice, each.rater) for each in kept] == [("left", "AB"), ("same", "AB")]
    store.close()


def test_models_without_answers_leave_nothing_to_rate(board: Dashboard, page: Page) -> None:
    page.goto(f"{board.url}/?probe=forget-0-born&models=Original")
    wait_ready(page)
    page.get_by_role("button", name="Rate blind").click()
    expect(page.get_by_text("no two ticked models with different recorded answers")).to_be_visible()
