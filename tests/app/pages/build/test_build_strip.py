"""What each kept checkpoint draws beside the original: from one noise, once, and read by the page without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from app.pages.build.run_jobs import build
from app.pages.build.strip import MOST, checkpoints_of, draw_strip, frames_of, strip_probes
from app.shared.jobs import Job
from app.shared.unlearning import UnlearningRequest, prepare
from app.shared.unlearning_runs import with_built
from backends.interfaces import ImageModels
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from backends.study.file import read_study
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate, numerics_of, plan
from cache.store import Store, open_store
from tests.app.shared.test_image_unlearning import write_study


class CountingPool(ModelPool):
    """The real pool, with the names that were asked for."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.asked: list[str] = []

    def image(self, specs: Sequence[ModelSpec]) -> ImageModels:
        self.asked += [spec.name for spec in specs]
        return super().image(specs)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Study, Store, CountingPool, Job]:
    """A run of ESD with two kept checkpoints, its strip drawn and nothing evaluated."""
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    study = read_study(write_study(tmp_path))
    store, pool = open_store(tmp_path / "cache" / "evidence.sqlite"), CountingPool()
    asked = UnlearningRequest("ESD", {"batch": "2", "pictures": "1", "steps": "2"}, 2, tmp_path / "mine")
    job = Job("Building ESD", "build", ("tiny", "ESD"))
    build(study, asked, prepare(study, asked), store, pool, job, evaluate=False)
    return with_built(study, tmp_path / "mine"), store, pool, job


def test_every_kept_checkpoint_draws_the_same_prompt_and_seed_beside_the_original(
    built: tuple[Study, Store, CountingPool, Job],
) -> None:
    study, store, _, job = built
    assert job.remarks == []
    probes = strip_probes(study)
    assert [probe.role for probe in probes] == ["forget", "retain"]
    for probe in probes:
        frames = frames_of(study, "ESD", probe, store)
        assert [frame.caption for frame in frames] == ["Original", "step 1", "step 2"]
        drawn = [np.asarray(Image.open(frame.path).convert("RGB")) for frame in frames if frame.path]
        assert len(drawn) == 3 and len({each.shape for each in drawn}) == 1
        assert not np.array_equal(drawn[0], drawn[2])


def test_what_the_strip_drew_is_evidence_and_is_not_drawn_again(
    built: tuple[Study, Store, CountingPool, Job],
) -> None:
    study, store, pool, _ = built
    numerics = numerics_of(pool, study)
    assert {item.missing for item in plan(study, store, numerics).items} == {1}, "one of two prompts a role"
    pool.asked.clear()
    draw_strip(study, "ESD", store, pool, Job("again", "build", ("tiny", "ESD")))
    assert pool.asked == []
    evaluate(EvaluationContext.of(study, store, pool))
    assert plan(study, store, numerics).missing == 0


def test_a_checkpoint_that_cannot_draw_is_a_remark_and_the_others_are_drawn(
    built: tuple[Study, Store, CountingPool, Job], tmp_path: Path
) -> None:
    study, store, pool, _ = built
    first = checkpoints_of(study, "ESD")[0]
    spoilt = tmp_path / "spoilt.safetensors"
    state = load_file(first.weights or "")
    save_file({name: tensor * float("nan") for name, tensor in state.items()}, spoilt)
    models = tuple(replace(m, weights=str(spoilt)) if m.name == first.name else m for m in study.models)
    job = Job("Building ESD", "build", ("tiny", "ESD"))
    draw_strip(replace(study, models=models), "ESD", store, pool, job)
    assert len(job.remarks) == 1 and "NaN" in job.remarks[0]
    frames = frames_of(replace(study, models=models), "ESD", strip_probes(study)[0], store)
    assert [frame.path is None for frame in frames] == [False, True, False]


def test_of_many_checkpoints_some_are_shown_the_first_and_the_last_among_them() -> None:
    models = [ModelSpec(f"M {n}", "unlearned", "x", method="M", step=n) for n in (*range(40, 0, -1), 100)]
    shown = [spec.step for spec in checkpoints_of(Study("S", "image", tuple(models), ()), "M")]
    assert len(shown) == MOST and shown[0] == 1 and shown[-1] == 100
    assert shown == sorted(shown, key=int)  # type: ignore[arg-type]
