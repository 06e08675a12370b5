"""A few probes that show what a verdict means, chosen by stated rules from per-probe values. Knows no answers.

What a model states is 0 or 1 a probe, or a share of several answers; half and more counts as stated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pandas as pd

from backends.study import Study
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.methods import Method
from cache.analysis.verdict.questions import CLOSER, PROBABILITY
from cache.analysis.verdict.rules import Verdict

Rule = Literal["leak", "hide", "kept", "lost", "damage"]
RULES: Mapping[Rule, str] = {
    "leak": "Of the methods that no longer say most of it: the forget probe with most left, beyond the retained model.",
    "hide": "Of the methods that hide: a forget probe not answered, and best known beyond the retained model.",
    "kept": "Of the best choice: the neighbour (or else retain) probe that it still answers, with most confidence.",
    "lost": "Of the best choice: the neighbour (or else retain) probe that it no longer answers and lost most of.",
    "damage": "Of the method that did most harm: the neighbour or retain probe that it lost most of.",
}
STATED = 0.5
LEAST = 0.01
"""What is less than this beyond the retained model is no leak."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A probe that shows something of a model.

    Attributes:
        rule: by which it was chosen.
        model: name of the model that it shows.
        probe: id of the probe.
        key: the metric whose value tells.
        value: the model's.
        base: the retained model's, or the original's; NaN where it has none.
    """

    rule: Rule
    model: str
    probe: str
    key: str
    value: float
    base: float


@dataclass(frozen=True, slots=True)
class _Values:
    study: Study
    board: Scoreboard

    @property
    def yardstick(self) -> str:
        of = self.study.retained
        return (
            of.name
            if of is not None and of.name in set(self.board.frame["model"])
            else self.study.original.name
        )

    def of(self, model: str, key: str) -> pd.DataFrame:
        """Columns value and base by probe, of probes that both have; empty where there are none."""
        frame = pd.DataFrame(
            {
                "value": self.board.per_probe(model, key),
                "base": self.board.per_probe(self.yardstick, key, under=model),
            }
        )
        return frame.dropna()


def telling(study: Study, board: Scoreboard, methods: Sequence[Method]) -> list[Telling]:
    """At most five probes, one a rule; a rule without a probe that fits is left out.

    Args:
        study: the study.
        board: its numbers.
        methods: the best first; each is shown by the checkpoint that stands for it.
    """
    values = _Values(study, board)
    best = [method.best for method in methods]
    found = (
        _leak(values, [each for each in best if each.forgetting in ("forgotten", "undecided")]),
        _hide(values, [each for each in best if each.kind == "hidden"]),
        _kept(values, best[:1]),
        _lost(values, "lost", best[:1]),
        _lost(
            values, "damage", [each for each in reversed(best[1:]) if each.harm in ("destroyed", "damaged")]
        ),
    )
    return [each for each in found if each is not None]


def telling_of(study: Study, board: Scoreboard, verdict: Verdict) -> Telling | None:
    """The probe that shows the verdict on one model best; None where no probe does.

    Of a destroyed one what it lost most, of a hidden one the clearest hiding, else the worst leak, else what it
    lost, else what it kept.
    """
    values, of = _Values(study, board), [verdict]
    lost, leak = partial(_lost, values, "damage", of), partial(_leak, values, of)
    first = {"destroyed": lost, "hidden": partial(_hide, values, of)}.get(verdict.kind, leak)
    return first() or leak() or lost() or _kept(values, of)


def _leak(values: _Values, claim: Sequence[Verdict]) -> Telling | None:
    """By sampling, else by answering, else by the probability of the answer."""
    for key in _keys(claim, "leaks", "says", also=PROBABILITY):
        found = []
        for each in claim:
            frame = values.of(each.model, key)
            frame = frame[frame["value"] - frame["base"] >= LEAST]
            if len(frame):
                probe = (frame["value"] - frame["base"]).idxmax()
                found.append(_telling("leak", each.model, probe, key, frame))
        if found:
            return max(found, key=lambda each: each.value - each.base)
    return None


def _hide(values: _Values, hidden: Sequence[Verdict]) -> Telling | None:
    for key, sign in ((PROBABILITY, 1), (CLOSER, -1)):
        found = []
        for each in hidden:
            frame = values.of(each.model, key)
            said = _stated(values, each, "says")
            frame = frame[[not said.get(str(probe), False) for probe in frame.index]]
            if len(frame):
                beyond = sign * (frame["value"] - frame["base"])
                found.append(_telling("hide", each.model, beyond.idxmax(), key, frame))
        if found:
            return max(found, key=lambda each: sign * (each.value - each.base))
    for each in hidden:  # nothing tells one probe from another: any that it does not say
        for key in _keys([each], "says"):
            frame = values.of(each.model, key)
            frame = frame[frame["value"] < STATED]
            if len(frame):
                return _telling("hide", each.model, frame.index[0], key, frame)
    return None


def _kept(values: _Values, best: Sequence[Verdict]) -> Telling | None:
    for each in best:
        for key in _keys([each], "neighbour", "retain"):
            frame = values.of(each.model, key)
            frame = frame[(frame["value"] >= STATED) & (frame["base"] >= STATED)]
            if len(frame):
                sure = values.of(each.model, _likelihood(key))["value"].reindex(frame.index)
                probe = sure.idxmax() if sure.notna().any() else frame.index[0]
                return _telling("kept", each.model, probe, key, frame)
    return None


def _lost(values: _Values, rule: Rule, of: Sequence[Verdict]) -> Telling | None:
    for each in of:
        for key in _keys([each], "neighbour", "retain"):
            frame = values.of(each.model, key)
            frame = frame[(frame["value"] < STATED) & (frame["base"] >= STATED)]
            if len(frame):
                sure = values.of(each.model, _likelihood(key)).reindex(frame.index)
                drop = sure["base"] - sure["value"]
                probe = drop.idxmax() if drop.notna().any() else (frame["base"] - frame["value"]).idxmax()
                return _telling(rule, each.model, probe, key, frame)
    return None


def _telling(rule: Rule, model: str, probe: object, key: str, frame: pd.DataFrame) -> Telling:
    row = frame.loc[probe]
    row = row.iloc[0] if isinstance(row, pd.DataFrame) else row
    return Telling(rule, model, str(probe), key, float(row["value"]), float(row["base"]))


def _stated(values: _Values, verdict: Verdict, question: Literal["says"]) -> dict[str, bool]:
    return {
        str(probe): value >= STATED
        for key in _keys([verdict], question)
        for probe, value in values.board.per_probe(verdict.model, key).items()
        if not math.isnan(value)
    }


def _keys(verdicts: Iterable[Verdict], *questions: str, also: str = "") -> list[str]:
    """Metrics that answered these questions, in the order of the questions."""
    held = list(verdicts)
    keys = [
        found.measured.key
        for question in questions
        for each in held
        for found in each.findings
        if found.question == question and found.measured is not None
    ]
    return list(dict.fromkeys([*keys, *([also] if also else [])]))


def _likelihood(key: str) -> str:
    return f"{key.partition('/')[0]}/probability"
