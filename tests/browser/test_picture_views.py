"""Sheets, steps and the loader report, with tiny real diffusion models that draw while a person waits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Dashboard, running
from tests.browser.steps import screenshot, wait_ready
from tests.tiny_image import write_tiny_judge, write_tiny_pipeline, write_tiny_weights

DRAWN_MS = 240_000  # torch and diffusers are imported by the first picture

STUDY = """
name = "Tiny pictures"
modality = "image"
[sampling]
steps = 4
guidance = 2.0
seeds = [1, 2]
[[models]]
name = "Original"
part = "original"
source = "original"
[[models]]
name = "ESD"
part = "unlearned"
source = "original"
weights = "esd.safetensors"
method = "ESD"
[[judges]]
domain = "object"
path = "judge"
[[probes]]
file = "forget.csv"
role = "forget"
[forget]
style = "neon"
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("views")
    original = write_tiny_pipeline(folder / "original")
    write_tiny_weights(folder / "esd.safetensors", original)
    write_tiny_judge(folder / "judge")
    (folder / "forget.csv").write_text("prompt,object,style\ncat neon,cat,neon\n")
    (folder / "study.toml").write_text(STUDY)
    cache = folder / "cache"
    cache.mkdir()
    with running(cache, str(folder / "study.toml")) as server:
        yield server


def test_a_template_becomes_a_sheet_that_is_drawn_kept_and_exported(
    page: Page, board: Dashboard, tmp_path: Path
) -> None:
    link = urlencode({"study": "tiny-pictures", "view": "sheet", "prompt": "{object} flat"})
    page.goto(f"{board.url}/?{link}")
    wait_ready(page)
    place = page.get_by_role("textbox", name="Values of object")
    place.fill("cat, rocket")
    place.press("Enter")
    draw = page.get_by_role("button", name="Generate 4 missing")
    expect(draw).to_be_enabled(timeout=20_000)
    draw.click()
    expect(page.get_by_role("button", name="All generated")).to_be_visible(timeout=DRAWN_MS)
    expect(page.locator(".tile img")).to_have_count(4)
    expect(page.get_by_text("rocket flat", exact=True).first).to_be_visible()
    screenshot(page, "sheet")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="One HTML file").click()
    download.value.save_as(tmp_path / "sheet.html")
    page.goto((tmp_path / "sheet.html").as_uri())
    expect(page.locator("img")).to_have_count(4)
    assert all(page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth > 0)"))
    expect(page.get_by_text("ESD, rocket flat, seed 1, 4 steps, guidance 2")).to_be_visible()


def test_the_steps_of_two_models_are_drawn_and_kept(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/?{urlencode({'study': 'tiny-pictures', 'view': 'steps'})}")
    wait_ready(page)
    page.get_by_role("button", name="Generate the steps").click()
    expect(page.locator(".film img")).to_have_count(8, timeout=DRAWN_MS)
    expect(page.locator(".apart")).to_have_count(4)
    expect(
        page.get_by_text(re.compile("The two pictures (end the same|diverge at step [1-4])"))
    ).to_be_visible()
    screenshot(page, "film")
    page.reload()
    wait_ready(page)
    expect(page.locator(".film img")).to_have_count(8)


def test_runs_say_what_each_model_changed(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/runs?{urlencode({'study': 'tiny-pictures'})}")
    wait_ready(page)
    expect(page.get_by_text("Models as loaded")).to_be_visible()
    expect(page.get_by_text("Original loaded twice generated the same picture, bit for bit.")).to_be_visible()


def test_confusion_and_judges_of_the_demo(page: Page, dashboard: Dashboard) -> None:
    page.goto(f"{dashboard.url}/examples?study=neon-pictures")
    wait_ready(page)
    page.get_by_text("Prompted and recognised concepts").click()
    expect(page.get_by_text("asked style")).to_be_visible()
    expect(page.get_by_text("Most harmed first")).to_be_visible()
    screenshot(page, "confusion")
    page.goto(f"{dashboard.url}/tradeoffs?study=neon-pictures")
    wait_ready(page)
    page.get_by_role("combobox", name="Question").click()
    page.get_by_role("option", name="… vs denoising loss").click()
    expect(page.get_by_text("Denoising loss above the original").first).to_be_visible()
