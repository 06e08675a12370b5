"""A run of another tool in detail: its numbers, settings, provenance and examples."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from app.charts.choices import in_order, title
from app.charts.points import Axis, p_value_text
from app.looks.safe_text import cell_text, literal, visible, visible_json
from app.pages.tradeoffs.layers import tables
from app.pages.tradeoffs.selected_model import colour, gain
from app.shared.resources import store
from cache.analysis.board import Board
from cache.analysis.differences import difference
from cache.store.results import NOTES, examples, result

CHANGED_SHOWN = 6
SHOWN = ("id", "prompt", "answer", "generation")


def imported_run_panel(runs: Board, name: str, x: Axis, y: Axis) -> None:
    """What is known of it."""
    place = list(runs.heads["model"]).index(name)
    head = runs.heads.iloc[place]
    facts = [str(head["layer"]), f"protocol {head['protocol']}"]
    facts += [str(head["method"])] if head["method"] else []
    facts += [f"step {head['step']:g}"] if pd.notna(head["step"]) else []
    st.text(visible(" · ".join(facts)))
    base = _original(runs, str(head["layer"]))
    for axis in (x, y):
        value = float(runs.column(axis.key)[place])
        known = base is not None and base != place and pd.notna(runs.column(axis.key)[base])
        theirs = float(runs.column(axis.key)[base]) if known and base is not None else math.nan
        change = value - theirs
        st.metric(
            axis.name,
            axis.number(value) if pd.notna(value) else "–",
            delta=None if math.isnan(change) else f"{change:+.3f}",
            delta_color=colour(gain(axis.better, theirs, value), change),
            border=True,
            help=f"{axis.way.capitalize()}.",
        )
    keys = in_order(key for key in runs.keys if pd.notna(runs.column(key)[place]))
    with st.expander(f"All {len(keys)} metrics"):
        table = pd.DataFrame(
            {
                "Metric": [title(key) for key in keys],
                **{
                    label: [runs.numbers[row, place, runs.keys.index(key)] for key in keys]
                    for row, label in enumerate(("Value", "low", "high", "n"))
                },
            }
        )
        number = st.column_config.NumberColumn(format="%.4g")
        st.dataframe(
            table.dropna(axis=1, how="all"),
            hide_index=True,
            column_config=dict.fromkeys(("Value", "low", "high"), number),
            placeholder="–",
        )
    if base is not None and base != place:
        _most_changed(runs, name, str(runs.heads["model"].iloc[base]), x, y)
    key = head.get("key")
    if isinstance(key, str) and str(head["layer"]) not in tables():
        _recorded(key)


def imported_examples(runs: Board, name: str, key: str) -> pd.Series:
    """Values of single examples by their id; empty where the files had none."""
    held = runs.heads.set_index("model").loc[name].get("key")
    frame = examples(store(), held) if isinstance(held, str) else pd.DataFrame()
    if key not in frame:
        return pd.Series([], dtype=float)
    values: pd.Series = frame.set_index("id")[key].dropna()
    return values


def _most_changed(runs: Board, name: str, original: str, x: Axis, y: Axis) -> None:
    """Examples whose value moved most from the original's of the same collection."""
    for axis in (x, y):
        comparison = difference(
            imported_examples(runs, original, axis.key), imported_examples(runs, name, axis.key)
        )
        if comparison is None:
            continue
        moved = comparison.table["difference"].abs().sort_values(ascending=False).index[:CHANGED_SHOWN]
        table = comparison.table.loc[moved].rename_axis("Example").reset_index()
        table["Example"] = table["Example"].map(cell_text)
        st.caption(
            f"Changed most on {literal(axis.name)}: p {p_value_text(comparison.p_value)}, paired sign-flip test"
        )
        number = st.column_config.NumberColumn(format="%.3f")
        names = {"first": "Original", "second": "This run", "difference": "Change"}
        st.dataframe(
            table.rename(columns=names),
            hide_index=True,
            column_config=dict.fromkeys(names.values(), number),
            key=f"foreign_changed_{axis.key}",
        )
        return


def _recorded(key: str) -> None:
    run = result(store(), key)
    frame = examples(store(), key)
    if run is not None:
        for note in run.notes:
            st.warning(literal(note), icon=":material/info:")
        with st.expander("Provenance and settings"):
            settings = {name: value for name, value in run.settings.items() if name != NOTES}
            told = {"tool": run.tool, "source": run.source, "created": run.created, **settings}
            st.code(visible_json({name: value for name, value in told.items() if value != ""}), language=None)
    texts = [column for column in SHOWN if column in frame]
    if len(texts) > 1:
        with st.expander(f"{len(frame)} examples"):
            said = frame.loc[frame[texts[1:]].notna().any(axis=1), texts]
            st.dataframe(said.map(cell_text), hide_index=True)


def _original(runs: Board, layer: str) -> int | None:
    same = (runs.heads["part"] == "original") & (runs.heads["layer"] == layer)
    places = [place for place, found in enumerate(same) if found]
    return places[0] if places else None
