"""`unlearnboard metrics`: list the metrics and how to read them."""

from __future__ import annotations

import argparse
import difflib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.cli.status import OK
from backends.errors import StudyError

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from backends.metrics import MetricCard

WAYS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "zero": "0 is best",
    "neutral": "neither is better",
}


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard metrics`."""
    parser = subparsers.add_parser(
        "metrics",
        help="list the metrics and how to read them",
        description="List the metrics, most trusted first; with keys, show their full cards.",
        allow_abbrev=False,
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="such as truth_ratio")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each metric")
    return parser


def run(options: argparse.Namespace) -> int:
    """Print what can be measured, or all about the metrics named."""
    for line in (json_listing if options.json else listing)(options.keys):
        print(line)
    return OK


def check_keys(keys: Sequence[str], where: str) -> None:
    """Raises StudyError where one of the keys is of no metric, with the nearest that is."""
    from backends.metrics import METRICS

    for key in keys:
        if key not in METRICS:
            close = difflib.get_close_matches(key, METRICS, n=1)
            how = f"Did you mean {close[0]!r}?" if close else "`unlearnboard metrics` lists them"
            raise StudyError(f"there is no metric {key!r}", where=where, how=how)


def listing(keys: Sequence[str] = ()) -> Iterator[str]:
    """A line for each metric, or the whole cards of those named."""
    from backends.metrics import METRICS

    check_keys(keys, "metrics")
    for key in keys:
        yield from _card(METRICS[key].card)
    if not keys:
        yield f"{'key':<26} {'of':<6} {'on forget probes':<17} {'range':<11} title"
        for key, metric in METRICS.items():
            card = metric.card
            yield (f"{key:<26} {card.modality:<6} {WAYS[card.on_forget]:<17} {_range(card):<11} {card.title}")


def json_listing(keys: Sequence[str] = ()) -> Iterator[str]:
    """The cards as JSON, one a line."""
    from backends.metrics import METRICS

    check_keys(keys, "metrics")
    for key in keys or METRICS:
        fields = asdict(METRICS[key].card)
        yield json.dumps({k: sorted(v) if isinstance(v, frozenset) else plain(v) for k, v in fields.items()})


def plain(value: object) -> object:
    """The value as JSON knows it: None for what is missing or not finite."""
    if value is None or value != value or type(value).__name__ == "NAType":
        return None
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _card(card: MetricCard) -> Iterator[str]:
    from backends.metrics.intervals import interval_method

    yield f"{card.title}  ({card.key})"
    yield f"  {card.reading}"
    facts = {
        "better": WAYS[card.elsewhere]
        if card.on_forget == card.elsewhere
        else f"{WAYS[card.on_forget]} on forget and holdout probes, {WAYS[card.elsewhere]} elsewhere",
        "range": _range(card),
        "ideal": card.ideal,
        "needs": ", ".join(card.needs) or "nothing else",
        "formula": card.formula,
        "source": card.source,
        "interval": str(interval_method(card)),
        "trust": card.trust or "not validated",
    }
    for name, words in facts.items():
        yield f"  {name + ':':<9} {words}"
    yield ""


def _range(card: MetricCard) -> str:
    return f"{card.low:g} to {'inf' if card.high is None else f'{card.high:g}'}"
