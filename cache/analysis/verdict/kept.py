"""Verdicts as the store keeps them: paired tests of every number of every model take a second of a small study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from backends.study import Study
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.findings import Comparison, Finding
from cache.analysis.verdict.rules import Verdict
from cache.analysis.verdict.verdicts import verdicts
from cache.store import Store, keys

VERSION = 4
"""Grows with every change of the findings themselves: of what is asked, by which test, and how it is decided."""


def kept_verdicts(study: Study, board: Scoreboard, store: Store) -> Mapping[str, Verdict]:
    """The verdict on every model of a study that has numbers, by name; derived where they are not kept.

    Args:
        study: the study, with its thresholds.
        board: its numbers.
        store: where verdicts on the same numbers by the same thresholds are looked for and kept.
    """
    if not board.stamp:
        return verdicts(study, board)
    key = keys.digest(["verdict", VERSION, board.stamp, list(astuple(study.verdict))])
    kept = store.memo(key)
    if kept is not None:
        return _unpack(kept)
    made = verdicts(study, board)
    store.put_memo(key, _pack(made))
    return made


def _pack(made: Mapping[str, Verdict]) -> bytes:
    return json.dumps({name: [_fields(each) for each in v.findings] for name, v in made.items()}).encode()


def _fields(finding: Finding) -> list[Any]:
    measured = None if finding.measured is None else list(finding.measured)
    numbers = (finding.excess, finding.low, finding.high, finding.threshold, finding.needed)
    return [finding.question, finding.outcome, measured, *numbers]


def _unpack(payload: bytes) -> dict[str, Verdict]:
    return {
        name: Verdict(name, tuple(_finding(*each) for each in found))
        for name, found in json.loads(payload).items()
    }


def _finding(question: Any, outcome: Any, measured: list[Any] | None, *numbers: Any) -> Finding:
    return Finding(question, outcome, None if measured is None else Comparison(*measured), *numbers)
