"""The ladder of attacks on the ticked models of the study that is shown, once for every state of the cache."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import streamlit as st

from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.resources import store
from app.shared.settings import own_attack_files
from backends.attacks import Attack, attacks_for
from backends.attacks.own_attack import own_attacks
from backends.study import Modality, Study
from cache.analysis.robustness.kept import kept_ladder
from cache.analysis.robustness.ladder import Ladder
from cache.analysis.robustness.trials import Trials, trials
from cache.store import Store


class Found(NamedTuple):
    """What the attacks are on this study, and what they tell."""

    trials: Trials
    ladder: Ladder


def current_ladder() -> Found:
    """Of all attacks that the study can be asked, on the ticked models.

    Raises:
        StoreError: the cache cannot be read.
    """
    names = tuple(chosen_models())
    return _found(state.board_name(), store().version(), names, state.study(), store())


@st.cache_resource(max_entries=6, show_spinner="Weighing the attacks …")
def _found(board: str, version: int, names: tuple[str, ...], _study: Study, _store: Store) -> Found:
    made = trials(_study, _store, names, shown_attacks(_study.modality))
    return Found(made, kept_ladder(_study, _store, made))


def shown_attacks(modality: Modality) -> list[Attack]:
    """All of ours for such studies, and those of files that the dashboard was started with."""
    return [*attacks_for(modality).values(), *(each for each in _own() if each.card.modality == modality)]


@st.cache_resource(show_spinner=False)
def _own() -> list[Attack]:
    return own_attacks([Path(file) for file in own_attack_files()])
