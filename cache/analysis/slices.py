"""One metric by subject or tag of the probes: where a mean over all of them hides what happened to one."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from backends.metrics.key import MetricKey
from backends.study import Probe, Study
from cache.analysis.board import NUMBERS, Board
from cache.analysis.derive import role_probes
from cache.analysis.probe_draws import bounds_of, grouped, subject
from cache.analysis.resampling import bootstrap_interval
from cache.analysis.scoreboard import Scoreboard

By = Literal["subject", "tag"]
LEAST_PROBES = 2
MOST_SLICES = 12


def slices_of(study: Study, role: str, by: By) -> dict[str, set[str]]:
    """Ids of the probes of each slice with two probes or more, the largest first; at most twelve."""
    result: dict[str, set[str]] = {}
    for probe in role_probes(study).get(role, []):
        for name in _names(probe, by):
            result.setdefault(name, set()).add(probe.id)
    kept = {name: ids for name, ids in result.items() if len(ids) >= LEAST_PROBES}
    return dict(sorted(kept.items(), key=lambda item: -len(item[1]))[:MOST_SLICES])


def slice_board(scores: Scoreboard, study: Study, runs: Board, key: str, by: By) -> Board:
    """The runs with one metric for each slice, `role/metric@slice`, with 95 % intervals over its probes.

    Within a tag, probes of one subject are drawn together; a slice that is a subject is about the probes of that one.

    Args:
        scores: values by probe.
        study: its probes have the subjects and tags.
        runs: the study's own runs.
        key: a metric that has values on single probes.
        by: what slices are made of.
    """
    slices = slices_of(study, MetricKey.parse(key).role, by)
    subjects = {probe.id: subject(probe) for each in study.probe_sets for probe in each.probes}
    numbers = np.full((len(NUMBERS), len(runs), len(slices)), np.nan)
    for row, model in enumerate(runs.heads["model"]):
        values = scores.per_probe(str(model), key)
        for column, ids in enumerate(slices.values()):
            sample = values[values.index.isin(ids)].dropna()
            if len(sample):
                groups = grouped(subjects[probe] for probe in sample.index) if by == "tag" else ()
                interval = bootstrap_interval(sample.to_numpy(float), bounds=bounds_of(key), groups=groups)
                numbers[:, row, column] = (sample.mean(), *interval, len(sample))
    return Board(runs.heads, tuple(str(replace(MetricKey.parse(key), part=name)) for name in slices), numbers)


def _names(probe: Probe, by: By) -> tuple[str, ...]:
    if by == "tag":
        return probe.tags
    return (probe.subject,) if probe.subject else ()
