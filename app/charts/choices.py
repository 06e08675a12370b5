"""Which axes there are to choose from: metrics that a study has values of, their titles, and well-known pairs.

Pure functions over a scoreboard's frame and the metrics' cards. Knows nothing about Streamlit or Plotly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from app.charts.points import Axis
from backends.metrics import METRICS, MetricCard, StudyMetric
from backends.metrics.foreign import FOREIGN, foreign_card
from backends.metrics.key import MetricKey
from backends.metrics.least_kept import LEAST_KEPT
from backends.study import ROLES, Modality, Study
from backends.study.targets import concepts_to_forget

WHOLE_MODEL = "all"
"""Role of metrics that are made of several roles' values, such as model utility."""
ROLE_ORDER: tuple[str, ...] = ("forget", WHOLE_MODEL, *(role for role in ROLES if role != "forget"))
ROLE_TITLES: Mapping[str, str] = MappingProxyType({WHOLE_MODEL: "whole model", "mine": "my own"})


FORGETTING = ("forgetting", "memorisation", "knowledge")
"""Questions of metrics that, on forget probes, say how much was forgotten."""
USUAL_SCALE = "as usual"
SCALES = (USUAL_SCALE, "linear", "logarithmic")


class Preset(NamedTuple):
    """A pair of axes that people ask for by name."""

    title: str
    x: str
    y: str


PRESETS: Mapping[Modality, Sequence[Preset]] = MappingProxyType(
    {
        "text": (
            Preset("Forgotten vs least kept", "forget/probability", "all/least_kept"),
            Preset("… under attack", "forget/strongest_rates", "all/least_kept"),
            Preset("Forgotten vs utility", "forget/probability", "all/model_utility"),
            Preset("Forgotten vs neighbours", "forget/probability", "neighbour/probability"),
            Preset("Memorised vs private", "forget/extraction_strength", "forget/mia_min_k"),
            Preset("Memorised vs truth ratio", "forget/extraction_strength", "forget/truth_ratio"),
        ),
        "image": (
            # Unlearning accuracy counts a picture of nothing as not forgotten, which no verdict does.
            Preset("Concept gone vs least kept", "forget/attack_success", "all/least_kept_pictures"),
            Preset("… under attack", "forget/strongest_says_picture", "all/least_kept_pictures"),
            Preset("… vs same domain kept", "forget/attack_success", "retain/in_domain_retain"),
            Preset("… vs other domains kept", "forget/attack_success", "retain/cross_domain_retain"),
            Preset("… vs picture quality (FID)", "forget/attack_success", "retain/fid"),
            Preset("… vs nothing recognisable", "forget/attack_success", "forget/reject_rate"),
            Preset("… vs denoising loss", "forget/attack_success", "forget/denoising_difference"),
            Preset("… vs changed weights", "forget/attack_success", "all/changed_share"),
            Preset("Another concept drawn vs kept", "forget/unlearn_accuracy", "retain/in_domain_retain"),
        ),
    }
)


def role_of(key: str) -> str:
    """Role of a `role/metric` key."""
    return MetricKey.parse(key).role


def card_of(key: str) -> MetricCard:
    """Card of a `role/metric` or `role/metric@set` key: ours, or another tool's."""
    card = known_card(key)
    if card is None:
        raise KeyError(key)
    return card


def known_card(key: str) -> MetricCard | None:
    """The same; None where nothing is known of the metric."""
    metric = MetricKey.parse(key).undivided.name
    return METRICS[metric].card if metric in METRICS else foreign_card(metric)


def per_example(key: str) -> bool:
    """Whether the metric is one of ours that has a value on every probe, of which a model's is the mean."""
    metric = METRICS.get(MetricKey.parse(key).undivided.name)
    return metric is not None and not isinstance(metric, StudyMetric)


def available(frame: pd.DataFrame) -> list[str]:
    """Keys with a value for at least one model, by role (forget first), then in the order of the metrics' table."""
    return in_order(frame.loc[frame["value"].notna(), "key"].unique())


def in_order(keys: Iterable[str]) -> list[str]:
    """Those of the keys whose metric is known, by role (forget first), ours first, then in the order of the tables."""
    order = {name: place for place, name in enumerate([*METRICS, *FOREIGN])}

    def rank(key: str) -> tuple[int, int, str]:
        read = MetricKey.parse(key)
        metric = read.undivided.name
        return _rank(read.role), order.get(metric, len(order)), metric + read.part

    return sorted({key for key in keys if known_card(key) is not None}, key=rank)


def unavailable(keys: Collection[str], study: Study) -> list[str]:
    """Sentences about the metrics of the study's kind that have no value here, and what each needs."""
    have = {MetricKey.parse(key).name for key in keys}
    cards = [metric.card for metric in METRICS.values() if metric.card.modality == study.modality]
    return [
        f"{card.title} needs {', '.join(card.needs)}{_lacking(card, study)}."
        for card in cards
        if card.key not in have
    ]


