"""Every metric says how it gets its interval, or why it has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.cli.metrics import listing
from backends.metrics import METRICS, MetricCard, StudyMetric
from backends.metrics.foreign import FOREIGN
from backends.metrics.intervals import (
    BOUNDED_MEAN,
    IMPORTED,
    METHODS,
    RATE,
    UNBOUNDED_MEAN,
    interval_method,
    no_interval,
)

CARDS = [metric.card for metric in METRICS.values()]


@pytest.mark.parametrize("card", [*CARDS, *FOREIGN.values()], ids=lambda card: card.key)
def test_a_card_names_its_interval_and_why_there_may_be_none(card: MetricCard) -> None:
    method = interval_method(card)
    assert str(method).startswith(method.name) and str(method).endswith(".")
    assert (method.least > 0) <= (method.source != ""), "what is drawn has a source"
    assert no_interval(card).endswith(".") and "interval" in no_interval(card)


def test_a_mean_has_its_method_by_its_range() -> None:
    probability, loss = METRICS["probability"].card, METRICS["loss"].card
    assert interval_method(probability) is BOUNDED_MEAN
    assert interval_method(loss) is UNBOUNDED_MEAN
    assert interval_method(replace(probability, reached=False)) is UNBOUNDED_MEAN
    assert interval_method(METRICS["refusal_rate"].card) is RATE
    assert "fewer than 2 probes or subjects." in no_interval(probability)
    assert no_interval(loss).endswith("with values that differ.")


def test_only_metrics_of_whole_models_have_other_methods_than_means() -> None:
    for metric in METRICS.values():
        method = interval_method(metric.card)
        if not isinstance(metric, StudyMetric):
            assert method in (RATE, BOUNDED_MEAN, UNBOUNDED_MEAN), metric.card.key
    assert {interval_method(card) for card in FOREIGN.values()} == {IMPORTED}
    assert set(METHODS.values()) <= {interval_method(card) for card in [*CARDS, *FOREIGN.values()]}


def test_the_command_line_shows_it() -> None:
    assert any("interval:" in line and "Jeffreys" in line for line in listing(["key_fact"]))
