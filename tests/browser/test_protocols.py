"""Protocols and a retained model chosen on the spot, in a browser, with a real run of a tiny model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Dashboard, running
from tests.browser.steps import keyed, marks, screenshot, wait_ready
from tests.tiny_text import write_tiny_adapter, write_tiny_model

STUDY = """
name = "Tiny"
modality = "text"
[decoding]
max_new_tokens = 4
[[models]]
name = "Original"
part = "original"
source = "base"
[[models]]
name = "Other"
part = "unlearned"
source = "base"
adapter = "adapter"
[[probes]]
file = "forget.jsonl"
role = "forget"
skip_bad_rows = true
[[probes]]
file = "raw.jsonl"
role = "forget"
[[probes]]
file = "holdout.jsonl"
role = "holdout"
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    from app.cli import main as cli

    folder = tmp_path_factory.mktemp("protocols")
    write_tiny_model(folder / "base")
    write_tiny_adapter(folder / "base", folder / "adapter")
    rows = {
        "forget": [{"prompt": f"Who is {i}?", "answer": f"Ada {i}."} for i in range(6)] + [{"prompt": ""}],
        "holdout": [{"prompt": f"Who is h{i}?", "answer": f"Ben {i}."} for i in range(6)],
        "raw": [{"text": "A moored barge."}],
    }
    for name, found in rows.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, found)))
    study = folder / "study.toml"
    study.write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLEARNBOARD_CACHE", str(folder / "cache"))
        assert cli.run(["evaluate", str(study)]) == 0
    with running(folder / "cache", str(study)) as server:
        yield server


def open_page(page: Page, board: Dashboard, link: str) -> None:
    page.goto(f"{board.url}/{link}")
    wait_ready(page)


def choose(page: Page, label: str, option: str) -> None:
    box = page.get_by_role("combobox", name=re.compile(label))
    box.click()
    page.get_by_role("option", name=option, exact=True).click()
    wait_ready(page)


def test_another_protocol_has_its_own_evidence_and_stands_in_the_link(page: Page, board: Dashboard) -> None:
    open_page(page, board, "tradeoffs")
    expect(page.get_by_role("combobox", name="Protocol")).to_have_value("standard")
    expect(page.get_by_text("Protocol: standard.")).to_be_visible()
    choose(page, "Protocol", "muse")
    expect(page.get_by_text("evaluated yet under the protocol muse")).to_be_visible()
    assert "protocol=muse" in page.url
    page.reload()
    wait_ready(page)
    expect(page.get_by_text("evaluated yet under the protocol muse")).to_be_visible()
    page.get_by_role("link", name="Go to Runs").click()
    wait_ready(page)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Everything that can be evaluated")).to_be_visible(timeout=120_000)
    page.goto(f"{board.url}/tradeoffs?protocol=muse&x=forget/rouge_l_f1&y=forget/mia_min_k")
    wait_ready(page)
    expect(marks(page).first).to_be_visible()
    keyed(page, "card_horizontal_axis").get_by_role("button").first.click()
    expect(page.get_by_text("muse: without stemming")).to_be_visible()
    screenshot(page, "protocol-card")


def test_a_protocol_that_there_is_not_is_said(page: Page, board: Dashboard) -> None:
    page.goto(f"{board.url}/tradeoffs?protocol=mused")
    expect(page.get_by_text("Unknown protocol mused in the link")).to_be_visible(timeout=60_000)


def test_a_retained_model_is_chosen_on_the_spot(page: Page, board: Dashboard) -> None:
    open_page(page, board, "tradeoffs?x=forget/mia_loss&y=forget/extraction_strength")
    choose(page, "Retained model", "Other")
    expect(page).to_have_url(re.compile("retained=Other"))
    page.goto(f"{board.url}/tradeoffs?retained=Other&x=forget/privleak&y=forget/mia_reference")
    wait_ready(page)
    expect(page.get_by_text("PrivLeak (%) on forget (0 is best)").first).to_be_visible()
    screenshot(page, "retained-choice")


def test_a_text_by_itself_is_scored_in_compare(page: Page, board: Dashboard) -> None:
    open_page(page, board, "?probe=raw-001")
    expect(page.get_by_text("A text without a prompt is scored, not answered")).to_be_visible()
    expect(page.get_by_role("article", name="Other").get_by_text("Likelihood of each token")).to_be_visible()


def test_rows_that_were_left_out_are_listed_on_runs(page: Page, board: Dashboard) -> None:
    open_page(page, board, "runs")
    page.get_by_text("1 rows of forget are left out").click()
    expect(page.get_by_text("line 7: its prompt is empty")).to_be_visible()
