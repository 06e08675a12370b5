"""Pictures of every model: the Streamlit component and its mounting function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent

_board = st.components.v2.component(
    "unlearnboard_image_board",
    html='<div class="board" role="region" aria-label="Pictures"></div><dialog></dialog>',
    css=(HERE / "image_board.css").read_text("utf-8"),
    js=(HERE / "marks.js").read_text("utf-8") + (HERE / "image_board.js").read_text("utf-8"),
)


def image_board(board: dict[str, Any], key: str, on_view: Callable[[str], None]) -> None:
    """Draw what `app/pages/compare/pictures.py` prepared; `on_view` is called when a key asks for another view.

    Boards of large pictures hold thumbnails; which one a person enlarged is kept under `asked_image(key)`.
    """

    def turn() -> None:
        view = st.session_state[key].view
        if view:
            on_view(view)

    def enlarge() -> None:
        image = st.session_state[key].enlarge
        if image:
            st.session_state[f"{key}_enlarged"] = image

    _board(key=key, data=board, on_view_change=turn, on_enlarge_change=enlarge)


def asked_image(key: str) -> str:
    """Hash of the picture that was enlarged last on the board of that key, or ""."""
    return str(st.session_state.get(f"{key}_enlarged", ""))
