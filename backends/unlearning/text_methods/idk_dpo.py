"""DPO with a refusal as the winner (Maini et al. 2024, arXiv 2401.06121; Rafailov et al. 2023).

    L = -(2 / beta) E_F[log sigmoid(beta log(p(y_idk|x) / p_ref(y_idk|x)) - beta log(p(y|x) / p_ref(y|x)))]

with y_idk a refusal, y the true answer, p_ref the frozen original. The factor 2 / beta is that of TOFU's code and
open-unlearning; it makes the scale that of NPO.

Settings: `beta` is DPO's; `alpha` is the weight of the retain rows' own loss. 0.1 and 1 in open-unlearning, and here.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import preference
from backends.unlearning.text_method import LossInputs, TextMethod


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """Refusals are preferred to the answers of the forget rows."""
    refusal = seen.others
    return preference(refusal.nll, refusal.reference_nll, seen.nll, seen.reference_nll, use["beta"])


METHOD = TextMethod(
    name="IdkDPO",
    about="Prefers a refusal to the answer.",
    source="Maini et al. 2024",
    loss=loss,
    needs=("reference", "refusals"),
    usual={"alpha": 1.0},
    own={"beta": Setting(1e-6, 1000.0, "Inverse temperature.", 0.1)},
    card=Card(
        paper="Maini et al. 2024, TOFU: A Task of Fictitious Unlearning for LLMs, arXiv 2401.06121",
        equation="L = -(2 / beta) E_F[log sigmoid(beta log(p(y_idk|x) / p_ref(y_idk|x)) - "
        "beta log(p(y|x) / p_ref(y|x)))]",
    ),
)
