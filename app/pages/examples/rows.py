"""The rows of Examples: one a probe, every ticked model beside the original; downloads, and the way to Compare."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app.looks.safe_text import literal, visible
from app.pages.examples.example_pictures import MOST_ROWS, pictures
from app.pages.examples.example_table import as_csv, as_jsonl, table
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.resources import store
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis.examples import Examples

ANSWER_HEIGHT, PICTURE_HEIGHT, VALUE_HEIGHT, TABLE_HEIGHT = (
    76,
    96,
    36,
    620,
)  # pixels; an answer has three lines
HOLDOUT_NOT_WRITTEN = (
    "Holdout probes are scored, not answered: membership attacks need nothing else. `holdout_answers = true` in the "
    "study file has answers written, too."
)
WIDTHS = {"prompt": 210, "reference": 210, "answer": 230, "outcome": 105}


def rows_panel(
    shown: Examples, rows: pd.Index[str], columns: list[str], role: str, key: str, study: Study
) -> None:
    """The table of these probes, with what can be done with it."""
    if rows.empty:
        st.info("No probe fits these filters.", icon=":material/filter_alt_off:")
        return
    ids = list(rows)
    widget = f"examples_rows_{state.study_name()}_{key}"
    held = st.session_state.get(widget) or {"selection": {"rows": []}}
    chosen = [ids[row] for row in held["selection"]["rows"] if row < len(ids)]
    metric = MetricKey.parse(key).name
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{len(ids):,} of {len(shown.probes):,} probes. Select a row, then:", width="content")
        if st.button(
            "Open in Compare",
            icon=":material/compare:",
            type="primary",
            disabled=not chosen,
            key="examples_open",
        ):
            state.open_in_compare(chosen[0], chosen_models())
        for label, make in (("CSV", as_csv), ("JSONL", as_jsonl)):
            st.download_button(
                label,
                partial(make, shown, ids, metric, study.protocol if study.modality == "text" else ""),
                file_name=f"{state.study_name()}-{role}-{metric}.{label.lower()}",
                icon=":material/download:",
                on_click="ignore",
            )
    if role == "holdout" and "answer" in columns and not shown.answers.ne("").any(axis=None):
        st.caption(HOLDOUT_NOT_WRITTEN)
    drawn: dict[str, list[str | None]] = {}
    if "picture" in columns:
        probes = {probe.id: probe for probe in state.probes()}
        first = [probes[row] for row in ids[:MOST_ROWS]]
        rest: list[str | None] = [None] * (len(ids) - len(first))
        found = pictures(study, store(), list(shown.values.columns), first)
        drawn = {name: [*uris, *rest] for name, uris in found.items()}
        if rest:
            st.caption(f"The first {MOST_ROWS} rows have pictures; filter or sort to see others.")
    shown_rows = table(shown, ids, columns, role, drawn)
    config: dict[str, Any] = {}
    flat: dict[str, pd.Series[object]] = {}
    for (model, what), column in shown_rows.items():
        name = f"{model}: {what}" if model else what
        flat[name] = column
        label = {
            "prompt": "Prompt",
            "reference": "Reference",
            "answer": visible(model),
            "picture": visible(model),
            "outcome": f"{visible(model)} is",
            "value": visible(model) if not {"answer", "picture"} & set(columns) else "value",
            "change": f"Δ {visible(model)}",
            "distance": f"{visible(model)} from retained",
        }[what]
        if what == "picture":
            config[name] = st.column_config.ImageColumn(label, width=PICTURE_HEIGHT + 24)
        elif what in ("value", "change", "distance"):
            number = "%+.3f" if what == "change" else "%.3f"
            of = {"change": " against the original", "distance": f" from {literal(shown.retained)}"}
            config[name] = st.column_config.NumberColumn(
                label, format=number, help=f"{literal(model)}: {what}{of.get(what, '')}"
            )
        else:
            width = WIDTHS[what]
            config[name] = st.column_config.TextColumn(label, width=width, pinned=what == "prompt" or None)
    if not shown.probes["reference"].any():
        flat.pop("reference")
    height = ANSWER_HEIGHT if "answer" in columns else PICTURE_HEIGHT if drawn else VALUE_HEIGHT
    st.dataframe(
        pd.DataFrame(flat),
        hide_index=True,
        column_config=config,
        height=min(TABLE_HEIGHT, height * (len(ids) + 1)),
        row_height=height,
        on_select="rerun",
        selection_mode="single-row",
        key=widget,
        placeholder="–",
    )
