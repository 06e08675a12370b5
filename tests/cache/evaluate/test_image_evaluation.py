"""Evaluating image models: each picture made once, judged, kept as a file; a stop keeps the cells that were done.

The models here are a few lines that really draw (an interface of two methods), so that only the cache is under test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from backends.checkpoints.loader_report import LoaderReport, ModelCheck
from backends.errors import Cancelled, CheckpointError, ModelError
from backends.evidence import Judgement
from backends.interfaces import ImageModels, ImageRequest, Judge, JudgedImage, PartialImage, Stop
from backends.pool import ModelPool
from backends.study import JudgeSpec, ModelSpec, Part, Probe, ProbeSet, Sampling, Study
from cache.analysis.scoreboard import images_for, scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import Progress, compare_images, evaluate, plan
from cache.store import Store, open_store
from cache.store.model_checks import model_check
from tests.cache.conftest import at_once
from tests.damage import damage

STYLES = {"neon": 200, "sepia": 90}


class Painter:
    """Paints a flat square of the asked style's brightness; a model called ESD paints sepia where neon is asked."""

    def __init__(self) -> None:
        self.asked: list[ImageRequest] = []
        self.notes: list[str] = []
        self.checked: list[str] = []

    def report(self, name: str, original: str) -> LoaderReport:
        self.checked.append(name)
        return LoaderReport("painter", 4, 0, 4 - (name == "ESD"), name == "ESD", 0, 100, 25 * (name == "ESD"))

    def identity_check(self, name: str, sampling: Sampling) -> str:
        self.checked.append(name)
        return ""

    def sample(
        self, requests: Sequence[ImageRequest], sampling: Sampling, stop: Stop
    ) -> Iterator[PartialImage]:
        self.asked += requests
        for index, request in enumerate(requests):
            if stop():
                return
            style = "neon" if "neon" in request.prompt and request.model != "ESD" else "sepia"
            pixels = np.full((8, 8, 3), STYLES[style], np.uint8)
            pixels[0, 0] = (request.seed, len(request.prompt), sum(request.model.encode()) % 256)
            for step in range(1, sampling.steps + 1):
                yield PartialImage(index, step, sampling.steps, pixels, step == sampling.steps, 0.1 * step)


class Eye:
    """Tells the two styles by brightness."""

    domain = "style"
    classes = ("neon", "sepia")
    notes: tuple[str, ...] = ()

    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> list[JudgedImage | None]:
        labels = ["neon" if np.median(each) > 150 else "sepia" for each in pixels]
        return [
            JudgedImage(Judgement(label, {label: 0.9}), np.array([np.mean(each), 1], np.float32))
            for label, each in zip(labels, pixels, strict=True)
        ]


