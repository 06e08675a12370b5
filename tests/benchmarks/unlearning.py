"""Cost of an unlearning step on the demo: against its bare arithmetic, and against the field's way with two models.

Each way runs in a process of its own and reports processor seconds a step and the most memory it held; the figures are
ratios of one run. Bare arithmetic is a forward and a backward pass of the same forget and retain batches with
cross-entropy, added up before the backward pass: plain LoRA fine-tuning on a mixed batch.

Run: python -m tests.benchmarks.unlearning [--all] [--steps 4]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS, BATCH = 4, 8
TARGETS = {"step": 1.15, "memory": 1.3}


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="every method, not only NPO")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measured(options.one, options.steps)))
        return
    from backends.unlearning.text_methods import METHODS

    ways = ["bare", "NPO", "field", *(name for name in METHODS if options.all and name != "NPO")]
    found = {way: _in_a_process(way, options.steps) for way in ways}
    bare = found["bare"]
    print(f"SmolLM2-135M with the demo's Original, LoRA, {BATCH} forget and {BATCH} retain rows a step, CPU")
    for way, (seconds, memory) in found.items():
        label = {"bare": "bare arithmetic", "field": "NPO, two model copies"}.get(way, way)
        print(
            f"{label:<24} {seconds:6.2f} s a step = {seconds / bare[0]:.2f} x   "
            f"{memory / 1e9:5.2f} GB = {memory / bare[1]:.2f} x"
        )
    print(
        f"asked of NPO: {TARGETS['step']} x its arithmetic; of every method: {TARGETS['memory']} x the memory"
    )


def _in_a_process(way: str, steps: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.benchmarks.unlearning", "--one", way, "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def _measured(way: str, steps: int) -> tuple[float, float]:
    """Processor seconds of a step, the first not counted, and the most memory."""
    step = _field(steps) if way == "field" else _ours(way, steps)
    step()
    started = time.process_time()
    for _ in range(steps):
        step()
    seconds = (time.process_time() - started) / steps
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _parts() -> tuple[Any, Any, Any]:
    from app.demo.text_data import rehearsed_rows, training_rows
    from app.shared.settings import PACK
    from backends.study.file import read_study
    from backends.unlearning.recipes import recipe
    from backends.unlearning.text_methods import METHODS
    from backends.unlearning.text_runs import _trainable
    from backends.unlearning.text_terms import TrainingRows

    study = read_study(PACK / "text" / "study.toml")
    model, tokenizer = _trainable(study.original, recipe(METHODS["NPO"], {}), "cpu")
    forget = training_rows(["forget"])
    return (
        model,
        tokenizer,
        TrainingRows(forget, rehearsed_rows(), (), ("I don't know.",), [row.answer for row in forget]),
    )


def _ours(way: str, steps: int) -> Callable[[], object]:
    from backends.unlearning.recipes import Objective, Schedule, recipe
    from backends.unlearning.text_methods import METHODS
    from backends.unlearning.text_training import Training

    model, tokenizer, rows = _parts()
    settings = {"layer": "20"} if way == "RMU" else {}
    objective = Objective("FineTune", alpha=1.0)
    if way != "bare":
        objective = recipe(METHODS[way], settings).objective
    schedule = Schedule(steps + 1, 1e-5, batch=BATCH, retain_batch=BATCH)
    run = Training(model, tokenizer, objective, schedule, rows, "cpu")
    return _together(run) if way == "bare" else run.step


def _together(run: Any) -> Callable[[], object]:
    """A step whose terms are added before one backward pass, as fine-tuning on a mixed batch is."""
    import torch

    optimiser = torch.optim.AdamW(run.parameters.values(), lr=1e-5, weight_decay=0.0)

    def step() -> None:
        optimiser.zero_grad()
        run.model.train()
        torch.stack(list(run.terms.parts())).sum().backward()
        torch.nn.utils.clip_grad_norm_(list(run.parameters.values()), 1.0)
        optimiser.step()

    return step


def _field(steps: int) -> Callable[[], object]:
    """NPO as it is usually written: a frozen copy of the model answers every batch, on logits of all positions."""
    import copy

    import torch

    from backends.unlearning.text_batches import encode_rows, make_batch, shuffled
    from backends.unlearning.text_losses import answer_nll, cross_entropy
    from backends.unlearning.text_methods.npo import npo

    model, tokenizer, rows = _parts()
    reference = copy.deepcopy(model).eval().requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.0)
    draw = torch.Generator().manual_seed(0)
    sets = [encode_rows(tokenizer, part) for part in (rows.forget, rows.retain)]
    draws = [shuffled(len(part), BATCH, draw) for part in sets]

    def nll(asked: Any, batch: Any) -> torch.Tensor:
        logits = asked(input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions).logits
        longest = batch.targets.shape[1]
        return answer_nll(logits[:, -(longest + 1) : -1], batch.targets, batch.answer_mask)

    def step() -> None:
        forget, retain = (
            make_batch([part[i] for i in next(d)], tokenizer.pad_id, "cpu")
            for part, d in zip(sets, draws, strict=True)
        )
        with torch.no_grad():
            before = nll(reference, forget)
        loss = npo(nll(model, forget), before, 0.1)
        loss = loss + cross_entropy(nll(model, retain), retain.answer_mask.sum(-1))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()

    return step


if __name__ == "__main__":
    main()
