"""The cells of an evaluation: what a plan counts and what progress is told of."""

from __future__ import annotations

from cache.evaluate.evaluation import Progress
from cache.evaluate.plan import PlanItem

Cell = tuple[str, str, str]
"""Model, probe set and kind."""


def cell_of(item: PlanItem | Progress) -> Cell:
    """Which cell an item or a progress belongs to."""
    return item.model, item.probe_set, item.kind
