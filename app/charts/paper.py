"""A figure for a paper: white, readable at seven inches, as PNG, SVG, PDF or one interactive HTML page.

PNG, SVG and PDF are made by Kaleido, Plotly's own way, with the Chrome or Chromium of this machine.
"""

from __future__ import annotations

from textwrap import wrap
from typing import Literal

import plotly.graph_objects as go

from backends.extras import install_command, missing

ImageFormat = Literal["png", "svg", "pdf"]
WIDTH, HEIGHT = 700, 480
"""CSS pixels: 7.3 by 5 inches."""
PNG_SCALE = 3
NOTE, NOTE_CHARACTERS = "note", 95
SMALLEST = 13
"""Pixels of the smallest letters; near 9 points when the figure is as wide as a column of text."""


def paper_figure(figure: go.Figure) -> go.Figure:
    """The same figure on white, at paper size; what is only for the screen is left out."""
    paper = go.Figure(figure)
    margin = paper.layout.margin
    several = "xaxis2" in paper.to_dict()["layout"]
    tall = max(HEIGHT, paper.layout.height or HEIGHT) if several else HEIGHT
    paper.update_layout(
        width=WIDTH,
        height=tall,
        paper_bgcolor="#FFFFFF",
        plot_bgcolor="#FFFFFF",
        margin={"l": 70, "r": max(16, margin.r or 0), "t": 16, "b": 64},
        font={"family": "Helvetica, Arial, sans-serif"},
        clickmode="event",
        dragmode="zoom",
    )
    paper.update_xaxes(tickfont={"size": SMALLEST})
    paper.update_yaxes(tickfont={"size": SMALLEST})
    paper.update_layout(legend={"font": {"size": SMALLEST}})
    for note in paper.layout.annotations:
        if note.name == NOTE:
            lines = note.text.count("<br>") + 1
            paper.update_layout(margin={"b": 64 + 18 * lines}, height=tall + 18 * lines)
        note.font.size = max(note.font.size or SMALLEST, SMALLEST)
    return paper


def with_note(figure: go.Figure, note: str) -> go.Figure:
    """The figure with a sentence under its horizontal axis, in lines that fit; `note` must be safe to draw."""
    lines = wrap(note, NOTE_CHARACTERS, break_long_words=False, break_on_hyphens=False)
    noted = go.Figure(figure)
    noted.add_annotation(
        text="<br>".join(lines),
        name=NOTE,
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        yshift=-58,
        xanchor="left",
        yanchor="top",
        align="left",
        showarrow=False,
        font={"size": SMALLEST},
    )
    return noted


def to_html(figure: go.Figure, name: str) -> str:
    """One page that opens without a server or a network; its camera button saves an SVG of this name."""
    page: str = figure.to_html(
        include_plotlyjs=True,
        full_html=True,
        config={"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": name}},
    )
    return page


def to_image(figure: go.Figure, kind: ImageFormat) -> bytes:
    """The figure as a picture or a PDF.

    Raises:
        RuntimeError: no browser could be started.
    """
    image: bytes = figure.to_image(
        format=kind,
        width=WIDTH,
        height=figure.layout.height or HEIGHT,
        scale=PNG_SCALE if kind == "png" else 1,
    )
    return image


def why_no_pictures() -> str:
    """What is missing for PNG, SVG and PDF, and how to bring it, as a sentence; "" where they can be made."""
    if missing("export"):
        return f"PNG, SVG and PDF need the package kaleido, which is not installed. Run `{install_command('export')}`."
    if not browser_found():
        return "PNG, SVG and PDF need Chrome or Chromium on this machine."
    return ""


def browser_found() -> bool:
    """Whether there is a Chrome or Chromium that pictures can be made with.

    Raises:
        ModuleNotFoundError: Kaleido is not installed, see `why_no_pictures`.
    """
    from choreographer.browsers.chromium import Chromium

    return Chromium.find_browser(skip_local=False) is not None
