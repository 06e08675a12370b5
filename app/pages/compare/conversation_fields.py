"""More of the conversation than its last question: boxes in the form of the prompt, folded away at first."""

from __future__ import annotations

import streamlit as st

from app.shared import state
from app.shared.conversation import Conversation, turns_as_text, turns_in

TITLE = "More of the conversation"


def conversation_fields() -> None:
    """The boxes, filled with what is asked now; what stands in them counts when the form is sent."""
    asked, name = state.conversation(), state.study_name()
    shown = f"conversation_shown_{name}"
    values = {
        "system": asked.system,
        "turns": turns_as_text(asked.turns),
        "begun": asked.begun,
        "raw": asked.raw,
    }
    if st.session_state.get(shown) != values or _key("raw") not in st.session_state:
        st.session_state[shown] = values
        for field, value in values.items():
            st.session_state[_key(field)] = value
    used = sum(map(bool, values.values()))
    with st.expander(f"{TITLE} ({used} set)" if used else TITLE, icon=":material/forum:", key="conversation"):
        st.text_area(
            "System text", key=_key("system"), height=68, placeholder="Without it, the template's own"
        )
        st.text_area(
            "Earlier turns",
            key=_key("turns"),
            height=100,
            placeholder="user: Who is Ada?\nassistant: A poet.",
            help="Each turn begins a line with user: or assistant:",
        )
        st.text_area(
            "The answer begins with",
            key=_key("begun"),
            height=68,
            placeholder="Sure, here is",
            help="Every model is made to go on from these words. They are given, not the model's own.",
        )
        st.checkbox(
            "No chat template: the prompt is text to be continued",
            key=_key("raw"),
            help="Nothing is put around the prompt, so that the model goes on with it.",
        )


def typed_conversation() -> Conversation | None:
    """What stands in the boxes; None, and said, where the earlier turns cannot be told apart."""
    turns = turns_in(st.session_state.get(_key("turns")) or "")
    if turns is None:
        st.warning("Begin each earlier turn with “user:” or “assistant:”.", icon=":material/edit:")
        return None
    return Conversation(
        st.session_state.get(_key("system")) or "",
        turns,
        st.session_state.get(_key("begun")) or "",
        bool(st.session_state.get(_key("raw"))),
    )


def _key(field: str) -> str:
    return f"conversation_{field}_{state.study_name()}"
