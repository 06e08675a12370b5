"""Small multiples of one metric: by role, subject or tag of the probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import streamlit as st

from app.charts.choices import card_of, per_example, role_of, title
from app.charts.many import Ruler
from app.looks.safe_text import literal
from app.pages.tradeoffs.shown_runs import ShownRuns, draw_panels, run_table, show_table
from app.shared import state
from app.shared.scoreboards import current_scoreboard
from backends.metrics.key import MetricKey
from cache.analysis.slices import MOST_SLICES, By, slice_board, slices_of
from cache.analysis.study_board import STUDY


def slices_view(shown: ShownRuns) -> None:
    """Small multiples of one metric: by role, subject or tag of the probes."""
    own = shown.runs.only(shown.runs.heads["layer"] == STUDY)
    sliced = [key for key in shown.keys if len(own) and per_example(key) and key in own.known()]
    ways = {"kind": "Probe role"}
    for by in get_args(By):
        if any(slices_of(shown.study, role_of(key), by) for key in sliced[:1]):
            ways[by] = by.capitalize()
    way = "kind"
    if len(ways) > 1:
        way = (
            st.segmented_control(
                "Slices by",
                list(ways),
                default="kind",
                required=True,
                format_func=lambda name: ways[name],
                key="slices_by",
            )
            or "kind"
        )
    if way == "kind":
        _by_kind(shown)
        return
    key = st.selectbox(
        "Metric", sliced, index=_place(sliced, shown.x.key), format_func=title, key="slices_key"
    )
    board = slice_board(current_scoreboard(), shown.study, own, key, "tag" if way == "tag" else "subject")
    if not board.keys:
        st.info(f"No {way} has two of these probes.", icon=":material/grid_view:")
        return
    narrowed = ShownRuns(board, board.keys, shown.x, shown.y, shown.study)
    rulers = [Ruler(each, MetricKey.parse(each).part, shown.ruler(key).turned) for each in board.keys]
    steps = board.heads["step"].notna().any()
    draw_panels("slices", narrowed, rulers, None if steps else rulers[0])
    st.caption(
        f"{shown.way}{literal(title(key))} by {way}, over the step; at most {MOST_SLICES} with the most probes. "
        "Horizontal lines are the original (solid) and the retained model (dotted)."
    )
    show_table(
        run_table(narrowed, board.keys, range(len(board))),
        f"{state.study_name()}-slices",
        "slices_table",
        {},
    )


def _place(keys: Sequence[str], key: str) -> int:
    return list(keys).index(key) if key in keys else 0


def _by_kind(shown: ShownRuns) -> None:
    """One metric over all roles it has values on."""
    names: dict[str, list[str]] = {}
    for key in shown.keys:
        names.setdefault(MetricKey.parse(key).undivided.name, []).append(key)
    several = {name: keys for name, keys in names.items() if len(keys) > 1}
    if not several:
        st.info("No metric has values on more than one probe role.", icon=":material/grid_view:")
        return
    usual = MetricKey.parse(shown.x.key).name
    options = list(several)
    metric = st.selectbox(
        "Metric",
        options,
        index=options.index(usual) if usual in several else 0,
        format_func=lambda name: card_of(several[name][0]).title,
        key="slices_metric",
    )
    rulers = [shown.ruler(key) for key in several[metric]]
    draw_panels("slices", shown, rulers, shown.ruler(shown.y.key))
    st.caption(f"{shown.way}Each panel is one probe role; vertical axis: {literal(title(shown.y.key))}.")
