"""How a model looks on every page: colour, marker and line dash, from one table.

Colours are Okabe and Ito's (2008), moved as little as it takes for every two of them, the original's and the retained
model's to be at least 8 apart (CIEDE2000) for people without red or green cones too (Machado et al. 2009), with a
contrast of 3:1 against the background. A look belongs to a *method*, so all checkpoints of one trajectory share it, and
a method of the same name has the same look in every study, unless one that the study names before it is too like it.
The first eight methods of a study differ in colour; 64 differ in colour and shape, and the first 32 also in shape and
dash alone, for those who do not see the colours. The original is neutral ink, the retained model a star.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

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
_FIRST = (
    Look("#B75305", "#F47813", "square", "solid", "■"),
    Look("#2A74DD", "#588EB3", "diamond", "dash", "◆"),
    Look("#E368AE", "#E7B7C1", "triangle-up", "dot", "▲"),
    Look("#B7850D", "#F6B534", "triangle-down", "dashdot", "▼"),
    Look("#3A9CD4", "#8BCAF2", "cross", "longdash", "✚"),
    Look("#918649", "#BBB666", "x", "longdashdot", "✖"),
    Look("#77508F", "#AB8FDE", "hexagon", "5px,2px", "⬢"),
    Look("#6D7281", "#A6AFC2", "pentagon", "2px,2px", "⬟"),
)


def _combined(place: int) -> Look:
    """The look of the method at a place: round after round the shapes move on by three, the dashes by five."""
    turn, first = divmod(place, len(_FIRST))
    shape = _FIRST[(first + 3 * turn) % len(_FIRST)]
    dash = _FIRST[(first + 5 * turn) % len(_FIRST)].dash
    return Look(_FIRST[first].light, _FIRST[first].dark, shape.symbol, dash, shape.glyph)


METHOD_LOOKS = tuple(_combined(place) for place in range(len(_FIRST) ** 2))
"""No two have the same colour and shape."""
_TEXT = ("gradascent", "graddiff", "idknll", "npo", "simnpo", "wga", "rmu", "idkdpo")
_IMAGE = ("", "esd", "salun", "selectiveamnesia", "uce", "advtext", "conceptablation", "erasediff")
_PLACES: Mapping[str, int] = MappingProxyType(
    {name: place for place, name in enumerate((*_TEXT, *_IMAGE)) if name}
)
"""Places in `METHOD_LOOKS` of methods that are often compared: those of one kind differ in colour, shape and dash."""


def method_looks(methods: Sequence[str]) -> Mapping[str, Look]:
    """The look of each method, by name.

    Each has its own if nothing before it is like it, else the first of those that are least like the ones before it.

    Args:
        methods: names, each once; the first choose first.
    """
    return _method_looks(tuple(methods))


@lru_cache(maxsize=256)
def _method_looks(methods: tuple[str, ...]) -> Mapping[str, Look]:
    used: Counter[object] = Counter()
    found = {}
    for name in methods:
        own = _own_place(name)
        keys = {place: _likeness(place) for place in range(len(METHOD_LOOKS))}
        place = min(keys, key=lambda each: (*(used[part] for part in keys[each]), each != own, each))
        used.update(keys[place])
        found[name] = METHOD_LOOKS[place]
    return MappingProxyType(found)


def _likeness(place: int) -> tuple[object, ...]:
    """What two looks must not share, the worst first."""
    look = METHOD_LOOKS[place]
    return place, (look.symbol, look.dash), look.light, look.symbol, look.dash


def _own_place(method: str) -> int:
    """A method's place in every study: from the table, else by its name; "grad_ascent" is "GradAscent"."""
    plain = re.sub(r"[\W_]+", "", method.casefold())
    return _PLACES.get(plain, zlib.crc32(plain.encode()) % len(METHOD_LOOKS))


def family(spec: ModelSpec) -> str:
    """What shares a look: the method, or the model itself where it has none."""
    return spec.method or spec.name


def families(study: Study) -> list[str]:
    """Methods of the study in the order in which its file first names them."""
    return list(dict.fromkeys(family(spec) for spec in study.models if spec.part == "unlearned"))


def look_of(spec: ModelSpec, study: Study) -> Look:
    """The look of a model; beyond `len(METHOD_LOOKS)` methods looks repeat, see `repeating`."""
    if spec.part == "original":
        return ORIGINAL
    if spec.part == "retained":
        return RETAINED
    return method_looks(families(study))[family(spec)]


def repeating(heads: pd.DataFrame, study: Study) -> str:
    """A sentence where a board has more methods than there are looks, else ""; arguments as for `looks_of`."""
    count = len(_methods(heads, study))
    if count <= len(METHOD_LOOKS):
        return ""
    return (
        f"There are {count:,} methods and {len(METHOD_LOOKS)} looks: from the {len(METHOD_LOOKS) + 1}th "
        "on, colours and markers repeat. Hover over a marker to see its method."
    )


def looks_of(heads: pd.DataFrame, study: Study) -> dict[str, Look]:
    """The look of every run of a board, by its unique name: the study's methods first, then others in order of name.

    Args:
        heads: columns model, part, method.
        study: whose methods have the first looks, on every page.
    """
    named = _named(heads)
    order = method_looks(_methods(heads, study))
    parts: dict[str, Look] = {"original": ORIGINAL, "retained": RETAINED}
    return {
        str(model): parts.get(str(part)) or order[str(name)]
        for model, part, name in zip(heads["model"], heads["part"], named, strict=True)
    }


def _named(heads: pd.DataFrame) -> pd.Series:
    """What shares a look, for every run: see `family`."""
    return heads["method"].where(heads["method"] != "", heads["model"])


def _methods(heads: pd.DataFrame, study: Study) -> list[str]:
    own = families(study)
    return [*own, *sorted(set(_named(heads)[heads["part"] == "unlearned"]) - set(own))]
