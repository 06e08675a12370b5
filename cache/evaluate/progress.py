"""How far an evaluation is, told after every cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cache.store.keys import Kind


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one kind of evidence of one model on one probe set is; `done` counts what was stored before, too."""

    model: str
    probe_set: str
    kind: Kind
    done: int
    total: int


OnProgress = Callable[[Progress], None]


class Counter:
    """Counts pieces of evidence of one kind and reports every change."""

    def __init__(self, done: int, total: int, report: Callable[[int, int], None]) -> None:
        self.added = 0
        self._done = done
        self._total = total
        self._report = report
        report(done, total)

    def add(self, count: int) -> None:
        """So many more are done."""
        self.added += count
        self._report(self._done + self.added, self._total)
