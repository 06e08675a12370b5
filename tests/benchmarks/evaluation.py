"""Evaluating SmolLM2 on 24 questions in five probe files, answers of at most 200 tokens, protocol open-unlearning.

Run: python -m tests.benchmarks.evaluation [--against CHECKOUT] [--parts]. Every way runs as `unlearnboard evaluate` in
a process of its own with a cache of its own, once with nothing recorded and once with everything; CPU seconds of one
thread, because two threads that wait for each other count as work. `--against` runs another checkout, such as that of
the release before, on the same study and compares answer by answer. `--parts` says what the parts cost. Nothing is
asserted about time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.text.models import LanguageModels

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"forget": 6, "neighbour": 6, "retain": 6, "holdout": 3, "utility": 3}
MOST = 200
STEPS_OF = (1, 8, 24, 64)
STEPS = 15
"""Steps of each, of which the median is told."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="another checkout, run on the same study")
    parser.add_argument("--parts", action="store_true", help="what importing, scoring and writing cost")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        _print_parts(options.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        study = _write_study(Path(folder))
        shared = Path(folder) / "converted"
        os.environ["UNLEARNBOARD_CACHE"] = str(shared)
        _convert()
        ways = {"here": ROOT} | ({"against": options.against.resolve()} if options.against else {})
        for name, checkout in ways.items():
            cache = Path(folder) / name
            shutil.copytree(shared, cache)
            for what in ("nothing recorded", "everything recorded"):
                seconds = _evaluated(checkout, study, cache)
                print(f"{name}, {what}: {seconds:.1f} CPU s", flush=True)
        if options.against:
            print(_compared(study, *(Path(folder) / name for name in ways)))
        if options.parts:
            command = [sys.executable, "-m", "tests.benchmarks.evaluation", "--measure", str(study)]
            subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _write_study(folder: Path) -> Path:
    """The demo's first probes and its base model, as a study of its own."""
    from app.shared.settings import PACK
    from backends.study import Decoding, ModelSpec
    from backends.study.file import read_study
    from backends.study.writing import write_study

    demo = read_study(PACK / "text" / "study.toml")
    sets = []
    for probe_set in demo.probe_sets:
        lines = Path(probe_set.path).read_text(encoding="utf-8").splitlines()[: COUNTS[probe_set.name]]
        path = folder / f"{probe_set.name}.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        sets.append(replace(probe_set, path=str(path)))
    study = replace(
        demo,
        name="24 questions",
        models=(ModelSpec("SmolLM2", "original", demo.original.source),),
        probe_sets=tuple(sets),
        decoding=Decoding(MOST),
        protocol="open-unlearning",
    )
    write_study(study, folder / "study.toml")
    return folder / "study.toml"


def _convert() -> None:
    """The model's file in transformers' form, once and outside of what is measured."""
    from app.shared.settings import PACK
    from backends.checkpoints.identity import resolve
    from backends.study.file import read_study

    resolve(read_study(PACK / "text" / "study.toml").original.source)


def _evaluated(checkout: Path, study: Path, cache: Path) -> float:
    """CPU seconds of one evaluation."""
    given = {"UNLEARNBOARD_CACHE": str(cache), "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "app", "evaluate", str(study)],
        check=True,
        cwd=checkout,
        env=os.environ | given,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _compared(path: Path, ours: Path, theirs: Path) -> str:
    """How many answers are the same word for word, and how far token scores differ at most."""
    import numpy as np

    from backends.study.file import read_study
    from cache.store import open_store
    from cache.store.reading import evidence_for

    study = read_study(path)
    probes = [probe for each in study.probe_sets for probe in each.probes]
    stores = [open_store(cache / "evidence.sqlite") for cache in (ours, theirs)]
    here, there = (evidence_for(study, store, study.original.name, probes) for store in stores)
    both = [each for each in here if here[each].answers and there[each].answers]
    same = sum(here[each].answers[0].text == there[each].answers[0].text for each in both)
    furthest = max(
        float(np.abs(scores.logprobs - there[each].scores[name].logprobs).max(initial=0.0))
        for each in here
        for name, scores in here[each].scores.items()
    )
    return (
        f"{same} of {len(both)} answers are the same word for word, {len(there) - len(both)} are not written here; "
        f"log-probabilities differ by at most {furthest:.1e}"
    )


def _print_parts(path: Path) -> None:
    """CPU seconds of each part, and how many tokens go through the model."""
    last = time.process_time()
    told: dict[str, float] = {}

    def lap(what: str) -> None:
        nonlocal last
        now = time.process_time()
        told[what], last = round(now - last, 2), now

    from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, LlamaForCausalLM  # noqa: F401

    lap("importing torch and transformers")
    from backends.interfaces import GenerationRequest
    from backends.study.file import read_study
    from backends.text.models import LanguageModels
    from cache.evaluate.gather_text import greedy_beginning, score_items

    lap("importing everything else")
    study = read_study(path)
    models = LanguageModels("cpu")
    models.add(study.original)
    lap("loading")
    name, protocol = study.original.name, study.protocol
    probes = [probe for each in study.probe_sets for probe in each.probes]
    items = [item for probe in probes for item in score_items(probe).values()]
    count = _Tokens(models)
    scored = {part.index: part.scores for part in models.score(name, items, lambda: False, protocol)}
    lap("scoring")
    scored_tokens = count.taken()
    ends = models.end_ids(name, protocol)
    begun = {
        items[index].prompt: greedy_beginning(scores, ends)[0]
        for index, scores in scored.items()
        if items[index].alternatives
    }
    requests = [
        GenerationRequest(name, probe.prompt, guess=begun.get(probe.prompt, ()))
        for probe in probes
        if probe.role != "holdout"
    ]
    parts = models.generate(requests, study.decoding, lambda: False, protocol)
    tokens = sum(part.answer.n_tokens for part in parts if part.done)
    lap("writing")
    print(json.dumps(told))
    print(f"scored {len(items)} answers: {scored_tokens[0]} tokens in {scored_tokens[1]} passes")
    taken = count.taken()
    print(f"wrote {len(requests)} answers of {tokens} tokens: {taken[0]} tokens in {taken[1]} passes")
    _print_steps(models, name, probes[0].prompt)


def _print_steps(models: LanguageModels, name: str, prompt: str) -> None:
    """CPU milliseconds of one more token for so many answers to a prompt, all of them after the same tokens."""
    import torch

    from backends.text.running_batch import RunningBatch, RunningRow

    family = models._families[models._family_of[name]]
    ids = family.tokenizer.prompt_ids(prompt, "", "open-unlearning", (), "")
    for count in STEPS_OF:
        batch = RunningBatch(family.module, most_new=MOST, pad_id=0, device="cpu", unseen=frozenset())
        batch.join([RunningRow(each, ids, [], [], None, torch.Generator()) for each in range(count)])
        seconds = []
        for _ in range(STEPS):
            started = time.process_time()
            batch.step(batch.following.argmax(-1))
            seconds.append(time.process_time() - started)
        print(f"a step of {count} answers: {1000 * sorted(seconds)[STEPS // 2]:.0f} CPU ms")


class _Tokens:
    """Counts what goes through a model."""

    def __init__(self, models: object) -> None:
        family = next(iter(models._families.values()))  # type: ignore[attr-defined]
        self._count = [0, 0]
        family.module.get_input_embeddings().register_forward_hook(self._note)

    def _note(self, _module: object, given: Sequence[object], _made: object) -> None:
        self._count[0] += given[0].numel()  # type: ignore[attr-defined]
        self._count[1] += 1

    def taken(self) -> tuple[int, int]:
        """Tokens and passes since the last time."""
        tokens, passes = self._count
        self._count[:] = [0, 0]
        return tokens, passes


if __name__ == "__main__":
    main()
