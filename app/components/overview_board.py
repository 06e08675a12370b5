"""The Overview's table of verdicts, curve, examples and gaps: the Streamlit component and its mounting function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent

_board = st.components.v2.component(
    "unlearnboard_overview",
    html='<div class="overview"></div>',
    css=(HERE / "verdict_badge.css").read_text("utf-8") + (HERE / "overview_board.css").read_text("utf-8"),
    js="".join(
        (HERE / name).read_text("utf-8")
        for name in ("marks.js", "verdict_badge.js", "overview_curve.js", "overview_board.js")
    ),
)


def overview_board(board: dict[str, Any], key: str) -> dict[str, Any] | None:
    """Draw what `app/pages/overview/board.py` prepared.

    Returns:
        Where a click leads, once: page, and what that is to show; None without a click.
    """
    opened: dict[str, Any] | None = _board(key=key, data=board, on_open_change=lambda: None).open
    return opened
