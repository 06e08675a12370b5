"""Which runs a trade-off page shows: the study's own, imported collections, published tables, joined into one board.

Two protocols share an axis only after the person said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.shared import state
from app.shared.resources import store
from app.shared.scoreboards import current_scoreboard
from backends.study import Study
from cache.analysis.board import Board, joined
from cache.analysis.published import PublishedTable, published
from cache.analysis.results_board import results_board
from cache.analysis.study_board import STUDY, study_board, study_protocol
from cache.importers.imported_runs import without_intermediate_steps
from cache.store import Store
from cache.store.results import Collection, collections

PUBLISHED = Path(__file__).resolve().parents[2] / "published"


@dataclass(frozen=True, slots=True)
class ShownLayers:
    """What is shown.

    Attributes:
        board: all runs of the layers that share a protocol, or of all where the person mixes them.
        hidden: layer -> its protocol, of those that are left out because it differs.
        protocols: protocols on the board, in order.
        key: of the board, for what is kept that is made of it.
    """

    board: Board
    hidden: dict[str, str]
    protocols: tuple[str, ...]
    key: str


def layer_names(study: Study) -> dict[str, str]:
    """Layers that there are for this kind of study, and what each is: the study, imported, published."""
    result = {STUDY: "study"}
    imported = _collections(store().version(), store())
    result |= {each.name: "imported" for each in imported if each.modality == study.modality}
    return result | {
        name: "published"
        for name, table in tables().items()
        if table.modality == study.modality and name not in result
    }


def tables() -> dict[str, PublishedTable]:
    """Published tables by name."""
    return _tables(str(PUBLISHED))


def shown_layers(chosen: Sequence[str], *, mix: bool) -> ShownLayers:
    """Runs of the chosen layers; without any, the study's own.

    Args:
        chosen: names of layers.
        mix: show layers whose protocol differs from the first one's.
    """
    study = state.study()
    names = tuple(chosen) or (STUDY,)
    name, version = state.board_name(), store().version()
    key = repr((name, version, names, mix))
    if names == (STUDY,):
        return ShownLayers(_own(name, version, study), {}, (study_protocol(study),), key)
    whole = _whole(name, version, names, study, store())
    protocols = tuple(dict.fromkeys(whole.heads["protocol"]))
    if mix or len(protocols) < 2:
        return ShownLayers(whole, {}, protocols, key)
    keep = whole.heads["protocol"] == protocols[0]
    others = whole.heads[~keep]
    hidden = dict(zip(others["layer"], others["protocol"], strict=True))
    return ShownLayers(whole.only(keep), hidden, protocols[:1], key)


@st.cache_resource(max_entries=8, show_spinner=False)
def _own(name: str, version: int, _study: Study) -> Board:
    return study_board(_study, current_scoreboard().frame)


@st.cache_resource(max_entries=8, show_spinner="Reading runs …")
def _whole(name: str, version: int, names: tuple[str, ...], _study: Study, _store: Store) -> Board:
    known = {each.name for each in collections(_store)}
    boards = [study_board(_study, current_scoreboard().frame)] if STUDY in names else []
    imported = [layer for layer in names if layer in known]
    boards += [without_intermediate_steps(_store, results_board(_store, imported))] if imported else []
    boards += [tables()[layer].board for layer in names if layer in tables() and layer not in known]
    return joined(boards)


@st.cache_resource(max_entries=2, show_spinner=False)
def _collections(version: int, _store: Store) -> list[Collection]:
    return collections(_store)


@st.cache_resource(show_spinner=False)
def _tables(folder: str) -> dict[str, PublishedTable]:
    return published(Path(folder))
