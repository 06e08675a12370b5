"""Unlearning on a device: the CPU's losses, stopped runs that end in the weights of whole ones, what a step costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file

from app.shared.unlearning import UnlearningRequest, prepare
from backends.errors import Cancelled
from backends.study import ModelSpec, Probe, ProbeSet, Role, Sampling, Study
from backends.unlearning.run_files import RunProgress
from tests.gpu.materials import Materials
from tests.gpu.rows import Outcome, within
from tests.tiny_image import write_tiny_pipeline
from tests.tiny_text import write_tiny_model

STEPS, STOPPED = 6, 3
LOSSES = 1e-3
"""Between the CPU's and the device's losses, as a share: the first steps of a run, which drift apart later."""
WEIGHTS = 1e-5
"""Between the weights of a whole run and of one that was stopped, on a device, which may add in another order; 0 on a
CPU.
"""


def text_study(spec: ModelSpec, pairs: Sequence[tuple[str, str]]) -> Study:
    """A study of one model, half of whose questions are to be forgotten."""
    half = len(pairs) // 2
    return Study("Check", "text", (spec,), (_asked("forget", pairs[:half]), _asked("retain", pairs[half:])))


def image_study(spec: ModelSpec) -> Study:
    """A study of one image model that is to forget a style."""
    styles: tuple[tuple[Role, str], ...] = (("forget", "neon"), ("retain", "flat"))
    sets = tuple(
        ProbeSet(role, role, tuple(_picture(role, thing, style) for thing in ("cat", "rocket")))
        for role, style in styles
    )
    return Study(
        "Check",
        "image",
        (spec,),
        sets,
        sampling=Sampling(steps=2, guidance=2.0, seeds=(1,)),
        forget_concepts={"style": "neon"},
    )


def losses_agree(given: Materials) -> Outcome:
    """The CPU and the device have the same losses, step by step."""
    spec = _tiny_model(given.folder / "plain", 0.0)
    study = text_study(spec, [(f"Who wrote {n}?", f"Ada {n}.") for n in range(8)])
    found = []
    for number, device in enumerate(("cpu", given.device)):
        told: list[float] = []
        _run(study, "NPO", given.folder / f"losses-{number}", device, told)
        found.append(told)
    differences = [abs(a - b) / abs(a) for a, b in zip(*found, strict=True)]
    return within(max(differences), LOSSES, "", f" of the loss over {len(differences)} steps")


def text_run_resumes(given: Materials) -> Outcome:
    """A language model's run that was stopped and resumed has the weights of a whole one, dropout and all."""
    spec = _tiny_model(given.folder / "dropping", 0.3)
    study = text_study(spec, [(f"Who wrote {n}?", f"Ada {n}.") for n in range(8)])
    return _resumed(study, "NPO", given, "text")


def image_run_resumes(given: Materials) -> Outcome:
    """So has an image model's."""
    spec = ModelSpec("Original", "original", str(write_tiny_pipeline(given.folder / "to-forget")))
    return _resumed(image_study(spec), "ESD", given, "image")


def cost_of_a_step(given: Materials) -> Outcome:
    """What a step of NPO takes on the language model: seconds, and the most memory."""
    made = prepare(
        text_study(given.language, given.pairs),
        UnlearningRequest("NPO", {"steps": f"{STEPS}", "batch": "8"}, 1, given.folder / "cost"),
    ).run(given.device, lambda _: None, lambda: False)
    cost = json.loads((Path(made[-1].adapter or "") / "recipe.json").read_text(encoding="utf-8"))["cost"]
    where = "of the device" if given.kind == "cuda" else "of the process"
    return Outcome(
        f"{cost['seconds'] / STEPS:.3f} s a step of 8 and 16 rows, at most {cost['peak_bytes'] / 2**20:.0f} MB {where}"
    )


def _resumed(study: Study, method: str, given: Materials, name: str) -> Outcome:
    whole, parts = given.folder / f"{name}-whole", given.folder / f"{name}-parts"
    _run(study, method, whole, given.device, [])
    told: list[float] = []
    try:
        _run(study, method, parts, given.device, told, STOPPED)
    except Cancelled:
        stopped = len(told)
    else:
        return Outcome("the run did not stop", "stopped", "FAIL")
    _run(study, method, parts, given.device, told)
    one, other = (
        load_file(next(folder.rglob(f"checkpoint-{STEPS}/*.safetensors"))) for folder in (whole, parts)
    )
    if one.keys() != other.keys():
        return Outcome("other tensors", "the same tensors", "FAIL")
    largest = max(float((one[key] - other[key]).abs().max()) for key in one)
    return within(
        largest,
        0.0 if given.kind == "cpu" else WEIGHTS,
        "",
        f" between weights, stopped at step {stopped} of {STEPS}",
    )


def _run(
    study: Study, method: str, folder: Path, device: str, told: list[float], most: int | None = None
) -> None:
    """A run that adds its losses to `told`, and stops when there are `most`."""
    settings = {"steps": f"{STEPS}", "batch": "2", "lr": "1e-3"}
    settings |= {"retain_batch": "2"} if study.modality == "text" else {"pictures": "1"}

    def show(done: RunProgress) -> None:
        if done.step:
            told.append(done.loss)

    run = prepare(study, UnlearningRequest(method, settings, 2, folder))
    run.run(device, show, lambda: most is not None and len(told) >= most)


def _tiny_model(folder: Path, dropout: float) -> ModelSpec:
    return ModelSpec("Original", "original", str(write_tiny_model(folder, dropout=dropout)))


def _picture(role: Role, thing: str, style: str) -> Probe:
    concepts = {"object": thing, "style": style}
    return Probe(f"{role} {thing}", role, f"a {thing} in {style} style", concepts=concepts)


def _asked(role: Role, pairs: Sequence[tuple[str, str]]) -> ProbeSet:
    return ProbeSet(
        role,
        role,
        tuple(Probe(f"{role}{n}", role, prompt, answer) for n, (prompt, answer) in enumerate(pairs)),
    )
