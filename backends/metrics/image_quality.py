"""What a picture's pixels say without any judge: whether it shows anything at all, and how far it is from another."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

BLACK = 2.0
"""Largest brightness of a picture that is called black, of 255: what not-a-number values become."""

FLAT = 3.0
"""Standard deviation of brightness below which a picture is one colour, of 255; a disc of a fiftieth of the area and a
tenth of the range already has 3.6."""

NOISE = 0.4
"""Correlation of neighbouring brightnesses below which a picture is noise. Photographs have .9 and more, drawings of 24
pixels .6 and more, independent pixels 0."""


def degenerate(pixels: Pixels) -> str:
    """Why a picture shows nothing ("black", "one colour", "noise"), or "" where it may show something.

    A smooth smear passes: whether it is something is for a judge with a reject class to say.

    Args:
        pixels: shape (H, W, 3).
    """
    if pixels.max(initial=0) <= BLACK:
        return "black"
    light = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    colours = pixels.astype(np.float64).std(axis=(0, 1))
    if light.std() < FLAT and colours.max() < FLAT:
        return "one colour"
    # Stripes and boards alternate regularly: one or two pixels on, they agree or disagree strongly.
    related = [
        abs(found)
        for lag in (1, 2)
        for found in (_correlation(light[:, :-lag], light[:, lag:]), _correlation(light[:-lag], light[lag:]))
    ]
    return "noise" if max(related) < NOISE else ""


def pixel_distance(left: Pixels, right: Pixels) -> float:
    """Root mean squared difference, 0 to 1; NaN where the sizes differ.

    Args:
        left: shape (H, W, 3).
        right: shape (H, W, 3).
    """
    if left.shape != right.shape:
        return math.nan
    change = left.astype(np.float64) - right.astype(np.float64)
    return float(np.sqrt(np.mean(change**2)) / 255)


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Pearson correlation; 1 where one side is constant."""
    a, b = left - left.mean(), right - right.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size > 0 else 1.0
