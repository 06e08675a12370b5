"""How far an evaluation is, told after every cell, and what was done of each probe set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cache.store.keys import Kind


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one kind of evidence of one model on one probe set is; `done` counts what was stored before, too.

    `loading` says that the model is being loaded for it.
    """

    model: str
    probe_set: str
    kind: Kind
    done: int
    total: int
    loading: bool = False


OnProgress = Callable[[Progress], None]


class Counter:
    """Counts pieces of evidence of one kind and reports every change.

    Args:
        done: stored before.
        total: that are needed.
        report: called with what is counted now, and whether the model is being loaded.
    """

    def __init__(self, done: int, total: int, report: Callable[[int, int, bool], None]) -> None:
        self.added = 0
        self._done = done
        self._total = total
        self._report = report
        self.tell()

    @property
    def complete(self) -> bool:
        """Nothing is missing any more."""
        return self._done + self.added >= self._total

    def add(self, count: int) -> None:
        """So many more are done."""
        self.added += count
        self.tell()

    def loading(self) -> None:
        """The model is being loaded."""
        self._report(self._done + self.added, self._total, True)

    def tell(self) -> None:
        """Report what is counted now."""
        self._report(self._done + self.added, self._total, False)


@dataclass(slots=True)
class SetWork:
    """What was done of one probe set.

    Attributes:
        gathered: pieces of evidence.
        seconds: that it took.
        notes: of the models, on what happened meanwhile.
        recorded: its run is stored.
    """

    gathered: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    recorded: bool = False
