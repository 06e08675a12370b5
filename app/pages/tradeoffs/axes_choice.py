"""The axes of the trade-off chart: presets, one list for each axis and for the marker size, and which way is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from app.charts.choices import axis, presets, title
from app.charts.points import Axis
from app.pages.tradeoffs.settings import NO_SIZE
from app.shared.metric_card import metric_card
from backends.study import Study


class Axes(NamedTuple):
    """What is plotted; without a size all markers have one."""

    x: Axis
    y: Axis
    size: Axis | None


def chosen_axes() -> Axes:
    """The axes that are chosen."""
    held = st.session_state
    return Axes(
        axis(held["x"], turn=held["turn"], scale=held["xscale"]),
        axis(held["y"], turn=held["turn"], scale=held["yscale"]),
        None if held["size"] == NO_SIZE else axis(held["size"], turn=False),
    )


def choose_axes(keys: list[str], parts: Sequence[str], study: Study) -> None:
    """Selectors; their values are in the session already."""
    columns = st.columns([2.7, 3.5, 4.2, 1.1], gap="small", vertical_alignment="bottom")
    with columns[0]:
        _question(keys, study)
    with columns[1]:
        _axis_choice("Horizontal axis", "x", keys, parts)
    with columns[2]:
        _axis_choice("Vertical axis", "y", keys, parts)
    with columns[3], st.popover("More", key="more_axes", width="stretch"):
        _axis_choice("Marker size", "size", [NO_SIZE, *keys], parts)
        st.toggle(
            "Up and right are better",
            key="turn",
            persist_state="session",
            help="An axis whose lower values are better runs backwards. Values stay as measured.",
        )


def _question(keys: list[str], study: Study) -> None:
    """Well-known pairs of axes; the one that is plotted is marked."""
    ready = {preset.title: preset for preset in presets(keys, study.modality)}
    if not ready:
        return
    shown = st.session_state["x"], st.session_state["y"]
    marked = next((name for name, preset in ready.items() if (preset.x, preset.y) == shown), None)
    st.session_state["preset"] = marked

    def take() -> None:
        chosen = ready.get(st.session_state["preset"])
        if chosen is not None:
            st.session_state["x"], st.session_state["y"] = chosen.x, chosen.y

    st.selectbox(
        "Question", list(ready), key="preset", on_change=take, placeholder="axes of your own", index=None
    )


def _axis_choice(label: str, key: str, options: list[str], parts: Sequence[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xxsmall"):
        chosen: str = st.selectbox(
            label,
            options,
            key=key,
            format_func=lambda option: title(option) if option != NO_SIZE else "the same for all",
            persist_state="session",
        )
        if chosen != NO_SIZE:
            metric_card(label.lower(), chosen, parts)
