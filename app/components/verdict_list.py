"""Verdicts as a list, a whole sentence each, which also is the legend of the chart below it: a Streamlit component."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from app.looks.model_looks import Look
from app.looks.safe_text import visible

HERE = Path(__file__).parent

_list = st.components.v2.component(
    "unlearnboard_verdict_list",
    html='<ul class="verdicts" role="list" aria-label="Verdicts"></ul>',
    css=(HERE / "verdict_badge.css").read_text("utf-8") + (HERE / "verdict_list.css").read_text("utf-8"),
    js="".join(
        (HERE / name).read_text("utf-8") for name in ("marks.js", "verdict_badge.js", "verdict_list.js")
    ),
)


class Line(NamedTuple):
    """A model with its look; kind and word of its badge, as `verdict_badge.js` knows them; the sentence."""

    name: str
    look: Look
    kind: str
    word: str
    sentence: str


def verdict_list(lines: Sequence[Line], key: str, *, dark: bool) -> None:
    """Draw them in this order."""
    data = [
        {
            "title": visible(each.name),
            "look": {"symbol": each.look.symbol, "colour": each.look.on(dark)},
            "kind": each.kind,
            "word": each.word,
            "sentence": visible(each.sentence),
        }
        for each in lines
    ]
    _list(key=key, data={"lines": data})
