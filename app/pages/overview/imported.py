"""Imported runs as the subject of verdicts: where a study's own models have no numbers, theirs are shown."""

from __future__ import annotations

import streamlit as st

from app.looks.safe_text import visible
from app.pages.overview.subject import Subject, of_board, part_of
from app.shared.resources import store
from backends.study import Study
from cache.analysis.results_board import results_board
from cache.analysis.verdict.verdicts import run_verdicts
from cache.importers.imported_runs import without_intermediate_steps
from cache.store import Store
from cache.store.results import collections


def imported_choice(study: Study) -> str:
    """Name of the imported collection that is shown: the only one, or that which was chosen; "" without any."""
    names = [each.name for each in collections(store()) if each.modality == study.modality]
    if len(names) < 2:
        return next(iter(names), "")
    chosen: str = st.selectbox("Imported runs", names, key="overview_layer", format_func=visible, width=420)
    return chosen


def imported_subject(name: str, study: Study) -> Subject:
    """The runs of a collection, with verdicts by the study's thresholds."""
    return _subject(name, store().version(), study.name, study, store())


@st.cache_resource(max_entries=4, show_spinner="Reading runs …")
def _subject(name: str, version: int, study: str, _study: Study, _store: Store) -> Subject:
    board = without_intermediate_steps(_store, results_board(_store, [name]))
    found = run_verdicts(
        board, _study.modality, part_of(board, "original"), part_of(board, "retained"), _study.verdict
    )
    return of_board(name, board, _study, found)