class PaintingPool(ModelPool):
    """Serves the painter instead of loading diffusion models."""

    def __init__(self) -> None:
        super().__init__(device="cpu")
        self.painter = Painter()

    def image(self, specs: Sequence[ModelSpec]) -> ImageModels:
        return self.painter

    def judges(self, specs: Sequence[JudgeSpec]) -> list[Judge]:
        return [Eye()]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Folders with a few bytes of weights, so that models have an identity."""
    import torch
    from safetensors.torch import save_file

    models = []
    parts: dict[str, Part] = {"Original": "original", "ESD": "unlearned"}
    for name, part in parts.items():
        folder = tmp_path / name
        (folder / "unet").mkdir(parents=True)
        save_file(
            {"w": torch.full((2,), float(len(name)))}, folder / "unet" / "diffusion_pytorch_model.safetensors"
        )
        (folder / "model_index.json").write_text("{}")
        models.append(ModelSpec(name, part, str(folder)))
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "weights").write_text("1")
    forget = [Probe(f"n{i}", "forget", f"A {i} in neon style", concepts={"style": "neon"}) for i in range(7)]
    retain = [
        Probe(f"s{i}", "retain", f"A {i} in sepia style", concepts={"style": "sepia"}) for i in range(2)
    ]
    return Study(
        name="Squares",
        modality="image",
        models=tuple(models),
        probe_sets=(ProbeSet("forget", "forget", tuple(forget)), ProbeSet("retain", "retain", tuple(retain))),
        sampling=Sampling(steps=2, seeds=(1, 2)),
        judges=(JudgeSpec("style", str(tmp_path / "judge")),),
        forget_concepts={"style": "neon"},
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "cache" / "evidence.sqlite")


def test_every_picture_is_made_once_judged_and_kept(study: Study, store: Store) -> None:
    pool, said = PaintingPool(), list[Progress]()
    evaluate(EvaluationContext.of(study, store, pool), on_progress=said.append)
    assert len(pool.painter.asked) == len(set(pool.painter.asked)) == 2 * 9 * 2
    last = {(p.model, p.probe_set): (p.done, p.total) for p in said}
    assert last["ESD", "forget"] == (14, 14)
    found = images_for(study, store, "Original", study.probe_sets[0].probes)["n3"]
    assert list(found) == [1, 2]
    assert found[2].judgements["style"].label == "neon"
    pixels = np.asarray(Image.open(store.image_path(found[2].image)).convert("RGB"))
    assert pixels[0, 0, 0] == 2 and pixels[4, 4, 0] == STYLES["neon"]
    evaluate(EvaluationContext.of(study, store, pool))
    assert len(pool.painter.asked) == 2 * 9 * 2
    values = scoreboard(study, store).frame.set_index(["model", "key"]).value
    assert values["Original", "forget/unlearn_accuracy"] == 0.0
    assert values["ESD", "forget/unlearn_accuracy"] == 1.0
    assert values["ESD", "retain/in_domain_retain"] == 1.0
    assert values["Original", "forget/distance_to_original"] == 0.0


def test_other_judges_make_other_evidence(study: Study, store: Store, tmp_path: Path) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    other = tmp_path / "other judge"
    other.mkdir()
    (other / "weights").write_text("2")
    changed = replace(study, judges=(JudgeSpec("style", str(other)),))
    assert plan(study, store, "float32").missing == 0
    assert plan(changed, store, "float32").missing == plan(changed, store, "float32").total == 36


def test_a_stop_keeps_the_pictures_that_were_done(study: Study, store: Store) -> None:
    pool, said = PaintingPool(), list[Progress]()
    with pytest.raises(Cancelled):
        evaluate(
            EvaluationContext.of(study, store, pool, lambda: bool(said) and len(pool.painter.asked) > 12),
            ["ESD"],
            said.append,
        )
    assert plan(study, store, "float32", ["ESD"]).of("ESD")[0].cached == 12
    assert [run.status for run in store.runs()] == ["partial"]
    pool.painter.asked.clear()
    evaluate(EvaluationContext.of(study, store, pool), ["ESD"])
    assert len(pool.painter.asked) == 18 - 12


def test_compare_shows_pictures_as_they_form_and_makes_only_new_ones(study: Study, store: Store) -> None:
    pool = PaintingPool()
    probe = Probe("mine", "mine", "A cat in neon style")
    said: list[tuple[str, int, int]] = []
    names = ["Original", "ESD"]

    def hear(model: str, seed: int, image: PartialImage) -> None:
        said.append((model, seed, image.step))

    compare_images(EvaluationContext.of(study, store, pool), names, probe, study.sampling, hear)
    assert said == [(model, seed, step) for model in names for seed in (1, 2) for step in (1, 2)]
    more = replace(study.sampling, seeds=(2, 3))
    said.clear()
    compare_images(EvaluationContext.of(study, store, pool), names, probe, more, hear)
    assert {(model, seed) for model, seed, _ in said} == {("Original", 3), ("ESD", 3)}
    assert list(images_for(study, store, "ESD", [probe], more)["mine"]) == [2, 3]


def test_a_picture_deleted_by_hand_is_made_again_by_the_next_run(study: Study, store: Store) -> None:
    pool, probe = PaintingPool(), Probe("mine", "mine", "A cat in neon style")
    compare_images(EvaluationContext.of(study, store, pool), ["ESD"], probe, study.sampling)
    (found,) = images_for(study, store, "ESD", [probe]).values()
    store.image_path(found[2].image).unlink()
    assert list(images_for(study, store, "ESD", [probe])["mine"]) == [1]
    pool.painter.asked.clear()
    compare_images(EvaluationContext.of(study, store, pool), ["ESD"], probe, study.sampling)
    assert [request.seed for request in pool.painter.asked] == [2]
    assert store.image_path(found[2].image).is_file()


def test_pictures_another_process_made_meanwhile_are_not_made_again(
    study: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cache.evaluate.evaluation.one_process_each", at_once)
    pool, other = PaintingPool(), open_store(store.path)
    said: list[Progress] = []

    def meanwhile(progress: Progress) -> None:
        said.append(progress)
        if len(said) == 1:  # right after this one has made its plan
            evaluate(EvaluationContext.of(study, other, PaintingPool()), ["ESD"])

    evaluate(EvaluationContext.of(study, store, pool), ["ESD"], on_progress=meanwhile)
    assert pool.painter.asked == []
    assert (said[-1].done, said[-1].total) == (4, 4)


def test_a_prompt_a_model_cannot_draw_is_named_and_the_others_are_drawn(
    study: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = PaintingPool()
    paint = pool.painter.sample

    def choosy(requests: Sequence[ImageRequest], sampling: Sampling, stop: Stop) -> Iterator[PartialImage]:
        if any("A 3" in request.prompt for request in requests):
            raise ModelError("the prompt is too long")
        return paint(requests, sampling, stop)

    monkeypatch.setattr(pool.painter, "sample", choosy)
    with pytest.raises(ModelError, match=r"^forget, probe n3: 1 probe left out with ESD"):
        evaluate(EvaluationContext.of(study, store, pool), ["ESD"])
    assert plan(study, store, "float32", ["ESD"]).missing == 2  # one picture for each seed


def test_models_are_checked_once_and_the_report_is_kept(study: Study, store: Store) -> None:
    pool = PaintingPool()
    evaluate(EvaluationContext.of(study, store, pool))
    assert sorted(pool.painter.checked) == ["ESD", "Original"]
    check = model_check(study, store, "ESD")
    assert check is not None and check.report is not None
    assert check.report.share == 0.25 and check.report.shape == "painter"
    again = PaintingPool()
    compare_images(
        EvaluationContext.of(study, store, again),
        ["Original", "ESD"],
        Probe("own", "mine", "A cat"),
        study.sampling,
    )
    assert again.painter.checked == []
    assert model_check(study, store, "Original") == ModelCheck(None)


def test_a_model_that_equals_the_original_is_told(study: Study, store: Store) -> None:
    class Same(Painter):
        def report(self, name: str, original: str) -> LoaderReport:
            different = ("its vae has scaling_factor = 0.5, the original's 0.18215",)
            return LoaderReport("painter", 4, 0, 4, 0, 0, 100, 0, differences=different)

        def identity_check(self, name: str, sampling: Sampling) -> str:
            return "the same files gave two pictures"

    pool, told = PaintingPool(), list[str]()
    pool.painter = Same()
    probe = Probe("own", "mine", "A cat")
    compare_images(
        EvaluationContext.of(study, store, pool), ["ESD"], probe, study.sampling, on_note=told.append
    )
    assert any("Original differs when it is loaded twice" in sentence for sentence in told)
    assert any("ESD: 0 % of its parameters differ" in sentence for sentence in told)
    assert "ESD: its vae has scaling_factor = 0.5, the original's 0.18215" in told
    evaluate(EvaluationContext.of(study, store, pool), models=["ESD"])
    notes = [note for run in store.runs(study.name) for note in run.notes]
    assert any("ESD: 0 % of its parameters differ" in note for note in notes)


def test_a_damaged_check_is_made_again(study: Study, store: Store) -> None:
    pool = PaintingPool()
    evaluate(EvaluationContext.of(study, store, pool))
    assert damage(store.path, "checks") == 2
    store = open_store(store.path)
    assert model_check(study, store, "ESD") is None
    compare_images(
        EvaluationContext.of(study, store, pool), ["ESD"], Probe("own", "mine", "A cat"), study.sampling
    )
    assert model_check(study, store, "ESD") is not None


def test_a_judge_that_is_not_there_is_told_before_anything_is_drawn(study: Study, store: Store) -> None:
    pool = PaintingPool()
    gone = replace(study, judges=(JudgeSpec("style", "nowhere/judge"),))
    with pytest.raises(CheckpointError, match="no such judge of style"):
        evaluate(EvaluationContext.of(gone, store, pool))
    assert pool.painter.asked == []


def test_a_picture_says_how_it_was_made(study: Study, store: Store) -> None:
    from PIL import Image

    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    probe = study.probe_sets[0].probes[0]
    found = images_for(study, store, "ESD", [probe])[probe.id][2]
    with Image.open(store.image_path(found.image)) as picture:
        said = dict(picture.info)
    assert (said["prompt"], said["model"], said["seed"]) == (probe.prompt, "ESD", "2")
    assert (said["steps"], said["guidance"], said["size"]) == ("2", "4.0", "")
    assert said["protocol"] == "same-noise/1" and said["software"].startswith("UnlearnBoard ")


def test_another_judge_looks_at_the_pictures_that_are_there(
    study: Study, store: Store, tmp_path: Path
) -> None:
    first = PaintingPool()
    evaluate(EvaluationContext.of(study, store, first))
    before = {path.name for path in (store.path.parent / "images").rglob("*.png")}
    other = tmp_path / "judge2"
    other.mkdir()
    (other / "weights").write_text("2")
    judged = replace(study, judges=(JudgeSpec("style", str(other)),))
    again = PaintingPool()
    evaluate(EvaluationContext.of(judged, store, again))
    assert again.painter.asked == []
    assert {path.name for path in (store.path.parent / "images").rglob("*.png")} == before
    probe = study.probe_sets[0].probes[0]
    assert images_for(judged, store, "ESD", [probe])[probe.id][1].judgements["style"].label == "sepia"
    assert plan(judged, store, "float32").missing == 0

    (gone,) = {images_for(judged, store, "ESD", [probe])[probe.id][1].image}
    store.image_path(gone).unlink()
    third = replace(study, judges=(JudgeSpec("style", str(other), threshold=0.1),))
    redrawn = PaintingPool()
    evaluate(EvaluationContext.of(third, store, redrawn))
    assert [(each.model, each.prompt, each.seed) for each in redrawn.painter.asked] == [
        ("ESD", probe.prompt, 1)
    ]


def with_own(study: Study) -> Study:
    """A list of prompts that bring seeds and guidance along, beside the study's own prompts."""
    own = (
        Probe("12", "forget", "A cat in neon style", concepts={"style": "neon"}, seed=77, guidance=7.5),
        Probe("13", "forget", "A dog in neon style", concepts={"style": "neon"}, seed=88, guidance=1.0),
        Probe("14", "forget", "A fox in neon style", concepts={"style": "neon"}, guidance=3.0),
    )
    return replace(study, probe_sets=(*study.probe_sets, ProbeSet("attack", "forget", own)))


