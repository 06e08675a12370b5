"""Previous and Next, of which no click is lost however fast they come: a Streamlit component."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
KEY = "step_buttons"
_FOLLOWED = "step_buttons.followed"


def _button(name: str, by: int, key: str, arrow: str) -> str:
    return (
        f'<button type="button" data-by="{by}" aria-keyshortcuts="{key}">'
        f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{arrow}"/></svg>'
        f'<span class="word">{name}</span><kbd class="word" aria-hidden="true">{key}</kbd></button>'
    )


_buttons = st.components.v2.component(
    "unlearnboard_step_buttons",
    html=f'<div class="steps">{_button("Previous", -1, "K", "M15 5l-7 7 7 7")}'
    f"{_button('Next', 1, 'J', 'M9 5l7 7-7 7')}</div>",
    css=(HERE / "step_buttons.css").read_text("utf-8"),
    js=(HERE / "step_buttons.js").read_text("utf-8"),
)


def step_buttons(current: str, place: int, total: int, on_step: Callable[[str, int], None]) -> None:
    """Draw them.

    Args:
        current: what is shown.
        place: of it among all, from 0; -1 where it is not among them.
        total: how many there are.
        on_step: called with what was shown when somebody began to press, and with the number of steps from there,
            backwards ones negative.
    """

    def take() -> None:
        step: dict[str, Any] | None = st.session_state[KEY].step
        counted = step and {"turn": step["turn"], "by": step["by"]}
        if step and counted != st.session_state.get(_FOLLOWED):  # a run that was stopped is told of it again
            st.session_state[_FOLLOWED] = counted
            on_step(str(step["from"]), int(step["by"]))

    _buttons(
        key=KEY,
        data={
            "current": current,
            "place": place,
            "total": total,
            "followed": st.session_state.get(_FOLLOWED),
        },
        on_step_change=take,
        width="content",
    )
