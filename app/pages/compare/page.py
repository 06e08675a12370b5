"""Compare: one prompt, every model's answer side by side. The first page; filled from the cache at once."""

from __future__ import annotations

import streamlit as st

from app.pages.compare import images as compare_images
from app.pages.compare import text as compare_text
from app.pages.compare.probe_bar import probe_bar
from app.shared import state


def page() -> None:
    """Choose and show a probe, then the answers of the study's kind."""
    st.title("Compare", anchor=False)
    probe_bar()
    if state.study().modality == "text":
        compare_text.panel()
    else:
        compare_images.panel()


page()
