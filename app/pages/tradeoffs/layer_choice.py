"""Which layers are on the chart, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.looks.names import protocol_words
from app.looks.safe_text import literal, visible
from app.pages.tradeoffs.layers import ShownLayers, shown_layers
from cache.analysis.study_board import STUDY

KINDS = {"imported": "imported", "published": "published"}


def layer_choice(names: Mapping[str, str]) -> ShownLayers:
    """The choice of layers, where there is more than the study; its values are in the session already."""
    if len(names) < 2:
        return shown_layers([STUDY], mix=False)
    count = len(st.session_state["layer"])
    label = "Layers" if count < 2 else f"{count} layers"
    with st.popover(label, icon=":material/layers:", key="layers", width="content"):
        chosen: list[str] = st.multiselect(
            "Layers",
            list(names),
            key="layer",
            persist_state="session",
            format_func=lambda name: visible(
                name.capitalize() if name == STUDY else f"{name} ({KINDS[names[name]]})"
            ),
            placeholder="Add imported runs or published tables",
        )
        st.caption(
            "Runs of other tools are imported on the Runs page or with `unlearnboard import PATH`. Published tables "
            "ship with UnlearnBoard and are shown faint."
        )
    return shown_layers(chosen, mix=bool(st.session_state["mix"]))


def protocol_warning(shown: ShownLayers) -> None:
    """Say where protocols differ, and let the person mix them."""
    if not shown.hidden and len(shown.protocols) < 2:
        return
    names = ", ".join(map(protocol_words, shown.protocols))
    with st.container(horizontal=True, vertical_alignment="center"):
        if shown.hidden:
            others = ", ".join(
                f"{layer} ({protocol_words(protocol)})" for layer, protocol in shown.hidden.items()
            )
            st.warning(
                f"Not shown, because measured under another protocol than {literal(names)}: "
                f"{literal(others)}.",
                icon=":material/rule:",
                width="stretch",
            )
        else:
            st.warning(
                f"These points were measured under different protocols: {literal(names)}. "
                "They are not directly comparable.",
                icon=":material/rule:",
                width="stretch",
            )
        st.toggle("Show them together", key="mix", persist_state="session")
