"""Cards with every model's answer: the Streamlit component and its mounting function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent

_cards = st.components.v2.component(
    "unlearnboard_answer_cards",
    html=(
        '<div class="board" role="region" aria-label="Answers"></div>'
        '<div class="tip" role="tooltip" popover="manual"></div>'
    ),
    css=(HERE / "answer_cards.css").read_text("utf-8"),
    js=(HERE / "marks.js").read_text("utf-8") + (HERE / "answer_cards.js").read_text("utf-8"),
)


def answer_cards(board: dict[str, Any], key: str) -> None:
    """Draw what `app/pages/compare/cards.py` prepared."""
    _cards(key=key, data=board)
