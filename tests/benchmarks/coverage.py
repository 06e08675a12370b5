"""How often 95 % intervals hold the truth: simulated studies of 12, 36 and 400 probes, the old method beside ours.

    python -m tests.benchmarks.coverage [studies] [row]

Each row is a kind of number whose true value is known. A study draws its probes, and both methods say an interval; the
table has the share of studies whose interval held the truth, and its mean width. The old method, percentiles of
resamples with replacement, is what these intervals were until rows of version 1. A row more is a line in `ROWS`.
A few minutes for 500 studies; `tests/cache/analysis/test_coverage.py` runs a small part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.metrics.privacy import auc
from backends.metrics.retained_privacy import MATCHED, privacy_match, privleak
from backends.metrics.study_level import harmonic_mean
from cache.analysis.resampling import (
    RESAMPLES,
    Bounds,
    bootstrap_areas,
    bootstrap_interval,
    bootstrap_means,
    interval_of,
    percentile_interval,
)
from cache.analysis.study_rows import drawn_harmonic_mean, drawn_match

Floats = NDArray[np.float64]
Random = np.random.Generator
SIZES = (12, 36, 400)
STUDIES = 500
SEEDS = 7
"""A study's roles resample with seeds from 0; simulated studies take turns."""
SHARE: Bounds = (0.0, 1.0)


def _short(number: float, form: str) -> str:
    """`.95` for `0.95`."""
    return format(number, form).removeprefix("0") if 0 < number < 1 else format(number, form)


class Ends(NamedTuple):
    """An interval."""

    low: float
    high: float


class Row(NamedTuple):
    """A kind of number.

    Attributes:
        name: in the table.
        truth: its true value.
        draw: (random, probes) -> what one study sees.
        before, now: (what it sees, seed) -> interval.
    """

    name: str
    truth: float
    draw: Callable[[Random, int], Any]
    before: Callable[[Any, int], Ends]
    now: Callable[[Any, int], Ends]


class Covered(NamedTuple):
    """Of one row at one size: share of studies whose interval held the truth, mean width, share of zero width.

    Of studies of which an interval can be told; NaN where it can of none.
    """

    share: float
    width: float
    zero: float


def covered(row: Row, way: Callable[[Any, int], Ends], probes: int, studies: int) -> Covered:
    """Simulate studies; equal arguments give equal results."""
    random = np.random.default_rng([probes, studies])
    ends = np.array([way(row.draw(random, probes), study % SEEDS) for study in range(studies)])
    ends = ends[~np.isnan(ends).any(axis=1)]
    if not len(ends):
        return Covered(np.nan, np.nan, 0.0)
    held = (ends[:, 0] <= row.truth + 1e-12) & (ends[:, 1] >= row.truth - 1e-12)
    width = ends[:, 1] - ends[:, 0]
    return Covered(float(held.mean()), float(width.mean()), float(np.mean(width < 1e-12)))


@lru_cache(maxsize=64)
def _counts(n: int, seed: int) -> Floats:
    """How often each of n probes is drawn in each resample with replacement."""
    random = np.random.default_rng([seed, n])
    return random.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)


def _old_means(sample: Floats, seed: int) -> Floats:
    return _counts(len(sample), seed) @ sample / len(sample)


def _old_areas(forget: Floats, holdout: Floats, seed: int) -> Floats:
    wins = (np.sign(holdout[None, :] - forget[:, None]) + 1) / 2
    left, right = _counts(len(forget), seed), _counts(len(holdout), seed + 1)
    areas: Floats = np.sum((left @ wins) * right, axis=1) / wins.size
    return areas


def _percentiles(drawn: Floats) -> Ends:
    return Ends(*map(float, percentile_interval(drawn)))


def _areas(forget: Floats, holdout: Floats, seed: int) -> Floats:
    return np.append(auc(forget, holdout), bootstrap_areas(forget, holdout, seeds=(seed, seed + 1)))


def mean_row(name: str, truth: float, draw: Callable[[Random, int], Floats], bounds: Bounds = SHARE) -> Row:
    """The mean of a metric over probes that are alike."""
    return Row(
        name,
        truth,
        draw,
        lambda sample, seed: _percentiles(_old_means(sample, seed)),
        lambda sample, seed: Ends(*bootstrap_interval(sample, bounds=bounds, seed=seed)),
    )


