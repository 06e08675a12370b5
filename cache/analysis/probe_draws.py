"""How the probes of a study are drawn again: which belong together, with which seed, and how far a metric reaches."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import ROLES, Probe, Study
from cache.analysis.derive import role_probes
from cache.analysis.resampling import ANYTHING, Bounds, Groups

ROLE_ORDER = ("forget", "holdout", *(role for role in ROLES if role not in ("forget", "holdout")))


def role_seed(role: str) -> int:
    """Seed of a role's resamples. Each role resamples on its own: its probes have nothing to do with others'."""
    return ROLE_ORDER.index(role) if role in ROLE_ORDER else len(ROLE_ORDER)


def subject_groups(study: Study) -> dict[str, Groups]:
    """Role -> which of its probes share a subject, in the order of `role_probes`."""
    return {role: grouped(map(subject, probes)) for role, probes in role_probes(study).items()}


def subject(probe: Probe) -> Hashable:
    """What a probe shares with those that are drawn with it; a probe without subject is drawn alone."""
    return probe.subject or (probe.id,)


def grouped(names: Iterable[Hashable]) -> Groups:
    """Equal names are one group; () where all differ."""
    numbers: dict[Hashable, int] = {}
    groups = tuple(numbers.setdefault(name, len(numbers)) for name in names)
    return groups if len(numbers) < len(groups) else ()


def bounds_of(key: str) -> Bounds:
    """Where the single values of a metric may lie, by its key or a `role/metric` key; -inf and None without an end.

    A range that stands in the formula alone, and that no value comes near, counts as none (`MetricCard.reached`).
    """
    metric = METRICS.get(MetricKey.parse(key).undivided.name or key)
    if metric is None:
        return ANYTHING
    return metric.card.low, metric.card.high if metric.card.reached else None
