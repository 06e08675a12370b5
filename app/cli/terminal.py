"""What a long run looks like in a terminal: one line for every model and probe set, Ctrl-C ends it cleanly."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from cache.evaluate.evaluation import Progress

BAR = 24


def printable(text: str) -> str:
    """The text on one line without control characters, which a terminal would obey."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


class ProgressLines:
    """Draws progress: a line that grows in a terminal, one finished line each in a file or pipe.

    Probe sets that are worked on at the same time share the line that grows.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._current = ("", "", False)
        self._sets: dict[str, Progress] = {}
        self._started = time.monotonic()
        self._first = 0  # what was stored before this line began

    def show(self, progress: Progress) -> None:
        """Draw how far the work is."""
        key = (progress.model, progress.kind, progress.loading)
        if key != self._current or (progress.probe_set not in self._sets and not self._open()):
            self._end_line()
            self._current, self._started, self._first, self._sets = key, time.monotonic(), 0, {}
        if progress.probe_set not in self._sets:
            self._first += progress.done
        self._sets[progress.probe_set] = progress
        if self._live:
            self._out.write(f"\r{self._line(list(self._sets.values()))}")
        elif progress.done >= progress.total and not progress.loading:
            self._out.write(f"{self._line([progress])}\n")
        self._out.flush()

    def close(self) -> None:
        """End the line that is being drawn."""
        self._end_line()
        self._current, self._sets = ("", "", False), {}

    def _line(self, shown: Sequence[Progress]) -> str:
        done, total = sum(each.done for each in shown), sum(each.total for each in shown)
        what = shown[0].probe_set if len(shown) == 1 else f"{len(shown)} probe sets"
        kind = "loading" if shown[0].loading else shown[0].kind
        names = f"{printable(shown[0].model):<24.24} {printable(what):<16.16} {kind:<9}"
        filled = BAR * done // max(total, 1)
        bar = "#" * filled + "." * (BAR - filled)
        seconds = time.monotonic() - self._started
        line = f"{names} {bar} {done:>4}/{total:<4} {seconds:5.0f} s"
        fresh = done - self._first if len(shown) == len(self._sets) else 0
        left = seconds * (total - done) / fresh if fresh > 0 else 0.0
        return line + (f", about {left:.0f} s left" if left >= 1 else " " * 20)  # over what was there

    def _open(self) -> bool:
        return any(each.done < each.total for each in self._sets.values())

    def _end_line(self) -> None:
        """The next line goes below this one, or in its place where nothing happened on it."""
        happened = self._current[2] or sum(each.done for each in self._sets.values()) > self._first
        if self._live and self._current[0] and (happened or not self._open()):
            self._out.write("\n")


class CountLine:
    """One line that counts in a terminal, on the error stream; nothing where nobody watches."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._width = 0
        self._drawn = 0.0

    def show(self, what: str, done: int, total: int) -> None:
        """Draw `pictures: 12 of 1,840`, ten times a second at most."""
        now = time.monotonic()
        if self._live and (now - self._drawn > 0.1 or done == total):
            line = f"{what}: {done:,} of {total:,}"
            self._width, self._drawn = max(self._width, len(line)), now
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Wipe the line out."""
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)


@contextmanager
def ctrl_c_flag() -> Iterator[Callable[[], bool]]:
    """Returns a function that tells whether Ctrl-C was pressed; a second Ctrl-C interrupts at once, as usual."""
    pressed = threading.Event()

    def note(_signal: int, _frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print(
            "\nStopping after the current batch; press Ctrl-C again to stop at once.",
            file=sys.stderr,
            flush=True,
        )

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
