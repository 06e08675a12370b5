"""The sidebar's list of models: one row per method with its marker, one toggle a checkpoint; a search in long lists."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import streamlit as st

from app.looks.model_looks import METHOD_LOOKS, families, family, look_of
from app.looks.safe_text import visible
from app.looks.short_names import MANY, common_prefix
from app.looks.theme import is_dark
from app.shared import state
from app.shared.chosen_models import chosen_models, default_models
from backends.checkpoints.identity import available
from backends.study import ModelSpec, Study

HERE = Path(__file__).parent
KEY = "model_picker"
ABOUT = (
    "Shown on every page. Until you tick others: the original, the retained model, and of each method its best "
    "checkpoint by verdict, the one on Overview; the last one where nothing was judged when you came."
)

_picker = st.components.v2.component(
    "unlearnboard_model_picker",
    html='<div class="picker" role="group" aria-label="Models"></div>',
    css=(HERE / "model_picker.css").read_text("utf-8"),
    js=(HERE / "marks.js").read_text("utf-8") + (HERE / "model_picker.js").read_text("utf-8"),
)


def model_picker() -> None:
    """Draw the list; a click ticks models for every page."""
    study = state.study()
    st.caption("Models", help=ABOUT)
    rows = groups(study, default_models(), dark=is_dark())
    _picker(
        key=f"{KEY}_{state.study_name()}",
        data={
            "groups": rows,
            "chosen": chosen_models(),
            "search": len(rows) >= MANY,
            "said": said(study),
        },
        on_picked_change=_take_over,
    )


def said(study: Study) -> str:
    """What a person should know of the list: a prefix that is left out, looks that repeat."""
    dropped, methods = common_prefix(families(study)), len(families(study))
    prefix = [f"Names without their common beginning “{visible(dropped)}”."] if dropped else []
    few = len(METHOD_LOOKS)
    repeats = [f"{methods} methods share {few} looks: markers repeat from the {few + 1}th on."]
    return " ".join([*prefix, *(repeats if methods > few else [])])


def groups(study: Study, usual: Collection[str], *, dark: bool) -> list[dict[str, Any]]:
    """Rows of the picker: original, retained, then one row per method with its checkpoints by step.

    A model's `name` is what a click sends; everything else is for looking at.

    Args:
        study: the study.
        usual: names of the models that are shown until somebody ticks some: what ticking a row ticks of it.
        dark: the theme that is shown.
    """
    rows: dict[str, list[ModelSpec]] = {}
    for name in state.in_order(study, [spec.name for spec in study.models]):
        spec = study.model(name)
        rows.setdefault(family(spec) if spec.part == "unlearned" else name, []).append(spec)
    dropped = common_prefix(families(study))
    return [_row(name, specs, usual, study, dark, dropped) for name, specs in rows.items()]


def _row(
    name: str, specs: list[ModelSpec], usual: Collection[str], study: Study, dark: bool, dropped: str
) -> dict[str, Any]:
    first = specs[0]
    specs = sorted(specs, key=lambda spec: spec.step or 0)
    look = look_of(first, study)
    here = [spec for spec in specs if available(spec)]
    short = name.removeprefix(dropped) if first.part == "unlearned" else name
    return {
        "name": visible(name),
        "short": visible(short),
        "look": {"symbol": look.symbol, "colour": look.on(dark)},
        "hint": "" if here else "recorded only",
        "fixed": first.part == "original",
        "usual": next((spec.name for spec in specs if spec.name in usual), first.name),
        "models": [
            {
                "name": spec.name,
                "title": visible(spec.name),
                "label": visible(spec.name) if spec.step is None else str(spec.step),
                "note": visible(spec.note),
                "recorded": bool(here) and spec not in here,
            }
            for spec in specs
        ],
    }


def _take_over() -> None:
    picked = st.session_state[f"{KEY}_{state.study_name()}"].picked
    if picked is not None:
        state.choose_models(picked)
