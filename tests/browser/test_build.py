"""The Build page as a person uses it: start, pause, go on, see the models on other pages, delete; bad input is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import StartDashboard
from tests.browser.steps import TIMEOUT_MS, screenshot, wait_ready
from tests.tiny_text import write_tiny_model


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A tiny original with forget and retain probes."""
    write_tiny_model(tmp_path / "base")
    text = 'name = "Tiny"\nmodality = "text"\n[decoding]\nmax_new_tokens = 4\n'
    text += '[[models]]\nname = "Original"\npart = "original"\nsource = "base"\n'
    for role in ("forget", "retain"):
        rows = [{"prompt": f"Who is {role} {n}?", "answer": f"It is Ada {n}."} for n in range(4)]
        (tmp_path / f"{role}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        text += f'[[probes]]\nfile = "{role}.jsonl"\nrole = "{role}"\n'
    (tmp_path / "study.toml").write_text(text)
    return tmp_path / "study.toml"


def fill(page: Page, label: str, value: str) -> None:
    box = page.get_by_role("spinbutton", name=label, exact=True)
    box.fill(value)
    box.press("Enter")
    wait_ready(page)


def wait_for_file(page: Page, file: Path) -> None:
    """Return when the file is there; fail when it does not come."""
    for _ in range(TIMEOUT_MS // 100):
        if file.is_file():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{file} did not come")


def open_settings(page: Page) -> None:
    page.get_by_text("Settings", exact=True).click()


def choose(page: Page, method: str) -> None:
    page.get_by_role("combobox", name="Method").click()
    page.get_by_role("option", name=f"{method}  ·").click()
    wait_ready(page)


def test_a_run_is_paused_gone_on_with_evaluated_compared_and_deleted(
    start_dashboard: StartDashboard, study: Path, page: Page, tmp_path: Path
) -> None:
    server = start_dashboard(study)
    page.goto(f"{server.url}/build")
    expect(page.get_by_text("No unlearning runs yet")).to_be_visible()
    expect(page.get_by_role("combobox", name="Method")).to_have_value(re.compile("NPO  ·"))
    expect(page.get_by_text("60 steps. No run was timed on this machine yet")).to_be_visible()
    choose(page, "SimNPO")
    open_settings(page)
    fill(page, "Steps", "400")
    fill(page, "Forget rows a step", "4")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Building SimNPO: step")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    folder = server.cache / "unlearned" / "tiny" / "simnpo"
    wait_for_file(
        page, folder / "state.safetensors"
    )  # the table is a canvas; its state is read from the file
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    before = len((folder / "log.jsonl").read_text().splitlines())
    assert 1 < before < 402
    wait_ready(page)
    first_row(page)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0, timeout=120_000)
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(401))
    wait_ready(page)
    expect(page.get_by_text("Trade-off (up and right are better)")).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_text("SimNPO")).to_be_visible()
    expect(page.get_by_text("s a step as in the run SimNPO")).to_be_visible()
    screenshot(page, "build")
    first_row(page)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No unlearning runs yet")).to_be_visible()
    assert not folder.exists()
    expect(page.get_by_test_id("stSidebar").get_by_text("SimNPO")).to_have_count(0)


def first_row(page: Page) -> None:
    """Tick the first row of the table of runs, which is drawn on a canvas."""
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 54)
    expect(page.get_by_role("button", name="Delete")).to_be_visible()


def test_a_sweep_makes_a_run_of_every_combination(
    start_dashboard: StartDashboard, study: Path, page: Page
) -> None:
    server = start_dashboard(study)
    page.goto(f"{server.url}/build")
    choose(page, "GradAscent")
    open_settings(page)
    fill(page, "Steps", "4")
    sweep = page.get_by_role("textbox", name="Sweep")
    sweep.fill("lr=1e-3,1e-2")
    sweep.press("Enter")
    wait_ready(page)
    page.get_by_role("button", name="Start").click()
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text("GradAscent lr=1e-2")).to_be_visible(timeout=120_000)
    expect(sidebar.get_by_text("GradAscent lr=1e-3")).to_be_visible()


def test_presets_fill_the_settings(start_dashboard: StartDashboard, study: Path, page: Page) -> None:
    server = start_dashboard(study)
    page.goto(f"{server.url}/build")
    open_settings(page)
    for preset, steps, rank in (
        ("The papers’", "10", "0"),
        ("Careful", "240", "16"),
        ("Short", "60", "16"),
    ):
        page.get_by_role("radio", name=preset).click()
        expect(page.get_by_role("spinbutton", name="Steps", exact=True)).to_have_value(steps)
        expect(page.get_by_role("spinbutton", name="Rank of the LoRA")).to_have_value(rank)


def test_what_cannot_be_built_is_said(start_dashboard: StartDashboard, study: Path, page: Page) -> None:
    server = start_dashboard(study)
    page.goto(f"{server.url}/build")
    choose(page, "AltPO")
    page.get_by_role("button", name="Start").click()
    expect(
        page.get_by_text("AltPO needs an alternate answer for every forget probe, and 4 have none")
    ).to_be_visible()
    open_settings(page)
    sweep = page.get_by_role("textbox", name="Sweep")
    sweep.fill("speed=1,2")
    sweep.press("Enter")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("there is no setting 'speed'")).to_be_visible()
    assert not (server.cache / "unlearned").exists()
