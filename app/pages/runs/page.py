"""Runs: what was evaluated, with its provenance; what is still to do; a way to do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import streamlit as st

from app.looks.safe_text import literal, visible, visible_json
from app.pages.runs.evaluation_panel import evaluation_panel
from app.pages.runs.evaluation_status import protocol, runs_table
from app.pages.runs.import_panel import import_panel
from app.pages.runs.loader_panel import loader_panel
from app.shared import state
from app.shared.judge_panel import judge_panel
from app.shared.probe_listing import rows_of_sets
from app.shared.resources import store
from backends.study import ProbeSet
from cache.store.runs import RunRecord


def page() -> None:
    """Evaluate, the table of runs, the cache."""
    st.title("Runs", anchor=False)
    st.caption("What was measured of each model, from which files, and what is still missing.")
    st.header("Evaluate", anchor=False)
    evaluation_panel()
    st.header("Cached runs", anchor=False)
    _runs(store().runs(state.study().name))
    loader_panel()
    if state.study().modality == "image":
        judge_panel()
    import_panel()
    _probe_sets(state.study().probe_sets)
    _cache_facts()


def _runs(runs: list[RunRecord]) -> None:
    """Every run of the study; a chosen one shows where its numbers come from."""
    if not runs:
        st.info("No run of this study is in the cache yet.", icon=":material/table_rows:")
        return
    table = runs_table(runs)
    for name in ("Model", "Method", "Probe set"):
        table[name] = table[name].map(visible)
    event = st.dataframe(
        table,
        hide_index=True,
        column_config={
            "When": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", help="When the run ended"),
            "Seconds": st.column_config.NumberColumn(
                format="%.1f", help="Wall time of this model on this probe set"
            ),
            "Fingerprint": st.column_config.TextColumn(help="First digits of the hash of the weights"),
        },
        on_select="rerun",
        selection_mode="single-row",
        key=f"runs_{state.study_name()}",
        placeholder="–",
        height=420 if len(runs) > 10 else "auto",
    )
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(runs):
        _details(runs[rows[0]])
    else:
        st.caption("Select a row to see the provenance of a run.")


def _details(run: RunRecord) -> None:
    """Full provenance of one run."""
    with st.container(border=True, key="run_details"):
        st.text(visible(f"{run.model} on {run.probe_set}"))
        facts = (
            ("Probes done", f"{run.n_done} of {run.n_probes}"),
            ("Wall time", f"{run.seconds:.1f} s"),
            ("Device", f"{run.device}, {run.dtype}"),
            ("Protocol", protocol(run) or "–"),
        )
        for column, (name, value) in zip(st.columns(len(facts)), facts, strict=True):
            column.caption(name)
            column.text(visible(value))
        for note in run.notes:
            st.text(visible(f"Note: {note}"))
        st.caption("Full provenance")
        st.code(visible_json(asdict(run)), language="json", height=360)


def _probe_sets(sets: Sequence[ProbeSet]) -> None:
    """Where the probes come from, what each column became, and which rows were left out."""
    st.header("Probe sets", anchor=False)
    for each in sets:
        for alarm in each.how.alarms:
            st.warning(literal(visible(f"{each.name}: {alarm}")), icon=":material/warning:")
    st.dataframe(
        pd.DataFrame(
            {
                "Probe set": [visible(each.name) for each in sets],
                "Role": [each.role for each in sets],
                "Probes": [len(each.probes) for each in sets],
                "Left out": [len(each.left_out) for each in sets],
                "Form": [visible(each.how.container) for each in sets],
                "Benchmark": [visible(each.how.shape) for each in sets],
                "File": [visible(each.path) for each in sets],
            }
        ),
        hide_index=True,
        key=f"probe_sets_{state.study_name()}",
        column_config={
            "Left out": st.column_config.NumberColumn(help="Rows of the file that cannot be used")
        },
    )
    _columns(sets)
    for each in sets:
        if each.left_out:
            with st.expander(literal(f"{len(each.left_out)} rows of {each.name} are left out")):
                st.text(visible("\n".join(each.left_out)))


def _columns(sets: Sequence[ProbeSet]) -> None:
    """What each column of each file became, in one table, and what a person should know beside it."""
    rows = rows_of_sets(sets)
    if not rows:
        return
    st.caption("How the columns of the files were read")
    names = ("Probe set", "Column", "Read as")
    table = pd.DataFrame([[visible(cell) for cell in row] for row in rows], columns=names)
    st.dataframe(
        table,
        hide_index=True,
        key=f"probe_columns_{state.study_name()}",
        height=420 if len(rows) > 10 else "auto",
    )
    for each in sets:
        for note in each.how.notes:
            st.text(visible(f"{each.name}: {note}"))


def _cache_facts() -> None:
    """Where the cache is, how large, and whether anything in it is damaged."""
    kept = store()
    file = kept.path
    size = sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*") if path.is_file())
    st.header("Cache", anchor=False)
    st.text(f"{file}   {size / 1e6:,.1f} MB, plus images")
    damaged = kept.damaged()
    if damaged:
        st.warning(
            f"{damaged} damaged pieces of evidence or runs count as missing. Evaluate again to replace them.",
            icon=":material/healing:",
        )


page()
