"""Which runs of the board are shown: by method, by part of a name, by date. Their values are in the session already."""

from __future__ import annotations

import streamlit as st

from app.plain_text import visible
from cache.board import Board

LEAST_RUNS = 12
"""Fewer runs need no filter."""


def filtered(board: Board) -> Board:
    """The runs that pass; the original and the retained model always do."""
    if len(board) < LEAST_RUNS:
        return board
    heads = board.heads
    methods = sorted(set(heads.loc[heads["part"] == "unlearned", "method"]) - {""})
    left, right = st.columns([3, 2], gap="small")
    chosen: list[str] = left.multiselect(
        "Methods",
        methods,
        key="method",
        persist_state="session",
        format_func=visible,
        placeholder="All methods",
        label_visibility="collapsed",
    )
    text: str = right.text_input(
        "Filter",
        key="tag",
        persist_state="session",
        placeholder="Name or date contains …",
        label_visibility="collapsed",
    )
    keep = heads["part"] != "unlearned"
    passes = heads["method"].isin(chosen) if chosen else heads["part"] == "unlearned"
    if text:
        said = (
            heads["model"].astype(str) + " " + heads["created"].astype(str) + " " + heads["layer"].astype(str)
        )
        passes &= said.str.contains(text, case=False, regex=False)
    return board.only(keep | passes)
