"""Which theme is shown."""

from __future__ import annotations

import streamlit as st


def is_dark() -> bool:
    """Whether the person sees the dark theme."""
    return st.context.theme.type == "dark"
