"""Learning to refuse, TOFU's "I don't know" (Maini et al. 2024, arXiv 2401.06121).

    L = E_{F_idk}[-log p(y_idk|x)] + L(R)

with F_idk the forget rows' questions under a refusal y_idk, and L(R) the cross-entropy of the retain rows, means over
tokens. The true answer is not in it, so it stays inside. The weights of the two are `gamma` and `alpha`, both 1.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Settings
from backends.unlearning.text_losses import cross_entropy
from backends.unlearning.text_method import LossInputs, TextMethod


def loss(seen: LossInputs, _: Settings) -> Tensor:
    """The cross-entropy of the refusals; L(R) is added by its weight `alpha`."""
    return cross_entropy(seen.nll, seen.n)


METHOD = TextMethod(
    name="IdkNLL",
    about="Learns to refuse; the knowledge may remain.",
    source="Maini et al. 2024",
    loss=loss,
    needs=("refusals",),
    sees="refusals",
    usual={"alpha": 1.0},
    card=Card(
        paper="Maini et al. 2024, TOFU: A Task of Fictitious Unlearning for LLMs, arXiv 2401.06121",
        equation="L = E_{F_idk}[-log p(y_idk|x)] + L(R)",
    ),
)
