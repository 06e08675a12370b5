"""How accurate a study's judges are on real pictures: asked once for each judge, read by pages without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backends.checkpoints.hub import is_on_hub
from backends.errors import CheckpointError, StudyError
from backends.image.judges.accuracy import (
    JudgeAccuracy,
    accuracy_from_json,
    judgements_json,
    read_judgements,
)
from backends.interfaces import Judge
from backends.pool import ModelPool
from backends.study import NUDENET, JudgeSpec, Study
from backends.study.targets import concepts_to_forget
from cache.store import keys, values
from cache.store.interface import Store
from cache.store.keys import Context
from cache.store.reading import judges_digest


def check_judge_files(study: Study) -> None:
    """Raises CheckpointError where a judge's folder or file is missing: its metrics would silently have no value."""
    for spec in study.judges:
        if spec.path != NUDENET and not is_on_hub(spec.path) and not Path(spec.path).exists():
            raise CheckpointError(
                f"there is no such judge of {spec.domain}",
                where=spec.path,
                how="Check the path in [[judges]]",
            )


def judge_notes(judges: Sequence[Judge]) -> list[str]:
    """What loading the judges did and left out, in sentences that name them."""
    return [f"Judge of {judge.domain}: {note}" for judge in judges for note in judge.notes]


def check_judges(study: Study, store: Store, pool: ModelPool) -> None:
    """Check that every judge knows a concept of the study, and ask those that name real pictures about them, once.

    Raises:
        StudyError: a judge has other labels than the study has concepts.
        StudyError: the folder of real pictures is missing, empty, or has a class that the judge does not know.
        StoreError: what was said cannot be kept.
    """
    for spec in study.judges:
        _check_labels(study, spec, pool.judges([spec])[0].classes)
        if not spec.real or Path(spec.real).is_file() or judge_accuracy(store, spec) is not None:
            continue
        from backends.image.judges.measuring import judgements_of

        said = judgements_of(pool.judges([spec])[0], Path(spec.real))
        store.put_values(store.register(_context(spec)), {values.ONLY: judgements_json(*said)})


def _check_labels(study: Study, spec: JudgeSpec, classes: Sequence[str]) -> None:
    domain = spec.domain
    probes = [probe for each in study.probe_sets for probe in each.probes]
    asked = {probe.concepts[domain] for probe in probes if domain in probe.concepts}
    asked |= {concept for name, concept in concepts_to_forget(study) if name == domain}
    if asked and classes and asked.isdisjoint(classes):
        raise StudyError(
            f"the judge of {domain} knows none of the study's concepts: it has {', '.join(list(classes)[:3])}, "
            f"and the probes ask for {', '.join(sorted(asked)[:3])}",
            where=spec.path,
            how='Give its labels the study\'s names with labels = { "theirs" = "ours" }',
        )


def judge_accuracy(store: Store, spec: JudgeSpec) -> JudgeAccuracy | None:
    """The judge's accuracy on real pictures, or None where it was not asked yet or has none to be asked about."""
    if not spec.real:
        return None
    if Path(spec.real).is_file():
        return read_judgements(Path(spec.real))
    return accuracy_from_json(judgements_of_real(store, spec))


def judgements_of_real(store: Store, spec: JudgeSpec) -> object:
    """What the judge said of a folder of real pictures, as it is kept; None where it was not asked."""
    asked = _context(spec)
    of_before = replace(asked, fingerprint="")
    kept = values.kept(store, (asked, of_before))
    return (kept[asked] or kept[of_before]).get(values.ONLY)


def _context(spec: JudgeSpec) -> Context:
    pictures = sorted(path for path in Path(spec.real).rglob("*") if path.is_file())
    names = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in pictures]
    judge = judges_digest([spec])
    return values.judges_context(judge, keys.digest([judge, names]))
