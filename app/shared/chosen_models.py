"""Which models every page shows: those that were ticked, and until somebody ticks some, the default.

The default is ORIGINAL, RETAINED and of every method the checkpoint that Overview shows, its best by verdict. It is
chosen once a session: what is evaluated later changes no tick under anybody's hands.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.looks.model_looks import family
from app.shared import state
from app.shared.verdicts import current_verdicts
from backends.errors import StoreError
from backends.study import ModelSpec, Study
from backends.study.strength import is_dialled
from cache.analysis.verdict.methods import study_methods
from cache.analysis.verdict.rules import Verdict


def chosen_models() -> list[str]:
    """Names of the models that are shown, original first. One set for all pages."""
    ticked = state.ticked_models()
    return default_models() if ticked is None else ticked


def default_models() -> list[str]:
    """What is shown of this study until somebody ticks models."""
    study = state.study()
    rest = {spec.name for spec in study.models if spec.part != "unlearned"}
    return state.in_order(study, rest | set(_kept_standing(study).values()))


def standing(study: Study, verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """The checkpoint that stands for each method: its best by verdict, or the last where none has a verdict.

    Of a method with several targets it is the best of all of them: one a row of the list of models.

    Args:
        study: the study; models between the original and another one stand for no method.
        verdicts: by name of the model.
    """
    last: dict[str, ModelSpec] = {}
    for spec in study.models:
        known = last.get(family(spec))
        if _is_checkpoint(spec) and (known is None or (spec.step or 0) >= (known.step or 0)):
            last[family(spec)] = spec
    judged = {spec.name: verdicts[spec.name] for spec in study.models if _is_checkpoint(spec, verdicts)}
    found = {name: spec.name for name, spec in last.items()}
    for method in reversed(study_methods(study, judged)):  # the best comes last
        found[family(study.model(method.best.model))] = method.best.model
    return found


def _is_checkpoint(spec: ModelSpec, among: Mapping[str, Verdict] | None = None) -> bool:
    return spec.part == "unlearned" and not is_dialled(spec) and (among is None or spec.name in among)


def _kept_standing(study: Study) -> dict[str, str]:
    """`standing`, as it was when this session first asked; a method that is new since then is added to it.

    Another protocol or retained model is another question, with an answer of its own.
    """
    key = f"board.{state.study_name()}.standing {state.protocol()} {state.retained()}"
    names = {spec.name for spec in study.models if _is_checkpoint(spec)}
    methods = {family(spec) for spec in study.models if _is_checkpoint(spec)}
    kept: dict[str, str] = {
        method: name for method, name in st.session_state.get(key, {}).items() if name in names
    }
    if methods <= kept.keys():
        return kept
    try:
        found = standing(study, current_verdicts()) | kept
    except StoreError:  # the page says so; asked again when the cache can be read
        return standing(study, {}) | kept
    st.session_state[key] = found
    return found
