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
    small_sample,
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


def test_runs_without_any_resample_have_a_distance_and_no_interval() -> None:
    only_numbers = np.array([[[0.5, 0.5]], [[0.9, 0.1]]])
    found = distances(only_numbers, 0, UNIT)
    assert found[1].value == pytest.approx(0.4)
    assert np.isnan(found[1].interval).all()


def test_paired_noise_does_not_widen_a_distance() -> None:
    random = np.random.default_rng(0)
    shared, own = random.normal(0, 0.2, (1, 300, 2)), random.normal(0, 0.01, (2, 300, 2))
    points = np.array([(0.2, 0.8), (0.5, 0.5)])[:, None]
    low, high = distances(np.concatenate([points, points + shared + own], axis=1), 0, UNIT)[1].interval
    assert low == pytest.approx(0.3, abs=0.04) and high == pytest.approx(0.3, abs=0.04)
    assert low < 0.3 < high


def test_models_that_are_the_same_on_every_probe_are_as_far_apart_as_one_that_was_not_asked_could_tell() -> (
    None
):
    points = np.array([(0.2, 0.8), (0.2, 0.8)])[:, None]
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 300, 2))
    sample = np.concatenate([points, points + noise], axis=1)
    twelve = distances(sample, 0, UNIT, np.full((2, 2), 12.0))[1]
    assert twelve.value == 0
    assert twelve.interval == pytest.approx((0, 1 - 0.05 ** (1 / 12)))
    assert np.isnan(distances(sample, 0, UNIT)[1].interval).all()


def test_an_equal_model_is_not_far_from_the_retained_one_and_another_is() -> None:
    sample = drawn([(0.2, 0.8), (0.24, 0.78), (0.5, 0.5)], 0.05)
    _, equal, other = distances(sample, 0, UNIT)
    assert equal.interval.low == 0 < equal.value < equal.interval.high
    assert 0 < other.interval.low < other.value < other.interval.high


def test_few_probes_widen_a_distance_and_two_say_nothing() -> None:
    sample = drawn([(0.2, 0.8), (0.5, 0.5)], 0.02)
    ends = [
        distances(sample, 0, UNIT, np.array([[400.0, 400.0], [n, n]]))[1].interval
        for n in (400.0, 12.0, 4.0, 2.0, np.nan)
    ]
    widths = [high - low for low, high in ends]
    assert widths[0] < widths[1] < widths[2]
    assert np.isnan(widths[3])
    assert widths[4] == pytest.approx(widths[0], rel=0.01)


def test_the_factor_for_few_probes_is_hotellings() -> None:
    from scipy.stats import chi2, f

    for n in (3, 12, 400):
        assert small_sample(n) == pytest.approx(
            2 * (n - 1) / (n - 2) * f.ppf(0.95, 2, n - 2) / chi2.ppf(0.95, 2)
        )
    assert small_sample(2) == np.inf and small_sample(np.nan) == 1


def test_the_ellipse_holds_95_of_100_draws_of_a_tilted_cloud() -> None:
    random = np.random.default_rng(1)
    cloud = random.multivariate_normal([0.2, 0], [[1.0, 0.8], [0.8, 1.0]], 20000)
    outline = ellipse(np.concatenate([np.zeros((1, 2)), cloud]))
    assert outline is not None
    inverse, middle = np.linalg.inv(np.cov(cloud.T)), cloud.mean(axis=0)
    radius = np.einsum("ni,ij,nj->n", outline - middle, inverse, outline - middle)
    assert radius == pytest.approx(np.full(len(outline), radius[0]))
    inside = np.einsum("ni,ij,nj->n", cloud - middle, inverse, cloud - middle) <= radius[0]
    assert inside.mean() == pytest.approx(0.95, abs=1e-3)
    few = ellipse(np.concatenate([np.zeros((1, 2)), cloud]), units=(12, 12))
    assert few is not None
    assert np.ptp(few, axis=0) == pytest.approx(np.ptp(outline, axis=0) * small_sample(12) ** 0.25)
    one = ellipse(np.concatenate([np.zeros((1, 2)), cloud]), units=(12, np.nan))
    assert one is not None
    widened = np.ptp(one, axis=0) / np.ptp(outline, axis=0)
    assert widened == pytest.approx([small_sample(12) ** 0.25, 1], rel=0.02)


def test_an_ellipse_keeps_to_what_is_possible_and_holds_its_point() -> None:
    random = np.random.default_rng(2)
    cloud = random.normal([0.05, 5.0], [0.1, 1.0], (500, 2))
    outline = ellipse(np.concatenate([[[0.0, 9.5]], cloud]), bounds=((0.0, 1.0), (0.0, None)))
    assert outline is not None
    assert outline[:, 0].min() == 0
    assert outline[:, 1].max() >= 9.5
    flat = ellipse(np.concatenate([[[0.5, 0.5]], np.stack([cloud[:, 0], np.full(500, 0.5)], axis=1)]))
    assert flat is not None and np.ptp(flat[:, 1]) == pytest.approx(0)


def test_without_resamples_or_with_two_probes_there_is_no_ellipse() -> None:
    assert ellipse(np.zeros((3, 2))) is None
    assert ellipse(np.full((400, 2), np.nan)) is None
    assert ellipse(np.random.default_rng(0).normal(size=(400, 2)), units=(2, 400)) is None
