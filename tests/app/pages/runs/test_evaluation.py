"""Evaluating from a page, without the page: the work in the worker, and the tables that show it."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import pytest

from app.pages.runs.evaluation_status import protocol, runs_table, set_totals, status_table, to_do
from app.shared.evaluation_jobs import evaluate_models
from app.shared.jobs import Job, Runner
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from cache.evaluate.plan import EvaluationPlan, PlanItem, plan
from cache.store import open_store
from tests.tiny_text import write_tiny_adapter, write_tiny_model

PROBES = 30


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two tiny random models and one that is not on this machine."""
    folder = tmp_path_factory.mktemp("tiny")
    base = write_tiny_model(folder / "base")
    adapter = write_tiny_adapter(base, folder / "adapter")
    rows = tuple(
        Probe(f"p{n}", "forget", f"Where does {n} live?", answer=f"{n} lives in Rome.") for n in range(PROBES)
    )
    return Study(
        name="Tiny",
        modality="text",
        models=(
            ModelSpec("Original", "original", str(base)),
            ModelSpec("NPO 2", "unlearned", str(base), adapter=str(adapter), method="NPO", step=2),
            ModelSpec(
                "Away", "unlearned", str(folder / "gone"), method="RMU", fingerprint=f"{'0' * 32}:{'1' * 16}"
            ),
        ),
        probe_sets=(ProbeSet("forget", "forget", rows),),
        decoding=Decoding(max_new_tokens=4),
    )


def finished(job: Job) -> Job:
    deadline = time.monotonic() + 240
    while job.active:
        assert time.monotonic() < deadline, f"still {job.state}: {job.note}"
        time.sleep(0.02)
    return job


def test_a_job_tells_its_progress_is_cancelled_and_goes_on_without_doing_anything_twice(
    study: Study, tmp_path: Path
) -> None:
    store, pool, runner = open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu"), Runner()
    before = plan(study, store, "float32")
    names = to_do(before)
    assert names == ["Original", "NPO 2"]

    def cancelled_early(job: Job) -> None:
        tell = job.report

        def report(done: int, total: int, note: str = "") -> None:
            tell(done, total, note)
            if done:
                job.cancel()

        job.report = report  # type: ignore[method-assign]
        evaluate_models(study, store, pool, names, before, job)

    first = finished(runner.submit("Evaluating", "evaluate", ("tiny", 1), cancelled_early))
    assert first.state == "stopped"
    assert 0 < first.done < first.total == 4 * PROBES

    between = plan(study, store, "float32")
    assert between.missing == before.missing - first.done
    second = finished(
        runner.submit(
            "Evaluating",
            "evaluate",
            ("tiny", 2),
            lambda job: evaluate_models(study, store, pool, names, between, job),
        )
    )
    assert (second.state, second.error) == ("done", "")
    assert second.done == second.total == 4 * PROBES - first.done
    table = status_table(between, study, second.partial()).set_index("model")
    assert list(table.loc[["Original", "NPO 2"], "state"]) == ["complete", "complete"]
    assert table.loc["Original", "forget"] == 2 * PROBES
    assert to_do(plan(study, store, "float32")) == []


def test_a_job_evaluates_all_but_a_probe_too_long_and_says_which(study: Study, tmp_path: Path) -> None:
    long = Probe("endless", "forget", "Say " + "long " * 300, answer="Yes.")
    (rows,) = study.probe_sets
    study = replace(study, probe_sets=(replace(rows, probes=(long, *rows.probes[:3])),))
    store, pool = open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu")
    known = plan(study, store, "float32")
    job = finished(
        Runner().submit(
            "Evaluating",
            "evaluate",
            ("tiny", 1),
            lambda job: evaluate_models(study, store, pool, ["Original"], known, job),
        )
    )
    assert (job.state, job.done, job.total) == ("failed", 6, 8)
    assert job.error.startswith("forget, probe endless: 1 probe left out with Original; everything else")
    table = status_table(plan(study, store, "float32"), study, {}).set_index("model")
    assert table.loc["Original", "missing"] == 2


def test_a_model_without_weights_is_recorded_only_and_never_offered(study: Study, tmp_path: Path) -> None:
    known = plan(study, open_store(tmp_path / "evidence.sqlite"), "float32")
    assert "Away" not in to_do(known)
    table = status_table(known, study, {}).set_index("model")
    assert table.loc["Away", "state"] == "recorded only"
    assert table.loc["Original", "state"] == "to do"
    assert (table.loc["Original", "forget"], table.loc["Original", "missing"]) == (0, 2 * PROBES)
    assert set_totals(known) == {"forget": 2 * PROBES}


def test_progress_never_counts_backwards_and_a_model_that_cannot_be_read_says_so(study: Study) -> None:
    from cache.evaluate.evaluation import Progress

    item = PlanItem("Original", "forget", "forget", "scores", total=10, missing=4)
    known = EvaluationPlan((item,), {"NPO 2": "NPO 2: there is no such folder."})
    told: dict[Hashable, Progress] = {
        ("Original", "forget", "scores"): Progress("Original", "forget", "scores", 3, 10)
    }
    table = status_table(known, study, told).set_index("model")
    assert table.loc["Original", "forget"] == 6
    assert table.loc["NPO 2", "state"] == "cannot be read"
    assert table.loc["Original", "state"] == "to do"
    assert (
        status_table(known, study, told, "Original").set_index("model").loc["Original", "state"] == "running"
    )


def test_the_table_of_runs_shows_protocol_and_how_far_each_came(study: Study, tmp_path: Path) -> None:
    store, pool = open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu")
    known = plan(study, store, "float32")
    job = finished(
        Runner().submit(
            "Evaluating",
            "evaluate",
            ("k",),
            lambda job: evaluate_models(study, store, pool, ["NPO 2"], known, job),
        )
    )
    assert job.error == ""
    (run,) = store.runs("Tiny")
    row = runs_table([run]).iloc[0]
    assert (row["Model"], row["Step"], row["Probes"], row["Status"]) == ("NPO 2", 2, "30 / 30", "complete")
    assert protocol(run) == "standard (corrected/1)"
    assert run.fingerprint.startswith(row["Fingerprint"])
