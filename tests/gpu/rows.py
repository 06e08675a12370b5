"""Rows of the table: what a check says, whether that is within its limit, and checks that never stop each other.

Knows nothing about models.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from backends.extras import MissingPackages

OURS = ("app", "backends", "cache", "tests")
Verdict = Literal["pass", "FAIL", "measured", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check says.

    Attributes:
        result: in a few words, with units.
        limit: what was asked, "" where a number is only measured.
        verdict: whether the limit was kept.
    """

    result: str
    limit: str = ""
    verdict: Verdict = "measured"


@dataclass(frozen=True, slots=True)
class Check:
    """One row before it is known: its name, what finds it out, and how many seconds that may take."""

    name: str
    work: Callable[[], Outcome]
    seconds: float = 45.0


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    outcome: Outcome
    seconds: float


class Skipped(Exception):
    """What a check needs is not here; the message says what."""


class OutOfTime(BaseException):
    """A check took longer than it may. No `Exception`: the libraries catch those widely."""


def within(value: float, limit: float, unit: str = "", what: str = "") -> Outcome:
    """A number that must not be above its limit; one that is no number is above every limit."""
    verdict: Verdict = "pass" if value <= limit else "FAIL"
    return Outcome(f"{value:.2g}{unit}{what}", f"at most {limit:g}{unit}", verdict)


def same(count: int, total: int, what: str) -> Outcome:
    """So many of so many are equal, which all must be."""
    return Outcome(f"{count} of {total} {what}", "all", "pass" if count == total else "FAIL")


def run_check(check: Check, left: float, slower: float = 1.0) -> Row:
    """The row of a check; whatever goes wrong in it becomes the row.

    Args:
        check: what to find out.
        left: seconds until the whole run has to end.
        slower: how many times as long as usual it may take.
    """
    if left <= 0:
        return Row(check.name, Outcome("the time for all checks was over", verdict="skipped"), 0.0)
    allowed = min(slower * check.seconds, left)
    started = time.perf_counter()
    try:
        with _at_most(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' own; they would tear the table apart
            outcome = check.work()
    except Skipped as reason:
        outcome = Outcome(str(reason), verdict="skipped")
    except MissingPackages as error:
        outcome = Outcome(str(error), verdict="skipped")
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        ours = missing in OURS
        said = f"there is no module {error.name}" if ours else f"the package {missing} is not installed"
        outcome = Outcome(said, verdict="FAIL" if ours else "skipped")
    except OutOfTime:
        outcome = Outcome(f"not done after {allowed:.0f} s", f"{allowed:.0f} s", "FAIL")
    except Exception as error:  # one check must not stop the others
        first = (str(error).strip().splitlines() or [""])[0][:200]
        outcome = Outcome(f"{type(error).__name__}: {first}", verdict="FAIL")
    return Row(check.name, outcome, time.perf_counter() - started)


def as_table(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = ["| check | result | limit | | s |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (row.name, row.outcome.result, row.outcome.limit, row.outcome.verdict, f"{row.seconds:.1f}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises OutOfTime in the block when it takes longer; only where the system can, in the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
