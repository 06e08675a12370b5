"""A strength curve on Trade-offs: both metrics over the strength, what they say, and a strength to try in Compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app.charts.dial import Level, dial_figure
from app.charts.notes import note
from app.charts.points import Axis
from app.components import chart
from app.looks.model_looks import METHOD_LOOKS, ORIGINAL, RETAINED, families
from app.looks.safe_text import visible
from app.looks.theme import is_dark
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.figure_export import figure_config, figure_export
from app.shared.protocol_choice import under_protocol
from app.shared.scoreboards import scoreboard_with
from backends.study import Study
from backends.study.strength import dialled, is_dialled, model_at
from cache.analysis.dial import findings
from cache.analysis.frontier import Floats


def strength_curve(named: Study, name: str, strengths: list[float], x: Axis, y: Axis) -> None:
    """Both metrics over a, and what they say.

    Args:
        named: the study as its file has it.
        name: the unlearned model.
        strengths: those that are evaluated, or asked for, ascending; none for none.
        x: what the first panel shows.
        y: what the second one shows.
    """
    models = {a: model_at(named.original, named.model(name), a) for a in strengths}
    study = _with(state.study(), named, name, strengths)
    frame = scoreboard_with(study).frame
    between = [models[a] for a in strengths if a not in (0.0, 1.0)]
    if not frame["model"].isin(between).any():
        st.info(
            f"This curve has not been evaluated yet{under_protocol()}. Press *Evaluate the curve*.",
            icon=":material/show_chart:",
        )
        return
    values = np.array([[_value(frame, models[a], axis.key) for axis in (x, y)] for a in strengths])
    if np.isnan(values).all():
        st.info("The models of this curve have no value on either axis.", icon=":material/show_chart:")
        return
    known = strengths
    marked = st.select_slider(
        "Selected strength a",
        known,
        value=st.session_state.get("dial_marked")
        if st.session_state.get("dial_marked") in known
        else _middle(known),
        format_func=lambda a: f"{a:g}",
    )
    st.session_state["dial_marked"] = marked
    look = METHOD_LOOKS[families(named).index(named.model(name).method or name) % len(METHOD_LOOKS)]
    levels = [
        Level(spec.name, tuple(float(_value(frame, spec.name, axis.key)) for axis in (x, y)), shown)
        for spec, shown in ((named.original, ORIGINAL), (study.retained, RETAINED))
        if spec is not None
    ]
    intervals = np.array(
        [[_interval(frame, model, axis.key) for axis in (x, y)] for model in models.values()]
    )

    def figure(places: Sequence[int], *, dark: bool) -> go.Figure:
        of = [Level(each.name, tuple(each.values[place] for place in places), each.look) for each in levels]
        axes = [(x, y)[place] for place in places]
        return dial_figure(
            np.array(known), values[:, places], intervals[:, places], axes, look, of, marked, dark=dark
        )

    for place, column in enumerate(st.columns(2)):
        with column:  # two charts, so that they stand below each other on a phone
            alt = f"{(x, y)[place].name} over the strength a."
            chart.draw(figure([place], dark=is_dark()), f"dial_{place}", alt=alt, config=figure_config())
    title = f"{state.study_name()}-strength"
    drawn = frame[frame["model"].isin(models.values()) & frame["key"].isin([x.key, y.key])]
    said = ["band: 95 % intervals", "dashed: original and retained model"]
    meant = note(drawn["n"].to_numpy(float), [study.protocol if study.modality == "text" else ""], said)
    figure_export(lambda: figure([0, 1], dark=False), title, meant, key="dial")
    retained = next((level.values[0] for level in levels if level.name != named.original.name), None)
    _said(np.array(known), values, x, y, retained)
    _try(named, name, strengths, marked)


def _said(strengths: Floats, values: Floats, x: Axis, y: Axis, retained: float | None) -> None:
    curve = findings(strengths, values, (x.better, y.better), retained)
    lines = []
    if curve.knee_strength is not None:
        lines.append(
            f"The knee of the curve is at a = {curve.knee_strength:g}: the best compromise among these strengths."
        )
    if curve.passing_strength is not None:
        lines.append(
            f"From a ≈ {curve.passing_strength:.2f} on it has passed the retained model on {x.name}: "
            "beyond it, forgetting is damage, not a gain."
        )
    elif retained is not None and not np.isnan(retained):
        lines.append(f"No strength reaches the retained model on {x.name}.")
    if np.isnan(values).any():
        lines.append("Some strengths are not evaluated yet.")
    st.text("\n".join(map(visible, lines)))


def _with(study: Study, named: Study, name: str, strengths: list[float]) -> Study:
    """The shown study with the models of the curve that it lacks."""
    curve = [dialled(named.original, named.model(name), a) for a in strengths]
    own = {spec.name for spec in study.models}
    return replace(study, models=(*study.models, *(spec for spec in curve if spec.name not in own)))


def _try(named: Study, name: str, strengths: list[float], marked: float) -> None:
    """The marked strength as a model of Compare, and the whole curve as models of the study on all pages."""
    model = model_at(named.original, named.model(name), marked)
    others = [dial for dial in state.dials() if dial[0] != name]
    with st.container(horizontal=True):
        if st.button(
            f"Try a = {marked:g} in Compare", icon=":material/compare:", type="primary", key="dial_try"
        ):
            state.set_dials([*state.dials(), (name, marked)])
            probe = state.probe()
            ticked = [each for each in chosen_models() if not is_dialled(state.study().model(each))]
            state.open_in_compare(probe.id if probe else "", [*ticked, name, model])
        if any(dial[0] == name for dial in state.dials()):
            st.button(
                "Take the curve off the other pages",
                icon=":material/close:",
                type="tertiary",
                on_click=lambda: state.set_dials(others),
                help="Its evidence stays in the cache.",
            )
        else:
            st.button(
                "Show the curve on all pages",
                icon=":material/add:",
                type="tertiary",
                on_click=lambda: state.set_dials([*others, *((name, a) for a in strengths)]),
                help="Its models become models of the study, on the trade-off chart, too.",
            )


def _middle(known: list[float]) -> float:
    return min(known, key=lambda a: abs(a - 1.0))


def _value(frame: pd.DataFrame, model: str, key: str) -> float:
    rows = frame.loc[(frame["model"] == model) & (frame["key"] == key), "value"]
    return float(rows.iloc[0]) if len(rows) else float("nan")


def _interval(frame: pd.DataFrame, model: str, key: str) -> tuple[float, float]:
    rows = frame.loc[(frame["model"] == model) & (frame["key"] == key), ["low", "high"]]
    return (float(rows.iloc[0, 0]), float(rows.iloc[0, 1])) if len(rows) else (float("nan"), float("nan"))
