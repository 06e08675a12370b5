"""Checkpoints of a method as one: it stands for the checkpoint that did best. Pure functions over verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cache.analysis.verdict.rules import Verdict, best_first, order


@dataclass(frozen=True, slots=True)
class Method:
    """A method and the verdicts on its checkpoints.

    Attributes:
        name: of the method, or of the model where it has none.
        best: the checkpoint that stands for it.
        others: its other checkpoints, the best first.
    """

    name: str
    best: Verdict
    others: tuple[Verdict, ...] = ()

    @property
    def checkpoints(self) -> tuple[Verdict, ...]:
        """All of them, the best first."""
        return (self.best, *self.others)


def by_method(verdicts: Iterable[Verdict], method_of: Mapping[str, str]) -> list[Method]:
    """Methods, the best first.

    A checkpoint that has not forgotten is a stage on the way. So a method stands for the best of those that do not say
    it any longer, as far as their numbers go, even where an earlier one did less harm; one that never got so far stands
    for its best.

    Args:
        verdicts: on unlearned models.
        method_of: name of a model -> its method.
    """
    held: dict[str, list[Verdict]] = {}
    for each in verdicts:
        held.setdefault(method_of[each.model], []).append(each)
    return sorted((_folded(name, each) for name, each in held.items()), key=lambda method: order(method.best))


def _folded(name: str, checkpoints: list[Verdict]) -> Method:
    inorder = best_first(checkpoints)
    best = next((each for each in inorder if _no_longer_says_it(each)), inorder[0])
    return Method(name, best, tuple(each for each in inorder if each is not best))


def _no_longer_says_it(verdict: Verdict) -> bool:
    return verdict.forgetting not in ("not forgotten", "not tested") and not verdict.finding("says").leans