def clustered_row(
    name: str, truth: float, draw: Callable[[Random, int], Floats], size: int, bounds: Bounds = SHARE
) -> Row:
    """The mean of a metric over probes of which each `size` share a subject."""
    return Row(
        name,
        truth,
        draw,
        lambda sample, seed: _percentiles(_old_means(sample, seed)),
        lambda sample, seed: Ends(
            *bootstrap_interval(
                sample, bounds=bounds, seed=seed, groups=tuple(int(i) // size for i in range(len(sample)))
            )
        ),
    )


def auc_row(truth: float) -> Row:
    """Two normal samples with as many probes each, at a true AUC."""
    shift = NormalDist().inv_cdf(truth) * 2**0.5
    return Row(
        f"membership AUC, true {_short(truth, 'g')}",
        truth,
        lambda random, n: (random.normal(0, 1, n), random.normal(shift, 1, n)),
        lambda sides, seed: _percentiles(_old_areas(sides[0], sides[1], seed)),
        lambda sides, seed: Ends(*map(float, interval_of(_areas(sides[0], sides[1], seed)))),
    )


class _Attacked(NamedTuple):
    """Scores of a model and of the retained one under several attacks, shape (attacks, 2, probes) each."""

    forget: Floats
    holdout: Floats


def _attacked(ours: float, theirs: float, attacks: int) -> Callable[[Random, int], _Attacked]:
    """Two models at their true AUCs on the same probes: scores of two models correlate at .7, those of attacks more."""
    shifts = np.array([NormalDist().inv_cdf(each) * 2**0.5 for each in (ours, theirs)])

    def draw(random: Random, n: int) -> _Attacked:
        probe, model = random.normal(0, 1, (2, 1, 1, n)), random.normal(0, 1, (2, 1, 2, n))
        attack = random.normal(0, 1, (2, attacks, 2, n))
        scores = 0.7**0.5 * probe + 0.2**0.5 * model + 0.1**0.5 * attack
        return _Attacked(scores[0], scores[1] + shifts[:, None])

    return draw


def _attacked_row(
    name: str,
    pair: tuple[float, float],
    attacks: int,
    then: Callable[[Floats, Floats], Floats],
    now: Callable[[Floats, Floats], Floats],
) -> Row:
    """What is made of AUCs, shape (attacks, 1 + B) of this and of the retained model: as it was and as it is."""

    def before(seen: _Attacked, seed: int) -> Ends:
        drawn = [
            [_old_areas(*sides, seed) for sides in zip(f, h, strict=True)] for f, h in zip(*seen, strict=True)
        ]
        ours, theirs = np.array(drawn).transpose(1, 0, 2)
        return _percentiles(then(ours, theirs))

    def after(seen: _Attacked, seed: int) -> Ends:
        drawn = [
            [_areas(*sides, seed) for sides in zip(f, h, strict=True)] for f, h in zip(*seen, strict=True)
        ]
        ours, theirs = np.array(drawn).transpose(1, 0, 2)
        return Ends(*map(float, interval_of(now(ours, theirs))))

    true = (np.full((attacks, 1), each) for each in pair)
    about = f"{name}, AUC {_short(pair[0], 'g')} against {_short(pair[1], 'g')}"
    return Row(about, float(then(*true)[0]), _attacked(*pair, attacks), before, after)


def privleak_row(ours: float, theirs: float) -> Row:
    """PrivLeak of a model at one AUC against a retained model at another."""
    return _attacked_row(
        "PrivLeak", (ours, theirs), 1, lambda a, b: privleak(a, b)[0], lambda a, b: privleak(a, b)[0]
    )


def privacy_row(ours: float, theirs: float) -> Row:
    """The privacy score: harmonic mean of how near four attacks are to the retained model's AUC."""
    return _attacked_row(
        "privacy",
        (ours, theirs),
        len(MATCHED),
        lambda a, b: harmonic_mean(privacy_match(a, b)),
        lambda a, b: drawn_harmonic_mean(np.stack([drawn_match(*pair) for pair in zip(a, b, strict=True)])),
    )


def harmonic_row(name: str, parts: Sequence[tuple[float, float]]) -> Row:
    """Harmonic mean of the means of several metrics, each on probes of its own, beta distributed."""
    truth = float(harmonic_mean([a / (a + b) for a, b in parts]))

    def now(rows: Any, seed: int) -> Ends:
        drawn = [
            np.append(row.mean(), bootstrap_means(row[:, None], seed=seed + 20 * place, bounds=SHARE)[:, 0])
            for place, row in enumerate(rows)
        ]
        return Ends(*map(float, interval_of(drawn_harmonic_mean(np.stack(drawn)))))

    return Row(
        name,
        truth,
        lambda random, n: [random.beta(a, b, n) for a, b in parts],
        lambda rows, seed: _percentiles(
            harmonic_mean(np.stack([_old_means(row, seed + 20 * place) for place, row in enumerate(rows)]))
        ),
        now,
    )


def _rate(share: float) -> Callable[[Random, int], Floats]:
    return lambda random, n: (random.random(n) < share).astype(np.float64)


def _mixed(
    share: float, known: tuple[float, float], rest: tuple[float, float]
) -> Callable[[Random, int], Floats]:
    """A share of the probes from one beta distribution, the others from another."""
    return lambda random, n: np.where(random.random(n) < share, random.beta(*known, n), random.beta(*rest, n))


def _losses(alike: float, size: int) -> Callable[[Random, int], Floats]:
    """Log-normal losses whose logarithms are correlated within a subject."""

    def draw(random: Random, n: int) -> Floats:
        shared = np.repeat(random.normal(0, alike**0.5, n // size), size)
        return np.exp(shared + random.normal(0, (1 - alike) ** 0.5, n // size * size))

    return draw


def _subjects(share: float, alike: float, size: int) -> Callable[[Random, int], Floats]:
    """Rates whose probes of one subject are correlated."""
    strength = 1 / alike - 1

    def draw(random: Random, n: int) -> Floats:
        shares = random.beta(share * strength, (1 - share) * strength, n // size)
        return (random.random(n // size * size) < np.repeat(shares, size)).astype(np.float64)

    return draw


UTILITY = ((2, 0.5), (1, 1), (0.6, 1.2))
ROWS = (
    mean_row("leak rate, true 3 %", 0.03, _rate(0.03)),
    mean_row("leak rate, true 30 %", 0.3, _rate(0.3)),
    mean_row(
        "probability, 5 % of probes leak at .9", 0.05 * 0.9 + 0.95 / 61, _mixed(0.05, (90, 10), (1, 60))
    ),
    mean_row("probability, well forgotten, Beta(.3, 3)", 0.3 / 3.3, lambda random, n: random.beta(0.3, 3, n)),
    mean_row("probability, 30 % still known", 0.3 * 10 / 11 + 0.7 / 11, _mixed(0.3, (10, 1), (1, 10))),
    mean_row("ROUGE near 1, Beta(20, 1)", 20 / 21, lambda random, n: random.beta(20, 1, n)),
    mean_row(
        "loss, log-normal", float(np.exp(0.5)), lambda random, n: random.lognormal(0, 1, n), (0.0, None)
    ),
    mean_row("loss, exponential", 1.0, lambda random, n: random.exponential(1, n), (0.0, None)),
    mean_row("loss, normal", 3.0, lambda random, n: random.normal(3, 0.5, n), (0.0, None)),
    auc_row(0.983),
    auc_row(0.6),
    privleak_row(0.75, 0.55),
    privleak_row(0.5, 0.5),
    privacy_row(0.9, 0.55),
    privacy_row(0.65, 0.55),
    privacy_row(0.5, 0.5),
    harmonic_row("model utility, harmonic mean of 3", UTILITY),
    harmonic_row("model utility, harmonic mean of 9", UTILITY * 3),
    harmonic_row("harmonic mean of 3, one near 0", ((0.3, 3), (2, 0.5), (1, 1))),
    clustered_row("leak rate 3 %, 3 probes a subject, correlation .5", 0.03, _subjects(0.03, 0.5, 3), 3),
    clustered_row("leak rate 30 %, 3 probes a subject, correlation .5", 0.3, _subjects(0.3, 0.5, 3), 3),
    clustered_row("leak rate 30 %, 6 probes a subject, correlation .05", 0.3, _subjects(0.3, 0.05, 6), 6),
    clustered_row(
        "loss, log-normal, 3 probes a subject, correlation .5",
        float(np.exp(0.5)),
        _losses(0.5, 3),
        3,
        (0.0, None),
    ),
)
"""What is simulated."""


def _cell(each: Covered) -> str:
    if np.isnan(each.share):
        return "cannot be told"
    return f"{_short(each.share, '.3f')} ({_short(each.width, '.3g')})"


def main(studies: int = STUDIES, only: str = "") -> None:
    """Print the table, as Markdown."""
    from tests.benchmarks.coverage_comparisons import ROWS as COMPARISONS  # which are made of rows of here

    sizes = " | ".join(f"n = {size}" for size in SIZES)
    print(f"Share of {studies} simulated studies whose 95 % interval holds the truth (mean width).\n")
    print(f"| number | before: {sizes} | now: {sizes} |")
    print("|---|" + "---|" * 2 * len(SIZES))
    for row in (*ROWS, *COMPARISONS):
        if only not in row.name:
            continue
        cells = [covered(row, way, size, studies) for way in (row.before, row.now) for size in SIZES]
        told = " | ".join(_cell(each) for each in cells)
        print(f"| {row.name} | {told} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES, "".join(sys.argv[2:3]))
