"""Views over many runs: trajectories, parallel coordinates, matrix, slices, table, best of each, agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import state
from app.charts.choices import card_of, in_order, role_of, title
from app.charts.many import MOST_LINES, Ruler, Scene, correlation, matrix, panels, parallel, parallel_many
from app.charts.points import Axis
from app.components.model_picker import is_dark
from app.figure_export import figure_config, figure_export
from app.frontier_panel import method_labels
from app.layers import STUDY
from app.look import looks_of
from app.plain_text import cell_text
from app.resources import store
from app.run_bar import literal
from app.strength_view import strength_view
from app.table_export import table_export
from app.tradeoff_link import RUNS
from backends.study import Study
from cache.board import Board
from cache.differences import differing
from cache.ranking import agreement, best_of_each, ranks, within
from cache.results import settings_of

MOST_METRICS = 8
MOST_MATRIX = 5


class _Shown:
    """What every view gets: runs, keys, the axes of the scatter plot, the study."""

    def __init__(self, runs: Board, keys: Sequence[str], x: Axis, y: Axis, study: Study) -> None:
        self.runs, self.keys, self.x, self.y, self.study = runs, keys, x, y, study

    def scene(self, groups: Sequence[str] | None = None) -> Scene:
        """The runs as figures take them."""
        return Scene(self.runs, looks_of(self.runs.heads, self.study), groups or self.groups(), is_dark())

    def groups(self) -> list[str]:
        """Legend entry of every run."""
        return [str(label) for label in method_labels(self.runs.heads)]

    def lines(self) -> list[str]:
        """What joins the checkpoints of one trajectory, unique over layers."""
        heads = self.runs.heads
        return [
            f"{layer} {line}" if line else ""
            for layer, line in zip(heads["layer"], heads["line"], strict=True)
        ]

    def metrics(self, view: str, usual: Sequence[str], most: int) -> list[Ruler]:
        """A choice of metrics for a view."""
        chosen: list[str] = st.multiselect(
            "Metrics",
            self.keys,
            default=[key for key in usual if key in self.keys][:most],
            key=f"{view}_metrics_{state.board_name()}",
            format_func=title,
            max_selections=most,
            persist_state="session",
        )
        return [ruler(key) for key in chosen]

    def usual(self) -> list[str]:
        """Axes first, then one metric of each role."""
        first = [self.x.key, self.y.key]
        roles: dict[str, str] = {}
        for key in self.keys:
            roles.setdefault(role_of(key), key)
        return list(dict.fromkeys([*first, *roles.values(), *self.keys[:6]]))


def ruler(key: str) -> Ruler:
    """The metric as a figure's axis: turned where lower values are better."""
    return Ruler(key, title(key), turned=card_of(key).direction(role_of(key)) == "lower")


def show_view(view: str, runs: Board, keys: Sequence[str], x: Axis, y: Axis, study: Study) -> None:
    """Draw one of VIEWS."""
    if not len(runs):
        st.info("No run passes the filters.", icon=":material/filter_alt:")
        return
    _DRAW[view](_Shown(runs, in_order(runs.known()), x, y, study))


def _trajectories(shown: _Shown) -> None:
    steps = shown.runs.heads["step"]
    if steps.isna().all():
        st.info(
            "No run says at which step it was made, so there is nothing to follow.",
            icon=":material/timeline:",
        )
        return
    rulers = shown.metrics("trajectories", [shown.x.key, shown.y.key], MOST_METRICS)
    if rulers:
        figure = panels(shown.scene(), rulers, against=None, lines=shown.lines())
        _draw(figure, "trajectories", shown)
        st.caption("Lines across are the original (solid) and the retained model (dotted).")


def _parallel(shown: _Shown) -> None:
    rulers = shown.metrics("parallel", shown.usual(), MOST_METRICS)
    if len(rulers) < 2:
        st.caption("Choose at least two metrics.")
        return
    if len(shown.runs) > MOST_LINES:
        many = parallel_many(shown.scene(), rulers)
        st.plotly_chart(many, key="parallel_many", config=figure_config("parallel"))
        figure_export(lambda: many, f"{state.study_name()}-parallel", key="parallel_many")
        st.caption("Drag along an axis to keep only the runs that cross it there; better is up.")
        return
    chosen = _chosen_places(shown)
    figure = parallel(shown.scene(), rulers, chosen or None)
    _draw(figure, "parallel", shown)
    st.caption(
        "Better is up. Draw a box on an axis to keep the runs that cross it: they are chosen for the other views, the "
        "rest stays grey. A click outside a line clears the box."
    )
    if chosen:
        st.button("Show all runs again", icon=":material/filter_alt_off:", on_click=_clear)
    _listed(shown, chosen or range(len(shown.runs)))


