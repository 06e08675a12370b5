"""Compare: one prompt, every model's answer side by side. The first page; filled from the cache at once."""

from __future__ import annotations

import streamlit as st

from app import compare_images, compare_text, state
from app.probe_bar import probe_bar


def page() -> None:
    """Choose and show a probe, then the answers of the study's kind."""
    st.title("Compare", anchor=False)
    probe_bar()
    if state.study().modality == "text":
        compare_text.panel()
    else:
        compare_images.panel()


page()
