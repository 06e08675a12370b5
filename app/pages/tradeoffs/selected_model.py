"""One model of the trade-off chart in detail: who it is, what it changed, and on which probes most."""

from __future__ import annotations

from dataclasses import asdict
from math import isnan, nan
from typing import Literal

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from app.charts.choices import available, card_of, role_of, title
from app.charts.points import Axis, p_value
from app.looks.names import detail_of
from app.looks.safe_text import visible, visible_json
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.resources import store
from backends.metrics import METRICS, Direction, StudyMetric
from backends.metrics.intervals import no_interval
from backends.metrics.key import MetricKey
from backends.metrics.relative import WORDS, closer
from backends.study import ModelSpec, Study
from cache.analysis.scoreboard import Scoreboard

CHANGED_SHOWN = 8
LEAST_CHANGE = 0.0005  # a smaller change is 0.000 to the reader, and neither better nor worse


def selected_model(board: Scoreboard, study: Study, name: str, x: Axis, y: Axis) -> None:
    """One of the study's models: who it is, its values against the original, where they come from."""
    spec = study.model(name)
    st.text(visible(detail_of(spec)) + (f"\n{visible(spec.note)}" if spec.note else ""))
    changes = against_original(board.frame, name, board.original_values(name))
    for axis in (x, y):
        headline(changes, axis)
    if spec.part == "unlearned" and (answers := retained_or_original(changes)):
        st.caption(answers, help=card_of("forget/closer_to_retained").reading)
    changes_table(changes)
    _provenance(study, spec)


def against_original(frame: pd.DataFrame, model: str, theirs: pd.Series) -> pd.DataFrame:
    """Every metric of a model beside the original's, which are given by key.

    Returns:
        Columns key, metric, original, value, low, high, change, verdict ("better", "worse", "same" as far as three
        digits tell, "" where a value is missing or neither way is better); NaN where unknown.
    """
    columns = ["key", "value", "low", "high"]
    ours = frame.loc[frame["model"] == model, columns].set_index("key")
    keys = [key for key in available(frame) if key in ours.index]
    table = ours.loc[keys].reset_index()
    table.insert(1, "metric", [title(key) for key in keys])
    table.insert(2, "original", theirs.reindex(keys).to_numpy())
    table["change"] = table["value"] - table["original"]
    ways = [card_of(key).direction(role_of(key)) for key in keys]
    values = zip(ways, table["original"], table["value"], strict=True)
    table["verdict"] = [_verdict(gain(way, original, value)) for way, original, value in values]
    return table


def retained_or_original(changes: pd.DataFrame) -> str:
    """Which of the two the model is closer to, in words, by role; "" where that is not known.

    Args:
        changes: as `against_original` makes them.
    """
    rows = changes[[MetricKey.parse(key).metric == "closer_to_retained" for key in changes["key"]]]
    answers = [
        f"{WORDS[closer(low, high)]} on {role_of(key)}"
        for key, low, high in zip(rows["key"], rows["low"], rows["high"], strict=True)
    ]
    return f"Retained or original? {', '.join(answers).capitalize()}." if answers else ""


def gain(way: Direction, original: float, value: float) -> float:
    """Positive where the value is better than the original's; NaN where neither way is better."""
    if way == "neutral":
        return nan
    if way == "zero":
        return abs(original) - abs(value)
    return value - original if way == "higher" else original - value


def _verdict(by: float) -> str:
    if isnan(by):
        return ""
    return "better" if by >= LEAST_CHANGE else "worse" if by <= -LEAST_CHANGE else "same"


