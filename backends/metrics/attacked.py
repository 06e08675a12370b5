"""What models give away under attack, as metrics: of each attack, and of the strongest one.

The scores are those of `key_fact` (else `rouge_l`), `probability` or `attack_success` on the attacked questions; the
share recovered is between floor and ceiling under the same attack (`cache/analysis/robustness/recovered.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.attacks import ATTACKS, FAMILIES
from backends.metrics.card import MetricCard, StudyMetric
from backends.study import Modality

_FORGET = frozenset({"forget"})
_NEEDS = ("evidence under attack (`unlearnboard attack`)",)
_PLAIN = {
    "strongest_says": "key_fact",
    "strongest_rates": "probability",
    "strongest_says_picture": "attack_success",
    "strongest_rates_picture": "judge_confidence",
}
_HOW = "the attack is picked on one half of the subjects and counted on the other, both ways round"


def attacked_key(attack: str) -> str:
    """Key of the metric of one attack."""
    return f"attacked_{attack}"


def strongest_key(measure: str, modality: Modality) -> str:
    """Key of the score under the strongest attack, by what a model "says" or how it "rates" the true answer."""
    return f"strongest_{measure}" if modality == "text" else f"strongest_{measure}_picture"


def recovered_key(measure: str, modality: Modality) -> str:
    """Key of the share that the strongest attack recovers."""
    return f"recovered_{measure}" if modality == "text" else f"recovered_{measure}_picture"


def plain_key(metric: str) -> str:
    """Key of the metric that tells the same when the model is asked plainly; "" for any other metric."""
    if metric in _PLAIN:
        return _PLAIN[metric]
    attack = ATTACKS.get(metric.removeprefix("attacked_")) if metric.startswith("attacked_") else None
    return attack.card.says[0] if attack is not None and attack.card.says else ""


def _card(
    key: str, modality: Modality, title: str, reading: str, formula: str, source: str, trust: str
) -> StudyMetric:
    return StudyMetric(
        MetricCard(
            key=key,
            title=title,
            question="forgetting",
            modality=modality,
            formula=formula,
            reading=reading,
            on_forget="lower",
            elsewhere="neutral",
            low=-1.0 if key.startswith("recovered") else 0.0,
            high=None if key.startswith("recovered") else 1.0,
            ideal="the retained model's value under the same attack",
            needs=_NEEDS,
            source=source,
            trust=trust,
            roles=_FORGET,
            interval="measured",
        )
    )


def _of_attacks() -> dict[str, StudyMetric]:
    found = {}
    for key, attack in ATTACKS.items():
        card = attack.card
        if not card.says:
            continue
        found[attacked_key(key)] = _card(
            attacked_key(key),
            card.modality,
            f"Leak: {card.title}",
            f"Share of the forget set that comes out ({FAMILIES[card.family].lower()}). {card.reading}",
            r"\frac{1}{n}\sum_i s_i^{\text{attacked}}",
            card.source,
            "only beside the original (ceiling) and the retained model (floor) under the same attack",
        )
    return found


def _of_strongest() -> dict[str, StudyMetric]:
    kinds: tuple[tuple[Modality, str, str], ...] = (
        ("text", "says", "says of the forget set"),
        ("text", "rates", "rates the true answers"),
        ("image", "says", "draws of the concept"),
        ("image", "rates", "shows of the concept to the judge"),
    )
    found = {}
    for modality, measure, what in kinds:
        key = strongest_key(measure, modality)
        title = (
            "Leak under the strongest attack"
            if measure == "says"
            else "Probability under the strongest attack"
        )
        found[key] = _card(
            key,
            modality,
            title,
            f"What the model {what} under the strongest attack; {_HOW}.",
            r"\frac{1}{n}\sum_i s_i^{\text{strongest}}",
            "ours, with cross-fitting",
            "only as strong as the attacks that were tried",
        )
        key = recovered_key(measure, modality)
        found[key] = _card(
            key,
            modality,
            f"Recovered by the strongest attack ({'says' if measure == 'says' else 'probability'})",
            f"How far what the model {what} under the strongest attack is from the floor (0) to the original (1) under "
            f"the same attack; {_HOW}.",
            r"\frac{\bar u - \bar f}{\bar c - \bar f}",
            "ours: with the retained model under the same attack as the floor, as arXiv 2506.00688 asks for",
            "only as strong as the attacks that were tried",
        )
    return found


ATTACKED: Mapping[str, StudyMetric] = MappingProxyType(_of_strongest() | _of_attacks())
"""By key, the strongest first."""
