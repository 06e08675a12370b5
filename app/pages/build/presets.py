"""Ready-made settings of a run, how long a run will take by those that were timed here, and settings in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from app.shared.durations import duration
from app.shared.unlearning_runs import BuiltRun
from backends.study import Modality
from backends.unlearning.published import PUBLISHED, Published
from backends.unlearning.settings import Setting

QUICK, CAREFUL, PAPER = "Short", "Careful", "The papers’"
QUICK_SECONDS = 120.0
EPOCHS, PAPER_BATCH, PAPER_RATE = 10, 32, 1e-5
USUAL_METHOD: Mapping[Modality, str] = MappingProxyType({"text": "NPO", "image": "ESD"})
"""Methods that forget without destroying at their usual settings; the form begins with them."""
HELP = (
    f"**{QUICK}**: the method's usual settings, with as many steps as fit into two minutes on this machine; all of "
    "them until a run was timed here.\n\n"
    f"**{CAREFUL}**: four times the steps at half the learning rate, ten checkpoints, and an end when utility falls "
    "below 90 % of the original's."
)
PAPER_HELP = (
    f"\n\n**{PAPER}**: all weights, learning rate 1e-5, batches of 32 and ten passes over the forget rows, as in TOFU "
    "and open-unlearning."
)
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "lr": "Learning rate",
        "steps": "Steps",
        "batch": "Forget rows a step",
        "retain_batch": "Retain rows a step",
        "gamma": "Weight of forgetting",
        "alpha": "Weight of retaining",
        "keep": "Weight of staying close",
        "warmup": "Warm-up steps",
        "rank": "Rank of the LoRA",
        "seed": "Seed",
        "stop_below": "Stop below utility",
        "beta": "Inverse temperature",
        "beta2": "Second exponent",
        "delta": "Margin",
        "layer": "Steered layer",
        "scale": "Length of the target",
        "everywhere": "Count the prompt too",
        "skip_first": "Tokens to skip",
        "bound": "Bound on the retain loss",
        "dual_rate": "Step of the dual variable",
        "pictures": "Pictures a prompt",
        "eta": "Negative guidance",
        "damping": "Damping",
        "share": "Share of weights trained",
        "ewc": "Weight of consolidation",
        "push": "Forgetting gradient",
        "radius": "Attack radius",
        "pushes": "Attack steps",
    }
)
"""Labels of settings; one without is shown under its own name."""


def presets_of(modality: Modality, method: str) -> list[str]:
    """Names of the presets of a method; an image method has its paper's where its authors publish settings."""
    published = modality == "text" or method in PUBLISHED
    return [QUICK, CAREFUL, *([PAPER] if published else [])]


def help_of(modality: Modality, method: str) -> str:
    """What the presets of a method are; Markdown of ours."""
    if modality == "text":
        return HELP + PAPER_HELP
    paper = "what the authors used on Stable Diffusion 1.4; where that is written stands below."
    return f"{HELP}\n\n**{PAPER}**: {paper}" if method in PUBLISHED else HELP


def source_of(method: str) -> str:
    """Where the settings of an image method's paper are written, a sentence or two; "" where they are not known."""
    found = PUBLISHED.get(method)
    if found is None:
        return ""
    passes = f"{found.epochs} passes over the pictures to forget, as in " if found.epochs else "As in "
    said = [f"{passes}{found.source}, for Stable Diffusion 1.4; a small model may need more.", found.note]
    return " ".join(part for part in said if part)


def preset(
    name: str, known: Mapping[str, Setting], forget_rows: int, step_seconds: float | None, method: str = ""
) -> tuple[dict[str, float], int]:
    """Settings that differ from the usual ones, within their limits, and the number of checkpoints.

    Args:
        name: one of `presets_of`.
        known: settings of the method.
        forget_rows: how many rows or pictures are to be forgotten.
        step_seconds: of one step on this machine; None while none was timed.
        method: name of an image method, for its paper's settings; "" for a text method.
    """
    steps, rate = known["steps"].usual, known["lr"].usual if "lr" in known else 0.0
    if name == CAREFUL:
        wanted, checkpoints = {"steps": 4 * steps, "lr": rate / 2, "stop_below": 0.9}, 10
    elif name == PAPER and method in PUBLISHED:
        wanted, checkpoints = _published(PUBLISHED[method], forget_rows), 5
    elif name == PAPER:
        epoch = math.ceil(forget_rows / PAPER_BATCH)
        rows = {"batch": float(PAPER_BATCH), "retain_batch": float(PAPER_BATCH)}
        wanted = {"rank": 0, "lr": PAPER_RATE, "steps": EPOCHS * epoch, "warmup": epoch, **rows}
        checkpoints = 5
    else:
        fit = math.floor(QUICK_SECONDS / step_seconds) if step_seconds else steps
        wanted, checkpoints = {"steps": min(steps, max(1, fit))}, 5
    return {
        key: min(max(value, known[key].low), known[key].high) for key, value in wanted.items() if key in known
    }, checkpoints


def _published(found: Published, pictures: int) -> dict[str, float]:
    if not found.epochs:
        return dict(found.settings)
    return {**found.settings, "steps": found.epochs * math.ceil(pictures / found.settings["batch"])}


def step_seconds(runs: Sequence[BuiltRun], method: str) -> tuple[float, str] | None:
    """Seconds of one step and the label of the run that tells: the last of this method, else the last of any."""
    timed = [
        (line["seconds"] / line["step"], run)
        for run in runs
        for line in run.measured[-1:]
        if line.get("step") and line.get("seconds")
    ]
    same = [each for each in timed if each[1].asked.get("method") == method]
    if not timed:
        return None
    seconds, run = (same or timed)[-1]
    return float(seconds), run.label


def estimate(steps: float, timed: tuple[float, str] | None) -> str:
    """How long a run will take, and how that is known."""
    if timed is None:
        return f"{steps:,.0f} steps. No run was timed on this machine yet; the first tells how long a step takes."
    seconds, label = timed
    return (
        f"About {duration(steps * seconds)} for {steps:,.0f} steps, at {seconds:.2g} s a step as in the run {label}; "
        "measurements and the evaluation come on top."
    )
