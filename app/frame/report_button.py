"""The study's report, in the sidebar and so at hand on every page."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app.shared import state
from app.shared.resources import store
from backends.study import Study
from cache.store import Store


def report_button() -> None:
    """A menu with the report as a download; it is made when it is asked for."""
    with st.popover(
        "Report", icon=":material/description:", help="The study for readers without UnlearnBoard"
    ):
        redact = st.toggle(
            "Hide the forgotten content",
            key="report_redact",
            help="What was to be forgotten is replaced by blocks, wherever it stands; its numbers stay.",
        )
        st.download_button(
            "Report as one HTML page",
            partial(_report, state.study(), store(), redact=redact),
            file_name=f"{state.study_name()}.html",
            mime="text/html",
            icon=":material/download:",
            key="study_report",
            on_click="ignore",
        )
        st.caption(
            "Request, models, data, verdict, curves, examples and how to check it, in one file that prints well and "
            "holds no script. `unlearnboard report` also writes a PDF, `unlearnboard verify` checks one against the "
            "cache, `unlearnboard export` adds all tables and figures. In a notebook: `unlearnboard.load()`."
        )


def _report(study: Study, store: Store, *, redact: bool) -> str:
    from app.export.report import study_report
    from cache.analysis.scoreboard import scoreboard

    return study_report(study, store, scoreboard(study, store), redact=redact).page
