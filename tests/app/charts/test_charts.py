"""The trade-off chart: what is plotted, which way is better, what is on the front, where names have room."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from app.charts import choices
from app.charts.choices import in_order, one_of_each_kind
from app.charts.ink import plain
from app.charts.labels import lines, markers, place
from app.charts.many import Ruler, Scene, panels
from app.charts.marks import Marks, over_forgotten
from app.charts.notes import figure_note, view_note
from app.charts.paper import paper_figure, with_note
from app.charts.points import Axis, aims, chart_points, points_table
from app.charts.tradeoff import describe, names_said, tradeoff_figure
from app.looks.model_looks import look_of
from app.pages.tradeoffs.selected_model import against_original, formatted_changes
from backends.study import Modality, ModelSpec, ProbeSet, Study
from cache.analysis.board import Board
from cache.analysis.frontier import Floats
from cache.store import open_store
from tests.filled_store import fill_text, text_study, write_study

FORGET = Axis("forget/probability", "Probability", "forget", "lower", unit=True)
UTILITY = Axis("all/model_utility", "Model utility", "", "higher", unit=True)
DISTANCE = Axis("forget/distance_to_original", "Distance", "forget", "lower", unit=False)

VALUES: dict[str, Any] = {  # model: part, method, step, forgetting [low, high], utility [low, high]
    "Original": ("original", "", None, (0.9, 0.8, 0.95), (0.7, 0.6, 0.8)),
    "Retained": ("retained", "", None, (0.1, 0.05, 0.2), (0.7, 0.6, 0.8)),
    "NPO 4": ("unlearned", "NPO", 4, (0.3, 0.2, 0.4), (0.6, 0.5, 0.7)),
    "NPO 2": ("unlearned", "NPO", 2, (0.6, 0.5, 0.8), (0.65, 0.6, 0.7)),
    "GA 2": ("unlearned", "GA", 2, (0.6, 0.5, 0.7), (0.5, 0.4, 0.6)),
}
STUDY = Study(
    name="s",
    modality="text",
    models=tuple(
        ModelSpec(name, part, "x", method=method, step=step)
        for name, (part, method, step, *_) in VALUES.items()
    ),
    probe_sets=(ProbeSet("forget", "forget", ()),),
)
MODELS = list(VALUES)
LOOKS = {spec.name: look_of(spec, STUDY) for spec in STUDY.models}


def frame(models: list[str] = MODELS) -> pd.DataFrame:
    rows = []
    for model in models:
        part, method, step, *pairs = VALUES[model]
        for key, (value, low, high) in zip(("forget/probability", "all/model_utility"), pairs, strict=True):
            role, metric = key.split("/")
            rows.append((model, part, method, step, metric, role, key, value, low, high, 20))
    columns = ["model", "part", "method", "step", "metric", "role", "key", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).astype({"step": "Int64"})


def traces(figure: go.Figure) -> dict[str, Any]:
    """Clickable traces by name."""
    return {one.name: one for one in figure.data if one.customdata is not None}


def test_a_lower_is_better_axis_runs_backwards_and_values_stay_as_measured() -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY).set_index("model")
    original = points.loc["Original"]
    assert original["x"] == original["x_value"] == 0.9
    assert (original["x_minus"], original["x_plus"]) == (pytest.approx(0.1), pytest.approx(0.05))
    assert (original["x_low"], original["x_high"]) == (0.8, 0.95)
    assert FORGET.label == "Probability on forget  (lower is better →)"
    left, right = tradeoff_figure(points.reset_index(), FORGET, UTILITY, LOOKS).layout.xaxis.range
    assert left > 0.95 and right < 0.3


def test_without_turning_values_stay_and_the_title_says_where_better_is() -> None:
    axis = Axis("forget/probability", "Probability", "forget", "lower", unit=True, turn=False)
    points = chart_points(frame(), MODELS, axis, UTILITY).set_index("model")
    assert points.loc["Original", "x"] == 0.9
    assert axis.label == "Probability on forget  (← lower is better)"


def test_an_open_ended_metric_is_turned_by_running_the_axis_backwards() -> None:
    assert DISTANCE.reversed
    assert DISTANCE.label == "Distance on forget  (lower is better →)"
    table = frame().replace({"key": {"forget/probability": DISTANCE.key}})
    figure = tradeoff_figure(chart_points(table, MODELS, DISTANCE, UTILITY), DISTANCE, UTILITY, LOOKS)
    left, right = figure.layout.xaxis.range
    assert left > 0.95 and right < 0.05


@pytest.mark.parametrize("turn", [True, False])
def test_the_front_holds_the_unlearned_models_that_no_other_beats_whichever_way_axes_run(turn: bool) -> None:
    axis = Axis("forget/probability", "Probability", "forget", "lower", unit=True, turn=turn)
    points = chart_points(frame(), MODELS, axis, UTILITY)
    assert set(points.loc[points["front"], "model"]) == {"NPO 2", "NPO 4"}


def test_a_model_without_a_value_on_one_axis_is_left_out_and_codes_stay() -> None:
    table = frame()
    table.loc[(table["model"] == "Original") & (table["role"] == "all"), "value"] = math.nan
    points = chart_points(table, MODELS, FORGET, UTILITY)
    assert list(points["model"]) == MODELS[1:]
    assert list(points["code"]) == [1, 2, 3, 4]


def test_checkpoints_are_joined_in_step_order_and_carry_their_models_code() -> None:
    figure = tradeoff_figure(chart_points(frame(), MODELS, FORGET, UTILITY), FORGET, UTILITY, LOOKS)
    npo = traces(figure)["NPO"]
    assert list(npo["customdata"]) == [MODELS.index("NPO 2"), MODELS.index("NPO 4")]
    assert npo["mode"] == "lines+markers"
    assert np.allclose(npo["x"], [0.6, 0.3])
    assert np.allclose(npo["error_x"]["array"], [0.2, 0.1]) and np.allclose(
        npo["error_x"]["arrayminus"], [0.1, 0.1]
    )
    assert set(traces(figure)) == {"NPO", "GA", "Original", "Retained"}
    assert npo["line"]["color"] == LOOKS["NPO 2"].light


def test_hover_tells_model_method_step_values_with_intervals_and_n() -> None:
    figure = tradeoff_figure(chart_points(frame(), MODELS, FORGET, UTILITY), FORGET, UTILITY, LOOKS)
    assert traces(figure)["NPO"]["text"][0].split("<br>") == [
        "<b>NPO 2</b>",
        "NPO, step 2",
        "Probability on forget: 0.600 [0.500, 0.800], n = 20",
        "Model utility: 0.650 [0.600, 0.700], n = 20",
    ]


def test_dominated_checkpoints_are_hollow() -> None:
    figure = tradeoff_figure(chart_points(frame(), MODELS, FORGET, UTILITY), FORGET, UTILITY, LOOKS)
    assert list(traces(figure)["GA"]["marker"]["color"]) == ["#FFFFFF"]
    assert set(traces(figure)["NPO"]["marker"]["color"]) == {LOOKS["NPO 2"].light}


def test_marker_area_grows_linearly_with_the_size_metric() -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY, UTILITY)
    figure = tradeoff_figure(points, FORGET, UTILITY, LOOKS, size=UTILITY)
    drawn = traces(figure)
    spots = {"NPO 4": ("NPO", 1), "GA 2": ("GA", 0), "Original": ("Original", 0)}
    sizes = {model: drawn[name]["marker"]["size"][index] for model, (name, index) in spots.items()}
    areas = {name: size**2 for name, size in sizes.items()}
    assert areas["NPO 4"] - areas["GA 2"] == pytest.approx(areas["Original"] - areas["NPO 4"])


def test_names_are_never_read_as_markup() -> None:
    assert plain('<a href="x">&') == '&lt;a href="x">&amp;'


def test_the_chart_is_described_in_words() -> None:
    said = describe(chart_points(frame(), MODELS, FORGET, UTILITY), FORGET, UTILITY)
    assert "5 models" in said and "NPO 4, NPO 2" in said


def test_the_table_has_values_as_measured_with_intervals() -> None:
    table = points_table(chart_points(frame(), MODELS, FORGET, UTILITY), FORGET, UTILITY, None)
    row = table.set_index("Model").loc["NPO 2"]
    assert (
        row["Probability on forget"],
        row["Probability on forget, low"],
        row["Probability on forget, n"],
    ) == (0.6, 0.5, 20)


def labelled(
    spots: list[tuple[float, float]], texts: list[str], drawn: Floats, width: float, height: float
) -> list[tuple[float, float, float, float] | None]:
    """Boxes of labels beside markers of 6 pixels; None where there was no room."""
    radii = np.full(len(spots), 6.0)
    placed = []
    offsets = place(np.array(spots, float), radii, texts, drawn, width, height)
    for (x, y), text, (dx, dy, _) in zip(spots, texts, offsets, strict=True):
        half = len(text) * 6.9 / 2
        box = (x + dx - half, y + dy - 7.5, x + dx + half, y + dy + 7.5)
        placed.append(None if np.isnan(dx) else box)
    return placed


def covered(box: tuple[float, float, float, float], others: Floats, allowed: float = 0.5) -> bool:
    """Whether a box shares more than half a pixel, across and down, with one of the others."""
    left, top, right, bottom = box
    across = np.minimum(right, others[:, 2]) - np.maximum(left, others[:, 0])
    down = np.minimum(bottom, others[:, 3]) - np.maximum(top, others[:, 1])
    return bool((np.minimum(across, down) > allowed).any())


def test_labels_cover_neither_markers_nor_lines_nor_each_other_nor_the_edge() -> None:
    spots = [(200.0, 100.0), (300.0, 100.0), (395.0, 5.0)]
    drawn = np.concatenate(
        [
            markers(np.array(spots), np.full(3, 7.0)),
            lines(np.array([(200.0, 100.0)]), np.array([(300.0, 100.0)])),
        ]
    )
    boxes = np.empty((0, 4))
    for box in labelled(spots, ["Retained", "NPO", "corner"], drawn, 400, 300):
        assert box is not None
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= 400
        assert not covered(box, np.concatenate([drawn, boxes]))
        boxes = np.vstack([boxes, box])


def test_among_hundreds_of_points_no_label_covers_anything() -> None:
    random = np.random.default_rng(0)
    spots = random.random((300, 2)) * (560, 430)
    drawn = np.concatenate([markers(spots, np.full(300, 7.0)), lines(spots[:-1:9], spots[1::9])])
    boxes = labelled([(x, y) for x, y in spots], [f"{n}" for n in range(300)], drawn, 560, 430)
    placed = np.array([box for box in boxes if box is not None])
    assert len(placed) > 30
    for number, box in enumerate(placed):
        assert not covered(tuple(box), drawn)
        assert not covered(tuple(box), np.delete(placed, number, axis=0), allowed=0)


def test_a_line_is_covered_with_boxes_from_end_to_end() -> None:
    boxes = lines(np.array([(0.0, 10.0), (5.0, 5.0)]), np.array([(30.0, 10.0), (5.0, 5.0)]))
    assert boxes[:, 0].min() == -2 and boxes[:, 2].max() == 32
    assert np.diff(np.sort(boxes[:-2, 0])).max() <= 6


def test_a_label_without_room_is_left_out() -> None:
    assert labelled([(50.0, 50.0)], ["far too long for this plot"], np.empty((0, 4)), 100, 100) == [None]


def test_plotly_finds_nothing_wrong_with_the_figure_and_would_draw_the_same() -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY, UTILITY)
    outline = {"NPO 4": np.array([(0.2, 0.5), (0.4, 0.7)])}
    for marks in (Marks(), Marks("ellipses", outline, grey=True, band=(0.05, None), ideal=(0.0, 1.0))):
        figure = tradeoff_figure(points, FORGET, UTILITY, LOOKS, size=UTILITY, marks=marks)
        assert json.loads(go.Figure(figure.to_dict()).to_json()) == json.loads(figure.to_json())
        assert "NPO 4" in figure.to_html(include_plotlyjs=False)


def test_axes_to_choose_from_are_those_with_values_forget_first() -> None:
    table = frame()
    assert choices.available(table) == ["forget/probability", "all/model_utility"]
    table.loc[table["role"] == "all", "value"] = math.nan
    assert choices.available(table) == ["forget/probability"]


def test_missing_metrics_say_what_they_need() -> None:
    told = " ".join(choices.unavailable(["forget/probability"], STUDY))
    assert "Forget quality (p-value) needs retained model, truth ratio on forget probes" in told
    assert "Probability of the true answer needs" not in told
    alone = Study(name="s", modality="text", models=STUDY.models[:1], probe_sets=STUDY.probe_sets)
    assert "this study has no retained model" in " ".join(choices.unavailable([], alone))
    pictures = Study(name="s", modality="image", models=STUDY.models[:1], probe_sets=STUDY.probe_sets)
    assert "(UA) needs forget concept, judge of its domain; the study file names no [[judges]]." in " ".join(
        choices.unavailable([], pictures)
    )
    assert (
        "CLIP score with the prompt needs [features] clip, the image files; the study file names no clip in "
        in (" ".join(choices.unavailable([], pictures)))
    )


@pytest.mark.parametrize("modality", ["text", "image"])
def test_presets_name_metrics_that_exist_and_are_reported_for_the_role(modality: Modality) -> None:
    for preset in choices.PRESETS[modality]:
        for key in (preset.x, preset.y):
            card = choices.card_of(key)
            assert card.modality == modality and card.reported_for(choices.role_of(key))


PAGES = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app/frame/main.py", default_timeout=120).run()
for page in ("../pages/tradeoffs/page.py", "../pages/runs/page.py"):
    app.switch_page(page).run()
    assert not app.exception and not app.error, (app.exception, app.error)
assert app.title[0].value == "Runs"
heavy = {"torch", "transformers", "diffusers", "peft"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_pages_show_recorded_runs_without_any_model_library(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(text_study(), store)
    store.close()
    own = {
        "UNLEARNBOARD_CACHE": str(tmp_path),
        "UNLEARNBOARD_STUDIES": json.dumps([str(write_study(text_study(), tmp_path))]),
    }
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", PAGES], check=True, timeout=240, cwd=root, env=os.environ | own)


P_VALUE = Axis(
    "forget/forget_quality", "Forget quality", "forget", "higher", unit=True, log=True, p_value=True
)


def with_p_values(values: dict[str, float]) -> pd.DataFrame:
    utility = frame()[lambda rows: rows["key"] == "all/model_utility"]
    quality = utility.assign(key=P_VALUE.key, metric="forget_quality", role="forget", low=np.nan, high=np.nan)
    quality["value"] = quality["model"].map(values)
    return pd.concat([utility, quality], ignore_index=True)


def test_p_values_have_a_logarithmic_axis_on_which_a_zero_lies_at_the_edge_and_says_so() -> None:
    frame_ = with_p_values({"Original": 0.0, "Retained": 1.0, "NPO 4": 3.1e-12, "NPO 2": 0.02, "GA 2": 1e-5})
    points = chart_points(frame_, MODELS, P_VALUE, UTILITY)
    figure = tradeoff_figure(points, P_VALUE, UTILITY, LOOKS, dark=False)
    assert figure.layout.xaxis.type == "log"
    low, high = figure.layout.xaxis.range
    assert low < -12 < 0 < high
    assert P_VALUE.label == "Forget quality on forget  (log scale, higher is better →)"
    drawn = traces(figure)
    assert 0 < drawn["Original"].x[0] < 3.1e-12
    assert "0 (smaller than the axis shows)" in drawn["Original"].text[0]
    hover = dict(zip(drawn["NPO"].x, drawn["NPO"].text, strict=True))
    assert "Forget quality on forget: 3.1e-12, n = 20" in hover[3.1e-12]
    assert "0.020" in hover[0.02]


def test_forget_quality_is_a_p_value_and_probability_is_not() -> None:
    assert choices.axis("forget/forget_quality", turn=True).log
    assert not choices.axis("forget/probability", turn=True).log


def test_the_star_is_drawn_beneath_the_points_of_the_methods() -> None:
    figure = tradeoff_figure(
        chart_points(frame(), MODELS, FORGET, UTILITY), FORGET, UTILITY, LOOKS, dark=False
    )
    names = list(traces(figure))
    assert names.index("Retained") < names.index("NPO")


def test_names_show_control_and_direction_characters() -> None:
    assert plain("a\u202eb\x07<i>") == "a⟨U+202E⟩b␇&lt;i>"


def of_original(rows: pd.DataFrame) -> pd.Series[float]:
    return rows[rows["model"] == "Original"].set_index("key")["value"]


def test_a_change_too_small_to_be_seen_is_neither_better_nor_worse() -> None:
    rows = frame(["Original", "NPO 4", "GA 2"])
    original = rows["model"] == "Original"
    npo, utility = rows["model"] == "NPO 4", rows["key"] == "all/model_utility"
    rows.loc[npo & utility, "value"] = 0.7 - 0.0004
    table = against_original(rows, "NPO 4", of_original(rows)).set_index("key")
    assert table["verdict"].to_dict() == {"forget/probability": "better", "all/model_utility": "same"}
    known = rows[~(original & utility)]
    unknown = against_original(known, "NPO 4", of_original(known)).set_index("key")
    assert unknown["verdict"]["all/model_utility"] == ""
    assert "0.300" in formatted_changes(table.reset_index()).to_html()


def test_small_p_values_are_written_as_powers_of_ten_in_the_table() -> None:
    rows = with_p_values({"Original": 1e-9, "Retained": 1.0, "NPO 4": 0.02, "NPO 2": 0.02, "GA 2": 0.02})
    html = formatted_changes(against_original(rows, "NPO 4", of_original(rows))).to_html()
    assert "1.0e-09" in html and "0.020" in html


def test_marks_are_drawn_where_the_axes_are_turned_and_beaten_points_step_back() -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY)
    outline = np.array([(0.2, 0.5), (0.4, 0.7)])
    marks = Marks("ellipses", {"NPO 4": outline}, grey=True, band=(0.05, None), ideal=(0.0, 1.0))
    figure = tradeoff_figure(points, FORGET, UTILITY, LOOKS, marks=marks)
    filled = [trace for trace in figure.data if trace.fill == "toself"]
    assert [trace.x[:2].tolist() for trace in filled] == [[pytest.approx(0.2), pytest.approx(0.4)]]
    assert filled[0].y[:2].tolist() == [0.5, 0.7]
    (band,) = figure.layout.shapes
    assert (band.x0, band.x1) == (pytest.approx(0.85), pytest.approx(0.95))  # around 0.9
    assert (band.yref, band.y0, band.y1) == ("y domain", 0, 1)
    (best,) = [trace for trace in figure.data if trace.name == "Ideal corner"]
    assert (best.x, best.y) == ((0.0,), (1.0,))
    assert figure.layout.xaxis.range[1] < 0 and figure.layout.yaxis.range[1] > 1
    drawn = traces(figure)
    assert drawn["NPO"].error_x.array is None
    assert list(drawn["GA"].marker.opacity) == [0.3]  # beaten by NPO 2 on utility at equal forgetting
    assert set(drawn["NPO"].marker.opacity) == {1.0}
    plain_figure = tradeoff_figure(points, FORGET, UTILITY, LOOKS)
    assert not plain_figure.layout.shapes
    assert not [
        trace for trace in plain_figure.data if trace.fill == "toself" or trace.name == "Ideal corner"
    ]


def test_an_axis_of_a_distance_says_how_many_pictures_it_is_of() -> None:
    points = frame().assign(n=[300, 300, 40, 40, 300, 300, 300, 300, 300, 300])
    fid = choices.axis("retain/fid_real_inception", turn=False)
    assert fid.counted(points["n"].to_numpy()).label == (
        "FID to real pictures, Inception features on retain, n = 40 to 300  (← lower is better)"
    )
    assert fid.counted(np.array([300.0, 300.0])).count == "n = 300"
    assert FORGET.counted(points["n"].to_numpy()) == FORGET, "a share means the same whatever its number"


OVER = Axis("forget/probability", "Probability", "forget", "lower", unit=True, forgets=True)


def forgetting(values: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    """The frame with other numbers of forgetting."""
    table = frame()
    for model, numbers in values.items():
        at = (table["model"] == model) & (table["key"] == "forget/probability")
        table.loc[at, ["value", "low", "high"]] = numbers
    return table


def test_beyond_the_star_nothing_is_gained() -> None:
    table = forgetting({"NPO 2": (0.1, 0.05, 0.2), "GA 2": (0.06, 0.01, 0.15)})
    front = chart_points(table, MODELS, FORGET, UTILITY).set_index("model")["front"]
    assert front["GA 2"] and front["NPO 2"]  # on an axis that is not one of forgetting, less is more
    front = chart_points(table, MODELS, OVER, UTILITY).set_index("model")["front"]
    assert front["NPO 2"] and not front["GA 2"]


def test_a_whole_interval_beyond_the_star_and_a_destroyed_model_have_no_place_on_the_front() -> None:
    table = forgetting({"NPO 2": (0.06, 0.01, 0.09)})
    points = chart_points(table, MODELS, OVER, UTILITY, destroyed=["NPO 4"]).set_index("model")
    assert points["excluded"].to_dict() == {
        "Original": "",
        "Retained": "",
        "NPO 4": "destroyed",
        "NPO 2": "over-forgotten",
        "GA 2": "",
    }
    assert points.index[points["front"]].tolist() == ["GA 2"]


def test_without_a_retained_model_there_is_no_beyond() -> None:
    table = forgetting({"NPO 2": (0.06, 0.01, 0.09)})
    points = chart_points(table[table["part"] != "retained"], MODELS, OVER, UTILITY)
    assert (points["excluded"] == "").all()
    assert np.isnan(aims(points, OVER, UTILITY)).all()


@pytest.mark.parametrize("turn", [True, False])
def test_the_zone_beyond_the_star_is_hatched_from_the_star_to_the_better_edge(turn: bool) -> None:
    axis = replace(OVER, turn=turn)
    points = chart_points(frame(), MODELS, axis, UTILITY)
    figure = tradeoff_figure(points, axis, UTILITY, LOOKS, marks=Marks(aim=aims(points, axis, UTILITY)))
    zone = figure.data[0]
    assert zone.fillpattern.shape == "/" and "over-forgotten" in [
        note.text for note in figure.layout.annotations
    ]
    assert min(zone.x) == pytest.approx(min(figure.layout.xaxis.range))
    assert max(zone.x) == pytest.approx(0.1)  # the star, beyond which is lower


def test_beyond_the_best_value_of_a_metric_there_is_no_zone() -> None:
    assert over_forgotten(OVER, 0.1, (-0.05, 1.05)) == (0.1, -0.05)
    assert over_forgotten(OVER, 0.0, (-0.05, 1.05)) is None
    assert over_forgotten(OVER, math.nan, (-0.05, 1.05)) is None
    rises = replace(OVER, better="higher")
    assert over_forgotten(rises, 0.8, (-0.05, 1.05)) == (0.8, 1.05) and not over_forgotten(rises, 1.0, (0, 2))
    assert over_forgotten(replace(OVER, log=True), 0.01, (-4, 0)) == (-2.0, -4)


def many_methods(count: int) -> pd.DataFrame:
    """Points of an original and methods with long names, of which the first two are on the front."""
    names = [f"tofu_Llama-3.2-1B-Instruct_method{n}_lr1e-05_and_so_on" for n in range(count)]
    heads = [("Original", "original", 0.9, 0.9)]
    heads += [
        (name, "unlearned", 0.1 + 0.02 * n + (n > 1) * 0.1, 0.5 + 0.1 * (n == 1))
        for n, name in enumerate(names)
    ]
    rows = [
        (name, part, name if part == "unlearned" else "", None, key, value, value, value, 20)
        for name, part, *values in heads
        for key, value in zip(("forget/probability", "all/model_utility"), values, strict=True)
    ]
    columns = ["model", "part", "method", "step", "key", "value", "low", "high", "n"]
    table = pd.DataFrame(rows, columns=columns).astype({"step": "Int64"})
    return chart_points(table, [name for name, *_ in heads], FORGET, UTILITY)


def test_of_many_methods_those_on_the_front_are_named_and_the_others_when_they_are_chosen() -> None:
    points = many_methods(30)
    looks = {name: LOOKS["NPO 2"] for name in points["model"]}
    figure = tradeoff_figure(points, FORGET, UTILITY, looks)
    assert sorted(note.text for note in figure.layout.annotations) == ["Original", "method0", "method1"]
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == ["Pareto front"]
    chosen = {name.meta[0] for name in figure.data if name.customdata is not None}
    assert chosen == {"", *(f"method{n}" for n in range(2, 30))}
    said = names_said(points, Marks())
    assert "Of 30 methods those on the front and chosen points are named" in said and "shortened" in said
    few = many_methods(4)
    named = [note.text for note in tradeoff_figure(few, FORGET, UTILITY, looks).layout.annotations]
    assert {"method2", "method3"} <= set(named)
    assert names_said(chart_points(frame(), MODELS, FORGET, UTILITY), Marks()) == ""


def test_every_view_says_probes_and_protocol_in_its_note() -> None:
    heads = pd.DataFrame({"model": ["A", "B"], "protocol": ["corrected", "<b>"]})
    numbers = np.full((4, 2, 2), np.nan)
    numbers[3] = [[36, 100], [24, 100]]
    board = Board(heads, ("forget/probability", "all/model_utility"), numbers)
    told = view_note(board, ["forget/probability"], "a line is a run")
    assert told == "n = 24 to 36 probes; protocol &lt;b>, standard; a line is a run."


def test_the_first_question_about_pictures_counts_as_the_verdict_does() -> None:
    keys = ["forget/unlearn_accuracy", "forget/attack_success", "all/least_kept_pictures"]
    assert choices.first_axes(keys, "image") == ("forget/attack_success", "all/least_kept_pictures")


def test_a_name_without_room_at_its_point_stands_further_away_on_a_line() -> None:
    spots = np.array([[200.0, 200.0]])
    around = np.array([[150.0, 180.0, 250.0, 220.0]])
    alone = place(spots, np.array([6.0]), ["NPO"], around, 400, 400)
    assert np.isnan(alone).all()
    joined = place(spots, np.array([6.0]), ["NPO"], around, 400, 400, with_leaders=1)
    assert joined[0, 2] == 1 and abs(joined[0, 1]) > 20
    free = place(spots, np.array([6.0]), ["NPO"], np.empty((0, 4)), 400, 400, with_leaders=1)
    assert free[0, 2] == 0


def test_a_saved_figure_says_what_it_is_made_of() -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY)
    note = figure_note(points, Marks(), judged=True)
    assert note.startswith("n = 20 probes; bars: 95 % intervals; filled: ")
    assert note.endswith("star: retained model.")
    aim = Marks(aim=aims(points, replace(FORGET, forgets=True), UTILITY))
    assert figure_note(points, aim, judged=True).endswith("hatched: beyond the retained model.")
    paper = paper_figure(with_note(tradeoff_figure(points, FORGET, UTILITY, LOOKS), note))
    assert paper.layout.height > 480 and paper.layout.annotations[-1].text.replace("<br>", " ") == note
    assert "filled" not in figure_note(points, Marks(intervals="none"), judged=False)


def test_views_over_metrics_begin_with_one_of_each_kind_and_ask_neighbours_as_the_forget_set() -> None:
    keys = in_order(
        [
            "forget/probability",
            "forget/extraction_strength",
            "forget/leak_1",
            "forget/mia_min_k",
            "forget/refusal_rate",
            "all/least_kept",
            "all/model_utility",
            "neighbour/extraction_strength",
            "neighbour/probability",
        ]
    )
    assert one_of_each_kind(["forget/probability", *keys]) == [
        "forget/probability",
        "all/least_kept",
        "all/model_utility",
        "neighbour/probability",
        "forget/refusal_rate",
        "forget/mia_min_k",
    ]
    assert one_of_each_kind(["neighbour/extraction_strength", "forget/leak_1"]) == [
        "neighbour/extraction_strength"
    ]


def test_panels_against_a_metric_have_it_upwards_and_run_as_the_tradeoff_chart_does() -> None:
    heads = pd.DataFrame(
        {"model": ["A 1", "A 2"], "part": "unlearned", "method": "A", "step": pd.array([1, 2], "Int64")}
    )
    numbers = np.full((4, 2, 2), np.nan)
    numbers[0] = [[0.2, 0.9], [0.6, 0.8]]  # forgetting, cost
    board = Board(heads, ("forget/probability", "all/model_utility"), numbers)
    looks = {name: LOOKS["NPO 2"] for name in heads["model"]}
    forgetting, cost = (
        Ruler("forget/probability", "P", turned=True),
        Ruler("all/model_utility", "U", turned=False),
    )
    scene = Scene(board, looks, ["A", "A"], dark=False)
    figure = panels(scene, [forgetting], against=cost, lines=["A", "A"])
    (line,) = [trace for trace in figure.data if trace.customdata is not None]
    assert list(line.x) == [0.2, 0.6] and list(line.y) == [0.9, 0.8]
    left, right = figure.layout.xaxis.range
    low, high = figure.layout.yaxis.range
    assert left > 0.6 and right < 0.2 and low < 0.8 and high > 0.9
    over_steps = panels(scene, [forgetting], against=None, lines=["A", "A"])
    bottom, top = over_steps.layout.yaxis.range
    left, right = over_steps.layout.xaxis.range
    assert bottom > 0.6 and top < 0.2 and left < 1 and right > 2


def test_an_arrow_leads_from_the_plain_question_to_each_attacked_model() -> None:
    points = chart_points(frame(), MODELS, FORGET, UTILITY)
    marks = Marks(plain={"NPO 4": (0.02, 0.6), "nobody": (0.5, 0.5)})
    figure = tradeoff_figure(points, FORGET, UTILITY, LOOKS, marks=marks)
    arrows = next(trace for trace in figure.data if trace.name == "From the plain question")
    assert [list(arrows.x)[:2], list(arrows.y)[:2]] == [[0.02, 0.3], [0.6, 0.6]]
    assert arrows.marker.angleref == "previous" and arrows.marker.symbol[1] == "arrow"
    assert min(figure.layout.xaxis.range) < 0.02  # the plain question is on the chart, too
    without = tradeoff_figure(points, FORGET, UTILITY, LOOKS)
    assert not any(trace.name == "From the plain question" for trace in without.data)
