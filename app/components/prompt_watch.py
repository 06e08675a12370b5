"""Watches the prompt box for what Python does not see: a Streamlit component.

The box is part of a form, which sends nothing before Run, so the browser compares what it holds with what was answered.
While the two differ a sentence says so, and the page's root has the attribute `data-prompt-waits`, by which `page.css`
pales the answers. What was typed and not run is told once something else has taken its place in the box: another probe,
another page, a reload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
OWN = "These answers are to the probe’s own prompt. Press Run to put yours to the models."
LAST = "These answers are to the prompt of the last Run. Press Run to put the new one to the models."

_watch = st.components.v2.component(
    "unlearnboard_prompt_watch",
    html='<p class="said" role="status"></p>',
    css=(HERE / "prompt_watch.css").read_text("utf-8"),
    js=(HERE / "prompt_watch.js").read_text("utf-8"),
)


def prompt_watch(
    answered: str, *, typed: bool, study: str, kept: Sequence[str], on_replaced: Callable[[str], None]
) -> None:
    """Watch the box in the container `prompt_box`.

    Args:
        answered: the prompt whose answers are shown.
        typed: it was typed, and is not a probe's.
        study: whose box it is; each has its own text.
        kept: typed prompts that need not be told.
        on_replaced: called with a text that was typed and that something else took the place of.
    """

    def take() -> None:
        text = st.session_state["prompt_watch"].replaced
        if text:
            on_replaced(str(text))

    _watch(
        key="prompt_watch",
        data={
            "answered": answered,
            "sentence": LAST if typed else OWN,
            "study": study,
            "kept": list(kept),
        },
        on_replaced_change=take,
    )
