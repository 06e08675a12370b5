"""How a model looks on every page: colour, marker and line dash, from one table.

Colours are Okabe and Ito's (2008), shifted a little where one of the two backgrounds would swallow them. A colour
belongs to a *method*, so all checkpoints of one trajectory share it; shape and dash repeat what the colour says, for
those who do not see it. The original is neutral ink, the retained model a star.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from backends.study import ModelSpec, Study


@dataclass(frozen=True, slots=True)
class Look:
    """What marks one model.

    Attributes:
        light: colour on a light background, "#RRGGBB".
        dark: colour on a dark background, "#RRGGBB".
        symbol: Plotly marker name; the components draw the same shapes.
        dash: Plotly line dash.
        glyph: one character that resembles the symbol, for places that take text only.
    """

    light: str
    dark: str
    symbol: str
    dash: str
    glyph: str

    @property
    def colour(self) -> str:
        """Colour on a light background."""
        return self.light

    def on(self, dark: bool) -> str:
        """Colour for the theme that is shown."""
        return self.dark if dark else self.light


ORIGINAL = Look("#1D2129", "#F2F4F8", "circle", "solid", "●")
RETAINED = Look("#009E73", "#2CC295", "star", "solid", "★")
METHODS = (
    Look("#D55E00", "#F07B2A", "square", "solid", "■"),
    Look("#0072B2", "#3F9BE0", "diamond", "dash", "◆"),
    Look("#CC79A7", "#E39AC4", "triangle-up", "dot", "▲"),
    Look("#B98500", "#E6A820", "triangle-down", "dashdot", "▼"),
    Look("#2F9BD6", "#8CCBF2", "cross", "longdash", "✚"),
    Look("#8A7F00", "#F0E442", "x", "longdashdot", "✖"),
    Look("#7A5195", "#B492D6", "hexagon", "5px,2px", "⬢"),
    Look("#6B7280", "#9AA3B2", "pentagon", "2px,2px", "⬟"),
)


def family(spec: ModelSpec) -> str:
    """What shares a look: the method, or the model itself where it has none."""
    return spec.method or spec.name


def families(study: Study) -> list[str]:
    """Methods of the study in the order in which its file first names them."""
    return list(dict.fromkeys(family(spec) for spec in study.models if spec.part == "unlearned"))


def look_of(spec: ModelSpec, study: Study) -> Look:
    """The look of a model; beyond eight methods looks repeat, and the name has to tell."""
    if spec.part == "original":
        return ORIGINAL
    if spec.part == "retained":
        return RETAINED
    return METHODS[families(study).index(family(spec)) % len(METHODS)]


def looks_of(heads: pd.DataFrame, study: Study) -> dict[str, Look]:
    """The look of every run of a board, by its unique name: the study's methods first, then others in order of name.

    Args:
        heads: columns model, part, method.
        study: whose methods have the first looks, on every page.
    """
    named = heads["method"].where(heads["method"] != "", heads["model"])
    own = families(study)
    others = sorted(set(named[heads["part"] == "unlearned"]) - set(own))
    order = {name: METHODS[place % len(METHODS)] for place, name in enumerate([*own, *others])}
    parts: dict[str, Look] = {"original": ORIGINAL, "retained": RETAINED}
    return {
        str(model): parts.get(str(part)) or order[str(name)]
        for model, part, name in zip(heads["model"], heads["part"], named, strict=True)
    }
