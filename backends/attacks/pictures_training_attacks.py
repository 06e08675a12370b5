"""The attacks on image models that train, with their cards. Imports no torch."""

from __future__ import annotations

from typing import Any

from backends.attacks.attack import AttackCard, TrainingAttack
from backends.attacks.pictures import PICTURES, RATES, SAYS
from backends.attacks.pictures_training import learn_concept, learn_prompts, relearn_pictures

_FIELDS: dict[str, Any] = {
    "family": "training",
    "modality": "image",
    "access": ("pictures of the concept", "weights", "fine-tuning"),
    "injects": "a picture of the concept",
    "cost": "half a minute to minutes of training for each model",
    "needs": PICTURES,
    "says": SAYS,
    "rates": RATES,
}

PICTURES_TRAINING = (
    TrainingAttack(
        AttackCard(
            key="picture_token",
            title="A token learned",
            reading="A token learns the concept from pictures of half of the objects and is asked for with the others.",
            source="textual inversion (Gal et al. 2022) as in Pham et al. 2024; 200 steps, batch 4, Adam at 0.02",
            **_FIELDS,
        ),
        learn_concept,
    ),
    TrainingAttack(
        AttackCard(
            key="picture_prompts",
            title="Prompts learned",
            reading="Five vectors before each prompt learn one real picture of what it asks for.",
            source="UnlearnDiffAtk (Zhang et al. 2024), vectors not projected onto words, on real pictures; 120 steps",
            **_FIELDS,
        ),
        learn_prompts,
    ),
    TrainingAttack(
        AttackCard(
            key="picture_relearning",
            title="Relearned on half of the objects",
            reading="Attention weights are trained on pictures of half of the objects, and the others are asked for.",
            source="Deeb and Roger 2024 (arXiv 2410.08827), for pictures; 80 steps, batch 4, Adam at 1e-4",
            **_FIELDS,
        ),
        relearn_pictures,
    ),
)
