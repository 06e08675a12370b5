"""Compare on the demo's language models: memory of six adapters on one base, and one mixed batch against six runs.

Run: python -m tests.benchmarks.bench_text. Prints ratios taken in one process; nothing is asserted about time.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from app.shared.settings import PACK
from backends.checkpoints.identity import available
from backends.interfaces import GenerationRequest
from backends.study import Decoding, Study
from backends.study.file import read_study
from backends.text.models import LanguageModels

REPEATS = 3
PROMPTS = 4


def main() -> None:
    """Measures and prints."""
    study = read_study(PACK / "text" / "study.toml")
    specs = [spec for spec in study.models if available(spec)][:6]
    base = LanguageModels("cpu")
    base.add(replace(specs[0], adapter=None, fingerprint=""))
    models = LanguageModels("cpu")
    for spec in specs:
        models.add(spec)
    print(
        f"memory of {len(specs)} adapters on one base: {models.bytes() / base.bytes():.3f} x the base alone"
    )
    names = [spec.name for spec in specs]
    for count in (1, PROMPTS):
        together, apart, same = _times(models, names, study, count)
        ratio = statistics.median(a / t for a, t in zip(apart, together, strict=True))
        print(
            f"{count} prompt(s), {len(names)} models: {statistics.median(together):.2f} s in one batch, "
            f"{statistics.median(apart):.2f} s one after another, {ratio:.2f} x as fast, same text: {same}"
        )


def _times(
    models: LanguageModels, names: list[str], study: Study, count: int
) -> tuple[list[float], list[float], bool]:
    prompts = [probe.prompt for probe in study.probe_sets[0].probes[:count]]
    requests = [GenerationRequest(name, prompt) for prompt in prompts for name in names]
    decoding = Decoding(max_new_tokens=24)
    together: list[float] = []
    apart: list[float] = []
    same = True
    for _ in range(REPEATS):
        started = time.perf_counter()
        mixed = _texts(models, requests, decoding)
        together.append(time.perf_counter() - started)
        started = time.perf_counter()
        single = [
            text
            for prompt in prompts
            for name in names
            for text in _texts(models, [GenerationRequest(name, prompt)], decoding)
        ]
        apart.append(time.perf_counter() - started)
        same &= mixed == single
    return together, apart, same


def _texts(models: LanguageModels, requests: list[GenerationRequest], decoding: Decoding) -> list[str]:
    done = {
        part.index: part.answer.text
        for part in models.generate(requests, decoding, lambda: False)
        if part.done
    }
    return [done[index] for index in range(len(requests))]


if __name__ == "__main__":
    main()
