"""Which way results are looked at."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.shared import state


def view_choice(names: Mapping[str, str]) -> None:
    """One control for the views of a study's kind, by key and title."""
    st.session_state["view_choice"] = state.view(list(names))
    st.segmented_control(
        "View",
        list(names),
        key="view_choice",
        required=True,
        format_func=lambda name: names[name],
        on_change=lambda: state.show_view(st.session_state["view_choice"]),
        label_visibility="collapsed",
    )
