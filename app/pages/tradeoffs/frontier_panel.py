"""The table of methods under the trade-off chart: areas, chances, distances, with the reference point stated."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from app.charts.frontier import Frontier
from app.charts.points import Axis
from app.looks.safe_text import cell_text, literal
from app.shared.table_export import table_export

HELP = (
    "**Hypervolume**: share of the rectangle between the reference point and the best corner that the "
    "method's checkpoints dominate; larger is better. Intervals and probabilities come from the same "
    "Bayesian bootstrap replicates for all methods. **Knee**: the checkpoint nearest to the best value of both "
    "metrics on the method's own front; it needs three checkpoints on the front. **Nearest to retained**: "
    "root mean square distance over both axes; 0 is the retained model, 1 is across the rectangle. "
    "Its interval begins at 0 where the probes cannot tell the two models apart."
)


def frontier_panel(frontier_data: Frontier, table: pd.DataFrame, x: Axis, y: Axis, name: str) -> None:
    """The table of methods, with the reference point stated.

    Args:
        frontier_data: what is plotted.
        table: its `methods_table`.
        x: horizontal axis.
        y: vertical axis.
        name: of the files that the table is saved as.
    """
    if not len(table) or frontier_data.where is None:
        if x.log or y.log:
            st.caption(
                "Hypervolumes and distances are given on linear axes only: a logarithmic axis has no finite rectangle."
            )
        return
    st.header("Methods on these axes", anchor=False, help=HELP)
    worst, best = frontier_data.where.worst, frontier_data.where.best
    st.caption(
        f"Reference point: {literal(x.name)} {worst[0]:.3g}, {literal(y.name)} {worst[1]:.3g}; "
        f"best corner: {best[0]:.3g}, {best[1]:.3g}. Hypervolume 1 would be the whole rectangle."
    )
    number = st.column_config.NumberColumn(format="%.3f")
    config: dict[str, ColumnConfig | str | None] = {
        column: number for column in table if table[column].dtype.kind == "f"
    }
    if "Probability of the largest hypervolume" in table:
        config["Probability of the largest hypervolume"] = st.column_config.ProgressColumn(
            format="percent", min_value=0.0, max_value=1.0
        )
    st.dataframe(_shown(table), hide_index=True, column_config=config, key="methods_table", placeholder="–")
    table_export(table, f"{name}-methods", best={"Hypervolume": "higher", "Distance": "lower"}, key="methods")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    texts = [column for column in ("Method", "Knee", "Nearest to retained") if column in table]
    return table.assign(**{column: table[column].map(cell_text) for column in texts})
