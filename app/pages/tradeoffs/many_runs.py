"""Views over many runs: trajectories, parallel coordinates, matrix, slices, table, best of each, agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from app.charts.choices import card_of, in_order, judges, role_of, title
from app.charts.many import MOST_LINES, Ruler, correlation, matrix, parallel, parallel_many
from app.charts.notes import ENDS
from app.charts.points import Axis
from app.components import chart
from app.looks.theme import is_dark
from app.pages.tradeoffs.best_view import best_view
from app.pages.tradeoffs.settings import RUNS
from app.pages.tradeoffs.shown_runs import ShownRuns, draw, draw_panels, run_table, save, show_table
from app.pages.tradeoffs.slices import slices_view
from app.pages.tradeoffs.strength import strength_view
from app.shared import state
from app.shared.figure_export import figure_config
from app.shared.scoreboards import current_scoreboard
from backends.study import Study
from cache.analysis.board import Board
from cache.analysis.ranking import agreement, ranks
from cache.analysis.seed_means import over_seeds

MOST_METRICS = 8
MOST_MATRIX = 5


def show_view(view: str, runs: Board, keys: Sequence[str], x: Axis, y: Axis, study: Study) -> None:
    """Draw one of VIEWS."""
    if not len(runs):
        st.info("No run passes the filters.", icon=":material/filter_alt:")
        return
    _DRAW[view](ShownRuns(runs, in_order(runs.known()), x, y, study))


def _trajectories(shown: ShownRuns) -> None:
    steps = shown.runs.heads["step"]
    if steps.isna().all():
        st.info(
            "No run has a step, so there are no trajectories.",
            icon=":material/timeline:",
        )
        return
    rulers = shown.metrics("trajectories", [shown.x.key, shown.y.key], MOST_METRICS)
    if rulers:
        draw_panels("trajectories", shown, rulers, None)
        st.caption(f"{shown.way}Horizontal lines are the original (solid) and the retained model (dotted).")


def _parallel(shown: ShownRuns) -> None:
    rulers = shown.metrics("parallel", shown.usual(), MOST_METRICS)
    if len(rulers) < 2:
        st.caption("Choose at least two metrics.")
        return
    up = "; better is up" if shown.way else ""
    if len(shown.runs) > MOST_LINES:
        many = parallel_many(shown.scene(), rulers)
        alt = f"Parallel coordinates of {len(shown.runs)} runs."
        chart.draw(many, "parallel_many", alt=alt, config=figure_config())
        save(lambda scene: parallel_many(scene, rulers), "parallel", shown, _keys(rulers), "a line is a run")
        st.caption(f"Drag along an axis to filter runs{up}.")
        return
    chosen = _chosen_places(shown)
    figure = parallel(shown.scene(), rulers, chosen or None)
    draw(figure, "parallel", shown)
    way = "top: best of these runs" if shown.way else "top: highest, bottom: lowest of these runs"
    save(
        lambda scene: parallel(scene, rulers, chosen or None),
        "parallel",
        shown,
        _keys(rulers),
        "a line is a run",
        way,
        ENDS,
    )
    st.caption(
        "Draw a box on an axis to select the runs that cross it, for all views; the others "
        f"stay grey. Click outside a line to clear the box{up}."
    )
    if chosen:
        st.button("Show all runs again", icon=":material/filter_alt_off:", on_click=_clear)
    _listed(shown, chosen or range(len(shown.runs)))


def _matrix(shown: ShownRuns) -> None:
    rulers = shown.metrics("matrix", shown.usual(), MOST_MATRIX)
    if len(rulers) < 2:
        st.caption("Choose at least two metrics.")
        return
    figure = matrix(shown.scene(), rulers)
    alt = f"Every chosen metric against every other, for {len(shown.runs)} runs."
    chart.draw(figure, "matrix", alt=alt, config=figure_config())
    save(lambda scene: matrix(scene, rulers), "matrix", shown, _keys(rulers), "a point is a run")
    if shown.way:
        st.caption(shown.way)


def _table(shown: ShownRuns) -> None:
    """All runs with the columns that differ."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        rulers = shown.metrics("table", shown.usual(), 24)
    group = right.toggle("Mean by method", key="table_grouped", persist_state="session")
    table = run_table(shown, [each.key for each in rulers], range(len(shown.runs)))
    if group:
        numbers = [title(each.key) for each in rulers]
        table = pd.concat(
            [
                table.groupby("Method", sort=False)[numbers].mean(),
                table.groupby("Method").size().rename("Runs"),
            ],
            axis=1,
        ).reset_index()
    show_table(table, f"{state.study_name()}-runs", "runs_table", {title(each.key): each for each in rulers})
    means = over_seeds(shown.study, current_scoreboard(), [each.key for each in rulers])
    if not means.empty:
        _seeds(means)


