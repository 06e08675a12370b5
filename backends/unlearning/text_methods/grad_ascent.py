"""Gradient ascent (Jang et al. 2023, arXiv 2210.01504).

    L = E_F[log p(y|x)]

with F the forget rows, y an answer: the training loss with its sign turned, a mean over tokens. It is unbounded below,
which is why it collapses. The paper has no retain term; `alpha` adds one, which makes it GradDiff.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Settings
from backends.unlearning.text_losses import cross_entropy
from backends.unlearning.text_method import LossInputs, TextMethod


def gradient_ascent(nll: Tensor, n: Tensor) -> Tensor:
    """L = -sum nll / sum n.

    Args:
        nll: summed negative log-likelihood of each row's answer, shape (rows,).
        n: tokens of each answer, shape (rows,).
    """
    return -cross_entropy(nll, n)


def loss(seen: LossInputs, _: Settings) -> Tensor:
    """Ascent on the answers to the forget rows."""
    return gradient_ascent(seen.nll, seen.n)


METHOD = TextMethod(
    name="GradAscent",
    about="Makes the answers unlikely, without bound: it collapses.",
    source="Jang et al. 2023",
    loss=loss,
    card=Card(
        paper="Jang et al. 2023, Knowledge Unlearning for Mitigating Privacy Risks in Language Models, "
        "arXiv 2210.01504",
        equation="L = E_F[log p(y|x)]",
    ),
)
