"""Frontier statistics against loops, known distributions and hand-computed corners."""

import numpy as np
import pytest

from backends.metrics.card import Direction
from cache.analysis.frontier import hypervolume, pareto
from cache.analysis.frontier_statistics import (
    Plane,
    distances,
    ellipse,
    front_chances,
    method_areas,
    plane,
)

WAYS: tuple[Direction, Direction] = ("lower", "higher")
UNIT = Plane(WAYS, (1.0, 0.0), (0.0, 1.0))


def drawn(points: list[tuple[float, float]], spread: float, resamples: int = 400) -> np.ndarray:
    random = np.random.default_rng(3)
    values = np.array(points)[:, None, :]
    noise = random.normal(0, spread, (len(points), resamples, 2))
    return np.concatenate([values, values + noise], axis=1)


def test_chances_are_the_shares_of_resamples_in_which_a_loop_finds_the_point_on_the_front() -> None:
    sample = drawn([(0.2, 0.5), (0.25, 0.52), (0.6, 0.9), (0.7, 0.4)], 0.05)
    expected = np.mean([pareto(sample[:, b], WAYS) for b in range(1, sample.shape[1])], axis=0)
    assert front_chances(sample, WAYS) == pytest.approx(expected)
    assert expected[3] < 0.01 < expected[1] < 1


def test_points_that_never_move_are_on_the_front_always_or_never() -> None:
    assert front_chances(drawn([(0.2, 0.5), (0.3, 0.4)], 0.0), WAYS).tolist() == [1.0, 0.0]
    unknown = np.full((2, 1, 2), 0.5)
    assert np.isnan(front_chances(unknown, WAYS)).all()


def test_what_was_not_resampled_on_both_axes_gets_no_chance_and_no_interval() -> None:
    sample = drawn([(0.2, 0.5), (0.3, 0.4), (0.1, 0.9)], 0.05)
    sample[1, 1:, 1] = np.nan
    assert np.isnan(front_chances(sample, WAYS)).all()
    found = method_areas(sample, ["A", "B", "C"], UNIT)
    assert np.isnan([*found["B"].interval, found["B"].chance, found["A"].chance]).all()
    assert found["A"].interval.low < found["A"].hypervolume < found["A"].interval.high
    assert found["B"].hypervolume == pytest.approx(0.7 * 0.4)


def test_areas_are_shares_of_the_rectangle_with_the_percentiles_of_a_loop() -> None:
    sample = drawn([(0.2, 0.4), (0.6, 0.9), (0.7, 0.3)], 0.03)
    found = method_areas(sample, ["A", "A", "B"], UNIT)
    assert found["A"].hypervolume == pytest.approx(0.8 * 0.4 + 0.4 * 0.5)
    assert found["B"].hypervolume == pytest.approx(0.3 * 0.3)
    loop = [hypervolume(sample[:2, b], WAYS, (1, 0)) for b in range(1, sample.shape[1])]
    assert found["A"].interval == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])))
    assert (found["A"].chance, found["B"].chance) == (1.0, 0.0)


def test_the_rectangle_is_stated_in_the_metrics_own_numbers() -> None:
    half = Plane(WAYS, (1.0, 0.0), (0.0, 2.0))
    sample = drawn([(0.5, 1.0)], 0.0)
    assert method_areas(sample, ["A"], half)["A"].hypervolume == pytest.approx(0.25)


def test_a_bend_needs_three_checkpoints() -> None:
    sample = drawn([(0.1, 0.2), (0.2, 0.8), (0.9, 0.9)], 0.0)
    assert method_areas(sample, ["A"] * 3, UNIT)["A"].knee == 1
    assert method_areas(sample[:2], ["A"] * 2, UNIT)["A"].knee is None


def test_the_plane_takes_the_bounds_of_the_metrics_and_else_what_was_measured() -> None:
    values = np.array([(0.3, 4.0), (0.6, -2.0), (np.nan, 9.0)])
    assert plane(values, WAYS, [(0.0, 1.0), (0.0, None)]) == Plane(WAYS, (1.0, -2.0), (0.0, 9.0))
    assert plane(values, ("zero", "lower"), [(-np.inf, None), (0.0, None)]) == Plane(
        ("zero", "lower"), (0.6, 9.0), (0.0, -2.0)
    )
    assert plane(values[:1], WAYS, [(0.0, None), (0.0, None)]) is None


def test_distance_is_nothing_at_the_retained_model_and_one_across_the_rectangle() -> None:
    sample = drawn([(0.0, 1.0), (1.0, 0.0), (0.5, 1.0)], 0.0)
    found = distances(sample, 0, UNIT)
    assert [each.value for each in found] == pytest.approx([0.0, 1.0, np.sqrt(0.125)])
    assert found[0].interval == (0.0, 0.0)


def test_paired_noise_does_not_widen_a_distance() -> None:
    shared = np.random.default_rng(0).normal(0, 0.2, (1, 300, 2))
    points = np.array([(0.2, 0.8), (0.5, 0.5)])[:, None]
    sample = np.concatenate([points, points + shared], axis=1)
    low, high = distances(sample, 0, UNIT)[1].interval
    assert low == pytest.approx(high) == pytest.approx(0.3)


def test_the_ellipse_holds_95_of_100_draws_of_a_tilted_cloud() -> None:
    random = np.random.default_rng(1)
    cloud = random.multivariate_normal([0, 0], [[1.0, 0.8], [0.8, 1.0]], 20000)
    outline = ellipse(np.concatenate([np.zeros((1, 2)), cloud]))
    assert outline is not None
    inverse = np.linalg.inv(np.cov(cloud.T))
    radius = np.einsum("ni,ij,nj->n", outline, inverse, outline)
    assert radius == pytest.approx(np.full(len(outline), radius[0]))
    inside = np.einsum("ni,ij,nj->n", cloud, inverse, cloud) < radius[0]
    assert inside.mean() == pytest.approx(0.95, abs=0.01)
    assert ellipse(np.zeros((3, 2))) is None
