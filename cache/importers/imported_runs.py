"""Imported runs as a whole: put in, brought up to date with each other, and notes on a collection.

`cache.results` keeps single runs; what hangs on several of them (which retained run is the reference, forget quality
against it, runs that say the same) is here, and is the same in whatever order the files came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backends.errors import StoreError
from cache.analysis.board import Board
from cache.importers import references
from cache.importers.references import NAMED_LOG, Reference
from cache.store import Store
from cache.store.results import (
    CHOSEN,
    COMPUTED,
    NOTES,
    ImportChanges,
    ImportedRun,
    collections,
    example_sums,
    examples,
    has_any,
    put_results,
    runs_of,
    settings_of,
    update_results,
)

Ratios = NDArray[np.float64]
_OF_ROWS = ("table", "MUSE")
"""Tools whose runs are rows of few numbers, which may well be equal."""
LEAST_METRICS = 2


def put_runs(store: Store, results: Sequence[ImportedRun]) -> ImportChanges:
    """Keep runs and bring their collections up to date.

    Raises:
        StoreError: the store cannot be written.
    """
    changed = put_results(store, [references.without_computed(each) for each in results])
    bring_up_to_date(store, {each.collection for each in results})
    return changed


def bring_up_to_date(store: Store, names: Iterable[str]) -> None:
    """Measure the forget quality that files lack against the reference of each collection."""
    for name in sorted(set(names)):
        if not has_any(store, name, retained=True, settings=[COMPUTED], not_of=[]):
            continue
        held = runs_of(store, name)
        keys = {id(each): key for key, each in held.items()}
        done = references.completed(list(held.values()), _reader(store, keys), _identity(keys))
        changed = {
            key: after for (key, before), after in zip(held.items(), done, strict=True) if after is not before
        }
        update_results(store, changed)


def reference(store: Store, collection: str) -> Reference:
    """The retained run that the runs of a collection are compared with."""
    if not has_any(store, collection, retained=True, settings=[], not_of=[]):
        return Reference(None)
    held = runs_of(store, collection)
    return references.reference_of(
        list(held.values()), _reader(store, {id(each): key for key, each in held.items()})
    )


def choose_reference(store: Store, collection: str, run: str) -> None:
    """Make a retained run of a collection its reference; with "" the choice is taken back.

    Args:
        store: keeps them.
        collection: whose runs are compared.
        run: name of the retained run, or its folder where several have one name.

    Raises:
        StoreError: the collection has no such retained run or several, or the store cannot be written.
    """
    held = runs_of(store, collection)
    if not held:
        known = ", ".join(repr(each.name) for each in collections(store)) or "none"
        raise StoreError(f"no collection is named {collection!r}", how=f"Available: {known}")
    retained = {key: each for key, each in held.items() if each.part == "retained"}
    meant = [key for key, each in retained.items() if run and run in (each.model, each.source, key)]
    if run and len(meant) != 1:
        names = [each.model for each in retained.values()]
        told = [each.model if names.count(each.model) == 1 else each.source for each in retained.values()]
        what = f"several retained runs of {collection!r} are named {run!r}"
        raise StoreError(
            what if meant else f"{run!r} is no retained run of {collection!r}",
            how=f"Choose one of: {', '.join(map(repr, told)) or 'there is none'}",
        )
    changed = {}
    for key, each in retained.items():
        settings = {name: value for name, value in each.settings.items() if name != CHOSEN}
        wanted = settings | ({CHOSEN: True} if key in meant else {})
        if wanted != each.settings:
            changed[key] = replace(each, settings=wanted)
    update_results(store, changed)
    bring_up_to_date(store, [collection])


def choices(store: Store) -> dict[str, str]:
    """Collection -> key of the retained run that a person chose as its reference, where one was chosen."""
    return {
        each.name: key
        for each in collections(store)
        if has_any(store, each.name, retained=False, settings=[CHOSEN], not_of=[])
        for key, run in runs_of(store, each.name).items()
        if run.settings.get(CHOSEN)
    }


def settle(store: Store, ours: Mapping[str, str], theirs: Mapping[str, str]) -> None:
    """Bring all collections up to date after runs of another store came, each with one chosen reference at most.

    Args:
        store: has the runs of both.
        ours: the choices before; they stay.
        theirs: the other store's choices, which count where we had none.

    Raises:
        StoreError: the store cannot be written.
    """
    for name in sorted({*ours, *theirs}):
        wanted = ours.get(name, theirs.get(name))
        changed = {}
        for key, run in runs_of(store, name).items():
            if bool(run.settings.get(CHOSEN)) != (key == wanted):
                settings = {each: value for each, value in run.settings.items() if each != CHOSEN}
                changed[key] = replace(run, settings=settings | ({CHOSEN: True} if key == wanted else {}))
        update_results(store, changed)
    bring_up_to_date(store, [each.name for each in collections(store)])


def collection_notes(store: Store, collection: str) -> list[str]:
    """What must be known before runs of a collection are compared: the reference, equal runs, the runs' own notes."""
    if not has_any(store, collection, retained=True, settings=[COMPUTED, NOTES], not_of=_OF_ROWS):
        return []
    held = runs_of(store, collection)
    keys = {id(each): key for key, each in held.items()}
    runs = list(held.values())
    read = _reader(store, keys)
    reference_run = references.reference_of(runs, read)
    said = [references.sentence(collection, reference_run)]
    said.append(_absent_logs(runs, reference_run, read))
    said += _equal_runs(store, held)
    told: dict[str, list[str]] = {}
    for each in runs:
        for note in each.notes:
            told.setdefault(note, []).append(each.model)
    said += [f"{_counted(names)}: {note}" for note, names in told.items()]
    return [each for each in said if each]