def without_value(keys: Collection[str], modality: str) -> list[str]:
    """Titles of the metrics of a modality that have no value here."""
    have = {MetricKey.parse(key).name for key in keys}
    cards = [metric.card for metric in METRICS.values() if metric.card.modality == modality]
    return [card.title for card in cards if card.key not in have]


def title(key: str) -> str:
    """`forget · Probability of the true answer`, with `@set` also the probe set's name.

    The role leads, so that a sorted list is grouped by it.
    """
    read = MetricKey.parse(key)
    role = ROLE_TITLES.get(read.role, read.role)
    return f"{role}{f' ({read.part})' if read.part else ''} · {card_of(key).title}"


def axis(key: str, *, turn: bool, scale: str = USUAL_SCALE) -> Axis:
    """The axis of a key; `scale` is one of SCALES."""
    card, role = card_of(key), role_of(key)
    return Axis(
        key=key,
        title=card.title,
        role="" if role == WHOLE_MODEL else role,
        better=card.direction(role),
        unit=card.low == 0.0 and card.high == 1.0,
        turn=turn,
        # On a linear axis most p-values would lie at 0.
        log=card.p_value if scale == USUAL_SCALE else scale == "logarithmic",
        p_value=card.p_value,
        bounds=(card.low, card.high),
        by_count=card.by_count,
        forgets=forgets(key),
    )


def judges(key: str) -> bool:
    """Some values of the metric are better than others on this role."""
    return card_of(key).direction(role_of(key)) != "neutral"


def forgets(key: str) -> bool:
    """Whether the metric, on these probes, says how much was forgotten."""
    return role_of(key) == "forget" and card_of(key).question in FORGETTING


def default_cost(keys: Collection[str], other: str) -> str:
    """What says the cost by default: the least that was kept, where it has values, else another metric."""
    return next((key for key in keys if MetricKey.parse(key).name in LEAST_KEPT), other)


def one_of_each_kind(keys: Sequence[str]) -> list[str]:
    """The first key of each kind of question: forgetting, least kept, utility, neighbours, refusal, membership.

    Neighbours are asked by the metric of forgetting, where it has values on them.

    Args:
        keys: those that are preferred first.
    """

    def first(fits: Callable[[str], bool]) -> str | None:
        return next((key for key in keys if judges(key) and fits(key)), None)

    def on_forget(key: str, question: str) -> bool:
        return role_of(key) == "forget" and card_of(key).question == question

    forgetting = first(forgets)
    alike = f"neighbour/{MetricKey.parse(forgetting).name}" if forgetting else ""
    found = (
        forgetting,
        first(lambda key: MetricKey.parse(key).name in LEAST_KEPT),
        first(lambda key: card_of(key).question == "utility" and role_of(key) != "forget"),
        first(lambda key: key == alike) or first(lambda key: role_of(key) == "neighbour"),
        first(lambda key: on_forget(key, "collapse")),
        # Leaks within k samples are of the same question, but say nothing of membership.
        first(lambda key: on_forget(key, "privacy") and not MetricKey.parse(key).name.startswith("leak_")),
    )
    return list(dict.fromkeys(key for key in found if key is not None))


def presets(keys: Collection[str], modality: Modality) -> list[Preset]:
    """Presets whose both axes exist."""
    return [preset for preset in PRESETS[modality] if preset.x in keys and preset.y in keys]


def first_axes(keys: Sequence[str], modality: Modality) -> tuple[str, str]:
    """What is plotted before anybody chose: the first preset, else something on forget against something else."""
    ready = presets(keys, modality)
    if ready:
        return ready[0].x, ready[0].y
    elsewhere = [key for key in keys if role_of(key) != "forget" and judges(key)]
    return keys[0], (elsewhere or list(keys[1:]) or list(keys))[0]


def _rank(role: str) -> int:
    return ROLE_ORDER.index(role) if role in ROLE_ORDER else len(ROLE_ORDER)


def _lacking(card: MetricCard, study: Study) -> str:
    """What the study plainly does not have, as far as its file tells."""
    if "retained model" in card.needs and study.retained is None:
        return "; this study has no retained model"
    if not study.judges and any("judge" in need for need in card.needs):
        return "; the study file names no [[judges]]"
    for need in card.needs:
        kind = need.removeprefix("[features] ")
        if kind == "real" and not study.features.real:
            return '; the study file names no folder of real pictures: real = "folder" in [features]'
        if kind not in (need, "real") and kind not in study.features.named():
            return f"; the study file names no {kind} in [features]"
    if not concepts_to_forget(study) and "forget concept" in card.needs:
        return "; the study file has no table [forget] that names the concept"
    wanted = card.roles - {WHOLE_MODEL}
    if wanted and not wanted & {probes.role for probes in study.probe_sets}:
        return f"; this study has no {' or '.join(sorted(wanted))} probes"
    return "; evaluate the models on the Runs page"
