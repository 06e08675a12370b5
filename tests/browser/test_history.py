"""Back and Forward of the browser, and what was typed and not run: on a study of random evidence without weights."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from cache.store import open_store
from tests.browser.conftest import Dashboard, running
from tests.browser.steps import axis_title, chosen_run, expect_cards, expect_marked, keyed, wait_ready
from tests.filled_store import fill_text, text_study, write_study

USUAL = ("Original", "Retained", "GradAscent 10", "NPO 2", "IdkDPO 2")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("history")
    cache = folder / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    store.close()
    with running(cache, str(write_study(text_study(), folder))) as server:
        yield server


def open_page(page: Page, board: Dashboard, path: str) -> None:
    page.goto(f"{board.url}/{path}")
    wait_ready(page)
    expect(page).to_have_url(re.compile("study="))  # the address of what is shown


def go_to(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    path = "" if name == "Overview" else name.lower().replace("-", "")
    expect(page).to_have_url(re.compile(rf"/{path}\?study="))
    wait_ready(page)


def step(page: Page, by: int) -> None:
    """Back or Forward by so many entries of the history."""
    page.evaluate("by => history.go(by)", by)


def next_probe(page: Page) -> None:
    page.get_by_role("button", name="Next").click()


def expect_probe(page: Page, number: int, role: str = "Forget") -> None:
    expect(page.get_by_text(f"{role} probe {number} of 6", exact=False)).to_be_visible()
    expect(page).to_have_url(re.compile(f"probe={role.lower()}-"))
    wait_ready(page)


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def prompt_box(page: Page) -> Locator:
    return keyed(page, "prompt_box").get_by_role("textbox")


def entries(page: Page) -> int:
    return int(page.evaluate("history.length"))


def test_back_and_forward_go_through_what_was_shown_on_compare(page: Page, board: Dashboard) -> None:
    open_page(page, board, "compare")
    begun = entries(page)
    for number in (2, 3):
        next_probe(page)
        expect_probe(page, number)
    page.get_by_role("radio", name="Leak heat map").click()
    expect(page).to_have_url(re.compile("view=leak"))
    wait_ready(page)
    page.get_by_role("button", name="NPO 4", exact=True).click()
    expect_cards(page, "Original", "Retained", "GradAscent 10", "NPO 2", "NPO 4", "IdkDPO 2")
    expect(page).to_have_url(re.compile(r"models=NPO\+4"))
    assert entries(page) - begun == 4

    step(page, -1)
    expect_cards(page, *USUAL)
    expect(page.get_by_role("radio", name="Leak heat map")).to_be_checked()
    step(page, -1)
    expect(page.get_by_role("radio", name="Answers")).to_be_checked()
    expect_probe(page, 3)
    step(page, -2)
    expect_probe(page, 1)
    step(page, 1)
    expect_probe(page, 2)
    step(page, 2)
    expect_probe(page, 3)
    expect(page.get_by_role("radio", name="Leak heat map")).to_be_checked()
    expect_cards(page, *USUAL)


def test_a_choice_after_back_begins_another_branch(page: Page, board: Dashboard) -> None:
    open_page(page, board, "compare")
    begun = entries(page)
    for number in (2, 3):
        next_probe(page)
        expect_probe(page, number)
    step(page, -1)
    expect_probe(page, 2)
    page.get_by_role("radio", name="Retain", exact=True).click()
    expect_probe(page, 1, "Retain")
    assert entries(page) - begun == 2
    step(page, 1)  # there is nothing
    step(page, -1)
    expect_probe(page, 2)
    step(page, 1)
    expect_probe(page, 1, "Retain")
    next_probe(page)
    expect_probe(page, 2, "Retain")


def test_back_and_forward_go_through_axes_questions_and_runs(page: Page, board: Dashboard) -> None:
    open_page(page, board, "tradeoffs")
    begun = entries(page)
    across = page.get_by_role("combobox", name="Horizontal axis")
    upward = page.get_by_role("combobox", name="Vertical axis")
    usual = upward.input_value()
    choose(page, "Question", "Forgotten vs neighbours")
    expect(page).to_have_url(re.compile("y=neighbour"))
    expect(axis_title(page, "y", "neighbour")).to_be_visible()
    wait_ready(page)
    choose(page, "Horizontal axis", "forget · Truth ratio")
    expect(page).to_have_url(re.compile("x=forget%2Ftruth_ratio"))
    expect(axis_title(page, "x", "Truth ratio")).to_be_visible()
    wait_ready(page)
    assert entries(page) - begun == 2

    step(page, -1)
    expect(across).not_to_have_value("forget · Truth ratio")
    expect(upward).to_have_value(re.compile("neighbour"))
    expect(axis_title(page, "y", "neighbour")).to_be_visible()
    step(page, -1)
    expect(upward).to_have_value(usual)
    expect(axis_title(page, "y", "Least kept")).to_be_visible()
    expect(page).not_to_have_url(re.compile("[?&]y="))
    step(page, 2)
    expect(across).to_have_value("forget · Truth ratio")
    expect(axis_title(page, "x", "Truth ratio")).to_be_visible()
    expect(axis_title(page, "y", "neighbour")).to_be_visible()


def test_runs_of_a_link_are_marked_and_back_gives_them_up(page: Page, board: Dashboard) -> None:
    open_page(page, board, "tradeoffs?run=NPO+10&run=GradAscent+6")
    expect(chosen_run(page, "NPO 10")).to_be_visible()
    expect_marked(page, {"NPO": [4], "GradAscent": [2]})
    chosen_run(page, "NPO 10").get_by_role("button", name="Clear all").click()
    expect(page).not_to_have_url(re.compile("run="))
    expect_marked(page, {})
    step(page, -1)
    expect(chosen_run(page, "NPO 10")).to_be_visible()
    expect_marked(page, {"NPO": [4], "GradAscent": [2]})


def test_back_and_forward_go_through_filters_of_examples(page: Page, board: Dashboard) -> None:
    open_page(page, board, "examples")
    begun = entries(page)
    find = page.get_by_placeholder("Regular expression")
    find.press_sequentially("born")  # no entry for each letter
    find.press("Enter")
    expect(page).to_have_url(re.compile("find=born"))
    wait_ready(page)
    page.get_by_role("radio", name="Retain", exact=True).click()
    expect(page).to_have_url(re.compile("role=retain"))
    wait_ready(page)
    assert entries(page) - begun == 2

    step(page, -1)
    expect(page.get_by_role("radio", name="Forget", exact=True)).to_be_checked()
    expect(find).to_have_value("born")
    step(page, -1)
    expect(find).to_have_value("")
    expect(page.get_by_text("6 of 6 probes")).to_be_visible()
    step(page, 2)
    expect(page.get_by_role("radio", name="Retain", exact=True)).to_be_checked()
    expect(find).to_have_value("born")


def test_back_and_forward_go_from_page_to_page_by_one_entry_each(page: Page, board: Dashboard) -> None:
    open_page(page, board, "")
    begun = entries(page)
    go_to(page, "Compare")
    next_probe(page)
    expect_probe(page, 2)
    go_to(page, "Trade-offs")
    choose(page, "Question", "Forgotten vs neighbours")
    expect(page).to_have_url(re.compile("y=neighbour"))
    wait_ready(page)
    go_to(page, "Examples")
    assert entries(page) - begun == 5

    step(page, -1)
    expect(axis_title(page, "y", "neighbour")).to_be_visible()
    step(page, -1)
    expect(axis_title(page, "y", "Least kept")).to_be_visible()
    step(page, -1)
    expect_probe(page, 2)
    step(page, -2)
    expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    step(page, 2)
    expect_probe(page, 2)
    step(page, 2)
    expect(page.get_by_role("heading", name="Trade-offs")).to_be_visible()
    expect(axis_title(page, "y", "neighbour")).to_be_visible()
    assert entries(page) - begun == 5


def test_no_click_is_lost_or_undone_however_fast_they_come(page: Page, board: Dashboard) -> None:
    open_page(page, board, "compare")
    following = page.get_by_role("button", name="Next")
    following.evaluate("button => { for (let click = 0; click < 5; click++) button.click(); }")
    expect_probe(page, 6)
    expect(following).to_be_disabled()
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("j")
    expect_probe(page, 4)
    step(page, -1)
    expect(page.get_by_text("Forget probe 4 of 6")).to_have_count(0)


def test_a_prompt_that_was_not_run_is_offered_again(page: Page, board: Dashboard) -> None:
    open_page(page, board, "compare")
    box = prompt_box(page)
    own = box.input_value()
    box.press_sequentially(" just kidding")  # with a j and a k
    expect(box).to_have_value(own + " just kidding")
    expect_probe(page, 1)
    page.get_by_role("heading", name="Compare", exact=True).click()
    page.keyboard.press("j")
    expect_probe(page, 2)
    expect(box).not_to_have_value(own + " just kidding")
    offer = page.get_by_role("button", name="Your prompt: ")
    expect(offer).to_contain_text("just kidding")

    box.fill("A second one")
    step(page, -1)  # of which a box that is written in takes no notice
    expect_probe(page, 1)
    expect(box).to_have_value("A second one")
    expect(page.get_by_text("These answers are to the probe’s own prompt. Press Run")).to_be_visible()
    page.get_by_role("radio", name="Retain", exact=True).click()
    expect_probe(page, 1, "Retain")
    expect(offer).to_contain_text("A second one")
    page.get_by_role("radio", name="Forget", exact=True).click()
    expect_probe(page, 1)
    box.fill("A third one")
    go_to(page, "Examples")
    go_to(page, "Compare")
    expect(offer).to_contain_text("A third one")
    box.fill("A fourth one")
    page.reload()
    wait_ready(page)
    expect(offer).to_contain_text("A fourth one")

    offer.click()
    expect(box).to_have_value("A fourth one")
    expect(page.get_by_text("Your own prompt")).to_be_visible()
    page.get_by_role("button", name="Back to the probe").click()
    expect(box).to_have_value(own)


def test_prompts_before_the_last_are_in_a_menu(page: Page, board: Dashboard) -> None:
    open_page(page, board, "compare")
    box = prompt_box(page)
    for place, text in enumerate(("First", "Second", "Third"), start=2):
        box.fill(text)
        next_probe(page)
        expect_probe(page, place)
        expect(page.get_by_role("button", name=f"Your prompt: {text}")).to_be_visible()
    page.get_by_role("button", name="Earlier prompts").click()
    page.get_by_role("menuitem", name="First").click()
    expect(box).to_have_value("First")
    expect(page).to_have_url(re.compile("prompt=First"))
    step(page, -1)
    expect_probe(page, 4)
    expect(page.get_by_role("button", name="Your prompt: First")).to_be_visible()
