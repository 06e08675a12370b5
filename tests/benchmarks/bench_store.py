"""What the store costs: a cell written, one probe of all models read, the scoreboard cold and warm, against JSON files.

    python -m tests.benchmarks.bench_store [models] [probes]

Random evidence of the demo's size: 25 models, 240 probes, 7 scored answers each. Ratios within one run count.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from backends.evidence import TextEvidence
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from cache.analysis.scoreboard import evidence_for, scoreboard
from cache.evaluate.gather_text import in_cells
from cache.store import Store, open_store
from cache.store.keys import answers_context, scores_context
from cache.store.merge import merge
from cache.store.reading import identity_to_read
from tests.filled_store import _answer, _scores, text_study


def main(n_models: int = 25, n_probes: int = 240) -> None:
    """Print the table."""
    study = big_study(n_models, n_probes)
    made = {spec.name: evidence(study, spec) for spec in study.models}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(folder / "evidence.sqlite")
        cells = sum(len(probe_set.probes) / 16 for probe_set in study.probe_sets) * n_models * 2
        writing, _ = timed(lambda: write(study, store, made))
        writing_json, _ = timed(lambda: write_json(folder, made))
        probe = study.probe_sets[0].probes[3]
        one, _ = timed(lambda: read_one(study, store, probe), 5)
        one_json, _ = timed(lambda: read_one_json(folder, study, probe))
        cold, _ = timed(lambda: scoreboard(study, store))
        warm, _ = timed(lambda: open_and_score(study, store.path), 5)
        store.seal()
        other = open_store(folder / "other" / "evidence.sqlite")
        absorbed, _ = timed(lambda: merge(other, store))
        again, _ = timed(lambda: merge(other, store), 5)
        size = store.path.stat().st_size
        size_json = sum(path.stat().st_size for path in folder.glob("*.json"))
    print(
        f"CPU time; {n_models} models x {n_probes} probes, {size / 1e6:.1f} MB (JSON {size_json / 1e6:.1f} MB)"
    )
    rows = [
        ("write one cell (16 probes)", writing / cells, None),
        ("write everything", writing, writing_json),
        ("read one probe of all models", one, one_json),
        ("scoreboard, first time", cold, None),
        ("scoreboard, kept", warm, None),
        ("merge the whole store", absorbed, None),
        ("merge it again", again, None),
    ]
    for what, seconds, naive in rows:
        ratio = f"   JSON {naive * 1e3:9.1f} ms   {naive / seconds:6.1f} x" if naive else ""
        print(f"{what:30} {seconds * 1e3:9.1f} ms{ratio}")


def big_study(n_models: int, n_probes: int) -> Study:
    """The filled store's study, its probes and models repeated until there are enough."""
    small = text_study()
    per_set = n_probes // len(small.probe_sets)
    sets = [
        ProbeSet(s.name, s.role, tuple(_copy(s.probes[i % len(s.probes)], i) for i in range(per_set)))
        for s in small.probe_sets
    ]
    specs = [small.models[i % len(small.models)] for i in range(n_models)]
    models = tuple(_renamed(spec, i) for i, spec in enumerate(specs))
    return replace(small, models=models, probe_sets=tuple(sets), decoding=Decoding(max_new_tokens=32))


def evidence(study: Study, spec: ModelSpec) -> list[tuple[Probe, TextEvidence, TextEvidence]]:
    """Probe, its scores, its answer."""
    random = np.random.default_rng(len(spec.name))
    return [
        (probe, TextEvidence(_scores(probe, spec, random)), TextEvidence({}, (_answer(probe, spec, random),)))
        for probe_set in study.probe_sets
        for probe in probe_set.probes
    ]


def write(
    study: Study, store: Store, made: dict[str, list[tuple[Probe, TextEvidence, TextEvidence]]]
) -> None:
    """Everything, in cells of 16 probes as an evaluation writes it."""
    for spec in study.models:
        known = identity_to_read(spec)
        scores = store.register(scores_context(known.fingerprint, known.tokenizer, "float32"))
        decoding = study.decoding
        answers = store.register(answers_context(known.fingerprint, known.tokenizer, decoding, 0, "float32"))
        for cell in in_cells(made[spec.name]):
            store.put_text(scores, [(probe.digest(), found) for probe, found, _ in cell])
            store.put_text(answers, [(probe.digest(), found) for probe, _, found in cell])


def write_json(folder: Path, made: dict[str, list[tuple[Probe, TextEvidence, TextEvidence]]]) -> None:
    """The naive way: one JSON file for each model."""
    for name, rows in made.items():
        content = {probe.id: [asdict(scores), asdict(answer)] for probe, scores, answer in rows}
        (folder / f"{name}.json").write_text(json.dumps(content, default=lambda array: array.tolist()))


def read_one(study: Study, store: Store, probe: Probe) -> None:
    """What Compare shows for one probe."""
    for spec in study.models:
        assert evidence_for(study, store, spec.name, [probe])


def read_one_json(folder: Path, study: Study, probe: Probe) -> None:
    """The same from JSON files."""
    for spec in study.models:
        assert json.loads((folder / f"{spec.name}.json").read_text())[probe.id]


def open_and_score(study: Study, path: Path) -> None:
    """What the first visit of Trade-offs does in a new process, imports aside."""
    store = open_store(path)
    scoreboard(study, store)
    store.close()


def timed(work: Callable[[], Any], times: int = 1) -> tuple[float, Any]:
    """CPU seconds of the quickest of several calls, and the last result."""
    best, result = float("inf"), None
    for _ in range(times):
        started = time.process_time()
        result = work()
        best = min(best, time.process_time() - started)
    return best, result


def _copy(probe: Probe, number: int) -> Probe:
    return replace(probe, id=f"{probe.id}-{number}", prompt=f"{probe.prompt} ({number})")


def _renamed(spec: ModelSpec, number: int) -> ModelSpec:
    named = replace(spec, name=f"{spec.name} {number}", fingerprint=f"{number:032x}:{'0' * 16}")
    return named if number < 2 or spec.method else replace(named, part="unlearned", method="NPO", step=2)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
