"""Settings as people type them and links carry them: seeds, sizes, numbers within limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from backends.study.inference import SCHEDULERS

MOST_SEEDS = 16
MOST_PROMPT = 2000
"""Characters of a negative prompt that a link carries."""
LEAST_SIDE, MOST_SIDE = 8, 2048
"""Pixels of a side that the menu and a link can ask for."""
LIMITS: Mapping[str, tuple[float, float]] = {
    "max_new_tokens": (1, 2048),
    "temperature": (0.0, 2.0),
    "top_p": (0.05, 1.0),
    "steps": (1, 200),
    "guidance": (0.0, 15.0),
}
"""Least and most that the menus and a link can ask for; a study file may go beyond."""
_WHOLE = ("max_new_tokens", "steps")


def seeds_in(text: str) -> tuple[int, ...] | None:
    """The whole numbers in "1, 2, 3" without repetition, or None where it is anything but 1 to 16 of them."""
    parts = [part for part in re.split(r"[\s,;]+", text) if part]
    if 0 < len(parts) <= MOST_SEEDS and all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        return tuple(dict.fromkeys(int(part) for part in parts))
    return None


def size_in(text: str) -> int | tuple[int, int] | None:
    """Pixels in "512" or "768 x 512"; None where it is neither, or where nothing is typed."""
    match = re.fullmatch(r"\s*(\d{1,4})(?:\s*[x×,]\s*(\d{1,4}))?\s*", text)
    if not match:
        return None
    width, height = int(match[1]), int(match[2] or match[1])
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in (width, height)):
        return None
    return width if width == height else (width, height)


def size_name(size: int | tuple[int, int] | None) -> str:
    """As it is typed: "512", "768 x 512", or "" for the models' default."""
    return "" if size is None else str(size) if isinstance(size, int) else f"{size[0]} x {size[1]}"


def setting_in(field: str, text: str) -> Any:
    """A setting out of a link, None where it is not usable."""
    if field == "seeds":
        return seeds_in(text)
    if field == "size":
        return size_in(text)
    if field == "negative_prompt":
        return text[:MOST_PROMPT]
    if field == "scheduler":
        return text if text in ("", *SCHEDULERS) else None
    if not re.fullmatch(r"\d{1,9}" if field in _WHOLE else r"\d{1,9}(\.\d{1,9})?", text):
        return None
    value = int(text) if field in _WHOLE else float(text)
    low, high = LIMITS[field]
    return value if low <= value <= high else None
