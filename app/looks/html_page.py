"""The one writer of HTML: templates whose every value is text, made visible and escaped by Jinja.

Only what a template marks as `safe` is markup: style sheets of ours, and figures that Plotly wrote.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Any

from app.looks.safe_text import visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def _shown(value: Any) -> Any:
    """Markup as it is, everything else as visible text; Jinja escapes what this returns."""
    return value if hasattr(value, "__html__") else visible(str(value))


def isolated(text: object, names: Collection[str]) -> Markup:
    """A sentence in which names that are written from right to left do not turn round what stands beside them.

    The template's filter of this name: `{{ sentence | isolated(names) }}`.

    Args:
        text: the sentence; it is escaped here.
        names: which may stand in it.
    """
    from markupsafe import Markup

    turning = {visible(name) for name in names if any(map(_turns, name))}
    if not turning:
        return Markup("{}").format(visible(str(text)))
    pattern = "|".join(re.escape(name) for name in sorted(turning, key=lambda name: (-len(name), name)))
    parts = re.split(f"({pattern})", visible(str(text)))
    return Markup("").join(
        Markup("<bdi>{}</bdi>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _turns(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL", "AN")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, StrictUndefined  # late: only who exports a page pays for it

    made = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["isolated"] = isolated
    return made


def render(template: str, **values: object) -> str:
    """Fill a template of ours.

    Args:
        template: Jinja; never text that a person or a model wrote.
        values: what it names; text of any origin.
    """
    return _templates().from_string(template).render(**values)
