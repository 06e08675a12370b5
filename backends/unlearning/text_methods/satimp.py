"""SatImp: ascent weighted by saturation and importance (Yang et al. 2025, arXiv 2505.11953).

    L = E_F[sg(p_i^beta1 (1 - p_i)^beta2) log p_i]

with p_i = p(y_i|x, y_<i) and sg a stop of the gradient, a mean over tokens.

Settings: `beta` is the paper's beta1, `beta2` its beta2; `gamma` is the weight of this loss, `alpha` that of the retain
rows' own. 5, 1, 0.1 and 1 in open-unlearning, and here.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import target_logprobs
from backends.unlearning.text_method import LossInputs, TextMethod


def saturation_importance(
    logits: Tensor, targets: Tensor, mask: Tensor, beta1: float, beta2: float
) -> Tensor:
    """L = mean over tokens of p^beta1 (1 - p)^beta2 log p, with the weight held fixed.

    Args:
        logits: shape (rows, tokens, vocabulary).
        targets: shape (rows, tokens).
        mask: 1 where a token counts, shape (rows, tokens).
        beta1: exponent of saturation.
        beta2: exponent of importance.
    """
    logprobs = target_logprobs(logits, targets)
    p = logprobs.detach().exp()
    return (p**beta1 * (1 - p) ** beta2 * logprobs * mask).sum() / mask.sum()


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """Weighted ascent on the answers to the forget rows."""
    return saturation_importance(seen.logits, seen.targets, seen.mask, use["beta"], use["beta2"])


METHOD = TextMethod(
    name="SatImp",
    about="Ascent weighted by saturation and importance.",
    source="Yang et al. 2025",
    loss=loss,
    usual={"gamma": 0.1, "alpha": 1.0},
    own={
        "beta": Setting(1e-6, 1000.0, "First exponent.", 5.0),
        "beta2": Setting(0.0, 100.0, "Second exponent.", 1.0),
    },
    card=Card(
        paper="Yang et al. 2025, Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning, arXiv 2505.11953",
        equation="L = E_F[sg(p_i^beta1 (1 - p_i)^beta2) log p_i]",
    ),
)
