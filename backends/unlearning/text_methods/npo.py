"""Negative preference optimisation (Zhang et al. 2024, arXiv 2404.05868, eq. 3).

    L_NPO = -(2 / beta) E_F[log sigmoid(-beta log(p(y|x) / p_ref(y|x)))]

with F the forget rows, y an answer, p_ref the frozen original. Its gradient is that of ascent, times a weight that
fades as the answer is forgotten; as beta tends to 0 it is gradient ascent.

Settings: `beta` is the paper's (0.1 there and in open-unlearning); `alpha`, the weight of the retain rows' own loss, is
1 as in its NPO+RT.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_method import LossInputs, TextMethod


def npo(nll: Tensor, nll_ref: Tensor, beta: float) -> Tensor:
    """L = -(2 / beta) mean log sigmoid(beta (nll - nll_ref)).

    Args:
        nll: -log p(y|x) of each row, summed over tokens, shape (rows,).
        nll_ref: the same under the frozen original.
        beta: inverse temperature.
    """
    return -(2.0 / beta) * logsigmoid(beta * (nll - nll_ref)).mean()


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """L_NPO of the forget rows."""
    return npo(seen.nll, seen.reference_nll, use["beta"])


METHOD = TextMethod(
    name="NPO",
    about="Ascent that saturates as the answer is forgotten.",
    source="Zhang et al. 2024",
    loss=loss,
    needs=("reference",),
    usual={"alpha": 1.0},
    own={"beta": Setting(1e-6, 1000.0, "Inverse temperature.", 0.1)},
    card=Card(
        paper="Zhang et al. 2024, Negative Preference Optimization: From Catastrophic Collapse to Effective "
        "Unlearning, arXiv 2404.05868, eq. 3",
        equation="L_NPO = -(2 / beta) E_F[log sigmoid(-beta log(p(y|x) / p_ref(y|x)))]",
    ),
)
