"""The verdict on every model of the study that is shown, once for every state of the cache."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.shared import state
from app.shared.resources import store
from app.shared.scoreboards import current_scoreboard
from backends.study import Study
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.kept import kept_verdicts
from cache.analysis.verdict.rules import Verdict
from cache.store import Store


def current_verdicts() -> Mapping[str, Verdict]:
    """Verdicts by name of the model, those that have numbers.

    Raises:
        StoreError: the cache cannot be read.
    """
    return _verdicts(state.board_name(), store().version(), state.study(), current_scoreboard(), store())


@st.cache_resource(max_entries=4, show_spinner="Weighing what was measured …")
def _verdicts(
    name: str, version: int, _study: Study, _board: Scoreboard, _store: Store
) -> Mapping[str, Verdict]:
    return kept_verdicts(_study, _board, _store)
