"""How often what compares models holds the truth: paired differences, the distance to the retained model, ellipses.

Rows for `tests.benchmarks.coverage`, whose table they end. An ellipse has no width: its number is the root of its area.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import Direction
from cache.analysis.frontier_statistics import Plane, distances, ellipse
from cache.analysis.paired_tests import paired_test
from cache.analysis.resampling import RESAMPLES, Bounds, bootstrap_means
from tests.benchmarks.coverage import SHARE, Ends, Random, Row

Floats = NDArray[np.float64]
Two = tuple[Floats, Floats]
WAYS: tuple[Direction, Direction] = ("lower", "higher")
UNIT = Plane(WAYS, (1.0, 0.0), (0.0, 1.0))
CHI_SQUARE_95 = 5.991464547107979


def with_replacement(values: Floats, seed: int) -> Floats:
    """Means of the columns in resamples with replacement, the value first: as all was drawn before."""
    n = len(values)
    counts = np.random.default_rng([seed, n]).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    drawn: Floats = np.concatenate([values.mean(axis=0)[None], counts @ values / n])
    return drawn


def weighted(values: Floats, seed: int, bounds: Bounds = SHARE) -> Floats:
    """Means of the columns as the scoreboard draws them, the value first."""
    drawn: Floats = np.concatenate(
        [values.mean(axis=0)[None], bootstrap_means(values, seed=seed, bounds=bounds)]
    )
    return drawn


def difference_row(
    name: str,
    truth: float,
    draw: Callable[[Random, int], Two],
    *,
    reach: float | None = 1.0,
    subjects: int = 1,
) -> Row:
    """The mean difference of two models on the same probes, of which each `subjects` share a subject."""

    def before(pair: Two, seed: int) -> Ends:
        drawn = with_replacement((pair[0] - pair[1])[:, None], seed)[1:, 0]
        return Ends(*map(float, np.quantile(drawn, [0.025, 0.975])))

    def now(pair: Two, seed: int) -> Ends:
        groups = [f"subject {n // subjects}" for n in range(len(pair[0]))] if subjects > 1 else None
        found = paired_test(*pair, groups=groups, reach=reach, seed=seed)
        return Ends(found.low, found.high)

    return Row(name, truth, draw, before, now)


def distance_row(name: str, truth: float, draw: Callable[[Random, int], Two]) -> Row:
    """The distance of a model to the retained one over two metrics: shape (n, 2) of each."""

    def before(pair: Two, seed: int) -> Ends:
        drawn = with_replacement(pair[0] - pair[1], seed)[1:]
        return Ends(*map(float, np.quantile(np.sqrt(np.mean(drawn**2, axis=1)), [0.025, 0.975])))

    def now(pair: Two, seed: int) -> Ends:
        drawn = np.stack([weighted(each, seed) for each in pair])
        count = float(len(pair[0]))
        return Ends(*distances(drawn, 1, UNIT, np.full((2, 2), count))[0].interval)

    return Row(name, truth, draw, before, now)


def ellipse_row(name: str, middle: tuple[float, float], draw: Callable[[Random, int], Floats]) -> Row:
    """The region of two metrics of one model, shape (n, 2): it holds the truth, or not."""

    def told(outline: Floats | None) -> Ends:
        if outline is None:
            return Ends(np.nan, np.nan)
        half = area(outline) ** 0.5 / 2
        return Ends(-half, half) if holds(outline, np.array(middle)) else Ends(half, 3 * half)

    def before(values: Floats, seed: int) -> Ends:
        drawn = with_replacement(values, seed)
        spread, turn = np.linalg.eigh(np.cov(drawn[1:].T))
        angles = np.linspace(0, 2 * np.pi, 200)
        circle = np.stack([np.cos(angles), np.sin(angles)])
        return told(drawn[0] + (turn @ (np.sqrt(CHI_SQUARE_95 * spread)[:, None] * circle)).T)

    def now(values: Floats, seed: int) -> Ends:
        drawn = weighted(values, seed)
        return told(ellipse(drawn, 200, units=[float(len(values))] * 2, bounds=((0.0, 1.0), (0.0, 1.0))))

    return Row(name, 0.0, draw, before, now)


def holds(outline: Floats, point: Floats) -> bool:
    """Whether a convex outline goes round a point."""
    edges, away = np.diff(outline, axis=0), point - outline[:-1]
    side = edges[:, 0] * away[:, 1] - edges[:, 1] * away[:, 0]
    return bool((side >= -1e-15).all() or (side <= 1e-15).all())


def area(outline: Floats) -> float:
    """Of a closed outline."""
    x, y = outline.T
    return float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2)


def _alike(random: Random, n: int, columns: int) -> Floats:
    """Uniform values whose columns correlate at about .5."""
    shared, own = random.normal(size=(n, 1)), random.normal(size=(n, columns))
    normal = 0.5**0.5 * (shared + own)
    ranks = np.argsort(
        np.argsort(np.concatenate([normal, random.normal(size=(2000, columns))]), axis=0), axis=0
    )
    values: Floats = (ranks[:n] + 0.5) / (n + 2000)
    return values


def _beta_half(uniform: Floats) -> Floats:
    """Beta(1/2, 1) of uniform values: many near 0."""
    return uniform**2


def _two_metrics(random: Random, n: int) -> Floats:
    values = _alike(random, n, 2)
    return np.stack([_beta_half(values[:, 0]), values[:, 1]], axis=1)


def _two_skewed(random: Random, n: int) -> Floats:
    values = _alike(random, n, 2)
    return np.stack([values[:, 0] ** 9, 1 - values[:, 1] ** 3], axis=1)


def _same_law(random: Random, n: int) -> Two:
    """Two models that are equal but for their seeds: each probe is as hard for both."""
    values = _alike(random, n, 4) ** 3
    return values[:, :2], values[:, 2:]


def _apart(random: Random, n: int) -> Two:
    values = _alike(random, n, 4)
    return values[:, :2], values[:, 2:] ** 3


def _skewed(random: Random, n: int) -> Two:
    return random.beta(0.3, 3, n), random.beta(0.3, 3, n)


def _lognormal(random: Random, n: int) -> Two:
    return random.lognormal(0, 1, n), np.full(n, float(np.exp(0.5)))


def _outcomes(share: float, other: float) -> Callable[[Random, int], Two]:
    def draw(random: Random, n: int) -> Two:
        return (random.random(n) < share).astype(np.float64), (random.random(n) < other).astype(np.float64)

    return draw


def _drops(random: Random, n: int) -> Two:
    """Three of ten probes lose most of what they had."""
    before = random.beta(30, 1, n)
    return before * np.where(random.random(n) < 0.3, random.beta(1, 3, n), 1.0), before


def _subjects(random: Random, n: int) -> Two:
    """Three probes a subject, whose differences correlate at .5."""
    shared = np.repeat(random.normal(0, 1, n // 3 + 1), 3)[:n]
    return shared + random.normal(0, 1, n), np.zeros(n)


EQUAL_MODEL = distance_row("distance to RETAINED of a model equal to it", 0.0, _same_law)
TWO_METRICS = ellipse_row("ellipse of two metrics", (1 / 3, 1 / 2), _two_metrics)
EQUAL_SKEWED = difference_row("difference of two equal models, skewed values", 0.0, _skewed)
LOG_NORMAL = difference_row("difference 0, log-normal differences", 0.0, _lognormal, reach=None)
ROWS = (
    EQUAL_SKEWED,
    LOG_NORMAL,
    difference_row("difference of two equal rates of 10 %", 0.0, _outcomes(0.1, 0.1)),
    difference_row("difference of rates, 5 % against 60 %", -0.55, _outcomes(0.05, 0.6)),
    difference_row("difference, three of ten probes dropped", -0.3 * 0.75 * 30 / 31, _drops),
    difference_row("difference 0, three probes a subject", 0.0, _subjects, reach=None, subjects=3),
    EQUAL_MODEL,
    distance_row("distance to RETAINED, .25", 0.25, _apart),
    TWO_METRICS,
    ellipse_row("ellipse of two skewed metrics", (0.1, 0.75), _two_skewed),
)
"""What is simulated."""
