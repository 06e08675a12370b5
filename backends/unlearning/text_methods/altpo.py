"""Alternate preference optimisation (Mekala et al. 2024, arXiv 2409.13474).

    L = -(2 / beta) E_F[log sigmoid(beta log(p(y_a|x) / p_ref(y_a|x)) - beta log(p(y|x) / p_ref(y|x)))]

with y_a another answer of the same form to the same question, y the true answer, p_ref the frozen original. The
alternates are the probes' own (`perturbed_answer`).

Settings: `beta` is the paper's, `alpha` is the weight of the retain rows' own loss.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import preference
from backends.unlearning.text_method import LossInputs, TextMethod


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """Alternates are preferred to the answers of the forget rows."""
    alternate = seen.others
    return preference(alternate.nll, alternate.reference_nll, seen.nll, seen.reference_nll, use["beta"])


METHOD = TextMethod(
    name="AltPO",
    about="Prefers another answer of the same form.",
    source="Mekala et al. 2024",
    loss=loss,
    needs=("reference", "alternates"),
    usual={"alpha": 1.0},
    own={"beta": Setting(1e-6, 1000.0, "Inverse temperature.", 0.1)},
    card=Card(
        paper="Mekala et al. 2024, Alternate Preference Optimization for Unlearning Factual Knowledge in Large "
        "Language Models, arXiv 2409.13474",
        equation="L = -(2 / beta) E_F[log sigmoid(beta log(p(y_a|x) / p_ref(y_a|x)) - "
        "beta log(p(y|x) / p_ref(y|x)))]",
        differs=("AltPO takes one alternate a row, where the paper makes several.",),
    ),
)
