"""Gradient ascent under KL, TOFU's "KL minimisation" (Maini et al. 2024, arXiv 2401.06121).

    L = -L(F) + E_R[KL(p_ref(.|x, y_<i) || p(.|x, y_<i))]

with L(F) the cross-entropy of the answers of the forget rows, and p_ref the frozen original on the retain rows R. The
weights of the two are `gamma` and `keep`, both 1 as in the paper.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Settings
from backends.unlearning.text_method import LossInputs, TextMethod
from backends.unlearning.text_methods.grad_ascent import gradient_ascent


def loss(seen: LossInputs, _: Settings) -> Tensor:
    """-L(F); the KL on retain rows is added by its weight `keep`."""
    return gradient_ascent(seen.nll, seen.n)


METHOD = TextMethod(
    name="GradDiffKL",
    about="Gradient ascent plus a KL term on retain rows.",
    source="Maini et al. 2024",
    loss=loss,
    usual={"keep": 1.0},
    card=Card(
        paper="Maini et al. 2024, TOFU: A Task of Fictitious Unlearning for LLMs, arXiv 2401.06121",
        equation="L = -L(F) + E_R[KL(p_ref(.|x, y_<i) || p(.|x, y_<i))]",
        differs=(
            "GradDiffKL's KL is over the answers' tokens; open-unlearning takes all positions, prompts and padding "
            "too.",
        ),
    ),
)
