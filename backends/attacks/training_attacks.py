"""Attacks that train a language model for a few steps; how each trains: `relearning` and `soft_prompt`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.attacks.attack import AttackCard, TrainingAttack
from backends.attacks.relearning import relearn_half, relearn_retain, relearn_unrelated
from backends.attacks.soft_prompt import control_strings, soft_prompt
from backends.attacks.training import Trained, TrainingContext
from backends.study import ModelSpec


def _training(
    key: str,
    title: str,
    train: Callable[[TrainingContext, ModelSpec], tuple[Trained, ...]],
    reading: str,
    source: str,
    **more: Any,
) -> TrainingAttack:
    fields: dict[str, Any] = {
        "access": ("weights", "fine-tuning"),
        "cost": "minutes of training for each model",
        "needs": "the models' weights",
    } | more
    return TrainingAttack(
        AttackCard(
            key=key, title=title, family="training", modality="text", reading=reading, source=source, **fields
        ),
        train,
    )


TRAINING = (
    _training(
        "relearn_half",
        "Relearned on half of the subjects",
        relearn_half,
        "Fine-tuned for 16 steps on half of the forget subjects and asked for the other half, both ways round.",
        "Deeb and Roger 2024 (arXiv 2410.08827); a LoRA, batch 4",
        access=("forget data", "weights", "fine-tuning"),
        injects="other forget facts",
        needs="the models' weights, and four forget subjects",
    ),
    _training(
        "relearn_retain",
        "Relearned on retain text",
        relearn_retain,
        "Fine-tuned for 16 steps on what it should have kept, and asked for what it should have forgotten.",
        "benign relearning (Hu et al. 2024, arXiv 2406.13356)",
        injects="retain facts",
        needs="the models' weights, and retain probes",
    ),
    _training(
        "relearn_unrelated",
        "Relearned on unrelated text",
        relearn_unrelated,
        "Fine-tuned for 16 steps on the utility probes, and asked for what it should have forgotten.",
        "Łucki et al. 2024 (arXiv 2409.18025)",
        injects="unrelated text",
        needs="the models' weights, and utility probes",
    ),
    _training(
        "soft_prompt",
        "Soft prompt",
        soft_prompt,
        "Five learnt vectors before the question, learnt on half of the subjects and asked for the other half.",
        "Schwinn et al. 2024; arXiv 2502.15836: any string can be brought out of what vectors are learnt on",
        access=("forget data", "weights", "fine-tuning"),
        injects="other forget facts",
        needs="the models' weights, and four forget subjects",
    ),
    _training(
        "soft_control",
        "Soft prompt, control strings",
        control_strings,
        "The same vectors, learnt on answers that mean nothing and asked for those: what comes out says how much a "
        "soft prompt teaches.",
        "arXiv 2502.15836",
        injects="unrelated text",
        needs="the models' weights, and four forget subjects",
    ),
)
