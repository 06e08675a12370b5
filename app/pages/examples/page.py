"""Examples: the evidence behind every number. One row per probe, all ticked models side by side."""

from __future__ import annotations

import streamlit as st

from app.charts.choices import available, card_of, role_of
from app.pages.examples.confusion_panel import confusion_panel
from app.pages.examples.counts import counts_panel
from app.pages.examples.example_table import chosen_rows
from app.pages.examples.filters import filters, role_and_metric, write_address
from app.pages.examples.rows import rows_panel
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.errors import show_errors
from app.shared.fresh import Numbers, rerun_unless
from app.shared.protocol_choice import protocol_note, under_protocol, weights_note
from app.shared.resources import store
from app.shared.scoreboards import current_scoreboard
from backends.metrics import METRICS, StudyMetric
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis.examples import Examples, examples
from cache.analysis.scoreboard import Scoreboard
from cache.store import Store


def page() -> None:
    """The page; all of it but the title is a fragment, so that a filter leaves the frame alone."""
    st.title("Examples", anchor=False)
    st.caption(
        "The evidence behind the numbers: one row per probe, all selected models beside the original."
        + protocol_note()
    )
    st.fragment(_body)(Numbers.now())


@show_errors()
def _body(drawn: Numbers) -> None:
    """Filters, counts by model, the rows, and the way to Compare."""
    rerun_unless(drawn.still_shown())
    study, board = state.study(), current_scoreboard()
    keys = [
        key
        for key in available(board.frame)
        if not isinstance(METRICS[MetricKey.parse(key).name], StudyMetric)
    ]
    roles = list(dict.fromkeys(role_of(key) for key in keys))
    if not roles:
        _nothing_yet()
        return
    if study.modality == "image":
        confusion_panel()
    role, key = role_and_metric(roles, keys, study, board)
    models = tuple(chosen_models())
    shown = _examples(drawn.board, drawn.version, models, key, study, board, store())
    choice, columns = filters(shown, study, role)
    rows = chosen_rows(shown, choice)
    write_address()
    counts_panel(shown, models, study, role, key, board)
    rows_panel(shown, rows, columns, role, key, study)


def _nothing_yet() -> None:
    st.info(
        f"Nothing of this study has been evaluated yet{under_protocol()}, so there are no examples. Evaluate its "
        f"models on the Runs page.{weights_note()}",
        icon=":material/list_alt:",
    )
    st.page_link(state.RUNS_PAGE, label="Go to Runs", icon=":material/arrow_forward:")


@st.cache_resource(max_entries=6, show_spinner="Reading answers from the cache …")
def _examples(
    name: str,
    version: int,
    models: tuple[str, ...],
    key: str,
    _study: Study,
    _board: Scoreboard,
    _store: Store,
) -> Examples:
    higher = card_of(key).direction(role_of(key)) == "higher"
    return examples(_study, _store, _board, models, key, higher=higher)


page()
