"""The retained run that imported runs of a collection are compared with: shown, and changed where there are several."""

from __future__ import annotations

import streamlit as st

from app.looks.safe_text import literal, visible
from app.shared.resources import store
from cache.importers.imported_runs import choose_reference, collection_notes, reference
from cache.importers.references import Reference
from cache.store import Store

USUAL = ""
MOST_LINES = 30
MOST_NOTES = 3


def reference_choice(collection: str) -> None:
    """A choice of the reference; nothing where there is one retained run or none."""
    reference_run = _reference(collection, store().version(), store())
    if reference_run.run is None or not reference_run.others:
        return
    runs = sorted((reference_run.run, *reference_run.others), key=lambda each: (each.model, each.source))
    names = [each.model for each in runs]
    labels = {
        each.source or each.model: each.model
        if names.count(each.model) == 1
        else f"{each.model} ({each.source})"
        for each in runs
    }
    key = f"reference_{collection}"
    st.session_state[key] = (
        (reference_run.run.source or reference_run.run.model) if reference_run.chosen else USUAL
    )
    st.selectbox(
        "Retained run for forget quality",
        [USUAL, *labels],
        key=key,
        format_func=lambda each: visible(
            labels[each]
            if each
            else f"{reference_run.run.model if reference_run.run else ''}: {_why(reference_run)}"
        ),
        help="Any checkpoint of the retained model can be the reference; by default it is the last one. Forget "
        "quality that the tool computed itself is not changed.",
        on_change=lambda: choose_reference(store(), collection, st.session_state[key]),
    )


def layer_notes(collections: list[str]) -> None:
    """Notes on imported collections that are shown, under the chart."""
    for name in collections:
        told = _notes(name, store().version(), store())
        if not told:
            continue
        label = f"Notes on {literal(name)}: {len(told)}"
        with st.expander(label, icon=":material/info:", expanded=len(told) <= MOST_NOTES):
            more = [f"and {len(told) - MOST_LINES} more"] if len(told) > MOST_LINES else []
            st.text(visible("\n".join([*told[:MOST_LINES], *more])))


def _why(reference_run: Reference) -> str:
    return "the default" if reference_run.chosen else reference_run.why


@st.cache_data(max_entries=64, show_spinner=False)
def _reference(collection: str, version: int, _store: Store) -> Reference:
    return reference(_store, collection)


@st.cache_data(max_entries=64, show_spinner=False)
def _notes(collection: str, version: int, _store: Store) -> list[str]:
    return collection_notes(_store, collection)