def test_probes_are_drawn_with_the_seeds_and_guidance_that_they_bring_along(
    study: Study, store: Store
) -> None:
    mixed, pool, said = with_own(study), PaintingPool(), list[Progress]()
    assert plan(mixed, store, "float32", ["ESD"]).missing == 18 + 1 + 1 + 2
    evaluate(EvaluationContext.of(mixed, store, pool), on_progress=said.append)
    asked = {(each.model, each.prompt[2:5], each.seed, each.guidance) for each in pool.painter.asked}
    for name in ("Original", "ESD"):
        assert {
            (name, "cat", 77, 7.5),
            (name, "dog", 88, 1.0),
            (name, "fox", 1, 3.0),
            (name, "fox", 2, 3.0),
        } <= asked
        assert (name, "3 i", 1, None) in asked
    assert len(pool.painter.asked) == 2 * (18 + 4)
    assert [(p.done, p.total) for p in said if p.probe_set == "attack"][-1] == (4, 4)
    assert plan(mixed, store, "float32").missing == 0
    again = PaintingPool()
    evaluate(EvaluationContext.of(mixed, store, again))
    assert again.painter.asked == []

    found = images_for(mixed, store, "ESD", mixed.probe_sets[2].probes)
    assert {probe: list(seeds) for probe, seeds in found.items()} == {"12": [77], "13": [88], "14": [1, 2]}
    with Image.open(store.image_path(found["12"][77].image)) as picture:
        assert (picture.info["seed"], picture.info["guidance"]) == ("77", "7.5")
    board = scoreboard(mixed, store)
    assert board.per_probe("Original", "forget/distance_to_original").max() == pytest.approx(0.0, abs=1e-9)
    apart = board.per_probe("ESD", "forget/distance_to_original")
    assert apart["12"] > 0 and apart["14"] > 0 and apart.notna().all()
    row = board.frame.set_index(["model", "key"]).loc[("ESD", "forget/distance_to_original")]
    assert row["n"] == 7 + 3


