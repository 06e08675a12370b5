"""How the trade-off chart is drawn: intervals, greyed points, noise band, ideal corner, scales of the axes."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.charts.choices import SCALES
from app.charts.marks import Intervals
from app.charts.points import Axis
from app.shared import state
from app.shared.resources import store
from app.shared.scoreboards import current_scoreboard
from backends.metrics import METRICS, StudyMetric
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis.noise import noise_band
from cache.store import Store

INTERVALS: dict[Intervals, str] = {"bars": "Bars", "ellipses": "Ellipses", "none": "None"}


@dataclass(frozen=True, slots=True)
class ChartOptions:
    """What a person asked for."""

    intervals: Intervals
    grey: bool
    band: bool
    ideal: bool


def chart_options() -> ChartOptions:
    """The menu of the chart; its values are in the session already."""
    with st.popover("Chart", icon=":material/tune:", width="content"):
        intervals: Intervals | None = st.segmented_control(
            "Intervals",
            list(INTERVALS),
            format_func=lambda name: INTERVALS[name],
            key="intervals",
            required=True,
            persist_state="session",
            help="Where the true value lies with 95 % confidence. Few probes give wide intervals, because what none of "
            "them shows may still happen: no leak among 12 probes is compatible with a rate of up to 18 %. Each "
            "metric's card names the method.",
        )
        grey = st.toggle("Grey out dominated points", key="grey", persist_state="session")
        band = st.toggle(
            "Seed variance of the original",
            key="band",
            persist_state="session",
            help="How far the original's values move when only the seed changes (A/A band). It needs two "
            "seeds in the study.",
        )
        ideal = st.toggle("Ideal corner", key="ideal", persist_state="session")
        left, right = st.columns(2)
        left.selectbox("Horizontal scale", SCALES, key="xscale", persist_state="session")
        right.selectbox("Vertical scale", SCALES, key="yscale", persist_state="session")
    return ChartOptions(intervals or "bars", grey, band, ideal)


def band(study: Study, x: Axis, y: Axis) -> tuple[float | None, float | None]:
    """Half widths of the original's A/A band on both axes, as plotted; None if there is none."""
    return _half(study, x), _half(study, y)


def _half(study: Study, axis: Axis) -> float | None:
    metric = METRICS.get(MetricKey.parse(axis.key).name)
    if metric is None or isinstance(metric, StudyMetric):
        return None
    return _band(
        state.board_name(), store().version(), axis.key, study, store(), current_scoreboard().numerics
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _band(name: str, version: int, key: str, _study: Study, _store: Store, numerics: str) -> float | None:
    noise = noise_band(_study, _store, key, numerics)
    return None if noise is None else noise.half
