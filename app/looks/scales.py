"""Colour scales of the heat maps, for light and dark backgrounds. Pure; a position in, two colours out.

`rocket` of seaborn (Waskom 2021), perceptually uniform and safe for colour-blind readers, turned so that "likely" is
always what stands out of the background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROCKET = ("#03051A", "#35193E", "#701F57", "#AD1759", "#E13342", "#F37651", "#F6B48F", "#FAEBDD")
SEQUENTIAL_LIGHT = tuple(reversed(ROCKET[1:]))
SEQUENTIAL_DARK = ("#1B1A2B", *ROCKET[1:])
LEAST_LIKELY = math.log(1e-4)
"""Log-probability (nats) at which the scales end; the legend says so."""


class Ink(NamedTuple):
    """A background colour and the text colour that is readable on it."""

    background: str
    text: str


def likelihood_ink(logprob: float, *, dark: bool) -> Ink:
    """Colour of a token by its log-probability, nats: from 1e-4 and less (faint) to 1 (strong)."""
    return _ink(SEQUENTIAL_DARK if dark else SEQUENTIAL_LIGHT, 1 - logprob / LEAST_LIKELY)


def ramp(stops: Sequence[str], count: int) -> NDArray[np.uint8]:
    """Evenly spaced colours along the stops, shape (count, 3)."""
    return np.array([_mix(stops, index / (count - 1)) for index in range(count)], np.uint8)


def _ink(stops: Sequence[str], position: float) -> Ink:
    mixed = _mix(stops, position)
    return Ink("#" + "".join(f"{channel:02X}" for channel in mixed), _readable_on(mixed))


def _mix(stops: Sequence[str], position: float) -> list[int]:
    """Red, green, blue at a position in 0..1 between evenly spaced stops."""
    place = min(max(position, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(place), len(stops) - 2)
    low, high = _channels(stops[index]), _channels(stops[index + 1])
    return [round(a + (b - a) * (place - index)) for a, b in zip(low, high, strict=True)]


def _channels(colour: str) -> list[int]:
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def _readable_on(channels: Sequence[int]) -> str:
    """Black or white, whichever has more contrast (WCAG 2.2 relative luminance)."""
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#FFFFFF"
