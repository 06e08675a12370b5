"""The table of methods under the trade-off chart: areas, chances, distances, with the reference point stated."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from app.charts.frontier import Frontier, methods_table
from app.charts.points import Axis
from app.looks.safe_text import cell_text, literal
from app.shared.table_export import table_export

HELP = (
    "**Area**: share of the rectangle between the reference point and the best corner that at least one of the "
    "method's checkpoints beats (hypervolume); larger is better. Intervals and chances come from the same resamples "
    "of the probes for all methods. **Bend**: the checkpoint nearest to the best of both on the method's own front, "
    "from three checkpoints on. **Nearest to retained**: root mean square distance over both axes, 0 is the retained "
    "model, 1 across the rectangle."
)


def frontier_panel(found: Frontier, x: Axis, y: Axis, name: str) -> None:
    """The table of methods, with the reference point stated."""
    table = methods_table(found)
    if not len(table) or found.where is None:
        if x.log or y.log:
            st.caption("Areas and distances are given on linear axes only: a logarithm has no largest area.")
        return
    st.subheader("Methods on these axes", anchor=False, help=HELP)
    worst, best = found.where.worst, found.where.best
    st.caption(
        f"Reference point: {literal(x.name)} {worst[0]:.3g}, {literal(y.name)} {worst[1]:.3g}; "
        f"best corner: {best[0]:.3g}, {best[1]:.3g}. Area 1 would be the whole rectangle."
    )
    number = st.column_config.NumberColumn(format="%.3f")
    config: dict[str, ColumnConfig | str | None] = {
        column: number for column in table if table[column].dtype.kind == "f"
    }
    if "Chance of the largest area" in table:
        config["Chance of the largest area"] = st.column_config.ProgressColumn(
            format="percent", min_value=0.0, max_value=1.0
        )
    st.dataframe(_shown(table), hide_index=True, column_config=config, key="methods_table", placeholder="–")
    table_export(table, f"{name}-methods", best={"Area": "higher", "Distance": "lower"}, key="methods")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    texts = [column for column in ("Method", "Bend", "Nearest to retained") if column in table]
    return table.assign(**{column: table[column].map(cell_text) for column in texts})
