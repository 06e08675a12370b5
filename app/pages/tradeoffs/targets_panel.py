"""Methods over several targets, on Trade-offs: means of every metric, with the number of targets beside them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.charts.choices import title
from app.looks.safe_text import cell_text
from app.shared import state
from app.shared.table_export import table_export
from backends.study import Study
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.target_means import over_targets


def targets_panel(study: Study, board: Scoreboard) -> None:
    """The table of means; nothing where all models were made to forget the same."""
    means = over_targets(study, board)
    if not len(means):
        return
    table = means_table(means)
    with st.expander("Averages over targets", icon=":material/join_inner:", expanded=False):
        st.caption(
            "Each model is measured on its own target concept: prompts for it count as forget prompts of "
            "that model, prompts for other concepts as retain prompts. Every target counts once; "
            "intervals are over prompts, not over targets."
        )
        number = st.column_config.NumberColumn(format="%.3f")
        config = {name: number for name in table if table[name].dtype.kind == "f"}
        shown = table.copy()
        for name in ("Method", "Over", "Metric"):
            shown[name] = shown[name].map(cell_text)
        st.dataframe(
            shown,
            hide_index=True,
            column_config=config,
            key=f"targets_{state.study_name()}",
            placeholder="–",
        )
        table_export(table, f"{state.study_name()}-targets", key="targets_table")


def means_table(means: pd.DataFrame) -> pd.DataFrame:
    """The means with columns for people, those over most targets first."""
    means = means.sort_values("targets", ascending=False, kind="stable", ignore_index=True)
    return pd.DataFrame(
        {
            "Method": means["method"],
            "Step": means["step"],
            "Metric": means["key"].map(title),
            "Mean": means["value"],
            "Mean, low": means["low"],
            "Mean, high": means["high"],
            "Original": means["original"],
            "Targets": means["targets"],
            "Over": means["over"],
        }
    )