def _seeds(means: pd.DataFrame) -> None:
    """Methods over their training seeds."""
    st.subheader(
        "Means over training seeds",
        anchor=False,
        help="The 95 % interval has both levels: other probes, and other training seeds. Two seeds say little.",
    )
    names = {
        "method": "Method",
        "step": "Step",
        "seeds": "Seeds",
        "over": "Which",
        "key": "Metric",
        "value": "Mean",
    }
    table = means.assign(key=means["key"].map(title)).rename(columns=names)
    show_table(table.dropna(axis=1, how="all"), f"{state.study_name()}-seeds", "seeds_table", {})


def _strength(shown: ShownRuns) -> None:
    strength_view(shown.x, shown.y)


def _disagreement(shown: ShownRuns) -> None:
    """Where two metrics rank the unlearned runs differently."""
    unlearned = shown.runs.only(shown.runs.heads["part"] == "unlearned")
    rulers = shown.metrics(
        "agreement", [key for key in shown.keys if role_of(key) in ("forget", "all") and judges(key)], 12
    )
    if len(rulers) < 2 or len(unlearned) < 3:
        st.caption("Choose at least two metrics; at least three unlearned runs are needed.")
        return
    ways = [card_of(each.key).direction(role_of(each.key)) for each in rulers]
    columns = [unlearned.column(each.key) for each in rulers]
    pairs = [
        [agreement(columns[i], columns[j], (ways[i], ways[j])) for j in range(len(rulers))]
        for i in range(len(rulers))
    ]
    figure = partial(
        correlation,
        [each.title for each in rulers],
        np.array([[pair.spearman for pair in row] for row in pairs]),
    )
    alt = f"Rank correlations of {len(rulers)} metrics over {len(unlearned)} runs."
    chart.draw(figure(is_dark()), "agreement", alt=alt, config=figure_config())
    meant = f"Spearman's rank correlation of {len(unlearned)} unlearned runs"
    save(lambda _: figure(dark=False), "agreement", shown, _keys(rulers), meant)
    st.caption(
        "Spearman's rank correlation over the unlearned runs, with each metric oriented so that better ranks first: "
        "+1, both metrics give the same order; −1, the opposite order. Do not rely on one score alone."
    )
    table = pd.DataFrame({"Run": unlearned.heads["model"], "Method": unlearned.heads["method"]})
    placed = {each.title: ranks(column, way) for each, column, way in zip(rulers, columns, ways, strict=True)}
    spread = np.nanmax(list(placed.values()), axis=0) - np.nanmin(list(placed.values()), axis=0)
    table = table.assign(**placed, Spread=spread).sort_values("Spread", ascending=False, ignore_index=True)
    st.header("Ranks by metric", anchor=False)
    st.caption("1 is best. The runs on which the metrics disagree most come first.")
    show_table(table, f"{state.study_name()}-ranks", "ranks_table", {})


def _keys(rulers: Sequence[Ruler]) -> list[str]:
    return [ruler.key for ruler in rulers]


def _chosen_places(shown: ShownRuns) -> list[int]:
    chosen = set(st.session_state.get(RUNS, []))
    return [place for place, name in enumerate(shown.runs.heads["model"]) if name in chosen]


def _clear() -> None:
    st.session_state[RUNS] = []


def _listed(shown: ShownRuns, places: Sequence[int]) -> None:
    table = run_table(shown, [shown.x.key, shown.y.key], places)
    show_table(table, f"{state.study_name()}-brushed", "brushed_table", {})


_DRAW: Mapping[str, Callable[[ShownRuns], None]] = {
    "Best": best_view,
    "Table": _table,
    "Trajectories": _trajectories,
    "Parallel": _parallel,
    "Matrix": _matrix,
    "Slices": slices_view,
    "Strength": _strength,
    "Agreement": _disagreement,
}
VIEWS: tuple[str, ...] = tuple(_DRAW)
"""Views beside the frontier, in order."""
