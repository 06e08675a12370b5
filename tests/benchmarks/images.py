"""Image models: memory of nine unlearned versions beside an original of SD 1.4's shape, and the demo's grid for six.

Run: python -m tests.benchmarks.images [--full]. Without --full the UNet has SD 1.4's blocks at a quarter of their
width. Prints ratios taken in one process; nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from app.shared.settings import PACK
from backends.checkpoints.hub import version_path
from backends.checkpoints.identity import available, resolve
from backends.image.checkpoints.folders import load_pipeline
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from backends.study.file import read_study
from tests.shaped_models import write_stable_diffusion_1

VERSIONS = 9
SAMPLING = Sampling(steps=10, guidance=2.0, seeds=(1, 2))
GB = 2**30


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", help="SD 1.4's own width: 1.07 billion parameters")
    parser.add_argument("--peak", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    full = options.full
    if options.peak:
        _print_peak(options.folder, options.peak)
        return
    with tempfile.TemporaryDirectory() as folder:
        _memory(Path(folder), full)
    with tempfile.TemporaryDirectory() as folder:
        _grid(Path(folder))


def _memory(folder: Path, full: bool) -> None:
    """Original, then five ESD-x, two UCE and two text encoders, as AdvUnlearn has them, in bfloat16."""
    torch.manual_seed(0)
    write_stable_diffusion_1(folder / "sd", 1 if full else 4)
    states = load_pipeline(folder / "sd", torch.bfloat16)
    unet = states.unet.state_dict()
    text = states.text_encoder.state_dict()
    kinds = [("attn2.", unet)] * 5 + [("attn2.to_k", unet)] * 2 + [("", text)] * 2
    for number, (part, state) in enumerate(kinds):
        moved = {name: tensor + 0.01 * (number + 1) for name, tensor in state.items() if part in name}
        save_file({n: t.contiguous() for n, t in moved.items()}, folder / f"{number}.safetensors")
        del moved
    del states, unet, text, kinds, state
    gc.collect()
    models = DiffusionModels("cpu", "bfloat16")
    source = str(folder / "sd")
    models.add(ModelSpec("Original", "original", source))
    alone, before = models.bytes(), _resident()
    for number in range(VERSIONS):
        models.add(ModelSpec(str(number), "unlearned", source, weights=str(folder / f"{number}.safetensors")))
    gc.collect()
    print(
        f"memory: original of SD 1.4's shape{'' if full else ', a quarter as wide'} {alone / GB:.2f} GB, with "
        f"{VERSIONS} versions {models.bytes() / GB:.2f} GB = {models.bytes() / alone:.3f} x; resident memory grew by "
        f"{(_resident() - before) / GB:.2f} GB"
    )


def _grid(folder: Path) -> None:
    """The demo's forget prompts for six models: ours, and six pipelines one after another, prompt by prompt."""
    study = read_study(PACK / "image" / "study.toml")
    source = resolve(study.original.source)
    weights = [version_path(spec.weights) for spec in study.models if spec.weights and available(spec)]
    base = load_pipeline(source, torch.float32)
    original = base.unet.state_dict()
    specs = [ModelSpec("Original", "original", str(source))]
    for number in range(5):
        found = load_file(weights[number % len(weights)])
        share = 1 - 0.15 * number
        path = folder / f"{number}.safetensors"
        save_file(
            {n: (original[n] + share * (t.float() - original[n])).contiguous() for n, t in found.items()},
            path,
        )
        specs.append(ModelSpec(f"Version {number}", "unlearned", str(source), weights=str(path)))
    prompts = [probe.prompt for probe in study.probe_sets[0].probes]
    sampling = SAMPLING
    requests = [ImageRequest(s.name, p, seed) for s in specs for p in prompts for seed in sampling.seeds]

    models = DiffusionModels("cpu", "float32")
    _, loading = _timed(lambda: _add_all(models, specs))
    pictures, ours = _timed(lambda: [p for p in models.sample(requests, sampling, lambda: False) if p.done])
    alone = DiffusionModels("cpu", "float32")
    alone.add(specs[0])

    def apart() -> tuple[int, float]:
        count, spent = 0, 0.0
        for spec in specs:
            pipe, seconds = _timed(lambda spec=spec: _loaded(spec))  # type: ignore[misc]
            spent += seconds
            for prompt in prompts:
                for seed in sampling.seeds:
                    generator = [torch.Generator().manual_seed(seed)]
                    steps = {"num_inference_steps": sampling.steps, "guidance_scale": sampling.guidance}
                    count += len(pipe([prompt], generator=generator, **steps).images)
        return count, spent

    (count, theirs_loading), theirs = _timed(apart)
    assert count == len(pictures) == len(requests)
    alone_seconds = theirs - theirs_loading
    print(
        f"grid: {len(requests)} pictures of {len(specs)} models {ours:.1f} s (and {loading:.1f} s to load), one after "
        f"another {alone_seconds:.1f} s (and {theirs_loading:.1f} s): {alone_seconds / ours:.2f} x without loading, "
        f"{theirs / (ours + loading):.2f} x with it; weights {models.bytes() / alone.bytes():.3f} x those of one"
    )
    one, six = (_peak(folder, count) for count in (1, len(specs)))
    print(
        f"  most memory while drawing, above a process that has loaded the libraries: one model {one / 1e6:.0f} MB, "
        f"{len(specs)} models {six / 1e6:.0f} MB = {six / one:.2f} x"
    )


def _peak(folder: Path, models: int) -> int:
    """Bytes that drawing with so many models takes at most, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.images",
        "--peak",
        str(models),
        "--folder",
        str(folder),
    ]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _print_peak(folder: Path, count: int) -> None:
    study = read_study(PACK / "image" / "study.toml")
    source = str(resolve(study.original.source))
    specs = [ModelSpec("Original", "original", source)]
    specs += [
        ModelSpec(str(n), "unlearned", source, weights=str(folder / f"{n}.safetensors"))
        for n in range(count - 1)
    ]
    prompts = [probe.prompt for probe in study.probe_sets[0].probes]
    requests = [ImageRequest(s.name, p, seed) for s in specs for p in prompts for seed in SAMPLING.seeds]
    models = DiffusionModels("cpu", "float32")
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    _add_all(models, specs)
    drawn = sum(part.done for part in models.sample(requests, SAMPLING, lambda: False))
    assert drawn == len(requests)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    print(peak - before)


def _add_all(models: DiffusionModels, specs: Sequence[ModelSpec]) -> None:
    for spec in specs:
        models.add(spec)


def _loaded(spec: ModelSpec) -> Any:
    pipe = load_pipeline(Path(spec.source), torch.float32)
    if spec.weights:
        pipe.unet.load_state_dict(load_file(spec.weights), strict=False)
    return pipe


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
