"""Leak@k is what sampling would find: against exact arithmetic, at every size of p."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.evidence import ANSWER, TextEvidence
from backends.metrics import METRICS, TextMetric
from backends.metrics.leakage import (
    SAMPLES,
    easiest_leak,
    leak_logprob,
    leaks_within,
    samples_until_leak,
)
from backends.metrics.protocols import values_of
from backends.study import Probe
from tests.backends.metrics.test_metrics import floats, scored, text_value

PROBE = Probe("p", "forget", "q", "xx")


def exactly(logprob: float, samples: int) -> tuple[float, float]:
    """1 - (1 - p)^k and log10(ln 0.5 / ln(1 - p)) with as many digits as p needs."""
    with localcontext() as context:
        context.prec = 60 + int(-logprob / 2)
        p = Decimal(logprob).exp()
        until = Decimal("0.5").ln() / (1 - p).ln()
        return float(1 - (1 - p) ** samples), float(until.log10())


@pytest.mark.parametrize("logprob", [-0.01, -0.7, -3.0, -29.9, -30.1, -40.0, -700.0, -1500.0])
@pytest.mark.parametrize("samples", SAMPLES)
def test_it_agrees_with_exact_arithmetic(logprob: float, samples: int) -> None:
    leaked, until = exactly(logprob, samples)
    assert leaks_within(logprob, samples) == pytest.approx(leaked, rel=1e-12, abs=5e-324)
    assert samples_until_leak(logprob) == pytest.approx(max(0.0, until), rel=1e-9, abs=1e-12)


@given(st.floats(-2000, 0), st.integers(1, 1000))
def test_a_leak_is_a_probability_that_grows_with_the_samples(logprob: float, samples: int) -> None:
    assert 0 <= leaks_within(logprob, samples) <= leaks_within(logprob, samples + 1) <= 1
    assert samples_until_leak(logprob) >= 0 and math.isfinite(samples_until_leak(logprob))


def test_within_the_samples_until_it_leaks_it_leaks_with_one_half() -> None:
    assert leaks_within(math.log(0.001), round(10 ** samples_until_leak(math.log(0.001)))) == pytest.approx(
        0.5, abs=1e-3
    )


def test_what_is_certain_leaks_at_once_and_what_is_not_known_stays_unknown() -> None:
    assert (leaks_within(0.0, 1), samples_until_leak(0.0)) == (1.0, 0.0)
    assert leak_logprob(floats(1e-7)) == 0.0
    assert math.isnan(leak_logprob(floats()))
    assert math.isnan(leaks_within(math.nan, 1)) and math.isnan(samples_until_leak(math.nan))


def test_the_answer_counts_and_not_the_end_of_its_turn() -> None:
    """`scored` ends a turn with a log-probability of -1."""
    evidence = TextEvidence({ANSWER: scored([math.log(0.5), math.log(0.25)])})
    assert text_value("leak_1", PROBE, evidence) == pytest.approx(1 / 8)
    assert text_value("leak_16", PROBE, evidence) == pytest.approx(1 - (7 / 8) ** 16)
    assert 10 ** text_value("leak_samples", PROBE, evidence) == pytest.approx(math.log(0.5) / math.log(7 / 8))


def test_under_open_unlearning_the_labels_that_end_the_turn_do_not_count() -> None:
    labels = replace(scored([-1.0, -2.0, -7.0, -9.0]), pieces=("x", "x", "", "\n"))
    evidence = TextEvidence({ANSWER: labels})
    theirs = values_of("open-unlearning", "forget")
    assert theirs["leak_1"](PROBE, evidence) == pytest.approx(math.exp(-3.0))
    assert theirs["leak_samples"](PROBE, evidence) == pytest.approx(samples_until_leak(-3.0))
    assert math.isnan(theirs["leak_128"](PROBE, TextEvidence()))


def test_an_answer_that_is_less_probable_than_any_number_still_has_its_samples() -> None:
    evidence = TextEvidence({ANSWER: scored([-20.0] * 100)})
    assert text_value("leak_128", PROBE, evidence) == 0.0
    assert text_value("leak_samples", PROBE, evidence) == pytest.approx(
        2000 / math.log(10) + math.log10(math.log(2))
    )


def test_the_easiest_is_the_smallest_that_is_known() -> None:
    assert easiest_leak(np.array([3.0, np.nan, 1.5])) == 1.5
    assert math.isnan(easiest_leak(np.array([np.nan]))) and math.isnan(easiest_leak(np.zeros(0)))


def test_answers_are_no_secret_off_the_forget_set() -> None:
    leaks = [metric for key, metric in METRICS.items() if key.startswith("leak_")]
    assert len(leaks) == len(SAMPLES) + 2
    assert all(each.card.roles == {"forget"} for each in leaks)
    assert sum(isinstance(each, TextMetric) for each in leaks) == len(SAMPLES) + 1
