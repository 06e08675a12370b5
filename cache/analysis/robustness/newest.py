"""What is newest known of a study's models under attack, found without looking at any attack.

A ladder is kept under a hash of all that it was computed from (`kept`); here stands which of those is a model's newest,
and of which plain evidence, so that numbers and verdicts of a study find it by one look into the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from backends.study import Study
from cache.analysis.robustness.ladder import Rung
from cache.analysis.robustness.recovered import Recovered
from cache.store import Store, keys

_PREFIX = "attacked/"


def packed(rungs: tuple[Rung, ...]) -> list[dict[str, Any]]:
    """Rungs as JSON takes them."""
    return [{name: getattr(each, name) for name in Rung.__dataclass_fields__} for each in rungs]


def unpacked(kept: list[dict[str, Any]]) -> tuple[Rung, ...]:
    """What `packed` gave."""
    return tuple(
        Rung(**{**each, "found": Recovered(*each["found"]), "picked": tuple(each["picked"])}) for each in kept
    )


def note_newest(
    study: Study,
    store: Store,
    entries: Mapping[str, tuple[str, tuple[str, ...]]],
    made_of: Callable[[str], str],
) -> None:
    """Keep where the newest ladders of some models are; nothing is written where that is known.

    A ladder of some attacks does not take the place of one of the same evidence that has these and more.

    Args:
        study: the study.
        store: the cache.
        entries: model -> key of its kept ladder, and the attacks in it.
        made_of: what the plain values of a model are made of.

    Raises:
        StoreError: the store cannot be written.
    """
    known = _read(study, store)
    newest = dict(known)
    for name, (key, attacks) in entries.items():
        against = _against(study, name, made_of)
        _, then, earlier = known.get(name, ("", [], []))
        if then != against or set(earlier) <= set(attacks):
            newest[name] = [key, against, sorted(attacks)]
    if newest != known:
        store.put_memo(_key(study), json.dumps(newest, sort_keys=True).encode())


def attacked(
    study: Study, store: Store, made_of: Callable[[str], str]
) -> tuple[dict[str, tuple[Rung, ...]], str]:
    """Rungs of every model whose plain evidence, and that of original and retained model, is what it was then.

    Returns:
        By model, and what tells all of this from any other state; none and "" where nothing was tried.
    """
    known = {
        name: key
        for name, (key, against, _) in _read(study, store).items()
        if against == _against(study, name, made_of)
    }
    kept = store.memos(list(known.values()))
    found = {name: unpacked(json.loads(kept[key])["rungs"]) for name, key in known.items() if key in kept}
    return found, keys.digest(sorted(known.items())) if found else ""


def _read(study: Study, store: Store) -> dict[str, list[Any]]:
    payload = store.memo(_key(study))
    return {} if payload is None else dict(json.loads(payload))


def _key(study: Study) -> str:
    asked = [[each.role, [probe.digest() for probe in each.probes]] for each in study.probe_sets]
    return _PREFIX + keys.digest([study.name, study.protocol, study.decoding.key(), asked])


def _against(study: Study, name: str, made_of: Callable[[str], str]) -> list[str]:
    known = {spec.name for spec in study.models}
    retained = study.retained
    names = [study.original.name, *([retained.name] if retained is not None else []), name]
    return [made_of(each) if each in known else "" for each in names]
