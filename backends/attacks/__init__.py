"""Attacks: other ways to ask a model what it should have forgotten. Listed here, and only here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.attacks.asking import ASKING
from backends.attacks.attack import (
    FAMILIES,
    Access,
    AskingAttack,
    Attack,
    AttackCard,
    Family,
    SamplingAttack,
    Surroundings,
    TouchingAttack,
    TrainingAttack,
)
from backends.attacks.pictures_asking import PICTURES_ASKING
from backends.attacks.pictures_noise import PICTURES_NOISE
from backends.attacks.pictures_touching import PICTURES_TOUCHING
from backends.attacks.sampling import SAMPLING
from backends.attacks.touching import TOUCHING
from backends.attacks.training_attacks import TRAINING
from backends.study import Modality

_OF_TEXT: tuple[Attack, ...] = (*ASKING, *SAMPLING, *TOUCHING, *TRAINING)
_OF_PICTURES: tuple[Attack, ...] = (*PICTURES_ASKING, *PICTURES_NOISE, *PICTURES_TOUCHING)
ATTACKS: Mapping[str, Attack] = MappingProxyType({each.card.key: each for each in (*_OF_TEXT, *_OF_PICTURES)})
"""All attacks by key, from what takes a prompt box to what takes the weights."""


def attacks_for(modality: Modality) -> dict[str, Attack]:
    """Those that are for studies of this kind."""
    return {key: each for key, each in ATTACKS.items() if each.card.modality == modality}


__all__ = [
    "ATTACKS",
    "FAMILIES",
    "Access",
    "AskingAttack",
    "Attack",
    "AttackCard",
    "Family",
    "SamplingAttack",
    "Surroundings",
    "TouchingAttack",
    "TrainingAttack",
    "attacks_for",
]
