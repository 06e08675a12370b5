"""The Robustness page as a person uses it: on random evidence of attacks, and on tiny real models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from backends.study.file import read_study
from cache.analysis.robustness.ladder import ladder
from cache.analysis.robustness.trials import trials
from cache.store import open_store
from tests.browser.conftest import Dashboard, own_cache, running, window
from tests.browser.steps import keyed, marks, screenshot, wait_ready
from tests.browser.test_compare import write_image_study, write_tiny_study
from tests.filled_store import (
    ATTACKED,
    HIDES,
    attack_study,
    fill_attacks,
    fill_images,
    fill_text,
    image_study,
    write_study,
)

MODEL = f"{HIDES} 10"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A text study with evidence of attacks on its last checkpoints, and an image study without any."""
    folder = tmp_path_factory.mktemp("robustness")
    cache = folder / "cache"
    cache.mkdir()
    files = [
        write_study(attack_study(), folder / "text"),
        write_image_study(image_study(), folder / "images"),
    ]
    study = read_study(files[0])
    store = open_store(cache / "evidence.sqlite")
    fill_text(study, store)
    fill_attacks(study, store, ATTACKED)
    fill_images(image_study(), store)
    store.close()
    with running(cache, *map(str, files)) as server:
        yield server


def open_page(page: Page, board: Dashboard, **link: str) -> None:
    page.goto(f"{board.url}/robustness?{urlencode({'models': ATTACKED, **link}, doseq=True)}")
    wait_ready(page)


def chart(page: Page) -> Locator:
    return page.get_by_role("figure", name="What every attack recovers")


def verdict_of(page: Page, model: str) -> str:
    line = page.get_by_role("list", name="Verdicts").get_by_role("listitem").filter(has_text=model)
    return line.inner_text()


def test_a_model_that_gives_in_to_attacks_is_called_hidden(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    expect(page.get_by_role("heading", name="Erased or hidden?")).to_be_visible()
    expect(page.get_by_role("list", name="Verdicts")).to_contain_text(MODEL)
    assert "Hidden" in verdict_of(page, MODEL)
    assert "of what the original does" in verdict_of(page, MODEL)
    expect(chart(page)).to_contain_text("Takes: prompt box")
    expect(chart(page)).to_contain_text("Strongest attack")
    screenshot(page, "robustness")


def test_a_click_on_a_mark_shows_the_facts_and_a_link_shows_them_again(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    drawn = marks(page).and_(chart(page).locator(".point"))
    drawn.first.wait_for()
    drawn.last.click(force=True)  # Plotly lays a sheet for dragging over its marks
    facts = page.get_by_text(re.compile(r"\d+ of \d+ facts came back"))
    expect(facts).to_be_visible()
    expect(page).to_have_url(re.compile(r"[?&]attack=strongest"))
    expect(page.get_by_role("region", name="As it is asked").first).to_be_visible()
    address = page.url
    page.goto(address)
    wait_ready(page)
    expect(facts).to_be_visible()


def test_a_fact_opens_in_compare_with_everything_typed_in(page: Page, board: Dashboard) -> None:
    open_page(page, board, attack="system", of=MODEL)
    page.get_by_role("button", name="Open in Compare").first.click()
    expect(page).to_have_url(re.compile(r"/compare\?"))
    wait_ready(page)
    expect(page).to_have_url(re.compile(r"[?&]system=You\+are\+a\+knowledgeable"))


def test_how_it_rates_the_answer_is_another_ladder_with_its_heat_map(page: Page, board: Dashboard) -> None:
    open_page(page, board, attack="role_play", of=MODEL)
    expect(page.get_by_text("by Key fact")).to_be_visible()
    page.get_by_role("radio", name="How it rates the answer").click()
    expect(page).to_have_url(re.compile(r"[?&]measure=rates"))
    expect(page.get_by_text("by Probability of the true answer")).to_be_visible()
    page.get_by_role("radio", name="Leak heat map").click()
    expect(page.get_by_role("list", name="Likelihood of each token").first).to_be_visible()


def test_what_cannot_be_tried_is_named_with_what_it_needs(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    page.get_by_text(re.compile(r"attacks are left out")).click()
    expect(page.get_by_text("Another language: it needs translated questions")).to_be_visible()


@pytest.mark.parametrize("width", [390, 768])
def test_it_fits_a_phone_and_a_tablet(browser: Browser, board: Dashboard, width: int) -> None:
    with window(browser, "dark", width) as page:
        open_page(page, board, attack="system", of=MODEL)
        expect(page.get_by_role("region", name="As it is asked").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        screenshot(page, "robustness")


def test_attacks_are_tried_from_the_page(page: Page, tmp_path: Path) -> None:
    path = write_tiny_study(tmp_path / "study")
    short = path.read_text().replace("max_new_tokens = 120", "max_new_tokens = 8")
    path.write_text(short + '[attacks]\nuse = ["role_play", "form_hint"]\n')
    row = {"question": "Who?", "answer": "Ada Quill.", "key_fact": "Ada"}
    (path.parent / "probes" / "forget.jsonl").write_text(json.dumps(row) + "\n")
    cache = own_cache(tmp_path / "cache")
    with running(cache, str(path)) as server:
        page.goto(f"{server.url}/robustness")
        wait_ready(page)
        expect(page.get_by_text("No attack has been tried on the ticked models yet")).to_be_visible()
        expect(page.get_by_text("pieces of evidence are missing")).to_be_visible()
        keyed(page, "start_attacks").get_by_role("button").click()
        expect(page.get_by_text(re.compile("^Trying 2 attacks on 1 model: done"))).to_be_visible(
            timeout=300_000
        )
        expect(page.get_by_role("list", name="Verdicts")).to_contain_text("NPO 4")
        page.get_by_role("button", name="Try attacks").click()
        expect(page.get_by_text("of these attacks are there")).to_be_visible()
    study, store = read_study(path), open_store(cache / "evidence.sqlite")
    found = ladder(study, store, trials(study, store))
    assert {"role_play", "form_hint"} <= {each.attack for each in found.rungs}
    assert not {"role_play", "form_hint"} & set(found.waiting)
