"""Examples, for image models: what was asked against what the pictures show, and which concepts suffered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app.charts.ink import plain
from app.charts.notes import note
from app.components import chart
from app.looks.safe_text import visible
from app.looks.scales import ROCKET
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.figure_export import figure_config, figure_export
from app.shared.resources import store
from backends.study.targets import target_of
from cache.analysis.confusion import Confusion, Drift, confusion, domains, drift

CELL = 44


def confusion_panel() -> None:
    """Heat map and ranking for one ticked model; nothing in a study without judges."""
    study = state.study()
    known = domains(study)
    if not known:
        return
    names = chosen_models()
    others = [name for name in names if name != study.original.name] or names
    with st.expander("Prompted and recognised concepts", icon=":material/grid_on:", expanded=False):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            model = st.selectbox(
                "Model",
                [*others, study.original.name],
                key=f"confusion_model_{state.study_name()}",
                width=260,
            )
            domain = st.selectbox("Domain", known, key=f"confusion_domain_{state.study_name()}", width=200)
        matrix = confusion(study, store(), model, domain)
        if not matrix.probes:
            st.info(
                "The cache has no judged pictures of this model yet. Evaluate it on the Runs page.",
                icon=":material/image:",
            )
            return
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _heat_map(matrix, model, domain)
        with right:
            _ranking(drift(study, store(), model, domain), target_of(study, model).get(domain))


def _heat_map(matrix: Confusion, model: str, domain: str) -> None:
    cells = [(asked, shown) for asked in matrix.asked for shown in matrix.shown if matrix.count(asked, shown)]
    share = [matrix.count(*cell) / matrix.total(cell[0]) for cell in cells]
    # Squares on a grid, not plotly's heat map: only points can be chosen.
    figure = go.Figure(
        go.Scatter(
            x=[plain(shown) for _, shown in cells],
            y=[plain(asked) for asked, _ in cells],
            mode="markers+text",
            text=[str(matrix.count(*cell)) for cell in cells],
            textfont={"color": ["#ffffff" if value > 0.35 else "#1d2129" for value in share]},
            marker={
                "symbol": "square",
                "size": CELL - 4,
                "color": share,
                "colorscale": [
                    [place / (len(ROCKET) - 1), colour] for place, colour in enumerate(reversed(ROCKET))
                ],
                "cmin": 0,
                "cmax": 1,
                "line": {"width": 0},
            },
            customdata=list(range(len(cells))),
            hovertext=[f"{value:.0%}" for value in share],
            hovertemplate="asked %{y}, shows %{x}: %{text} pictures, %{hovertext}<extra></extra>",
        )
    )
    figure.update_layout(
        height=CELL * len(matrix.asked) + 120,
        margin={"l": 10, "r": 10, "t": 36, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
        xaxis={
            "title": f"shown {plain(domain)}",
            "side": "top",
            "categoryorder": "array",
            "categoryarray": [plain(name) for name in matrix.shown],
            "range": [-0.5, len(matrix.shown) - 0.5],
            "showgrid": False,
        },
        yaxis={
            "title": f"asked {plain(domain)}",
            "categoryorder": "array",
            "categoryarray": [plain(name) for name in reversed(matrix.asked)],
            "range": [-0.5, len(matrix.asked) - 0.5],
            "showgrid": False,
        },
    )
    held = f"confusion_cell_{state.study_name()}_{model}_{domain}"

    def take(places: list[int]) -> None:
        st.session_state[held] = cells[places[0]]

    meant = "numbers: pictures; colour: share of the pictures that were asked for"
    figure_export(
        lambda: figure,
        f"{state.study_name()}-confusion",
        note(np.array([float(matrix.total(asked)) for asked in matrix.asked]), [], [model, meant]),
        key="confusion",
    )
    cell = st.session_state.get(held)
    chart.draw(
        figure,
        f"confusion_{state.study_name()}",
        alt=f"What the judge sees in pictures of each {domain} that was asked for.",
        config=figure_config(),
        chosen=[cells.index(cell)] if cell in cells else [],
        on_choose=take,
    )
    if cell not in cells:
        st.caption(
            "Rows: the concept in the prompt. Columns: what the judge recognises. Click a cell to list its prompts."
        )
        return
    asked, shown = cell
    ids = list(dict.fromkeys(matrix.probes.get((asked, shown), ())))
    probes = {probe.id: probe for probe in state.probes()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.selectbox(
            f"{matrix.count(asked, shown)} pictures of {len(ids)} prompts",
            ids,
            format_func=lambda probe: visible(probes[probe].label),
            key=f"confusion_probe_{asked}_{shown}",
        )
        if st.button("Open in Compare", icon=":material/open_in_new:", key="confusion_open"):
            state.open_in_compare(chosen, [model])


def _ranking(rows: list[Drift], forgotten: str | None) -> None:
    st.dataframe(
        pd.DataFrame(
            {
                "Concept": [
                    visible(row.concept) + (" (to be forgotten)" if row.concept == forgotten else "")
                    for row in rows
                ],
                "Original": [100 * row.before for row in rows],
                "Model": [100 * row.after for row in rows],
                "Change": [100 * row.change for row in rows],
                "95 % interval": [f"{100 * row.low:+.0f} to {100 * row.high:+.0f}" for row in rows],
                "Pictures": [row.n for row in rows],
            }
        ),
        hide_index=True,
        column_config={
            "Original": st.column_config.NumberColumn(
                format="%.0f %%", help="Share of the original's pictures that show the prompted concept"
            ),
            "Model": st.column_config.NumberColumn(
                format="%.0f %%", help="The same for this model, from the same noise"
            ),
            "Change": st.column_config.NumberColumn(
                format="%+.0f", help="Percentage points; negative is harm"
            ),
            "95 % interval": st.column_config.TextColumn(
                help="Of the change, prompts resampled 2,000 times, seeded"
            ),
        },
    )
    st.caption("Most harmed first. Errors of the judge affect both columns.")
