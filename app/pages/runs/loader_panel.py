"""The models of a study as they were loaded: what of each differs from the original, and where."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from app.looks.safe_text import literal, visible
from app.shared import state
from app.shared.resources import store
from backends.checkpoints.loader_report import LoaderReport, ModelCheck
from cache.store.model_checks import model_checks

COLUMNS = {
    "Changed": st.column_config.NumberColumn(
        format="%.2f %%", help="Share of the original's parameters in tensors that differ"
    ),
    "Distance": st.column_config.NumberColumn(
        format="%.4f",
        help="Norm of the difference over the norm of the original's weights, in the block that changed most",
    ),
    "Matched": st.column_config.NumberColumn(help="Tensors of the file that match the model"),
    "Equal": st.column_config.NumberColumn(help="Matched tensors that equal the original's"),
    "Not in the file": st.column_config.NumberColumn(
        help="Tensors of the same component that the file lacks: the base's are used"
    ),
}


def loader_panel() -> None:
    """One row per model; a chosen one shows its blocks and everything else that differs."""
    study = state.study()
    checks = model_checks(study, store(), [spec.name for spec in study.models])
    st.header("Models as loaded", anchor=False)
    reports = {name: check.report for name, check in checks.items() if check.report}
    if not reports:
        st.info(
            "No model was compared on this machine yet. "
            + (
                "The first comparison or evaluation checks what of each model differs from the original."
                if study.modality == "image"
                else "`unlearnboard models` loads each model beside the original and reports what differs; "
                "an evaluation does so if both share their base."
            ),
            icon=":material/difference:",
        )
        return
    if study.modality == "image":
        _identity(study.original.name, checks.get(study.original.name))
    event = st.dataframe(
        pd.DataFrame([_row(name, report) for name, report in reports.items()]),
        hide_index=True,
        column_config=COLUMNS,
        on_select="rerun",
        selection_mode="single-row",
        key=f"loaded_{state.study_name()}",
    )
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(reports):
        _details(*list(reports.items())[rows[0]])
    else:
        st.caption("Select a row to see which blocks changed, and what else differs from the original.")


def _identity(original: str, check: ModelCheck | None) -> None:
    if check is None:
        return
    if check.identity:
        st.warning(literal(f"{original} loaded twice: {check.identity}"), icon=":material/warning:")
    else:
        st.caption(literal(f"{original} loaded twice generated the same picture, bit for bit."))


def _row(name: str, report: LoaderReport) -> dict[str, object]:
    furthest = max((block.relative_l2 for block in report.blocks), default=0.0)
    return {
        "Model": visible(name),
        "Checkpoint": visible(report.shape),
        "Changed": 100 * report.share if report.parameters else None,
        "Distance": furthest if math.isfinite(furthest) and report.parameters else None,
        "Matched": report.matched,
        "Equal": report.unchanged,
        "Not in the file": report.missing,
        "Else": _else(report),
    }


def _else(report: LoaderReport) -> str:
    if report.differences:
        return f"{len(report.differences)} difference{'s' if len(report.differences) > 1 else ''}"
    return "as the original" if report.parameters else "not compared"


def _details(name: str, report: LoaderReport) -> None:
    with st.container(border=True, key="loaded_details"):
        st.text(visible(f"{name}: {report.changed} tensors differ from the original's"))
        for sentence in (*report.notes, *report.differences):
            st.text(visible(f"• {sentence}"))
        if report.added:
            st.text(f"• {report.added:,} parameters are in modules that the original does not have")
        if report.ignored:
            st.text(f"• {report.ignored} entries of the file are not weights of the model")
        if report.blocks:
            st.dataframe(
                pd.DataFrame(
                    {
                        "Block": [f"{block.component}: {block.block}" for block in report.blocks],
                        "Parameters": [block.parameters for block in report.blocks],
                        "Changed": [100 * block.changed / block.parameters for block in report.blocks],
                        "Distance": [block.relative_l2 for block in report.blocks],
                    }
                ),
                hide_index=True,
                column_config={
                    "Parameters": st.column_config.NumberColumn(format="localized"),
                    "Changed": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
                    "Distance": st.column_config.NumberColumn(
                        format="%.4f", help="Norm of the difference over the norm of the original's block"
                    ),
                },
                key=f"blocks_{name}",
            )
