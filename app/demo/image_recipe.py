"""Builds the demo's image study from nothing: judges, ORIGINAL, RETAINED, unlearning trajectories, pack.

Seeded and resumable: every stage writes its result under `--out` with the recipe's hash beside it, and is skipped when
both are there. RETAINED and ORIGINAL share their first part, which sees everything except the forgotten style; then
RETAINED goes on with that, and ORIGINAL with all pictures.

Run: python -m app.demo.image_recipe --out build/image --stage all      (about an hour on one core)
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from app.demo import image_data, image_judging, image_pack, image_report, image_train
from app.demo.image_data import FORGET_STYLE, OBJECTS, STYLES
from app.demo.image_forgetting import RUNS, checkpoints, concepts
from app.demo.image_model import build_pipeline, read_pipeline, save_pipeline
from backends.image.judges.judges import save_judge

SEED = 20
SHARED_STEPS = 2000
ORIGINAL_STEPS = 1300
RETAINED_STEPS = 500
RATE = 1e-3


def say(text: str) -> None:
    """One progress line with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def train(
    out: Path, name: str, start: str | None, steps: int, forgotten_too: bool, decay_from: float
) -> None:
    """Train one part from the averaged weights of `start`, or from nothing, and write the folder `name`."""
    pictures = image_data.data_set()
    if not forgotten_too:
        pictures = pictures.keep(pictures.styles != STYLES.index(FORGET_STYLE))
    pipe = read_pipeline(out / start) if start else build_pipeline([*OBJECTS, *STYLES], seed=SEED)
    pipe.unet.to(memory_format=torch.channels_last)
    trainer = image_train.Trainer(pipe, seed=SEED)
    examples = image_train.Examples(pipe, pictures)
    rate = image_train.warm_then(RATE, steps, decay_from)
    trainer.run(examples, steps, rate, out / f"{name}.training", lambda text: say(f"{name}: {text}"))
    save_pipeline(trainer.averaged(), out / name)


def _judges(out: Path) -> None:
    pictures = image_data.data_set()
    for domain in ("object", "style"):
        config, network = image_judging.train_judge(domain, pictures, SEED, say)
        save_judge(config, network, out / "pack" / "judges" / domain)


def _shared(out: Path) -> None:
    train(out, "shared", None, SHARED_STEPS, forgotten_too=False, decay_from=1.0)


def _original(out: Path) -> None:
    train(out, "original", "shared", ORIGINAL_STEPS, forgotten_too=True, decay_from=0.4)
    save_pipeline(read_pipeline(out / "original").to(torch.float16), out / "pack" / "model")


def _retained(out: Path) -> None:
    train(out, "retained", "shared", RETAINED_STEPS, forgotten_too=False, decay_from=0.3)
    save_pipeline(read_pipeline(out / "retained").to(torch.float16), out / "pack" / "retained")


def _unlearn(out: Path) -> None:
    pipe = read_pipeline(out / "pack" / "model")
    data = concepts(pipe)
    folder = out / "pack" / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    for name in RUNS:
        for checkpoint in checkpoints(name, pipe, data, SEED):
            changes = {key: tensor.half().contiguous() for key, tensor in checkpoint.changes.items()}
            save_file(changes, folder / f"{name.lower()}-{checkpoint.step:03d}.safetensors")
            say(f"{name}: step {checkpoint.step}, loss {checkpoint.loss:.4f}")


STAGES: Mapping[str, Callable[[Path], object]] = {
    "judges": _judges,
    "shared": _shared,
    "original": _original,
    "retained": _retained,
    "unlearn": _unlearn,
    "pack": lambda out: image_pack.write(out / "pack", recipe_hash(), image_data.EMOJI.parent),
    "report": lambda out: image_report.report(image_data.EMOJI.parent, out, say),
}


def recipe_hash() -> str:
    """Identity of data and settings; not of the code that follows them."""
    methods = [(name, each.trains, each.rate, each.checkpoints) for name, each in RUNS.items()]
    settings = [image_data.recipe_hash(), SEED, SHARED_STEPS, ORIGINAL_STEPS, RETAINED_STEPS, RATE, methods]
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]


def run(out: Path, stages: list[str]) -> None:
    """Run the stages that are not done yet."""
    out.mkdir(parents=True, exist_ok=True)
    for name in stages:
        mark = out / f"{name}.done"
        if mark.exists() and mark.read_text() == recipe_hash():
            say(f"{name}: done before")
            continue
        started = time.monotonic()
        STAGES[name](out)
        mark.write_text(recipe_hash())
        say(f"{name}: done in {time.monotonic() - started:.0f} s")


def main(arguments: list[str]) -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is built")
    parser.add_argument(
        "--stage", default="all", choices=["all", *STAGES], help="one stage, or all in their order"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="processor threads; the numbers were made with 1"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    run(options.out, list(STAGES) if options.stage == "all" else [options.stage])


if __name__ == "__main__":
    main(sys.argv[1:])
