"""What an attack is: another way to ask a model, or another model made of it. Plain data and pure functions.

An attack changes the question, the decoding or the weights, and then the ordinary evidence is gathered: a derived study
with other probes or other models. Nothing here runs a model or imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from backends.attacks.training import Trained, TrainingContext
from backends.study import Modality, ModelSpec, Probe, Study

Family = Literal["asking", "sampling", "noise", "touching", "training"]
FAMILIES: Mapping[Family, str] = {
    "asking": "Asking in other words",
    "sampling": "Asking many times",
    "noise": "Starting from a picture",
    "touching": "Changing weights without training",
    "training": "Training a few steps",
}
"""With their titles, from the least to the most that an attacker must have."""
Access = Literal[
    "prompt box",
    "a begun answer",
    "sampling",
    "log-probabilities",
    "forget data",
    "pictures of the concept",
    "weights",
    "the original model",
    "fine-tuning",
]
"""What an attacker must have, from the least to the most."""
Injects = Literal[
    "nothing",
    "form",
    "other forget facts",
    "retain facts",
    "unrelated text",
    "the answer's start",
    "a picture of the concept",
]
"""What an attack puts in: a floor under the same attack tells what of the result comes from that."""


@dataclass(frozen=True, slots=True)
class AttackCard:
    """What a reader needs to know about an attack.

    Attributes:
        key: name in code, tables and the command line.
        title: name on the page.
        family: what it changes.
        modality: of the studies that it is for.
        access: what an attacker must have.
        injects: what it puts in.
        cost: of one model, in words.
        reading: one sentence for a person who sees a value.
        source: paper or code, with our deviations.
        needs: what of a study it cannot do without, in words; "" where it always can.
        says: per-probe metrics of what came out, the first that a study has is taken.
        rates: the same of how probable the true answer is; none where the attack has no such number.
        answered: answers are written; else the scores of given answers tell all.
        chance: what guessing scores, where that is not 0.
        best: of the variants of a probe the best counts instead of the mean, for floor and ceiling, too.
        group: what a series of attacks is called that differ in strength alone ("Pruned"), or "".
        strength: of this one in its series, in `unit`.
        unit: of the strength, in words ("% of the weights").
    """

    key: str
    title: str
    family: Family
    modality: Modality
    access: tuple[Access, ...]
    injects: Injects
    cost: str
    reading: str
    source: str
    needs: str = ""
    says: tuple[str, ...] = ("key_fact", "rouge_l")
    rates: tuple[str, ...] = ("probability",)
    answered: bool = True
    chance: str = ""
    best: bool = False
    group: str = ""
    strength: float = 0.0
    unit: str = ""

    @property
    def most(self) -> Access:
        """What of it is hardest to have: attacks are grouped by that."""
        return max(self.access, key=get_args(Access).index)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an attack on one probe may use beside it.

    Attributes:
        study: the study.
        pieces: probe digest -> tokens of its true answer as text, as the original's tokenizer cuts it; none where its
            answers were not scored yet.
    """

    study: Study
    pieces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AskingAttack:
    """Asks in another way.

    Attributes:
        card: what it is.
        ask: the probes that are asked instead of one, each a variant; none where the attack cannot be made of it.
            Their ids are given by the caller.
    """

    card: AttackCard
    ask: Callable[[Probe, Surroundings], Sequence[Probe]]


@dataclass(frozen=True, slots=True)
class SamplingAttack:
    """Asks often: told by the plain evidence, whose metrics know what sampling would give."""

    card: AttackCard


@dataclass(frozen=True, slots=True)
class TouchingAttack:
    """Makes another model of a model, without training.

    Attributes:
        card: what it is.
        touch: the model that is asked instead; raises StudyError where it cannot be made.
    """

    card: AttackCard
    touch: Callable[[ModelSpec, Study], ModelSpec]


@dataclass(frozen=True, slots=True)
class TrainingAttack:
    """Makes another model of a model by a few steps of training.

    Attributes:
        card: what it is.
        train: the models after some steps, and the probes on which each is judged; see `Trained`.
    """

    card: AttackCard
    train: Callable[[TrainingContext, ModelSpec], tuple[Trained, ...]]


Attack = AskingAttack | SamplingAttack | TouchingAttack | TrainingAttack
