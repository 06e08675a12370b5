"""Gradient difference (Liu et al. 2022, arXiv 2203.12817): ascent on the forget rows, descent on the retain rows.

    L = -L(F) + L(R)

with L(.) the cross-entropy of the answers of the forget rows F and the retain rows R, means over tokens. The weights of
the two are `gamma` and `alpha`; in open-unlearning both are 1, and here.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Settings
from backends.unlearning.text_method import LossInputs, TextMethod
from backends.unlearning.text_methods.grad_ascent import gradient_ascent


def loss(seen: LossInputs, _: Settings) -> Tensor:
    """-L(F); the retain rows' L(R) is added by its weight `alpha`."""
    return gradient_ascent(seen.nll, seen.n)


METHOD = TextMethod(
    name="GradDiff",
    about="Gradient ascent plus the loss on retain rows.",
    source="Liu et al. 2022",
    loss=loss,
    usual={"alpha": 1.0},
    card=Card(
        paper="Liu et al. 2022, Continual Learning and Private Unlearning, arXiv 2203.12817",
        equation="L = -L(F) + L(R)",
    ),
)
