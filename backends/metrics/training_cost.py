"""The cost of unlearning, as recorded when a checkpoint was made: of a model as a whole, not of probes."""

from __future__ import annotations

from collections.abc import Mapping

from backends.metrics.card import MetricCard, StudyMetric
from backends.study import Modality

_ABOUT = (
    ("seconds", "Training time", r"\sum_i t_i", "Seconds of training up to the checkpoint, without measurements; "
     "the machine matters.", 1.0),
    ("peak_bytes", "Peak memory, GB", r"\max_t m(t) / 10^9", "Peak memory of the device up to the "
     "checkpoint; on a CPU, of the process.", 1e-9),
    ("changed_parameters", "Trained parameters, millions", r"\#\theta / 10^6", "Trained parameters; with "
     "LoRA, those of the adapter.", 1e-6),
    ("tokens", "Tokens seen, thousands", r"s \cdot \bar n / 10^3", "Tokens of forget and retain rows in all steps, at "
     "the rows' mean length, padding not counted.", 1e-3),
    ("images", "Pictures seen", r"2 s b", "Forget and retain pictures in all steps.", 1.0),
)  # fmt: skip
_ONLY: Mapping[str, Modality] = {"tokens": "text", "images": "image"}


def _card(key: str, title: str, formula: str, reading: str, modality: Modality) -> StudyMetric:
    return StudyMetric(
        MetricCard(
            key=key,
            title=title,
            question="cost",
            modality=modality,
            formula=formula,
            reading=reading,
            on_forget="lower",
            elsewhere="lower",
            low=0.0,
            high=None,
            ideal="small, for the same forgetting and utility",
            needs=("a model that was made by UnlearnBoard",),
            source="own; written beside the weights while they are made",
            interval="measured",
        )
    )


def _key(name: str, modality: Modality) -> str:
    return f"{'training' if modality == 'text' else 'unlearning'}_{name}"


def _all() -> dict[str, StudyMetric]:
    kinds: tuple[Modality, ...] = ("text", "image")
    return {
        _key(name, modality): _card(_key(name, modality), title, formula, reading, modality)
        for modality in kinds
        for name, title, formula, reading, _ in _ABOUT
        if _ONLY.get(name, modality) == modality
    }


TRAINING_COSTS: Mapping[str, StudyMetric] = _all()
"""By key; text and image studies have their own."""


def training_costs(recorded: Mapping[str, float], modality: Modality) -> dict[str, float]:
    """Values of these metrics by key.

    Args:
        told: as written beside a checkpoint.
        modality: of the study.
    """
    scales = {name: scale for name, *_, scale in _ABOUT}
    return {
        _key(name, modality): float(value) * scales[name]
        for name, value in recorded.items()
        if _key(name, modality) in TRAINING_COSTS
    }
