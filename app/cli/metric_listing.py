"""The metrics and their values as lines of text or JSON, for `unlearnboard metrics` and `evaluate --json`."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict

from backends.errors import StudyError
from backends.metrics import METRICS, MetricCard
from cache.analysis.scoreboard import Scoreboard

WAYS = {"lower": "lower is better", "higher": "higher is better", "zero": "0 is best"}


def check_keys(keys: Sequence[str], where: str) -> None:
    """Raises StudyError where one of the keys is of no metric, with the nearest that is."""
    for key in keys:
        if key not in METRICS:
            close = difflib.get_close_matches(key, METRICS, n=1)
            how = f"Did you mean {close[0]!r}?" if close else "`unlearnboard metrics` lists them"
            raise StudyError(f"there is no metric {key!r}", where=where, how=how)


def listing(keys: Sequence[str] = ()) -> Iterator[str]:
    """A line for each metric, or the whole cards of those named."""
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
    check_keys(keys, "metrics")
    for key in keys or METRICS:
        fields = asdict(METRICS[key].card)
        yield json.dumps({k: sorted(v) if isinstance(v, frozenset) else _plain(v) for k, v in fields.items()})


def json_values(
    board: Scoreboard, models: Collection[str], metrics: Sequence[str] = (), protocol: str = "corrected"
) -> Iterator[str]:
    """Every value of these models as JSON, one a line; null where it is not defined."""
    frame = board.frame[board.frame["model"].isin(list(models))]
    if metrics:
        frame = frame[frame["metric"].isin(metrics)]
    for row in frame.astype(object).to_dict("records"):
        values = {str(name): _plain(value) for name, value in row.items()}
        yield json.dumps(values | {"protocol": protocol}, ensure_ascii=False)


def _plain(value: object) -> object:
    if value is None or value != value or type(value).__name__ == "NAType":
        return None
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _card(card: MetricCard) -> Iterator[str]:
    yield f"{card.title}  ({card.key})"
    yield f"  {card.reading}"
    facts = {
        "better": WAYS[card.elsewhere]
        if card.on_forget == card.elsewhere
        else f"{WAYS[card.on_forget]} on forget and holdout probes, {WAYS[card.elsewhere]} elsewhere",
        "range": _range(card),
        "ideal": card.ideal,
        "needs": ", ".join(card.needs) or "nothing more",
        "formula": card.formula,
        "source": card.source,
        "trust": card.trust or "nobody has tested how far it can be trusted",
    }
    for name, words in facts.items():
        yield f"  {name + ':':<9} {words}"
    yield ""


def _range(card: MetricCard) -> str:
    return f"{card.low:g} to {'inf' if card.high is None else f'{card.high:g}'}"
