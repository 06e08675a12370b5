"""The verdicts on the chosen models in two lines at most, for pages that show something else: a Streamlit component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app.looks.model_looks import look_of
from app.looks.safe_text import visible
from app.looks.theme import is_dark
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.verdict_badges import badge_mark, badge_word
from app.shared.verdict_words import TITLES, verdict_sentence
from app.shared.verdicts import current_verdicts
from backends.study import Study
from backends.study.targets import concept_of
from cache.analysis.verdict.rules import Verdict, best_first

HERE = Path(__file__).parent

_strip = st.components.v2.component(
    "unlearnboard_verdict_strip",
    html='<ul class="strip" role="list" aria-label="Verdicts"></ul>',
    css=(HERE / "verdict_badge.css").read_text("utf-8") + (HERE / "verdict_strip.css").read_text("utf-8"),
    js="".join(
        (HERE / name).read_text("utf-8") for name in ("marks.js", "verdict_badge.js", "verdict_strip.js")
    ),
)


def verdict_strip(page: str) -> None:
    """Draw them; nothing where no chosen model has a verdict.

    Args:
        page: on which they stand.
    """
    study = state.study()
    data = strip_data(study, current_verdicts(), chosen_models(), dark=is_dark())
    if not data["models"]:
        return
    first = data["models"][0]["name"]
    link = {"study": state.study_name(), "models": chosen_models(), "row": first}
    data["href"] = f"./?{urlencode(link, doseq=True)}"
    if _strip(key=f"verdicts_{page}_{state.board_name()}", data=data, on_why_change=lambda: None).why:
        state.open_in_overview(first)


def strip_data(
    study: Study, verdicts: Mapping[str, Verdict], names: Sequence[str], *, dark: bool
) -> dict[str, Any]:
    """What is drawn: the unlearned models among these that have a verdict, the best first."""
    judged = [verdicts[name] for name in names if name in verdicts and study.model(name).part == "unlearned"]
    shown = []
    for verdict in best_first(judged):
        name = verdict.model
        spec = study.model(name)
        look = look_of(spec, study)
        shown.append(
            {
                "name": name,
                "title": visible(name),
                "look": {"symbol": look.symbol, "colour": look.on(dark)},
                "kind": badge_mark(verdict),
                "short": badge_word(verdict),
                "kind_title": TITLES[verdict.kind],
                "sentence": visible(verdict_sentence(verdict, study.modality, concept_of(study, name))),
            }
        )
    return {"models": shown}
