"""The scoreboard of the study that is shown, computed once for every state of the cache."""

from __future__ import annotations

import streamlit as st

from app.shared import state
from app.shared.resources import store
from backends.study import Study
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.store import Store


def current_scoreboard() -> Scoreboard:
    """Metrics of all models of the shown study, as far as they are evaluated.

    Raises:
        StoreError: the cache cannot be read.
    """
    return _scoreboard(state.board_name(), store().version(), state.study(), store())


def scoreboard_with(study: Study) -> Scoreboard:
    """The same of the shown study with more models than it has, such as those of a strength curve."""
    more = {spec.name for spec in study.models} - {spec.name for spec in state.study().models}
    name = f"{state.board_name()} with {' '.join(sorted(more))}"
    return _scoreboard(name, store().version(), study, store())


@st.cache_resource(max_entries=4, show_spinner="Computing metrics from the cache …")
def _scoreboard(name: str, version: int, _study: Study, _store: Store) -> Scoreboard:
    return scoreboard(_study, _store)
