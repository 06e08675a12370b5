"""Compare: one prompt, every model's answer side by side; filled from the cache at once."""

from __future__ import annotations

import streamlit as st

from app.components.verdict_strip import verdict_strip
from app.pages.compare import images as compare_images
from app.pages.compare import text as compare_text
from app.pages.compare.probe_bar import probe_bar
from app.pages.compare.rating_panel import OPEN, rating_button, rating_panel
from app.shared import state
from app.shared.board_link import write_link
from app.shared.errors import show_errors
from app.shared.fresh import Numbers, rerun_unless
from app.shared.resources import runner


def page() -> None:
    """The page; at rest all of it but the title is a fragment, so that another probe or view leaves the frame alone."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Compare", anchor=False)
        rating_button()
    with st.container(key="compare_aim"):
        st.caption(
            "One prompt, every model's answer: what does the original say, and what is left of it after unlearning?"
        )
    busy = bool(runner().active())
    # Results that refresh themselves are a fragment of their own, which must not stand in another one.
    body = _body if busy else st.fragment(_body)
    body(Numbers.now(), busy)


@show_errors()
def _body(drawn: Numbers, drawn_busy: bool) -> None:
    """Choose and show a probe, then the answers of the study's kind.

    Args:
        drawn: the numbers of the page around it.
        drawn_busy: whether models were at work when the page was drawn.
    """
    rerun_unless(drawn.still_shown() and drawn_busy == bool(runner().active()))
    write_link()  # another probe or view is in the address too
    if st.session_state.get(OPEN):
        rating_panel()
        return
    verdict_strip("compare")
    probe_bar()
    if state.study().modality == "text":
        compare_text.panel()
    else:
        compare_images.panel()


page()
