"""Numbers of models beside those of the retained model and the original, with the interval of their difference."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import Study
from backends.study.targets import has_targets, retained_for, target_of
from cache.analysis.board import Board
from cache.analysis.paired_tests import PairedTest, paired_tests
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.findings import Comparison
from cache.analysis.verdict.questions import Yardstick

OF_WRITTEN, TEXTS = ("fluency",), "rouge_l"
"""Metrics without a value where a model writes nothing, and the one that every text has."""
Number = tuple[float, float, float, int]
"""Value, low, high, n."""


@dataclass(frozen=True, slots=True)
class StudyNumbers:
    """A study's scoreboard, read for verdicts: differences by the paired test of the same probes.

    All models' tests of one metric are made at once, when the first is asked for.
    """

    study: Study
    board: Scoreboard
    _numbers: dict[tuple[str, str], Number] = field(default_factory=dict)
    _tests: dict[tuple[str, str, float], dict[str, tuple[float, PairedTest]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Numbers by model and key: looked up for every question."""
        frame = self.board.frame
        columns = (frame[name] for name in ("model", "key", "value", "low", "high", "n"))
        for model, key, value, low, high, n in zip(*columns, strict=True):
            self._numbers[model, key] = (value, low, high, int(n))

    def read(self, model: str, key: str, against: Yardstick, factor: float = 1.0) -> Comparison | None:
        """A model's number beside `factor` times the retained model's or the original's; None where it has none."""
        if not _asked_of(self.study, model, key):
            return None
        found = self._read(model, key, against, factor)
        return None if found is None else found._replace(complete=self._complete(model, key))

    def _read(self, model: str, key: str, against: Yardstick, factor: float) -> Comparison | None:
        own = self._numbers.get((model, key))
        if own is None or math.isnan(own[0]):
            return None
        retained = retained_for(self.study, model)
        base = {"": None, "original": self.study.original, "retained": retained}[against]
        value, low, high, n = own
        if base is None:
            units = self.board.units([model], key)[0]
            groups = int(units) if units < n else 0
            return Comparison(key, value, low, high, math.nan, "", math.nan, math.nan, math.nan, n, groups)
        if self.board.same_evidence(model, base.name):  # the same weights under another name need no test
            rest = tuple((1 - factor) * number for number in (value, low, high))
            return Comparison(
                key, value, low, high, factor * value, base.name, rest[0], min(rest), max(rest), n
            )
        tests = self._compared(key, base.name, factor)
        if model not in tests:
            drawn = self.board.drawn([model, base.name], key, under=model)
            there = factor * float(drawn[1, 0])
            least, most = _percentiles(drawn[0, 1:] - factor * drawn[1, 1:])
            return Comparison(key, value, low, high, there, base.name, value - there, least, most, n)
        mean, test = tests[model]
        least, most = test.low, test.high
        reach = _reach(MetricKey.parse(key).metric.partition("@")[0], factor)
        if test.bounded and reach is not None and least <= -reach and most >= reach:
            # Nearly equal differences are too skewed for the test, which then leaves open all that can be. The two
            # models' own intervals say more.
            theirs = self._numbers[base.name, key]
            scaled = (factor * theirs[0], factor * theirs[1], factor * theirs[2])
            _, under, over = mover((value, low, high), scaled)
            least, most = np.fmax(least, under).item(), np.fmin(most, over).item()
        return Comparison(key, value, low, high, mean, base.name, test.mean, least, most, test.n, test.groups)

    def number(self, model: str, key: str) -> float:
        """A model's number, NaN where it has none."""
        return self._numbers.get((model, key), (math.nan,))[0]

    def _complete(self, model: str, key: str) -> int:
        """How many probes an evaluated model has a value on: as many as the original or the retained model has.

        Some metrics have no value on some probes, whoever answers. One also has none where the model writes nothing;
        it is complete where the texts are.
        """
        read = MetricKey.parse(key)
        texts = f"{read.role}/{TEXTS}"
        own = self._numbers.get((model, texts))
        if read.metric in OF_WRITTEN and own is not None and own[3] >= self._complete(model, texts):
            return 0
        bases = [spec.name for spec in (self.study.original, self.study.retained) if spec is not None]
        if has_targets(self.study):  # the same prompts have other roles to other models
            return max(int(self.board.per_probe(name, key, under=model).count()) for name in bases)
        return max(self._numbers.get((name, key), (0.0, 0.0, 0.0, 0))[3] for name in bases)

    def _compared(self, key: str, base: str, factor: float) -> dict[str, tuple[float, PairedTest]]:
        """For each model with values of single probes: the yardstick's mean on them, times the factor, and the test."""
        if (key, base, factor) not in self._tests:
            self._tests[key, base, factor] = self._test(key, base, factor)
        return self._tests[key, base, factor]

    def _test(self, key: str, base: str, factor: float) -> dict[str, tuple[float, PairedTest]]:
        read = MetricKey.parse(key)
        reach = _reach(read.metric.partition("@")[0], factor)
        names = [spec.name for spec in self.study.models]
        batches = [[name] for name in names] if has_targets(self.study) else [names]
        subjects = _subjects(self.study)
        found: dict[str, tuple[float, PairedTest]] = {}
        for batch in batches:
            theirs = factor * _unique(self.board.per_probe(base, key, under=batch[0]))
            ours = {name: _unique(self.board.per_probe(name, key)) for name in batch}
            frame = pd.DataFrame({name: each for name, each in ours.items() if len(each)})
            if frame.empty or theirs.empty:
                continue
            frame = frame.reindex(theirs.index)
            values: NDArray[np.float64] = frame.to_numpy(float)
            column = np.repeat(theirs.to_numpy(float)[:, None], values.shape[1], axis=1)
            groups: list[Hashable] = [subjects.get((read.role, str(probe)), "") for probe in frame.index]
            tests = paired_tests(values, column, groups=groups, reach=reach)
            both = np.where(np.isnan(values), np.nan, column)
            for place, (name, test) in enumerate(zip(frame.columns, tests, strict=True)):
                if test.n:
                    found[str(name)] = (float(np.nanmean(both[:, place])), test)
        return found


