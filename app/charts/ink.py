"""Neutral colours of the two themes, and text that Plotly takes as text. What all charts share."""

from __future__ import annotations

from dataclasses import dataclass

from app.looks.safe_text import visible


@dataclass(frozen=True, slots=True)
class Ink:
    """Neutral colours of one theme."""

    text: str
    muted: str
    grid: str
    paper: str


LIGHT = Ink(text="#1D2129", muted="#667080", grid="#E9EBF0", paper="#FFFFFF")
DARK = Ink(text="#E6E9EF", muted="#98A1AF", grid="#262C36", paper="#12151B")


def plain(text: str) -> str:
    """Text that Plotly will not read as markup, with control and direction characters shown."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;")


def faint(colour: str, opacity: float) -> str:
    """A colour that lets through what is behind it: visible but faint."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
