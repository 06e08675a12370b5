"""What unlearning left of everything that should stay: the worst of utility, retain and neighbour answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import MetricCard, StudyMetric
from backends.study import Modality

Floats = NDArray[np.float64]

KEPT_BY: Mapping[Modality, tuple[str, ...]] = MappingProxyType(
    {"text": ("key_fact", "rouge_l", "probability"), "image": ("in_domain_retain",)}
)
"""Which metric says what was kept of a role's answers: the first that the role's probes have."""
KEPT_OF = ("retain", "neighbour")
"""Roles whose answers should stay, beside model utility."""


def least_kept(ours: Floats, theirs: Floats) -> Floats:
    """The smallest share of what the yardstick has that a model kept, over the last axis.

    Args:
        ours: the model's numbers, shape (..., parts).
        theirs: the retained model's (without one, the original's), same shape. Parts where it has nothing, or where
            either is NaN, are left out.

    Returns:
        Shape (...); NaN where no part is left.
    """
    usable = (theirs > 0) & ~np.isnan(ours)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(usable, ours / theirs, np.inf)
    least = shares.min(axis=-1)
    return np.where(np.isinf(least), np.nan, least)


def _metric(modality: Modality) -> StudyMetric:
    parts = "facts, else ROUGE-L, else probability" if modality == "text" else "in-domain accuracy"
    return StudyMetric(
        MetricCard(
            key=least_kept_key(modality),
            title="Least kept (utility, retain, neighbour)",
            question="side effects",
            modality=modality,
            formula=r"\min_a\; M_a / R_a",
            reading="1: as good as the retained model at everything that should stay; .3: of one of model utility, "
            "retain and neighbour answers only 30 % are left. One number for the cost, which no average hides.",
            on_forget="higher",
            elsewhere="higher",
            low=0.0,
            high=None,
            ideal="1",
            needs=(
                "model utility, or retain or neighbour probes",
                "a retained model, else the original's values",
            ),
            source="own; M the model, R the retained model or without one the original; of retain and neighbour "
            f"probes {parts}. Models with targets of their own are not compared",
            trust="the smallest of several uncertain numbers is low by chance, so with few probes read the interval",
            roles=frozenset({"all"}),
            interval="least",
        )
    )


def least_kept_key(modality: Modality) -> str:
    """Key of the metric in studies of this kind."""
    return "least_kept" if modality == "text" else "least_kept_pictures"


LEAST_KEPT: Mapping[str, StudyMetric] = MappingProxyType(
    {least_kept_key(modality): _metric(modality) for modality in ("text", "image")}
)
"""By key; text and image studies have their own."""
