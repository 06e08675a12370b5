"""What stands at the foot of the Trade-offs page: sources of published tables."""

from __future__ import annotations

import streamlit as st

from app.looks.safe_text import literal
from app.pages.tradeoffs.layers import tables
from cache.analysis.board import Board


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