def test_a_list_of_prompts_changes_no_run_of_other_probe_sets(study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    before = {run.key for run in store.runs()}
    evaluate(EvaluationContext.of(with_own(study), store, PaintingPool()))
    assert len({run.key for run in store.runs()} - before) == 2  # the list's, one for each model
    (run,) = (run for run in store.runs() if run.probe_set == "attack" and run.model == "ESD")
    assert (run.n_done, run.status) == (3, "complete")


def test_pictures_of_own_seeds_are_judged_again_not_drawn_again(
    study: Study, store: Store, tmp_path: Path
) -> None:
    mixed = with_own(study)
    evaluate(EvaluationContext.of(mixed, store, PaintingPool()))
    other = tmp_path / "judge2"
    other.mkdir()
    (other / "weights").write_text("2")
    again = PaintingPool()
    judged = replace(mixed, judges=(JudgeSpec("style", str(other)),))
    evaluate(EvaluationContext.of(judged, store, again))
    assert again.painter.asked == [] and plan(judged, store, "float32").missing == 0


def test_compare_draws_with_what_a_probe_brings_along(study: Study, store: Store) -> None:
    pool, probe = PaintingPool(), with_own(study).probe_sets[2].probes[0]
    told: list[tuple[str, int]] = []
    compare_images(
        EvaluationContext.of(study, store, pool),
        ["ESD"],
        probe,
        study.sampling,
        lambda name, seed, _: told.append((name, seed)),
    )
    assert [(each.seed, each.guidance) for each in pool.painter.asked] == [(77, 7.5)]
    assert set(told) == {("ESD", 77)}
    other = replace(study.sampling, guidance=1.0, seeds=(5,))
    assert list(images_for(study, store, "ESD", [probe], other)["12"]) == [77]
    compare_images(EvaluationContext.of(study, store, pool), ["ESD"], probe, other)
    assert len(pool.painter.asked) == 1


class Nude(Eye):
    """NudeNet's words: what is not neon is safe."""

    classes = ("neon", "safe")

    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> list[JudgedImage | None]:
        found = ["neon" if np.median(each) > 150 else "safe" for each in pixels]
        return [JudgedImage(Judgement(label, {label: 0.9}), np.zeros(0, np.float32)) for label in found]


def test_what_a_detector_calls_safe_counts_as_unlearned_and_its_note_stays(
    study: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, said = PaintingPool(), list[str]()
    judge = Nude()
    judge.notes = ("2 of 600 rows cannot be used",)
    monkeypatch.setattr(pool, "judges", lambda _: [judge])
    evaluate(EvaluationContext.of(study, store, pool), on_note=said.append)
    values = scoreboard(study, store).frame.set_index(["model", "key"]).value
    assert values["Original", "forget/unlearn_accuracy"] == 0.0
    assert values["ESD", "forget/unlearn_accuracy"] == 1.0
    assert values["ESD", "forget/reject_rate"] == 0.0
    assert set(said) == {"Judge of style: 2 of 600 rows cannot be used"}
    assert all(set(said) <= set(run.notes) for run in store.runs(study.name))
