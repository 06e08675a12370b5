"""Forget quality of imported runs: which retained run they are compared with, and the test itself.

A collection may hold several retained runs: checkpoints on the way of its training, other seeds. The person's choice is
the reference, or else the log that a run's own settings name, or else the last checkpoint. What is computed here is no
part of what the files say: it is recomputed whenever a retained run comes or another one is chosen, so that the order
of imports does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from backends.metrics.study_level import forget_quality
from cache.store.results import CHOSEN, COMPUTED, LOG, LOG_KEY, ImportedRun, MetricNumber

RATIO = "forget/raw_truth_ratio"
"""Column of the examples that forget quality is made of; no metric of its own."""
QUALITY = "forget/forget_quality"
NAMED_LOG = "retain_logs_path"
"""Setting with the log that the tool was told to compare with."""

Ratios = Callable[[ImportedRun], NDArray[np.float64] | None]
Identity = Callable[[ImportedRun], str]
_GENERIC = ("eval", "evals", "results")


@dataclass(frozen=True, slots=True)
class Reference:
    """The retained run of a collection that the others are compared with.

    Attributes:
        run: the reference; None where no retained run has truth ratios.
        others: retained runs with other truth ratios, which are no reference.
        why: in words.
        chosen: by the person, and so before what the runs' own settings name.
    """

    run: ImportedRun | None
    others: tuple[ImportedRun, ...] = ()
    why: str = ""
    chosen: bool = False


def ratios_of(result: ImportedRun) -> NDArray[np.float64] | None:
    """Truth ratios r of the forget examples, as the test of forget quality takes them; None if there are none."""
    if RATIO not in result.examples:
        return None
    held: NDArray[np.float64] = result.examples[RATIO].dropna().to_numpy(float)
    return held if len(held) else None


def reference_of(results: Sequence[ImportedRun], ratios: Ratios = ratios_of) -> Reference:
    """The reference of a collection's runs.

    Args:
        results: runs of one collection.
        ratios: gives a run's truth ratios.
    """
    retained = [
        (each, held) for each in results if each.part == "retained" and (held := ratios(each)) is not None
    ]
    if not retained:
        return Reference(None)
    chosen = [pair for pair in retained if pair[0].settings.get(CHOSEN)]
    # The last of every training; of several trainings the one with the plainest name, so that nothing hangs on order.
    ordered = sorted(retained, key=lambda pair: (*_training(pair[0]), -_reached(pair[0]), pair[0].source))
    run, own = (chosen or ordered)[0]
    others = tuple(
        each for each, held in ordered if each is not run and not np.array_equal(np.sort(held), np.sort(own))
    )
    if chosen:
        why = "chosen"
    elif len({_training(each) for each, _ in retained}) > 1:
        why = "the one of several retained runs with the shortest name, at its last step"
    else:
        why = "the last step of the retained run" if others else "the only retained run"
    return Reference(run, others, why, bool(chosen))


def completed(
    results: Sequence[ImportedRun], ratios: Ratios = ratios_of, identity: Identity = lambda result: result.key
) -> list[ImportedRun]:
    """The same runs with the forget quality that their files lack.

    Args:
        results: runs of one collection.
        ratios: gives the truth ratios of one of these; asked for only where they are needed.
        identity: gives the key of one of these.
    """
    usual = reference_of(results, ratios)
    retained = [each for each in results if each.part == "retained" and ratios(each) is not None]
    keys: dict[int, str] = {}
    done = []
    for result in results:
        plain = without_computed(result)
        run = reference_for(plain, usual, retained)
        if run is None or QUALITY in plain.metrics:
            done.append(plain)
            continue
        key = keys.get(id(run)) or keys.setdefault(id(run), identity(run))
        if result.settings.get(LOG_KEY) == key and QUALITY in result.metrics:
            done.append(result)
            continue
        ours, theirs = ratios(result), ratios(run)
        if ours is None or theirs is None:
            done.append(plain)
            continue
        value = MetricNumber(forget_quality(ours, theirs), n=float(len(ours)))
        told = {LOG: run.source or run.model, LOG_KEY: key, COMPUTED: QUALITY}
        done.append(
            replace(plain, metrics={**plain.metrics, QUALITY: value}, settings={**plain.settings, **told})
        )
    return done


def without_computed(result: ImportedRun) -> ImportedRun:
    """The run as its files have it."""
    if not {LOG, LOG_KEY, COMPUTED} & set(result.settings):
        return result
    # Earlier versions noted the log alone.
    computed = result.settings.get(COMPUTED, QUALITY if LOG in result.settings else None)
    return replace(
        result,
        metrics={name: number for name, number in result.metrics.items() if name != computed},
        settings={
            name: value for name, value in result.settings.items() if name not in (LOG, LOG_KEY, COMPUTED)
        },
    )


def sentence(collection: str, reference: Reference) -> str:
    """What forget quality is measured against, for people; "" where there was nothing to choose."""
    if reference.run is None or not reference.others:
        return ""
    others = len(reference.others)
    return (
        f"forget quality is measured against {reference.run.model} ({reference.why}); {others} other "
        f"retained {'run' if others == 1 else 'runs'} of {collection} can be chosen instead, and "
        "intermediate steps are not shown"
    )


def _training(result: ImportedRun) -> tuple[int, str]:
    """What the checkpoints of one training share; shorter names come first."""
    name = result.line or result.model
    return len(name), name


def _reached(result: ImportedRun) -> float:
    """How far its training was; a run without step is a finished one."""
    return math.inf if result.step is None else result.step


def reference_for(
    result: ImportedRun, usual: Reference, retained: Sequence[ImportedRun]
) -> ImportedRun | None:
    """The retained run that a run is compared with: the person's choice, the one that it names, the default."""
    if usual.run is None or usual.chosen or NAMED_LOG not in result.settings:
        return usual.run
    return named_log(result, retained) or usual.run


def named_log(result: ImportedRun, retained: Sequence[ImportedRun]) -> ImportedRun | None:
    """The retained run whose log the run's settings name; None where none does or it is not here."""
    named = str(result.settings.get(NAMED_LOG, ""))
    folder = PurePath(named.replace("\\", "/")).parts[:-1]
    wanted = tuple(part for part in folder if part not in ("/", ".", ".."))
    best, length = None, 1 if not wanted or wanted[-1] in _GENERIC else 0
    for each in sorted(retained, key=lambda one: one.source):
        place = str(each.source or PurePath(str(each.settings.get("uploaded", ""))))
        common = _common(wanted, PurePath(place.replace("\\", "/")).parts)
        if common > length:
            best, length = each, common
    return best


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Folder names that both paths end with."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count
