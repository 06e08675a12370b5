"""Checkpoints of a method as one: it stands for its best one that no longer says it. Pure functions over verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.study import Study
from backends.study.targets import target_names
from cache.analysis.verdict.rules import SEVEREST_FIRST, Verdict, order, share_lost

SAME_COST = 0.02
"""Shares lost that differ by less are the same cost."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method and the verdicts on its checkpoints.

    Attributes:
        name: of the method, or of the model where it has none.
        best: the checkpoint that stands for it, see `by_method`.
        others: its other checkpoints, the best first.
    """

    name: str
    best: Verdict
    others: tuple[Verdict, ...] = ()

    @property
    def checkpoints(self) -> tuple[Verdict, ...]:
        """All of them, the best first."""
        return (self.best, *self.others)


def study_methods(study: Study, verdicts: Mapping[str, Verdict]) -> list[Method]:
    """A study's methods that have verdicts, the best first; a model without a method stands for itself.

    Where models have targets of their own, a method is another one for each target: "ESD · neon".

    Args:
        study: the study.
        verdicts: by name of the model.
    """
    targets = target_names(study)
    method_of = {
        spec.name: " · ".join(part for part in (spec.method or spec.name, targets.get(spec.name)) if part)
        for spec in study.models
        if spec.part == "unlearned"
    }
    return by_method([verdict for name, verdict in verdicts.items() if name in method_of], method_of)


def by_method(verdicts: Iterable[Verdict], method_of: Mapping[str, str]) -> list[Method]:
    """Methods, the best first.

    A checkpoint that still says it, by its value, is a stage on the way: it is no candidate while another one no longer
    does. So a method stands for the best of those that do not say it any longer, even where an earlier one did less
    harm, and is "destroyed" where all of those are. One that never got so far stands for its best.

    Of candidates of one kind that cost the same (their worst losses differ by less than `SAME_COST`, or each is within
    the other's interval) it is the one of which more questions were answered, then the one that refuses or draws
    nothing recognisable less clearly, then the cheapest: a model that was tested more is the safer claim.

    Args:
        verdicts: on unlearned models.
        method_of: name of a model -> its method.
    """
    held: dict[str, list[Verdict]] = {}
    for each in verdicts:
        held.setdefault(method_of[each.model], []).append(each)
    return sorted((_folded(name, each) for name, each in held.items()), key=lambda method: order(method.best))


def _folded(name: str, checkpoints: list[Verdict]) -> Method:
    asked = {each.model: each for each in _alike(checkpoints)}
    inorder = sorted(checkpoints, key=lambda each: order(asked[each.model]))
    candidates = [each for each in inorder if _no_longer_says_it(each)] or inorder
    equals = [each for each in candidates if _equal(asked[each.model], asked[candidates[0].model])]
    best = min(equals, key=lambda each: (len(each.untested), -_refuses(each)))  # of equal ones the cheapest
    return Method(name, best, tuple(each for each in inorder if each is not best))


def _alike(checkpoints: Sequence[Verdict]) -> list[Verdict]:
    """The checkpoints as they compare: where some were attacked and others not, nobody's attacks count.

    Else a checkpoint that nobody attacked would stand for its method in the place of one that was.
    """
    if len({"attacked" in each.untested for each in checkpoints}) == 1:
        return list(checkpoints)
    return [
        replace(each, findings=tuple(found for found in each.findings if found.question != "attacked"))
        for each in checkpoints
    ]


def _no_longer_says_it(verdict: Verdict) -> bool:
    return verdict.forgetting not in ("not forgotten", "not tested") and not verdict.finding("says").leans


def _equal(one: Verdict, best: Verdict) -> bool:
    """Of one kind, at the same cost."""
    if one is best or one.kind != best.kind:
        return one is best
    ours, theirs = one.worst, best.worst
    if ours is None or theirs is None:
        return ours is theirs
    if abs(share_lost(ours) - share_lost(theirs)) < SAME_COST:
        return True
    return ours.question == theirs.question and (
        theirs.low <= ours.excess <= theirs.high and ours.low <= theirs.excess <= ours.high
    )


def _refuses(verdict: Verdict) -> int:
    """How clearly it does not refuse: a place in `SEVEREST_FIRST`, the larger the better."""
    return SEVEREST_FIRST.index(verdict.finding("refuses").outcome)