def _matrix(shown: _Shown) -> None:
    rulers = shown.metrics("matrix", shown.usual(), MOST_MATRIX)
    if len(rulers) < 2:
        st.caption("Choose at least two metrics.")
        return
    figure = matrix(shown.scene(), rulers)
    st.plotly_chart(figure, key="matrix", config=figure_config("matrix"))
    figure_export(lambda: figure, f"{state.study_name()}-matrix", key="matrix")


def _slices(shown: _Shown) -> None:
    """One metric over all roles it has values on."""
    names: dict[str, list[str]] = {}
    for key in shown.keys:
        names.setdefault(key.partition("/")[2].partition("@")[0], []).append(key)
    several = {name: keys for name, keys in names.items() if len(keys) > 1}
    if not several:
        st.info("No metric has values on more than one kind of probes.", icon=":material/grid_view:")
        return
    usual = shown.x.key.partition("/")[2]
    options = list(several)
    metric = st.selectbox(
        "Metric",
        options,
        index=options.index(usual) if usual in several else 0,
        format_func=lambda name: card_of(several[name][0]).title,
        key="slices_metric",
    )
    rulers = [ruler(key) for key in several[metric]]
    figure = panels(shown.scene(), rulers, against=ruler(shown.y.key), lines=shown.lines())
    _draw(figure, "slices", shown)
    st.caption(f"Each panel is one kind of probes; horizontally {literal(title(shown.y.key))}.")


def _table(shown: _Shown) -> None:
    """All runs with the columns that differ."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        rulers = shown.metrics("table", shown.usual(), 24)
    group = right.toggle("Mean by method", key="table_grouped", persist_state="session")
    table = _run_table(shown, [each.key for each in rulers], range(len(shown.runs)))
    if group:
        numbers = [title(each.key) for each in rulers]
        table = pd.concat(
            [
                table.groupby("Method", sort=False)[numbers].mean(),
                table.groupby("Method").size().rename("Runs"),
            ],
            axis=1,
        ).reset_index()
    _show_table(table, f"{state.study_name()}-runs", "runs_table", {title(each.key): each for each in rulers})


def _best(shown: _Shown) -> None:
    """Best checkpoint of each method under a condition on another metric."""
    keys = list(shown.keys)
    columns = st.columns([4, 2, 4], gap="small", vertical_alignment="bottom")
    with columns[0]:
        kept = st.selectbox("Keep", keys, index=keys.index(shown.y.key), format_func=title, key="best_kept")
    with columns[1]:
        share = st.number_input("within % of the original", 0.0, 100.0, 2.0, 0.5, key="best_share")
    with columns[2]:
        aim = st.selectbox(
            "and be best at", keys, index=keys.index(shown.x.key), format_func=title, key="best_aim"
        )
    heads = shown.runs.heads
    originals = np.flatnonzero((heads["part"] == "original").to_numpy())
    values = shown.runs.column(kept)
    known = [place for place in originals if not np.isnan(values[place])]
    if not known:
        st.info("The condition needs the original's value of that metric.", icon=":material/rule:")
        return
    way = card_of(kept).direction(role_of(kept))
    allowed = (
        within(values, float(values[known[0]]), share / 100, way) & (heads["part"] == "unlearned").to_numpy()
    )
    unlearned = np.flatnonzero((heads["part"] == "unlearned").to_numpy())
    groups = [shown.groups()[place] for place in unlearned]
    found = best_of_each(
        groups, shown.runs.column(aim)[unlearned], card_of(aim).direction(role_of(aim)), allowed[unlearned]
    )
    rows = [
        {
            "Method": group,
            "Run": "none meets the condition"
            if place is None
            else str(heads["model"].iloc[unlearned[place]]),
            title(aim): np.nan if place is None else shown.runs.column(aim)[unlearned[place]],
            title(kept): np.nan if place is None else values[unlearned[place]],
        }
        for group, place in found.items()
    ]
    lower = card_of(aim).direction(role_of(aim)) == "lower"
    table = pd.DataFrame(rows).sort_values(title(aim), ascending=lower, na_position="last", ignore_index=True)
    st.caption(f"The original's {literal(title(kept))} is {values[known[0]]:.3f}.")
    _show_table(table, f"{state.study_name()}-best", "best_table", {title(aim): ruler(aim)})


def _strength(shown: _Shown) -> None:
    strength_view(shown.study, shown.x, shown.y)


def _disagreement(shown: _Shown) -> None:
    """Where two metrics rank the unlearned runs differently."""
    unlearned = shown.runs.only(shown.runs.heads["part"] == "unlearned")
    rulers = shown.metrics("agreement", [key for key in shown.keys if role_of(key) in ("forget", "all")], 12)
    if len(rulers) < 2 or len(unlearned) < 3:
        st.caption("Choose at least two metrics; at least three unlearned runs are needed.")
        return
    ways = [card_of(each.key).direction(role_of(each.key)) for each in rulers]
    columns = [unlearned.column(each.key) for each in rulers]
    pairs = [
        [agreement(columns[i], columns[j], (ways[i], ways[j])) for j in range(len(rulers))]
        for i in range(len(rulers))
    ]
    figure = correlation(
        [each.title for each in rulers],
        np.array([[pair.spearman for pair in row] for row in pairs]),
        is_dark(),
    )
    st.plotly_chart(figure, key="agreement", config=figure_config("agreement"))
    figure_export(lambda: figure, f"{state.study_name()}-agreement", key="agreement")
    st.caption(
        "Spearman's rank correlation over the unlearned runs, each metric turned so that better is first: +1, both "
        "order the runs alike; −1, what one calls better the other calls worse. Never trust one score alone."
    )
    table = pd.DataFrame({"Run": unlearned.heads["model"], "Method": unlearned.heads["method"]})
    placed = {each.title: ranks(column, way) for each, column, way in zip(rulers, columns, ways, strict=True)}
    spread = np.nanmax(list(placed.values()), axis=0) - np.nanmin(list(placed.values()), axis=0)
    table = table.assign(**placed, Spread=spread).sort_values("Spread", ascending=False, ignore_index=True)
    st.subheader("Ranks by metric", anchor=False)
    st.caption("1 is best. At the top are the runs about which the metrics disagree most.")
    _show_table(table, f"{state.study_name()}-ranks", "ranks_table", {})


def _draw(figure: go.Figure, name: str, shown: _Shown) -> None:
    """A figure whose points choose runs for all views."""
    key = f"{name}_{state.study_name()}"
    models = list(shown.runs.heads["model"])

    def take() -> None:
        picked = st.session_state[key]["selection"]["points"]
        chosen = dict.fromkeys(
            models[int(_first(each["customdata"]))] for each in picked if "customdata" in each
        )
        if chosen:
            st.session_state[RUNS] = list(chosen)

    st.plotly_chart(
        figure, key=key, on_select=take, selection_mode=("points", "box", "lasso"), config=figure_config(name)
    )
    figure_export(lambda: figure, f"{state.study_name()}-{name}", key=name)


def _first(value: Any) -> int:
    """A point's place, which Plotly gives bare or in a list."""
    return int(value[0] if isinstance(value, list) else value)


