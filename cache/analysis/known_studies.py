"""Which studies a cache has numbers of, without their study files: the newest scoreboard of each, by name and protocol.

A scoreboard is kept under a hash of all that it was computed from; here stands which of those is a study's newest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from backends.study import Study
from backends.study.targets import target_names
from cache.store import Store, keys

_PREFIX = "newest/"


@dataclass(frozen=True, slots=True)
class KnownStudy:
    """Where the newest numbers of a study are.

    Attributes:
        study: its name.
        protocol: how its language models were asked; "" for images.
        targets: model -> what it should have forgotten, where the models of the study differ in that.
        memo: key of its scoreboard's frame in the store.
    """

    study: str
    protocol: str
    targets: Mapping[str, str]
    memo: str


def note_newest(study: Study, store: Store, memo: str) -> None:
    """Keep that a study's newest scoreboard is the one under `memo`; nothing is written where that is known.

    Raises:
        StoreError: the store cannot be written.
    """
    protocol = study.protocol if study.modality == "text" else ""
    known = KnownStudy(study.name, protocol, target_names(study), memo)
    payload = json.dumps(asdict(known), sort_keys=True).encode()
    key = _PREFIX + keys.digest([study.name, protocol])
    if store.memo(key) != payload:
        store.put_memo(key, payload)


def known_studies(store: Store) -> list[KnownStudy]:
    """All studies that the store has a scoreboard of, by name."""
    kept = [store.memo(key) for key in store.memo_keys(_PREFIX)]
    result = [KnownStudy(**json.loads(payload)) for payload in kept if payload is not None]
    return sorted(result, key=lambda each: (each.study, each.protocol))
