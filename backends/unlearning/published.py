"""Settings that the authors of image methods publish with their code, each with its place. Plain data.

Text methods need no such table: their papers share one protocol (TOFU's and open-unlearning's). A method is left out
here where its authors' settings mean something else than ours of the same name, or depend on how many GPUs there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backends.unlearning.settings import Settings


@dataclass(frozen=True, slots=True)
class Published:
    """What a method's authors used on Stable Diffusion 1.4.

    Attributes:
        settings: values by name.
        source: repository and file that has them.
        epochs: passes over the pictures to forget, where the steps follow from these; 0 where `settings` has the steps.
        note: how a value follows from what is written there, a sentence; "" where it is written there as it is.
    """

    settings: Settings
    source: str
    epochs: int = 0
    note: str = ""


_ESD = Published(
    {"lr": 5e-5, "steps": 200, "batch": 1, "eta": 2.0, "alpha": 0.0},
    "github.com/rohitgandikota/erasing, defaults of esd_sd.py",
)
PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "ESD": _ESD,
        "ESDu": _ESD,
        "ESDstrict": _ESD,
        "SalUn": Published(
            {"lr": 1e-5, "batch": 8, "alpha": 0.5, "share": 0.5},
            "github.com/OPTML-Group/Unlearn-Saliency, SD/README.md and defaults of SD/train-scripts/random_label.py",
            epochs=5,
        ),
        "ConceptAblation": Published(
            {"lr": 1.6e-5, "steps": 100, "batch": 8, "alpha": 0.0},
            "github.com/nupurkmr9/concept-ablation, diffusers/README.md (ablating a style) and train.py",
            note="Its rate of 2e-6 is times the pictures of a step there (--scale_lr): 4 on each of two GPUs.",
        ),
        "UCE": Published(
            {"steps": 100, "damping": 0.5, "alpha": 1.0},
            "github.com/rohitgandikota/unified-concept-editing, defaults of trainscripts/uce_sd_erase.py",
        ),
    }
)
"""By the name of the method."""