def _chosen_places(shown: _Shown) -> list[int]:
    chosen = set(st.session_state.get(RUNS, []))
    return [place for place, name in enumerate(shown.runs.heads["model"]) if name in chosen]


def _clear() -> None:
    st.session_state[RUNS] = []


def _listed(shown: _Shown, places: Sequence[int]) -> None:
    table = _run_table(shown, [shown.x.key, shown.y.key], places)
    _show_table(table, f"{state.study_name()}-brushed", "brushed_table", {})


def _run_table(shown: _Shown, keys: Sequence[str], places: Sequence[int]) -> pd.DataFrame:
    """Who the runs are, by the columns and settings in which they differ, then the metrics."""
    heads = shown.runs.heads.iloc[list(places)]
    table = pd.DataFrame({"Run": heads["model"].to_numpy(), "Method": heads["method"].to_numpy()})
    for name, label in (
        ("step", "Step"),
        ("protocol", "Protocol"),
        ("layer", "Layer"),
        ("created", "Created"),
    ):
        if heads[name].nunique(dropna=False) > 1:
            table[label] = heads[name].to_numpy()
    table = _with_settings(table, heads)
    for key in keys:
        column = shown.runs.column(key)[list(places)]
        table[title(key)] = column
    return table


def _with_settings(table: pd.DataFrame, heads: pd.DataFrame) -> pd.DataFrame:
    """Hyper-parameters of imported runs, where they differ."""
    if "key" not in heads or (heads["layer"] == STUDY).all():
        return table
    held = settings_of(store(), [key for key in heads["key"] if isinstance(key, str)])
    if not held:
        return table
    differ = differing(held).T
    aligned = differ.reindex(heads["key"]).fillna("–")
    return table.assign(**{name: aligned[name].to_numpy() for name in aligned.columns[:12]})


def _show_table(table: pd.DataFrame, name: str, key: str, rulers: Mapping[str, Ruler]) -> None:
    number = st.column_config.NumberColumn(format="%.3f")
    config = {column: number for column in table if table[column].dtype.kind == "f" and column != "Step"}
    shown = table.copy()
    for column in shown:
        if not pd.api.types.is_numeric_dtype(shown[column]):
            shown[column] = shown[column].map(cell_text)
    st.dataframe(shown, hide_index=True, column_config=config, key=key, placeholder="–")
    best = {label: "lower" if each.turned else "higher" for label, each in rulers.items()}
    table_export(table, name, key=key, best=best)


_DRAW: Mapping[str, Callable[[_Shown], None]] = {
    "Trajectories": _trajectories,
    "Parallel": _parallel,
    "Matrix": _matrix,
    "Slices": _slices,
    "Table": _table,
    "Best": _best,
    "Strength": _strength,
    "Agreement": _disagreement,
}
VIEWS: tuple[str, ...] = tuple(_DRAW)
"""Views beside the frontier, in order."""
