"""The ladder as a chart: a mark a model that is told, clipped at the edges; a note where nothing is told."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

from app.charts.ladder import LEFT, RIGHT, End, Group, Mark, Row, ladder_drawing
from app.looks.model_looks import METHOD_LOOKS, ORIGINAL, RETAINED

LOOKS = {"A": METHOD_LOOKS[0], "B": METHOD_LOOKS[1]}
GROUPS = [
    Group(
        "", (Row("Asked plainly", (Mark("A", 0.1, -0.2, 0.3, False, ("A <b>",), 0),), ("B: not tried yet",)),)
    ),
    Group(
        "Takes: prompt box",
        (
            Row(
                "Role play",
                (
                    Mark("A", 0.9, 0.8, 1.0, True, ("a",), 2),
                    Mark("B", 1.9, -math.inf, math.inf, True, ("b",), 3),
                ),
            ),
            Row("Long", (), ("a reason that goes on and on, " * 5,)),
        ),
    ),
]


def drawn(legend: bool = False) -> dict[str, Any]:
    ends = End("Retained", RETAINED), End("Original", ORIGINAL)
    made = ladder_drawing(GROUPS, LOOKS, *ends, dark=False, legend=legend)
    made.figure()  # Plotly accepts every property
    found: dict[str, Any] = json.loads(made.json())
    return found


def texts(figure: dict[str, Any]) -> list[str]:
    return [each["text"] for each in figure["layout"]["annotations"]]


def test_every_told_cell_is_one_mark_that_a_click_finds() -> None:
    marks = {trace["name"]: trace for trace in drawn()["data"]}
    assert marks["A"]["customdata"] == [0, 2]
    assert marks["B"]["customdata"] == [3]


def test_what_is_sure_is_filled_and_what_is_not_is_open() -> None:
    (a, _) = drawn()["data"]
    assert a["marker"]["symbol"] == ["square-open", "square"]


def test_shares_and_arms_end_at_the_edges() -> None:
    (_, b) = drawn()["data"]
    assert b["x"] == [RIGHT]
    assert b["error_x"]["array"] == [0]
    assert b["error_x"]["arrayminus"] == [RIGHT - LEFT]


def test_untold_cells_say_why_in_lines_that_fit_a_phone() -> None:
    found = texts(drawn())
    assert "B: not tried yet" in found
    assert sum(text.startswith(("a reason", "and on", "on")) or "goes on" in text for text in found) > 1


def test_texts_are_no_markup() -> None:
    (a, _) = drawn()["data"]
    assert a["hovertext"][0] == "A &lt;b>"


def test_rows_do_not_overlap() -> None:
    figure = drawn()
    (a, b) = figure["data"]
    heights = sorted([*a["y"], *b["y"]])
    assert all(later - earlier > 8 for earlier, later in pairwise(heights))
    assert heights[-1] < figure["layout"]["yaxis"]["range"][0]


def test_both_ends_are_named() -> None:
    found = " ".join(texts(drawn()))
    assert "Retained" in found
    assert "Original" in found


def test_a_figure_for_a_paper_names_its_models() -> None:
    names = [trace["name"] for trace in drawn(legend=True)["data"] if trace.get("hoverinfo") == "skip"]
    assert names == ["A", "B"]
