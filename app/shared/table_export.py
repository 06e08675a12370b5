"""A table as files: CSV, JSON, LaTeX and Markdown, from one button."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st

from cache.exporters.tables import to_csv, to_json, to_latex, to_markdown

FORMATS: Mapping[str, tuple[str, str]] = {
    "CSV": ("csv", "text/csv"),
    "JSON": ("json", "application/json"),
    "LaTeX": ("tex", "text/x-tex"),
    "Markdown": ("md", "text/markdown"),
}


def table_export(
    table: pd.DataFrame,
    name: str,
    *,
    key: str,
    best: Mapping[str, str] | None = None,
    caption: str = "",
    ranked: Sequence[bool] | None = None,
) -> None:
    """Buttons that download the table.

    Args:
        table: numbers as measured, columns for people; `X, low` and `X, high` beside `X` are its interval.
        name: of the files, without ending.
        key: of the widgets.
        best: column -> "lower" or "higher": its best value is bold in LaTeX and Markdown.
        caption: of the LaTeX table.
        ranked: rows among which the best is sought; None for all.
    """
    best = best or {}
    makers: dict[str, Callable[[], str]] = {
        "CSV": lambda: to_csv(table),
        "JSON": lambda: to_json(table),
        "LaTeX": lambda: to_latex(table, best, caption, ranked),
        "Markdown": lambda: to_markdown(table, best, ranked),
    }
    with st.container(horizontal=True, gap="small", key=f"export_{key}"):
        for label, (ending, mime) in FORMATS.items():
            st.download_button(
                f"Download {label}" if label == "CSV" else label,
                makers[label],
                file_name=f"{name}.{ending}",
                mime=mime,
                icon=":material/download:" if label == "CSV" else None,
                key=f"export_{key}_{ending}",
                on_click="ignore",
            )
