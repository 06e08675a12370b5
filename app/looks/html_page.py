"""The one writer of HTML: templates whose every value is text, made visible and escaped by Jinja.

Only what a template marks as `safe` is markup: style sheets of ours, and figures that Plotly wrote.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from app.looks.safe_text import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def _shown(value: Any) -> Any:
    """Markup as it is, everything else as visible text; Jinja escapes what this returns."""
    return value if hasattr(value, "__html__") else visible(str(value))


@cache
def _templates() -> Environment:
    from jinja2 import Environment, StrictUndefined  # late: only who exports a page pays for it

    return Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )


def render(template: str, **values: object) -> str:
    """Fill a template of ours.

    Args:
        template: Jinja; never text that a person or a model wrote.
        values: what it names; text of any origin.
    """
    return _templates().from_string(template).render(**values)