@dataclass(frozen=True, slots=True)
class BoardNumbers:
    """Runs of which only numbers are known, such as other tools' results.

    The difference of two runs has the interval that follows from theirs as if they were independent (MOVER; Zou and
    Donner 2008), which is too wide where both were asked the same.
    """

    board: Board
    original: str
    retained: str
    _places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Where each run's row is: looked up for every number."""
        self._places.update({name: place for place, name in enumerate(self.board.heads["model"])})

    def read(self, model: str, key: str, against: Yardstick) -> Comparison | None:
        """A run's number beside the retained run's or the original's; None where it has none."""
        value, low, high, n = self._of(model, key)
        if math.isnan(value):
            return None
        base = {"": "", "original": self.original, "retained": self.retained}[against]
        there, under, over, _ = self._of(base, key)
        same = model == base  # a run beside itself
        difference, least, most = (0.0,) * 3 if same else mover((value, low, high), (there, under, over))
        count = 0 if math.isnan(n) else int(n)
        found = Comparison(key, value, low, high, there, base, difference, least, most, count)
        return found._replace(complete=self._complete(key)) if count else found

    def number(self, model: str, key: str) -> float:
        """A run's number, NaN where it has none."""
        return self._of(model, key)[0]

    def _complete(self, key: str) -> int:
        """How many probes there are: as many as the original or the retained run answered; 0 where neither says."""
        counts = [self._of(base, key)[3] for base in (self.original, self.retained)]
        return max((int(n) for n in counts if not math.isnan(n)), default=0)

    def _of(self, model: str, key: str) -> tuple[float, float, float, float]:
        place = self._places.get(model)
        if place is None or key not in self.board.keys:
            return math.nan, math.nan, math.nan, math.nan
        value, low, high, n = self.board.numbers[:, place, self.board.keys.index(key)]
        return float(value), float(low), float(high), float(n)


def mover(ours: tuple[float, float, float], theirs: tuple[float, float, float]) -> tuple[float, float, float]:
    """Difference of two independent estimates with its interval, each given as value, low, high.

    Source: Zou and Donner (2008), "Construction of confidence limits about effect measures: a general approach".
    """
    value, low, high = ours
    there, under, over = theirs
    difference = value - there
    return (
        difference,
        difference - math.hypot(value - low, over - there),
        difference + math.hypot(high - value, there - under),
    )


def _asked_of(study: Study, model: str, key: str) -> bool:
    """Whether a metric is about this model's target: denoising losses are of pictures of the study's alone."""
    if not has_targets(study) or not MetricKey.parse(key).name.startswith("denoising"):
        return True
    return dict(target_of(study, model)) == dict(study.forget_concepts)


def _reach(metric: str, factor: float) -> float | None:
    """Largest difference of a value and `factor` times another; None if there is none."""
    known = METRICS.get(metric)
    if known is None or known.card.reach is None or known.card.high is None:
        return None
    low, high = known.card.low, known.card.high
    return max(high - factor * low, factor * high - low)


def _unique(values: pd.Series[float]) -> pd.Series[float]:
    return values[~values.index.duplicated()] if values.index.has_duplicates else values


def _subjects(study: Study) -> dict[tuple[str, str], str]:
    return {
        (probe_set.role, probe.id): probe.subject
        for probe_set in study.probe_sets
        for probe in probe_set.probes
    }


def _percentiles(drawn: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    known = np.asarray(drawn, float)
    known = known[~np.isnan(known)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
