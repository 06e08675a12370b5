"""SimNPO: NPO by length and without a reference model (Fan et al. 2024, arXiv 2410.07163, eq. 4).

    L_SimNPO = -(2 / beta) E_F[log sigmoid(-(beta / |y|) log p(y|x) - gamma)]

with F the forget rows, |y| the tokens of an answer.

Settings: `beta` is the paper's. The margin `delta` stands inside beta, as in the authors' code: the paper's gamma is
beta * delta. `gamma` is not that, but the weight of this loss, 0.125 beside `alpha` 1, `beta` 4.5 and `delta` 0: those
of open-unlearning, after the authors' configuration for TOFU.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_method import LossInputs, TextMethod


def simnpo(nll: Tensor, n: Tensor, beta: float, delta: float) -> Tensor:
    """L = -(2 / beta) mean log sigmoid(beta (nll / n - delta)).

    Args:
        nll: -log p(y|x) of each row, summed over tokens, shape (rows,).
        n: |y|, shape (rows,).
        beta: inverse temperature.
        delta: margin, nats per token.
    """
    return -(2.0 / beta) * logsigmoid(beta * (nll / n - delta)).mean()


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """L_SimNPO of the forget rows."""
    return simnpo(seen.nll, seen.n, use["beta"], use["delta"])


METHOD = TextMethod(
    name="SimNPO",
    about="Length-normalised NPO without a reference model.",
    source="Fan et al. 2024",
    loss=loss,
    usual={"gamma": 0.125, "alpha": 1.0},
    own={
        "beta": Setting(1e-6, 1000.0, "Inverse temperature.", 4.5),
        "delta": Setting(-100.0, 100.0, "Margin, nats per token.", 0.0),
    },
    card=Card(
        paper="Fan et al. 2024, Simplicity Prevails: Rethinking Negative Preference Optimization for LLM Unlearning, "
        "arXiv 2410.07163, eq. 4",
        equation="L_SimNPO = -(2 / beta) E_F[log sigmoid(-(beta / |y|) log p(y|x) - gamma)]",
    ),
)
