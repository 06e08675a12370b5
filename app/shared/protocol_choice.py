"""The protocol under which language models are asked and scored: chosen in the sidebar, said beside the numbers."""

from __future__ import annotations

import streamlit as st

from app.looks.names import STANDARD, protocol_words
from app.shared import state
from app.shared.resources import studies
from backends.checkpoints.identity import available
from backends.metrics.protocols import PROTOCOLS
from backends.study import PROTOCOL_NAMES as NAMES


def protocol_choice() -> None:
    """A choice in the sidebar, for studies of language models."""
    if state.study().modality != "text":
        return
    st.session_state["protocol_choice"] = state.protocol()
    st.selectbox(
        "Protocol",
        NAMES,
        key="protocol_choice",
        format_func=protocol_words,
        on_change=_take,
        help="How models are prompted and scored. Numbers of two protocols are never mixed.\n\n"
        + "\n".join(f"- **{protocol_words(name)}**: {PROTOCOLS[name].about}" for name in NAMES),
    )


def protocol_note() -> str:
    """A sentence for the line under a page's title, where numbers are not the standard protocol's."""
    said = state.study().modality == "text" and state.protocol() != STANDARD
    return f" Protocol: {protocol_words(state.protocol())}." if said else ""


def under_protocol() -> str:
    """Words that follow a verb, as in "evaluated under the protocol muse"; none for the study's own protocol."""
    own = studies()[state.study_name()].protocol
    return "" if state.protocol() == own else f" under the protocol {protocol_words(state.protocol())}"


def weights_note() -> str:
    """A sentence for where nothing is evaluated: how many models cannot be, for want of weights; "" where all can."""
    models = state.study().models
    away = sum(not available(spec) for spec in models)
    if not away:
        return ""
    here = len(models) - away
    verb = "has" if here == 1 else "have"
    return f" That needs their weights, which {here or 'none'} of the {len(models)} models {verb} on this machine."


def _take() -> None:
    state.show_protocol(st.session_state["protocol_choice"])