def most_changed(board: Scoreboard, study: Study, model: str, x: Axis, y: Axis) -> None:
    """Probes on which the model moved most from the original; a chosen one opens in Compare."""
    if model == study.original.name:
        return
    st.header("Probes that changed most", anchor=False)
    keys = [
        key
        for key in available(board.frame)
        if not isinstance(METRICS[MetricKey.parse(key).name], StudyMetric)
    ]
    usual = next((axis.key for axis in (x, y) if axis.key in keys), keys[0])
    left, right = st.columns([1, 2], gap="medium", vertical_alignment="bottom")
    key = left.selectbox(
        "Measured by", keys, index=keys.index(usual), format_func=title, key=f"changed_by_{usual}"
    )
    table = board.most_changed(model, key, CHANGED_SHOWN)
    if table.empty:
        st.caption("This metric has no value per probe for this model and the original.")
        return
    shown = table.assign(prompt=table["prompt"].map(visible), probe=table["probe"].map(visible))
    number = st.column_config.NumberColumn(format="%.3f")
    event = st.dataframe(
        shown.rename(
            columns={"prompt": "Prompt", "original": "Original", "value": "This model", "change": "Change"}
        ),
        hide_index=True,
        column_order=["Prompt", "Original", "This model", "Change", "probe"],
        column_config={
            "Prompt": st.column_config.TextColumn(width="large"),
            "Original": number,
            "This model": number,
            "Change": st.column_config.NumberColumn(format="%+.3f"),
            "probe": "Probe",
        },
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [0]}},
        key=f"changed_{state.study_name()}_{model}_{key}",
    )
    rows = event["selection"]["rows"]
    row = rows[0] if rows and rows[0] < len(table) else 0
    with right.container(horizontal=True):
        if st.button("Open the chosen probe in Compare", icon=":material/compare:", type="primary"):
            state.open_in_compare(str(table["probe"].iloc[row]), [*chosen_models(), model])
        if st.button("All probes in Examples", icon=":material/list_alt:"):
            state.open_in_examples(key, [*chosen_models(), model])


def colour(by: float, change: float) -> Literal["normal", "inverse", "off"]:
    """Streamlit's name for green where a value is better, red where it is worse, grey where it is neither.

    Args:
        by: the gain, NaN where neither way is better.
        change: by which the value rose; normal is green for a rise, inverse for a fall.
    """
    if isnan(by) or by == 0:
        return "off"
    return "normal" if (by > 0) == (change > 0) else "inverse"


def headline(changes: pd.DataFrame, axis: Axis) -> None:
    """Value on one axis, with its distance to the original's."""
    rows = changes[changes["key"] == axis.key]
    if rows.empty or pd.isna(rows["value"].iloc[0]):
        st.metric(axis.name, "–", border=True)
        return
    row = rows.iloc[0]
    moved = pd.notna(row["change"]) and abs(row["change"]) >= LEAST_CHANGE
    with st.container(border=True, gap="xxsmall"):
        st.metric(
            axis.name,
            axis.number(row["value"]),
            delta=None if pd.isna(row["change"]) else f"{row['change']:+.3f}" if moved else "±0.000",
            delta_color=colour(gain(axis.better, row["original"], row["value"]), row["change"])
            if moved
            else "off",
            delta_arrow="auto" if moved else "off",
            delta_description="" if pd.isna(row["original"]) else f"original {axis.number(row['original'])}",
        )
        interval = (
            f"95 % interval: {axis.number(row['low'])} to {axis.number(row['high'])}"
            if pd.notna(row["low"])
            else no_interval(card_of(axis.key))
        )
        st.caption(f"{axis.way.capitalize()}. {interval}")


def formatted_changes(changes: pd.DataFrame) -> Styler:
    """Changes with columns for people; numbers stay numbers, so that they sort, and are shown as people read them."""
    table = changes.rename(
        columns={"metric": "Metric", "value": "This", "original": "Original", "change": "Change"}
    )
    numbers = ["This", "Original", "low", "high"]
    powers = table.index[[card_of(key).p_value for key in table["key"]]]
    styled = table.style.format("{:.3f}", subset=numbers, na_rep="–")
    styled = styled.format("{:+.3f}", subset=["Change"], na_rep="–")
    return styled.format(p_value, subset=(powers, numbers), na_rep="–")


def changes_table(changes: pd.DataFrame) -> None:
    """All metrics against the original."""
    with st.expander("All metrics against the original", key="all_metrics", on_change="rerun") as table:
        if not table.open:  # made only for those who look
            return
        st.dataframe(
            formatted_changes(changes),
            hide_index=True,
            column_order=["Metric", "This", "Change", "verdict", "Original", "low", "high"],
            column_config={"Metric": st.column_config.TextColumn(width="medium"), "verdict": ""},
            placeholder="–",
        )


def _provenance(study: Study, spec: ModelSpec) -> None:
    """What the model is made of and which runs its values come from."""
    with st.expander("Provenance", key="provenance", on_change="rerun") as details:
        if not details.open:
            return
        facts = {name: value for name, value in asdict(spec).items() if value not in ("", None, ())}
        runs = [asdict(run) for run in store().runs(study.name) if run.model == spec.name]
        st.code(visible_json({"model": facts, "runs": runs}), language=None, height=320)
