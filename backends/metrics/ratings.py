"""What people prefer when they see two models' answers without names: of a model as a whole, by role."""

from __future__ import annotations

from collections.abc import Mapping

from backends.metrics.card import MetricCard, StudyMetric
from backends.study import Modality

_SHOWN: Mapping[Modality, str] = {"text": "answers", "image": "pictures"}


def win_rate_key(modality: Modality) -> str:
    """Key of the metric in studies of this kind."""
    return f"{_SHOWN[modality]}_win_rate"


def _metric(modality: Modality) -> StudyMetric:
    shown = _SHOWN[modality]
    return StudyMetric(
        MetricCard(
            key=win_rate_key(modality),
            title=f"Win rate of its {shown}, rated by people",
            question="utility",
            modality=modality,
            formula=r"\frac{1}{n}\sum_i \left(1[\text{won}] + \tfrac{1}{2} 1[\text{same or both bad}]\right)",
            reading=f"Share of blind comparisons with other models that its {shown} won, a tie counting half. .5: "
            "as good as the models it was shown beside. On forget probes the one that gives less away wins.",
            on_forget="higher",
            elsewhere="higher",
            low=0.0,
            high=1.0,
            ideal="the retained model's value",
            needs=("ratings, made on Compare with “Rate blind”",),
            source=f"own; paired comparisons in random order, without names. Pairs with the same {shown} are not "
            "shown, and trials that show one model twice are not counted",
            trust="it depends on which models were rated: compare it only between models that met the same others",
        )
    )


WIN_RATES: Mapping[str, StudyMetric] = {
    win_rate_key(modality): _metric(modality) for modality in ("text", "image")
}
"""By key; text and image studies have their own."""
