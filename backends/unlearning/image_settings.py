"""What can be set for an image method: the settings that all have, and its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from backends.unlearning.image_method import ImageMethod
from backends.unlearning.settings import Setting

SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "lr": Setting(1e-8, 1.0, "Learning rate of Adam.", 4e-4),
        "steps": Setting(
            1, 100_000, "Optimiser steps; for closed-form methods, per cent of the way.", 80, whole=True
        ),
        "batch": Setting(1, 256, "Forget pictures per step, and as many retain pictures.", 32, whole=True),
        "alpha": Setting(0.0, 1000.0, "Weight of the retain loss.", 0.0),
        "seed": Setting(
            0, 2**31 - 1, "The same recipe with the same seed gives the same weights.", 0, whole=True
        ),
        "pictures": Setting(
            1, 64, "Pictures generated for each prompt if no real ones are given.", 2, whole=True
        ),
        "stop_below": Setting(
            0.0,
            1.0,
            "Stop at the first checkpoint whose utility is below this share of the original's; 0.95: down 5 %.",
            0.0,
        ),
    }
)
"""Settings that every image method has."""
_SOLVED = ("steps", "stop_below", "seed")


def settings_of(chosen: ImageMethod) -> dict[str, Setting]:
    """What can be set for a method, in the order it is shown, with its own usual values."""
    known = {**SETTINGS, **chosen.own}
    if chosen.loss is None:  # solved for: no rate, no batches
        known = {key: known[key] for key in ("alpha", *chosen.own, *_SOLVED)}
    return {
        key: replace(setting, usual=chosen.usual.get(key, setting.usual)) for key, setting in known.items()
    }
