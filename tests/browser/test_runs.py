"""The Runs page as a person uses it: evaluate tiny real models, cancel, come back, go on; nothing is done twice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backends.checkpoints.identity import identity
from backends.study import ModelSpec
from backends.study.file import read_study
from cache.evaluate.plan import plan
from cache.store import open_store
from tests.browser.conftest import Dashboard, running, window
from tests.browser.steps import keyed, screenshot, wait_ready
from tests.filled_store import fill_text, text_study, write_study
from tests.tiny_text import write_tiny_adapter, write_tiny_model

PROBES = (
    600  # enough that the evaluation still runs when the second window is open, and after it went on once
)
MODELS = ("Original", "NPO 2", "NPO 4")
PIECES = len(MODELS) * 2 * 2 * PROBES  # two probe sets; an answer and its scores for each probe


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny random models with weights, one that is not on this machine, and two probe sets."""
    folder = tmp_path_factory.mktemp("runs")
    base = write_tiny_model(folder / "base")
    for seed in (1, 2):
        write_tiny_adapter(base, folder / f"adapter{seed}", seed=seed)
    for role in ("forget", "retain"):
        rows = [
            {
                "id": f"{role}-{n}",
                "prompt": f"Where does {role} {n} live?",
                "answer": f"Person {n} lives in Rome.",
            }
            for n in range(PROBES)
        ]
        (folder / f"{role}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tokenizer = identity(ModelSpec("Original", "original", str(base))).tokenizer
    away = f'fingerprint = "{"0" * 32}:{tokenizer}"'
    models = (
        'name = "Original"\npart = "original"\nsource = "base"',
        'name = "NPO 2"\npart = "unlearned"\nsource = "base"\nadapter = "adapter1"\nmethod = "NPO"\nstep = 2',
        'name = "NPO 4"\npart = "unlearned"\nsource = "base"\nadapter = "adapter2"\nmethod = "NPO"\nstep = 4',
        f'name = "Away"\npart = "unlearned"\nsource = "gone"\nmethod = "RMU"\nstep = 1\n{away}',
    )
    text = 'name = "Tiny"\nmodality = "text"\n[decoding]\nmax_new_tokens = 24\n'
    text += "".join(f"[[models]]\n{model}\n" for model in models)
    text += "".join(f'[[probes]]\nfile = "{role}.jsonl"\nrole = "{role}"\n' for role in ("forget", "retain"))
    path = folder / "study.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def open_runs(page: Page, server: Dashboard) -> None:
    page.goto(f"{server.url}/runs")
    wait_ready(page)


def test_an_evaluation_is_watched_left_cancelled_killed_and_finished(
    page: Page, browser: Browser, study: Path, cache: Path
) -> None:
    running_text = re.compile(rf"[1-9]\d* of {PIECES}")
    with running(cache, str(study)) as server:
        open_runs(page, server)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text("Evaluating 3 models").first).to_be_visible()
        expect(page.get_by_text(running_text).first).to_be_visible(timeout=300_000)
        screenshot(page, "runs-evaluating")
        page.close()
        with window(browser, "light") as another:
            open_runs(another, server)
            another.get_by_role("button", name="Cancel").click()
            expect(another.get_by_text("Cancelled. Finished work is kept")).to_be_visible(timeout=60_000)
            cancelled = stored(study, cache)
            assert 0 < cancelled < PIECES
            another.get_by_role("button", name="Start").click()
            expect(another.get_by_text(re.compile(rf"[1-9]\d* of {PIECES - cancelled}")).first).to_be_visible(
                timeout=60_000
            )
        server.process.kill()
        server.process.wait()
    killed = stored(study, cache)
    assert cancelled < killed < PIECES
    with running(cache, str(study)) as server, window(browser, "light") as last:
        open_runs(last, server)
        last.get_by_role("button", name="Start").click()
        expect(last.get_by_text(re.compile(rf"\d+ of {PIECES - killed}")).first).to_be_visible(timeout=60_000)
        expect(last.get_by_text("1 of 4 models is incomplete and cannot be evaluated")).to_be_visible(
            timeout=400_000
        )
    assert stored(study, cache) == PIECES
    runs = open_store(cache / "evidence.sqlite").runs("Tiny")
    assert {(run.model, run.probe_set, run.status) for run in runs} == {
        (model, role, "complete") for model in MODELS for role in ("forget", "retain")
    }


def test_a_prompt_does_not_wait_for_an_evaluation(page: Page, study: Path, tmp_path: Path) -> None:
    with running(tmp_path / "cache", str(study)) as server:
        open_runs(page, server)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text(re.compile(rf"[1-9]\d* of {PIECES}")).first).to_be_visible(timeout=300_000)
        page.goto(f"{server.url}/?prompt=Who+is+there")
        wait_ready(page)
        page.get_by_role("button", name="Run", exact=True).click()
        for name in ("Original", "NPO 4"):
            card = page.get_by_role("article", name=name, exact=True)
            expect(card).to_contain_text("fresh", timeout=60_000)
        assert 0 < stored(study, server.cache) < PIECES
        open_runs(page, server)
        expect(page.get_by_text("1 of 4 models is incomplete and cannot be evaluated")).to_be_visible(
            timeout=400_000
        )
        assert stored(study, server.cache) == PIECES


def stored(study: Path, cache: Path) -> int:
    """Pieces of evidence of the study's models; the demo's recorded runs are in the same cache."""
    known = plan(read_study(study), open_store(cache / "evidence.sqlite"), "float32", MODELS)
    return known.total - known.missing


def test_recorded_runs_are_there_with_their_provenance(page: Page, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    fill_text(text_study(), store)
    store.close()
    with running(cache, str(write_study(text_study(), tmp_path))) as server:
        open_runs(page, server)
        expect(page.get_by_text("from recorded evidence: nothing is left to evaluate")).to_be_visible()
        expect(page.get_by_role("button", name="Start")).to_have_count(0)
        expect(page.get_by_text("17 models of recorded evidence only")).to_be_visible()
        screenshot(page, "runs")
        table = keyed(page, "runs_random-people").locator("canvas").first
        table.click(position={"x": 18, "y": 52}, force=True)  # the grid lays a scroller over its canvas
        expect(keyed(page, "run_details")).to_contain_text("6 of 6")
        expect(keyed(page, "run_details")).to_contain_text('"fingerprint"')
        screenshot(page, "runs-chosen")


def test_models_that_lack_evidence_and_weights_are_not_called_evaluated(page: Page, tmp_path: Path) -> None:
    with running(tmp_path / "cache", str(write_study(text_study(), tmp_path))) as server:
        open_runs(page, server)
        expect(page.get_by_text("17 of 17 models are incomplete and cannot be evaluated")).to_be_visible()
        expect(page.get_by_text("17 models cannot be evaluated on this machine")).to_be_visible()
        expect(page.get_by_text("Every model is complete")).to_have_count(0)


def test_a_study_without_any_evidence_says_so_and_leads_to_runs(page: Page, tmp_path: Path) -> None:
    with running(tmp_path / "cache", str(write_study(text_study(), tmp_path))) as server:
        page.goto(f"{server.url}/tradeoffs")
        wait_ready(page)
        expect(page.get_by_text("has been evaluated yet")).to_be_visible()
        screenshot(page, "tradeoffs-empty")
        page.get_by_role("link", name="Go to Runs").click()
        expect(page.get_by_text("No run of this study is in the cache yet")).to_be_visible()
