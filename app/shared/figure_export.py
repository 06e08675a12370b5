"""Buttons that save a figure: PNG, SVG and PDF at paper size, and interactive HTML."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import plotly.graph_objects as go
import streamlit as st

from app.charts.paper import ImageFormat, paper_figure, to_html, to_image, why_no_pictures, with_note
from app.looks.safe_text import literal

MIMES: dict[ImageFormat, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


def figure_config(picture: str = "") -> dict[str, object]:
    """Plotly's own buttons: select and zoom.

    Args:
        picture: name of the file in which a button saves what is seen; "" for charts that `figure_export` saves with
            their note.
    """
    buttons = ["select2d", "lasso2d", "zoom2d", "resetScale2d"]
    return {
        "displaylogo": False,
        "modeBarButtons": [["toImage", *buttons] if picture else buttons],
        "toImageButtonOptions": {"format": "svg", "filename": picture},
    }


def figure_export(figure: Callable[[], go.Figure], name: str, note: str, *, key: str) -> None:
    """A menu of the formats; figure and file are made when they are asked for.

    Args:
        figure: draws it, in the light theme.
        name: of the files, without ending.
        note: what is written under it: number of probes, protocol, meaning of bars and markers; safe to draw.
        key: of the widgets.
    """

    def noted() -> go.Figure:
        return paper_figure(with_note(figure(), note))

    def image(kind: ImageFormat) -> bytes:
        return to_image(noted(), kind)

    def page() -> str:
        return to_html(noted(), name)

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
