"""The Compare page as a person uses it: recorded studies without weights, and tiny real models that answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from backends.study import Study
from cache.store import open_store
from tests.browser.conftest import Dashboard, running
from tests.browser.steps import expect_cards, screenshot, wait_ready
from tests.filled_store import fill_images, fill_text, image_study, model_lines, text_study, write_study
from tests.tiny_text import write_tiny_adapter, write_tiny_model

HOSTILE = "<script>alert(1)</script> **b** $x^2$ ![a](http://evil.example/x.png)"
LOADING_MS = 240_000  # torch, transformers and peft are imported by the first Run


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A text and an image study, recorded, and a study of tiny models that can answer."""
    folder = tmp_path_factory.mktemp("compare")
    cache = folder / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    store.close()
    studies = [
        write_study(text_study(), folder / "text"),
        write_image_study(image_study(), folder / "images"),
        write_tiny_study(folder / "tiny"),
    ]
    with running(cache, *map(str, studies)) as server:
        yield server


def write_image_study(study: Study, folder: Path) -> Path:
    (folder / "probes").mkdir(parents=True)
    lines = [f'name = "{study.name}"', 'modality = "image"', "[sampling]", "steps = 10", "seeds = [1, 2]"]
    for spec in study.models:
        lines += ["[[models]]", *model_lines(spec)]
    for probes in study.probe_sets:
        rows = [json.dumps({"id": p.id, "prompt": p.prompt, **p.concepts}) for p in probes.probes]
        (folder / "probes" / f"{probes.role}.jsonl").write_text("\n".join(rows) + "\n")
        lines += ["[[probes]]", f'file = "probes/{probes.role}.jsonl"', f'role = "{probes.role}"']
    path = folder / "study.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_tiny_study(folder: Path) -> Path:
    (folder / "probes").mkdir(parents=True)
    base = write_tiny_model(folder / "base")
    lines = ['name = "Tiny"', 'modality = "text"', "[decoding]", "max_new_tokens = 120"]
    models = (("Original", "original", ""), ("Retained", "retained", ""), ("NPO 4", "unlearned", "NPO"))
    for seed, (name, part, method) in enumerate(models, start=1):
        write_tiny_adapter(base, folder / f"adapter{seed}", seed=seed)
        lines += [
            "[[models]]",
            f'name = "{name}"',
            f'part = "{part}"',
            'source = "base"',
            f'adapter = "adapter{seed}"',
        ]
        lines += [f'method = "{method}"', "step = 4"] if method else []
    row = {"id": "odd", "question": HOSTILE, "answer": "<b>bold</b> \u202eevil\u202c", "key_fact": "bold"}
    (folder / "probes" / "forget.jsonl").write_text(json.dumps(row) + "\n")
    lines += ["[[probes]]", 'file = "probes/forget.jsonl"', 'role = "forget"']
    path = folder / "study.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def open_page(page: Page, board: Dashboard, link: str = "") -> None:
    page.goto(f"{board.url}/compare{link}")
    wait_ready(page)


USUAL = ("Original", "Retained", "GradAscent 10", "NPO 2", "IdkDPO 2")
"""What the made study shows first: of each method the checkpoint that Overview does."""


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name, exact=True)


def prompt_box(page: Page) -> Locator:
    """The box, named after the probe that is in it or "Your own prompt"."""
    return page.get_by_role("textbox", name=re.compile(r"probe \d|own prompt"))


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    wait_ready(page)


def test_first_page_is_filled_with_the_original_first_and_no_model_loaded(
    page: Page, board: Dashboard
) -> None:
    open_page(page, board)
    expect(card(page, "Original")).to_contain_text("ROUGE-L")
    expect_cards(page, *USUAL)
    expect(page.get_by_text("No model loaded")).to_be_visible()
    expect(page.get_by_role("region", name="Reference answer")).to_contain_text("Oslo")
    screenshot(page, "compare-text")