def without_intermediate_steps(store: Store, board: Board) -> Board:
    """A board of imported runs without the steps on the way of a retained model, which are no aim of anything.

    Of every training the last step stays, or the one that was chosen as reference.

    Args:
        store: knows the choices.
        board: as `results_board` gives it.
    """
    heads = board.heads
    places = [
        place
        for place, (part, line) in enumerate(zip(heads["part"], heads["line"], strict=True))
        if part == "retained" and line
    ]
    settings = settings_of(store, [str(heads["key"].iloc[place]) for place in places])
    best: dict[tuple[str, str], tuple[bool, float, int]] = {}
    for place in places:
        step, key = heads["step"].iloc[place], str(heads["key"].iloc[place])
        reached = math.inf if pd.isna(step) else float(step)
        training = str(heads["layer"].iloc[place]), str(heads["line"].iloc[place])
        found = bool(settings.get(key, {}).get(CHOSEN)), reached, place
        best[training] = max(best.get(training, found), found)
    kept = {place for *_, place in best.values()}
    keep = np.ones(len(board), bool)
    keep[[place for place in places if place not in kept]] = False
    return board.only(keep)


def _reader(store: Store, keys: dict[int, str]) -> Callable[[ImportedRun], Ratios | None]:
    """Reads a run's truth ratios from its examples, each once."""
    known: dict[str, Ratios | None] = {}

    def read(result: ImportedRun) -> Ratios | None:
        key = keys[id(result)]
        if key not in known:
            known[key] = references.ratios_of(replace(result, examples=examples(store, key)))
        return known[key]

    return read


def _identity(keys: dict[int, str]) -> Callable[[ImportedRun], str]:
    return lambda result: keys[id(result)]


def _absent_logs(
    runs: Sequence[ImportedRun], reference_run: Reference, ratios: Callable[[ImportedRun], Ratios | None]
) -> str:
    """Runs whose settings name a retained log that is not here, so that they are compared with another one."""
    if reference_run.run is None or reference_run.chosen:
        return ""
    retained = [each for each in runs if each.part == "retained" and ratios(each) is not None]
    absent = [
        each
        for each in runs
        if COMPUTED in each.settings
        and NAMED_LOG in each.settings
        and references.named_log(each, retained) is None
    ]
    if not absent:
        return ""
    logs = ", ".join(sorted({str(each.settings[NAMED_LOG]) for each in absent})[:3])
    return (
        f"{_counted([each.model for each in absent])}: the settings name the retained log {logs}, which was not "
        f"imported, so forget quality is measured against {reference_run.run.model}"
    )


def _equal_runs(store: Store, held: dict[str, ImportedRun]) -> list[str]:
    """Runs that say exactly the same; a retained one among them tells that nothing was unlearned, or files mixed up."""
    sums = example_sums(store, list(held))
    groups: dict[object, list[ImportedRun]] = {}
    for key, each in held.items():
        plain = references.without_computed(each)
        if each.tool in _OF_ROWS or (key not in sums and len(plain.metrics) < LEAST_METRICS):
            continue
        numbers = tuple((name, *map(repr, number)) for name, number in sorted(plain.metrics.items()))
        groups.setdefault((numbers, sums.get(key)), []).append(each)
    said = []
    for same in groups.values():
        if len(same) < 2:
            continue
        names = [each.model for each in same]
        kept = [each.model for each in same if each.part == "retained"]
        rest = [each.model for each in same if each.part != "retained"]
        if kept and rest:
            said.append(
                f"{_counted(rest)}: equals the retained run {kept[0]} in every number; was the wrong folder evaluated?"
            )
        if len(rest) > 1 or not kept:
            said.append(
                f"{_counted(rest or names)}: have exactly the same numbers; were files copied or mixed up?"
            )
    return said


def _counted(names: Sequence[str], most: int = 3) -> str:
    """`A, B, C and 5 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
