"""A Plotly chart that is updated, not rebuilt: the Streamlit component and its mounting functions.

Streamlit's own chart is another element for another figure, which the browser draws from nothing. This one keeps its
place and its drawing. It uses the plotly.js that the package plotly brings, which Streamlit serves as it serves any
component's files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

from app.charts.drawing import figure_json

HERE = Path(__file__).parent
LIBRARY = "plotly.min.js"
AHEAD_MS = 1000
"""Milliseconds after the first page at which the library is fetched, for the first chart that will be shown."""

_chart = st.components.v2.component(
    "unlearnboard_chart",
    html='<div class="chart"></div>',
    css=(HERE / "chart.css").read_text("utf-8"),
    js=(HERE / "chart.js").read_text("utf-8"),
    isolate_styles=False,  # Plotly puts its styles into the page's head
)


def chart(
    figure: str,
    key: str,
    *,
    height: int,
    alt: str,
    config: Mapping[str, object],
    chosen: Sequence[int] | None = None,
    on_choose: Callable[[list[int]], None] | None = None,
) -> None:
    """Draw a figure.

    Args:
        figure: JSON, as `app/charts/drawing.py` writes it.
        key: of the chart; one key is one chart, whatever its figure.
        height: pixels.
        alt: the chart in words, for people who do not see it.
        config: Plotly's.
        chosen: `customdata` of the points that are marked; None leaves what a click marked.
        on_choose: called with the `customdata` of points that a click, a box or a lasso chose.
    """

    def take() -> None:
        picked = st.session_state[key].picked
        if picked and on_choose is not None:
            on_choose([int(each) for each in picked])

    data: dict[str, Any] = {"library": _library(), "figure": figure, "alt": alt, "config": dict(config)}
    if chosen is not None:
        data["chosen"] = list(chosen)
    _chart(key=key, data=data, height=height, on_picked_change=take)


def draw(
    figure: go.Figure,
    key: str,
    *,
    alt: str,
    config: Mapping[str, object],
    chosen: Sequence[int] | None = None,
    on_choose: Callable[[list[int]], None] | None = None,
) -> None:
    """Draw a Plotly figure that has a height; arguments as for `chart`."""
    height = int(figure.layout.height)
    chart(figure_json(figure), key, height=height, alt=alt, config=config, chosen=chosen, on_choose=on_choose)


def fetch_ahead() -> None:
    """Let the browser load the library while a page without charts is looked at."""
    _chart(key="chart_library", data={"library": _library(), "after": AHEAD_MS})


@st.cache_resource(show_spinner=False)
def _library() -> str:
    """Address of plotly.js on this server."""
    folder = Path(plotly.__file__).parent / "package_data"
    served = declare_component("plotly", path=folder)
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    return f"{f'/{base}' if base else ''}/component/{served.name}/{LIBRARY}?{plotly.__version__}"
