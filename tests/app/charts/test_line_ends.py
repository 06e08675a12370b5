"""Names at the ends of lines: in the order of the lines, apart from each other, within the panel."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.charts.line_ends import LETTER_HEIGHT, MOST_NAMES, moved_apart, room
from app.charts.many import Ruler, Scene, panels, parallel
from app.looks.model_looks import METHOD_LOOKS, ORIGINAL, RETAINED
from cache.analysis.board import Board

FORGET, KEPT = (
    Ruler("forget/probability", "P", turned=True),
    Ruler("all/model_utility", "U", turned=False),
)


def scene(methods: int) -> Scene:
    """An original, a retained model, and methods of two checkpoints each."""
    names = [f"sweep_method{n}_lr1e-05_with_a_long_ending" for n in range(methods)]
    rows: list[tuple[str, str, str, int | None]] = [
        ("Original", "original", "", None),
        ("Retained", "retained", "", None),
    ]
    rows += [(f"{name} step {step}", "unlearned", name, step) for name in names for step in (1, 2)]
    heads = pd.DataFrame(rows, columns=["model", "part", "method", "step"]).astype({"step": "Int64"})
    random = np.random.default_rng(0)
    numbers = np.full((4, len(rows), 2), np.nan)
    numbers[0] = random.random((len(rows), 2))
    looks = {
        model: {"original": ORIGINAL, "retained": RETAINED}.get(part, METHOD_LOOKS[0])
        for model, part, *_ in rows
    }
    board = Board(heads, ("forget/probability", "all/model_utility"), numbers)
    groups = [method or model for model, _, method, _ in rows]
    return Scene(board, looks, groups, dark=False)


def lines(of: Scene) -> list[str]:
    return list(of.board.heads["method"])


@given(st.lists(st.floats(0, 300), min_size=1, max_size=15))
def test_names_keep_their_order_and_their_distance(places: list[float]) -> None:
    found = moved_apart(places, LETTER_HEIGHT, 300.0)
    order = sorted(range(len(places)), key=lambda place: places[place])
    assert all(found[b] - found[a] >= LETTER_HEIGHT - 1e-6 for a, b in pairwise(order))
    assert min(found) >= 0 and max(found) <= 300 + 1e-6


def test_names_that_have_room_stay_where_their_lines_end() -> None:
    assert moved_apart([10.0, 100.0, 290.0], LETTER_HEIGHT, 300.0) == [10.0, 100.0, 290.0]
    assert moved_apart([100.0, 100.0], 14.0, 300.0) == [93.0, 107.0]


def test_more_names_than_have_room_share_it() -> None:
    found = moved_apart([5.0] * 31, 14.0, 300.0)
    assert found == pytest.approx([10.0 * n for n in range(31)])


def test_each_trajectory_has_its_name_at_its_end_and_there_is_no_legend() -> None:
    of = scene(12)
    figure = panels(of, [FORGET, KEPT], against=None, lines=lines(of))
    names = [each for each in figure.layout.annotations if each.name == "line end"]
    assert len(names) == 2 * 14 and not figure.layout.showlegend
    first = [each.text for each in names if each.xref == "x"]
    assert {"Original", "Retained", "method0", "method11"} <= set(first)
    places = sorted(each.ay for each in names if each.xref == "x")
    bottom, top = sorted(figure.layout.yaxis.range)
    # Pixels of a panel of twelve names, from which its height follows.
    tall = LETTER_HEIGHT * 14
    gaps = np.diff(places) / (top - bottom) * max(tall, 216)
    assert gaps.min() >= LETTER_HEIGHT - 1e-6
    assert figure.layout.margin.r >= room(["Original"])


def test_of_very_many_lines_the_first_are_named() -> None:
    of = scene(60)
    figure = panels(of, [FORGET], against=None, lines=lines(of))
    assert sum(each.name == "line end" for each in figure.layout.annotations) == MOST_NAMES


def test_lines_over_several_metrics_have_one_name_a_method() -> None:
    of = scene(3)
    figure = parallel(of, [FORGET, KEPT])
    names = [each.text for each in figure.layout.annotations if each.name == "line end"]
    assert sorted(names) == ["Original", "Retained", "method0", "method1", "method2"]
    assert not any(trace.showlegend for trace in figure.data)
    chosen = parallel(of, [FORGET, KEPT], keep=[2])
    assert [each.text for each in chosen.layout.annotations if each.name == "line end"] == ["method0"]
