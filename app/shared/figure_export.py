"""Buttons that save a figure: PNG, SVG and PDF at paper size, and interactive HTML."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import plotly.graph_objects as go
import streamlit as st

from app.charts.paper import ImageFormat, paper_figure, to_html, to_image, why_no_pictures
from app.looks.safe_text import literal

MIMES: dict[ImageFormat, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


def figure_config(name: str) -> dict[str, object]:
    """Plotly's own buttons: a picture of what is seen, select, zoom."""
    return {
        "displaylogo": False,
        "modeBarButtons": [["toImage", "select2d", "lasso2d", "zoom2d", "resetScale2d"]],
        "toImageButtonOptions": {"format": "svg", "filename": name},
    }


def figure_export(figure: Callable[[], go.Figure], name: str, *, key: str) -> None:
    """A menu of the formats; figure and file are made when they are asked for.

    Args:
        figure: draws it, in the light theme.
        name: of the files, without ending.
        key: of the widgets.
    """

    def image(kind: ImageFormat) -> bytes:
        return to_image(paper_figure(figure()), kind)

    def page() -> str:
        return to_html(paper_figure(figure()), name)

    with st.popover("Save figure", icon=":material/image:", key=f"save_{key}"):
        with st.container(horizontal=True):
            why_not = _why_no_pictures()
            if not why_not:
                for kind in get_args(ImageFormat):
                    _button(kind.upper(), f"{name}.{kind}", MIMES[kind], partial(image, kind), key)
            _button("HTML", f"{name}.html", "text/html", page, key)
        st.caption(
            "For a paper, on white. PNG and PDF take a few seconds."
            if not why_not
            else literal(f"{why_not} The HTML page can save an SVG.")
        )


def _button(
    label: str, file: str, mime: str, make: Callable[[], bytes] | Callable[[], str], key: str
) -> None:
    st.download_button(label, make, file_name=file, mime=mime, key=f"figure_{key}_{label}", on_click="ignore")


@st.cache_resource(show_spinner=False)
def _why_no_pictures() -> str:
    return why_no_pictures()
