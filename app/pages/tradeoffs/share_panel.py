"""What stands at the foot of the Trade-offs page: sources of published tables, and the study as one page."""

from __future__ import annotations

import streamlit as st

from app.export.report import study_page
from app.looks.safe_text import literal
from app.pages.tradeoffs.layers import tables
from app.shared import state
from app.shared.resources import store
from backends.study import Study
from cache.analysis.board import Board
from cache.analysis.scoreboard import Scoreboard


def whole_study(study: Study, board: Scoreboard) -> None:
    """The study as one page, for readers without UnlearnBoard."""
    st.header("Share", anchor=False)
    st.download_button(
        "Whole study as one HTML page",
        lambda: study_page(study, store(), board),
        file_name=f"{state.study_name()}.html",
        mime="text/html",
        icon=":material/html:",
        key="study_page",
        on_click="ignore",
    )
    st.caption(
        "Figures, tables, examples and provenance in one self-contained file. `unlearnboard export` writes it together "
        "with all tables, figures and files in open-unlearning's format. In a notebook: `unlearnboard.load()`."
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
