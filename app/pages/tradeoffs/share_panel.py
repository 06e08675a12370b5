"""What stands at the foot of the Trade-offs page: sources of published tables, and the study's report."""

from __future__ import annotations

import streamlit as st

from app.export.report import study_report
from app.looks.safe_text import literal
from app.pages.tradeoffs.layers import tables
from app.shared import state
from app.shared.resources import store
from backends.study import Study
from cache.analysis.board import Board
from cache.analysis.scoreboard import Scoreboard


def whole_study(study: Study, board: Scoreboard) -> None:
    """The report, for readers without UnlearnBoard."""
    st.header("Report", anchor=False)
    redact = st.toggle(
        "Hide the forgotten content",
        key="report_redact",
        help="What was to be forgotten is replaced by blocks, wherever it stands; its numbers stay.",
    )
    st.download_button(
        "Report as one HTML page",
        lambda: study_report(study, store(), board, redact=redact).page,
        file_name=f"{state.study_name()}.html",
        mime="text/html",
        icon=":material/description:",
        key="study_report",
        on_click="ignore",
    )
    st.caption(
        "Request, models, data, verdict, curves, examples and how to check it, in one file that prints well and "
        "holds no script. `unlearnboard report` also writes a PDF, `unlearnboard verify` checks one against the cache, "
        "`unlearnboard export` adds all tables and figures. In a notebook: `unlearnboard.load()`."
    )


def published_sources(board: Board) -> None:
    """Where published tables come from, and what a reader must know of them."""
    known = tables()
    shown = [known[layer] for layer in dict.fromkeys(board.heads["layer"]) if layer in known]
    if not shown:
        return
    with st.expander("Sources of the published tables", icon=":material/menu_book:", expanded=True):
        for table in shown:
            protocols = ", ".join(dict.fromkeys(table.board.heads["protocol"]))
            for source, url in table.sources:
                st.markdown(
                    f"{literal(table.name)}: [{literal(source)}]({url}); protocol {literal(protocols)}"
                )
            for flag in table.flags:
                st.caption(literal(flag))
