"""A figure as JSON for the browser: the same as Plotly's own, and nothing but JSON."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from app.charts.drawing import figure_json
from app.charts.marks import Marks
from app.charts.points import chart_points
from app.charts.tradeoff import tradeoff_drawing
from tests.app.charts.test_charts import FORGET, LOOKS, MODELS, UTILITY, frame

OUTLINE = {"NPO 2": np.array([[0.1, 0.2], [0.3, 0.4], [0.1, 0.4]])}


@pytest.mark.parametrize(
    "marks", [Marks(), Marks(intervals="ellipses", outlines=OUTLINE, grey=True, ideal=(0.0, 1.0))]
)
def test_what_the_browser_draws_is_a_figure_that_plotly_accepts(marks: Marks) -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY)
    drawing = tradeoff_drawing(points, FORGET, UTILITY, LOOKS, marks=marks)
    spec = json.loads(drawing.json(), parse_constant=pytest.fail)  # NaN is no JSON
    accepted, whole = go.Figure(spec), drawing.figure()  # both refuse what Plotly does not know
    assert len(accepted.data) == len(whole.data) > 5
    assert [note.text for note in accepted.layout.annotations] == [
        note.text for note in whole.layout.annotations
    ]


def test_codes_of_clickable_points_are_plain_numbers() -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY)
    traces = json.loads(tradeoff_drawing(points, FORGET, UTILITY, LOOKS).json())["data"]
    codes = [trace["customdata"] for trace in traces if "customdata" in trace]
    assert sorted(code for each in codes for code in each) == list(range(len(MODELS)))


def test_a_figure_leaves_its_template_behind_and_keeps_its_text() -> None:
    figure = go.Figure(
        go.Scatter(x=[1, 2], y=[float("nan"), 1.0], name="&lt;b>"), {"template": "plotly_dark"}
    )
    spec = json.loads(figure_json(figure), parse_constant=pytest.fail)
    assert "template" not in spec["layout"]
    assert spec["data"][0]["name"] == "&lt;b>"
    assert spec["data"][0]["y"] == [None, 1.0]
