"""WGA: weighted gradient ascent (Wang et al. 2025, arXiv 2502.19301).

    L = E_F[sg(p(y_i|x, y_<i))^beta log p(y_i|x, y_<i)]

with sg a stop of the gradient, a mean over tokens: each token of an answer counts by its own probability, so that
tokens that are forgotten already are left alone, where plain ascent pushes them without end.

Settings: `beta` is the exponent (1 in open-unlearning; 0 is gradient ascent); `alpha` is the weight of the retain rows'
own loss (1 there).
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import target_logprobs
from backends.unlearning.text_method import LossInputs, TextMethod


def weighted_ascent(logits: Tensor, targets: Tensor, mask: Tensor, beta: float) -> Tensor:
    """L = mean over tokens of p^beta log p, with p^beta held fixed.

    Args:
        logits: shape (rows, tokens, vocabulary).
        targets: shape (rows, tokens).
        mask: 1 where a token counts, shape (rows, tokens).
        beta: the exponent.
    """
    logprobs = target_logprobs(logits, targets)
    return (logprobs.detach().exp() ** beta * logprobs * mask).sum() / mask.sum()


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """Weighted ascent on the answers to the forget rows."""
    return weighted_ascent(seen.logits, seen.targets, seen.mask, use["beta"])


METHOD = TextMethod(
    name="WGA",
    about="Ascent weighted by token probability.",
    source="Wang et al. 2025",
    loss=loss,
    usual={"alpha": 1.0},
    own={"beta": Setting(1e-6, 1000.0, "Exponent of a token's probability, which is its weight.", 1.0)},
    card=Card(
        paper="Wang et al. 2025, Rethinking LLM Unlearning Objectives: A Gradient Perspective and Go Beyond, "
        "arXiv 2502.19301",
        equation="L = E_F[sg(p(y_i|x, y_<i))^beta log p(y_i|x, y_<i)]",
    ),
)
