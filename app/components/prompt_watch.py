"""A sentence that appears while the prompt box holds something else than what was answered: a Streamlit component.

The prompt box is part of a form, which sends nothing before Run, so the browser compares. While the two differ the
page's root has the attribute `data-prompt-waits`, by which `page.css` pales the answers.
"""

from __future__ import annotations

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


def prompt_watch(answered: str, *, typed: bool) -> None:
    """Watch the box in the container `prompt_box`.

    Args:
        answered: the prompt whose answers are shown.
        typed: it was typed, and is not a probe's.
    """
    _watch(key="prompt_watch", data={"answered": answered, "sentence": LAST if typed else OWN})
