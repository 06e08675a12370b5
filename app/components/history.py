"""Back and Forward of the browser go by what a person did: a Streamlit component without anything to see.

What an address means is not known here: `app/shared/link.py` reads and writes it.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

_history = st.components.v2.component("unlearnboard_history", js=(HERE / "history.js").read_text("utf-8"))


def whole_steps() -> None:
    """Have the browser keep one entry for each step; drawn before the page's address is written."""
    _history(key="history")
