"""What was never run where there is no card: CUDA or MPS against the CPU, in a table. At most eight minutes.

Run: python -m tests.gpu [--device cuda|mps|cpu] [--models demo|tiny] [--to FILE]. `make check-gpu` installs first.
Without a card it says so and ends with 0; with `--device cpu` the same checks compare the CPU with itself. Ends with 1
where a check failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from backends.device import pick_device
from backends.errors import ModelError
from tests.gpu.materials import Materials
from tests.gpu.rows import Check, Outcome, Row, as_table, run_check

SECONDS = 480.0
"""For all checks together; the process is ended half a minute later, even where a device hangs."""
NO_CARD = (
    "There is no CUDA or MPS device here, so nothing was checked; --device cpu runs the checks on the CPU."
)
MODULES = tuple(f"tests.gpu.{name}_checks" for name in ("text", "memory", "image", "unlearning", "speed"))
QUIET = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""No progress bars and no advice between the rows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks, prints the table; returns 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--device", help="default: CUDA, else MPS, else nothing is checked")
    parser.add_argument("--models", choices=("demo", "tiny"), default="demo", help="tiny: random, in seconds")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all checks together, in shares")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="checks with one of these words in their names"
    )
    parser.add_argument("--to", type=Path, help="a file that the table is written to, row by row")
    options = parser.parse_args(arguments)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not options.device and not card():
        print(NO_CARD)
        return 0
    try:
        device = pick_device(options.device or card())
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="unlearnboard-gpu-", ignore_cleanup_errors=True) as folder:
        given = Materials(device, Path(folder), options.models == "tiny")
        faulthandler.dump_traceback_later(options.seconds + 30, exit=True, file=sys.__stderr__ or 2)
        try:
            rows = _rows(given, options.only, options.seconds, options.to)
        finally:
            faulthandler.cancel_dump_traceback_later()
        print(f"\n{report(given, rows)}")
    return int(any(row.outcome.verdict == "FAIL" for row in rows))


def _rows(given: Materials, words: Sequence[str], seconds: float, to: Path | None) -> list[Row]:
    """Every check's row, in order; the file has what is known so far, should the process be ended."""
    until, rows = time.monotonic() + seconds, list[Row]()
    for check in checks(given):
        if not any(word in check.name for word in words):
            continue
        row = run_check(check, until - time.monotonic(), seconds / SECONDS)
        rows.append(row)
        print(f"{row.outcome.verdict:>8}  {row.name}: {row.outcome.result}", flush=True)
        if to is not None:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(report(given, rows), encoding="utf-8")
    return rows


def card() -> str:
    """The device to check, "" where there is only a CPU."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else ""


def checks(given: Materials) -> list[Check]:
    """All of them, what matters most first: time may run out."""
    text, memory, image, unlearning, speed = (partial(_late, given, module) for module in MODULES)
    return [
        Check("scores, CPU and device", text("scores_agree")),
        Check("greedy answers, CPU and device", text("greedy_text_agrees"), 60),
        Check("sampled answers, CPU and device", text("sampled_text_agrees"), 60),
        Check("gradient norms, CPU and device", text("gradients_agree")),
        Check("pictures, CPU and device", image("pictures_agree"), 60),
        Check("pictures of Stable Diffusion's shape, CPU and device", image("stable_diffusion_agrees"), 90),
        Check("judgements of pictures, CPU and device", image("judgements_agree")),
        Check("losses of an unlearning run, CPU and device", unlearning("losses_agree")),
        Check("text run that was stopped", unlearning("text_run_resumes")),
        Check("image run that was stopped", unlearning("image_run_resumes")),
        Check("answers scored alone and together", text("batches_do_not_matter")),
        Check("answers written alone and together", text("company_does_not_matter"), 60),
        Check("adapters in one batch", text("adapters_share_a_batch"), 60),
        Check("pictures alone and together", image("batches_do_not_matter")),
        Check("the same files drawn twice", image("files_give_one_picture")),
        Check("memory of the weights", memory("weights_take_what_is_said")),
        Check("memory budget", memory("budget_is_kept")),
        Check("memory while scoring", memory("scoring_keeps_its_share")),
        Check("out of memory, staged", memory("staged_out_of_memory")),
        Check("out of memory, real", memory("real_out_of_memory")),
        Check("bfloat16 scores and answers", text("half_precision")),
        Check("bfloat16 pictures", image("half_precision")),
        Check("nf4", text("quantised", "nf4")),
        Check("int8", text("quantised", "int8")),
        Check("attention: eager", text("attention", "eager")),
        Check("attention: sdpa", text("attention", "sdpa")),
        Check("attention: flash", text("attention", "flash_attention_2")),
        Check("answers written, one at a time", speed("tokens_written", 1)),
        Check("answers written, 32 at a time", speed("tokens_written", 32)),
        Check("answers scored", speed("tokens_scored")),
        Check("pictures drawn", speed("pictures_drawn"), 60),
        Check("cost of an unlearning step", unlearning("cost_of_a_step")),
    ]


def report(given: Materials, rows: Sequence[Row]) -> str:
    """The table, below what it was made with."""
    import torch

    card_name = torch.cuda.get_device_name(given.device) if given.kind == "cuda" else platform.processor()
    names = ("torch", "transformers", "diffusers", "peft", "bitsandbytes", "flash_attn")
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    models = "tiny random models" if given.tiny else "the demo's models"
    if not given.tiny and given.demo_text is None:
        models = "the demo's pictures and a random language model of its shape (the demo's is not here)"
    return f"{given.device} {card_name} on {platform.machine()}; {models}; {versions}.\n\n{as_table(rows)}"


def _late(given: Materials, module: str, name: str, *more: Any) -> Callable[[], Outcome]:
    """The check of a module that is imported when it runs: a missing package stops only those that need it."""

    def work() -> Outcome:
        from importlib import import_module

        outcome: Outcome = getattr(import_module(module), name)(given, *more)
        return outcome

    return work


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


if __name__ == "__main__":
    sys.exit(main())
