"""PDU: constrained entropic unlearning by a primal-dual method (Entesari et al. 2025, arXiv 2506.05314).

    min L_fgt = E_F[(max_v z_v - mean_v z_v)^2] subject to L_rtn <= epsilon

with z the logits of a token, L_rtn the cross-entropy of the retain rows, means over tokens. The constraint has a price:
L = gamma L_fgt + alpha L_rtn, with alpha <- max(0, alpha + eta (L_rtn - epsilon)) after each step.

Settings: `bound` is epsilon, `dual_rate` is eta (1 in open-unlearning), `alpha` the price at the first step (1 there).
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_method import LossInputs, TextMethod


def flatness(logits: Tensor, mask: Tensor) -> Tensor:
    """L_fgt: mean over tokens of (largest logit - mean logit)^2; 0 where every token is as likely as every other.

    Args:
        logits: shape (rows, tokens, vocabulary).
        mask: 1 where a token counts, shape (rows, tokens).
    """
    wide = logits.float()
    return ((wide.amax(-1) - wide.mean(-1)) ** 2 * mask).sum() / mask.sum()


def dual_step(alpha: float, retain_loss: float, epsilon: float, eta: float) -> float:
    """The price after a step: max(0, alpha + eta (L_rtn - epsilon))."""
    return max(0.0, alpha + eta * (retain_loss - epsilon))


def loss(seen: LossInputs, _: Settings) -> Tensor:
    """L_fgt of the answers to the forget rows."""
    return flatness(seen.logits, seen.mask)


def retain_weight(alpha: float, retain_loss: float, use: Settings) -> float:
    """The price after a step; a rate of 0 leaves it where it is."""
    return dual_step(alpha, retain_loss, use["bound"], use["dual_rate"]) if use["dual_rate"] > 0 else alpha


METHOD = TextMethod(
    name="PDU",
    about="Flattens the prediction, with the retain loss as a constraint (primal-dual).",
    source="Entesari et al. 2025",
    loss=loss,
    usual={"alpha": 1.0},
    own={
        "bound": Setting(0.0, 100.0, "Bound on the retain loss, nats per token.", 1.0),
        "dual_rate": Setting(0.0, 100.0, "Step size of the dual variable.", 1.0),
    },
    retain_weight=retain_weight,
    card=Card(
        paper="Entesari et al. 2025, Constrained Entropic Unlearning: A Primal-Dual Framework for Large Language "
        "Models, arXiv 2506.05314",
        equation="min L_fgt = E_F[(max_v z_v - mean_v z_v)^2] subject to L_rtn <= epsilon",
        differs=("PDU's price starts to move at once; open-unlearning warms up for five epochs.",),
    ),
)
