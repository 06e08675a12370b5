"""Which runs of the board are shown: by method, by part of a name, by date. Their values are in the session already."""

from __future__ import annotations

import streamlit as st

from app.looks.safe_text import visible
from cache.analysis.board import Board

LEAST_RUNS = 12
"""Fewer runs need no filter."""


def filtered(board: Board) -> Board:
    """The runs that pass; the original and the retained model always do."""
    if len(board) < LEAST_RUNS:
        return board
    heads = board.heads
    methods = sorted(set(heads.loc[heads["part"] == "unlearned", "method"]) - {""})
    active = bool(st.session_state["method"] or st.session_state["tag"])
    label = "Filter (on)" if active else "Filter"
    with st.popover(label, icon=":material/filter_alt:", key="run_filters", width="content"):
        chosen: list[str] = st.multiselect(
            "Methods",
            methods,
            key="method",
            persist_state="session",
            format_func=visible,
            placeholder="All methods",
        )
        text: str = st.text_input(
            "Name, layer, protocol or date contains",
            key="tag",
            persist_state="session",
            placeholder="checkpoint-60",
        )
    keep = heads["part"] != "unlearned"
    passes = heads["method"].isin(chosen) if chosen else heads["part"] == "unlearned"
    if text:
        said = (
            heads["model"].astype(str) + " " + heads["created"].astype(str) + " " + heads["layer"].astype(str)
        )
        passes &= said.str.contains(text, case=False, regex=False)
    return board.only(keep | passes)
