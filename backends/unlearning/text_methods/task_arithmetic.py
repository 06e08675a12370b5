"""Task arithmetic: a change that was trained, taken the other way (Ilharco et al. 2023, arXiv 2212.04089, section 3).

    theta_new = theta_0 - lambda (theta_F - theta_0)

with theta_0 the original's weights, theta_F those after training on the forget rows F with the ordinary loss. What is
trained is theta_F; it is turned round where it is measured and kept (`negation.py`).

Settings: `scale` is the paper's lambda, which it chooses on held-out rows; 1 here.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import cross_entropy
from backends.unlearning.text_method import LossInputs, TextMethod


def loss(seen: LossInputs, _: Settings) -> Tensor:
    """The ordinary loss of the forget rows."""
    return cross_entropy(seen.nll, seen.n)


def taken_back(use: Settings) -> float:
    """How far back: lambda."""
    return use["scale"]


METHOD = TextMethod(
    name="TaskArithmetic",
    about="Trains on the forget rows, then negates the change.",
    source="Ilharco et al. 2023",
    loss=loss,
    own={"scale": Setting(0.0, 10_000.0, "How far back.", 1.0)},
    taken_back=taken_back,
    card=Card(
        paper="Ilharco et al. 2023, Editing Models with Task Arithmetic, arXiv 2212.04089, section 3",
        equation="theta_new = theta_0 - lambda (theta_F - theta_0)",
        differs=(
            "Task arithmetic goes as far back as `scale` times what fine-tuning on the forget rows added; "
            "the strength curve on Trade-offs goes further.",
        ),
    ),
)