def test_probes_by_role_by_key_and_by_search(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    prompt = page.get_by_role("textbox", name="probe")
    expect(page.get_by_text("Forget probe 1 of 6")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_text("Forget probe 2 of 6")).to_be_visible()
    page.keyboard.press("k")
    expect(page.get_by_text("Forget probe 1 of 6")).to_be_visible()
    choose(page, "Utility")
    expect(page.get_by_text("Utility probe 1 of 6")).to_be_visible()
    search = page.get_by_placeholder("Search probes")
    search.fill("hamlet")
    search.press("Enter")
    expect(prompt.last).to_have_value("Who wrote Hamlet?")
    expect(page.get_by_text("1 of 6 match")).to_be_visible()
    expect(card(page, "Original")).to_contain_text("recorded")


def test_word_diffs_are_marked_up_as_insertions_and_deletions(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    choose(page, "Diff to original")
    expect(card(page, "GradAscent 10").get_by_role("insertion").first).to_be_visible()
    expect(card(page, "GradAscent 10").get_by_role("deletion").first).to_be_visible()
    expect(card(page, "Original").get_by_role("insertion")).to_have_count(0)
    expect(page.get_by_text("only in the original’s answer")).to_be_visible()


def test_leak_heat_map_tells_more_on_hover_and_by_keyboard(dark_page: Page, board: Dashboard) -> None:
    page = dark_page
    open_page(page, board, "?view=leak")
    tokens = card(page, "NPO 2").get_by_role("list", name="Likelihood of each token").get_by_role("listitem")
    tokens.nth(1).hover()
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("probability")
    expect(tip).to_contain_text("rank")
    expect(tip).to_contain_text("Top-k alternatives")
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()
    tokens.nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(tip).to_be_visible()
    expect(tokens.nth(1)).to_be_focused()
    expect(card(page, "NPO 2").get_by_role("list", name="Kept of the original’s likelihood")).to_be_visible()
    screenshot(page, "compare-leak")


def test_ticked_checkpoints_are_shown_and_survive_a_reload(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    page.get_by_role("button", name="NPO 4", exact=True).click()
    expect(card(page, "NPO 4")).to_be_visible()
    page.get_by_role("checkbox", name="GradAscent").uncheck()
    expect(card(page, "GradAscent 10")).to_have_count(0)
    page.reload()
    wait_ready(page)
    expect(card(page, "NPO 4")).to_be_visible()
    expect_cards(page, "Original", "Retained", "NPO 2", "NPO 4", "IdkDPO 2")


def test_a_prompt_that_no_model_here_can_answer_is_refused_in_place(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    prompt = prompt_box(page)
    prompt.fill("Something that was never asked")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("not on this machine")
    prompt.fill("   ")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("The prompt is empty")


def test_after_an_empty_prompt_the_next_one_is_run_and_the_probe_comes_back(
    page: Page, board: Dashboard
) -> None:
    open_page(page, board, "?study=tiny")
    prompt = prompt_box(page)
    prompt.fill("   ")
    prompt.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("The prompt is empty")
    prompt.fill("What is new?")
    prompt.press("Control+Enter")
    page.wait_for_url("**prompt=What+is+new*")
    page.get_by_role("button", name="Back to the probe").click()
    expect(prompt).to_have_value(HOSTILE)
    expect(page.get_by_role("button", name="Back to the probe")).to_have_count(0)


def test_answers_to_another_prompt_than_the_typed_one_say_so(page: Page, board: Dashboard) -> None:
    open_page(page, board)
    hint = page.get_by_text("These answers are to the probe’s own prompt. Press Run")
    box = page.get_by_role("textbox", name="probe").last
    own = box.input_value()
    expect(hint).to_be_hidden()
    box.fill("Something else")
    expect(hint).to_be_visible()
    expect(page.locator(".st-key-compare_results")).to_have_css("opacity", "0.45")
    box.fill(own)
    expect(hint).to_be_hidden()
    box.fill("Something else")
    choose(page, "Utility")  # another probe fills the box anew
    expect(hint).to_be_hidden()
    expect(page.locator(".st-key-compare_results")).to_have_css("opacity", "1")


def test_decoding_settings_live_in_the_address(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?study=tiny&temperature=0.7&top_p=0.9&seeds=1+2&tokens=32")
    named = page.get_by_role("button", name="T 0.7 · top-p 0.9 · 32 tokens · 2 seeds")
    expect(named).to_be_visible()
    named.click()
    page.get_by_label("Longest answer, tokens").fill("40")
    page.keyboard.press("Enter")
    page.wait_for_url("**tokens=40*")
    page.reload()
    wait_ready(page)
    page.get_by_role("button", name="T 0.7 · top-p 0.9 · 40 tokens · 2 seeds").click()
    page.get_by_role("button", name="Reset to the study's settings").click()
    expect(page.get_by_role("button", name="Greedy, 120 tokens")).to_be_visible()
    assert "temperature" not in page.url


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("?study=gone&models=Nobody", "the study gone, which is not open here"),
        ("?probe=gone", "the probe gone, which this study does not have"),
        ("?models=Nobody&temperature=99&tokens=x", "models that this study does not have: Nobody"),
        ("?models=Nobody&temperature=99&tokens=x", "temperature 99, which cannot be used here"),
    ],
)
def test_a_link_to_what_is_not_here_says_so_and_shows_the_usual(
    page: Page, board: Dashboard, link: str, words: str
) -> None:
    open_page(page, board, link)
    expect(page.get_by_test_id("stToast").filter(has_text=words)).to_be_visible()
    expect_cards(page, *USUAL)
    expect(page.get_by_role("button", name="Greedy, 32 tokens")).to_be_visible()


def test_a_prompt_too_long_for_an_address_is_shown_without_being_in_it(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?study=tiny")
    prompt = prompt_box(page)
    prompt.fill("Something long " * 300)
    prompt.press("Control+Enter")
    expect(page.get_by_text("Your own prompt")).to_be_visible()
    wait_ready(page)
    assert "prompt=" not in page.url


def test_fresh_answers_stream_stay_after_a_reload_and_hostile_text_is_text(
    page: Page, board: Dashboard
) -> None:
    open_page(page, board, "?study=tiny")
    page.on("dialog", lambda _: pytest.fail("text of a model ran as a script"))
    expect(card(page, "NPO 4")).to_contain_text("No answer yet")
    expect(page.get_by_role("region", name="Reference answer")).to_contain_text(
        "<b>bold</b> ⟨U+202E⟩evil⟨U+202C⟩"
    )
    page.get_by_role("button", name="Run").click()  # Stop may come and go unseen: the models are tiny
    for name in ("Original", "Retained", "NPO 4"):
        expect(card(page, name)).to_contain_text("fresh", timeout=LOADING_MS)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0, timeout=LOADING_MS)
    expect(card(page, "NPO 4")).to_contain_text("Still knows")
    answer = card(page, "NPO 4").locator(".answer").inner_text()  # its Stop is gone, so it is written whole
    page.reload()
    wait_ready(page)
    expect(card(page, "NPO 4")).to_contain_text("from cache")
    expect(card(page, "NPO 4").locator(".answer")).to_have_text(answer, use_inner_text=True)


def test_ctrl_enter_runs_a_prompt_of_ones_own_and_a_second_waits_its_turn(
    page: Page, board: Dashboard
) -> None:
    open_page(page, board, "?study=tiny")
    for words in ("Tell me a story", "Tell me another one"):
        prompt = (
            page.get_by_role("textbox", name="prompt").or_(page.get_by_role("textbox", name="probe")).last
        )
        prompt.fill(words)
        prompt.press("Control+Enter")
        expect(page.get_by_text("Your own prompt")).to_be_visible()
        page.wait_for_url("**prompt=*" + words.replace(" ", "+") + "*")
    expect(card(page, "NPO 4")).to_contain_text("fresh", timeout=LOADING_MS)
    open_page(page, board, "?study=tiny&prompt=Tell+me+a+story")
    expect(card(page, "NPO 4")).to_contain_text("from cache")


def test_pictures_with_judges_and_a_lightbox_by_keys(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?study=random-pictures")
    expect_cards(page, "Original", "Retained", "ESD 10", "SalUn 10")
    expect(card(page, "ESD 10").get_by_role("img")).to_have_count(2)
    expect(card(page, "Original")).to_contain_text("object as asked: ")
    screenshot(page, "compare-images")
    page.get_by_role("button", name="Enlarge Original, seed 1").click()
    lightbox = page.get_by_role("dialog")
    expect(lightbox).to_contain_text("A mushroom image in neon style.")
    page.keyboard.press("ArrowRight")
    expect(lightbox).to_contain_text("Retained")
    page.keyboard.press("ArrowDown")
    expect(lightbox).to_contain_text("seed 2")
    page.keyboard.press("Escape")
    expect(lightbox).to_be_hidden()


def test_slider_blink_and_difference(dark_page: Page, board: Dashboard) -> None:
    page = dark_page
    open_page(page, board, "?study=random-pictures&view=slider")
    slider = page.get_by_role("slider", name="Share of the original shown, seed 1")
    slider.focus()
    page.keyboard.press("End")
    expect(slider).to_have_value("100")
    page.get_by_role("button", name="SalUn 10", exact=True).last.click()
    page.get_by_role("heading", name="Compare").click()
    page.keyboard.press("b")
    wait_ready(page)
    shown = page.locator(".shown-name").first
    expect(shown).to_have_text("Original")
    page.keyboard.press("b")
    expect(shown).to_have_text("SalUn 10")
    choose(page, "Difference")
    expect(card(page, "SalUn 10")).to_contain_text("mean difference")
    choose(page, "Blink")  # drawn for the fourth time: what earlier drawings listened to must be gone
    first = str(shown.text_content())
    page.keyboard.press("b")
    expect(shown).not_to_have_text(first)
    page.wait_for_timeout(300)
    expect(shown).not_to_have_text(first)
    choose(page, "Difference")
    screenshot(page, "compare-difference")


def test_answers_stay_as_they_are_after_other_probes_were_shown(board: Dashboard, page: Page) -> None:
    """What watches the prompt box of an earlier probe must have ended: it would pale the answers again and again."""
    page.goto(f"{board.url}/?probe=forget-0-born&study=random-people")
    wait_ready(page)
    for _ in range(2):
        page.get_by_role("button", name="Next").click()
        wait_ready(page)
    paled = page.evaluate(
        """() => new Promise(resolve => {
            let changes = 0;
            const seen = new MutationObserver(list => changes += list.length);
            seen.observe(document.documentElement, {attributeFilter: ["data-prompt-waits"]});
            setTimeout(() => resolve([changes, document.documentElement.hasAttribute("data-prompt-waits")]), 1500);
        })"""
    )
    assert paled == [0, False]
