"""Ordinary training: no unlearning, but with the same loop, rows and terms."""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.settings import Settings
from backends.unlearning.text_losses import cross_entropy
from backends.unlearning.text_method import LossInputs, TextMethod


def loss(seen: LossInputs, _: Settings) -> Tensor:
    """E_D[-log p(y|x)], a mean over tokens."""
    return cross_entropy(seen.nll, seen.n)


METHOD = TextMethod(name="FineTune", about="Ordinary training.", source="", loss=loss)
