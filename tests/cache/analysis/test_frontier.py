"""Fronts against brute force, areas and knees by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.analysis.frontier import hypervolume, knee, pareto

POINTS = [(0.1, 0.2), (0.2, 0.6), (0.3, 0.5), (0.5, 0.9), (0.5, 0.8)]


def test_front_by_hand() -> None:
    assert pareto(POINTS, ("lower", "higher")).tolist() == [True, True, False, True, False]
    assert pareto(POINTS, ("lower", "lower")).tolist() == [True, False, False, False, False]


def test_equal_points_are_kept_and_unknown_ones_are_not() -> None:
    points = [(1.0, 1.0), (1.0, 1.0), (np.nan, 9.0), (0.5, 1.0)]
    assert pareto(points, ("higher", "higher")).tolist() == [True, True, False, False]
    assert pareto(np.zeros((0, 2)), ("higher", "higher")).tolist() == []


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=25))
def test_front_agrees_with_brute_force(points: list[tuple[int, int, int]]) -> None:
    signs = (1, -1, 1)

    def beats(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        pairs = [(s * x, s * y) for s, x, y in zip(signs, a, b, strict=True)]
        return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    expected = [not any(beats(other, point) for other in points) for point in points]
    assert pareto(points, ("lower", "higher", "lower")).tolist() == expected


def test_area_by_hand() -> None:
    assert hypervolume([(0.25, 0.5)], ("lower", "higher"), (1, 0)) == pytest.approx(0.75 * 0.5)
    steps = [(0.2, 0.4), (0.6, 0.9), (0.7, 0.3)]
    assert hypervolume(steps, ("lower", "higher"), (1, 0)) == pytest.approx(0.8 * 0.4 + 0.4 * 0.5)
    assert hypervolume([(2.0, 0.5), (0.5, -1.0)], ("lower", "higher"), (1, 0)) == 0.0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_area_agrees_with_counting_cells(points: list[tuple[int, int]]) -> None:
    cells = sum(any(x >= i + 1 and y >= j + 1 for x, y in points) for i in range(10) for j in range(10))
    assert hypervolume(np.array(points, float).reshape(-1, 2), ("higher", "higher"), (0, 0)) == pytest.approx(
        cells
    )


def test_the_knee_is_the_bend() -> None:
    assert knee([(0.0, 0.0), (0.1, 0.9), (1.0, 1.0), (0.9, 0.2)], ("lower", "higher")) == 1
    assert knee([(np.nan, 0.0)], ("lower", "higher")) is None
    assert knee([(3.0, 4.0)], ("lower", "higher")) == 0
