"""Probe by probe: every model's answer, what kind of answer it is, and one metric beside the original's.

Where the study has a retained model, values are compared by their distance from that model's: to forget more than a
model that never saw the data is as far from it as to forget less. Without one, they are compared with the original's.

From the store and the kept per-probe numbers alone: no weights, no torch, and answers are read only for the role shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.metrics.outcome import OUTCOMES, SAME_ANSWER
from backends.study import Probe, Study
from backends.study.targets import has_targets, targeted
from cache.analysis import derive
from cache.analysis.paired_tests import holm, paired_tests, standardised_change
from cache.analysis.scoreboard import Scoreboard
from cache.store import Store
from cache.store.reading import answers_for

LEAST_CHANGE = 0.0005
"""A smaller change is 0.000 to the reader, and neither better nor worse, neither closer nor farther."""
ALIKE = 0.1
"""Share of a metric's range within which a value counts as the retained model's: chance moves single answers, too."""
STANDINGS = ("alike", "short", "past")
"""Where a value stands beside the retained model's: as it within ALIKE, not yet as good on this role, or beyond it."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Probes of one role with what every model did on them; all frames have one row for each probe, in the same order.

    Attributes:
        original: name of the original.
        probes: id, prompt, reference, subject, tags (a tuple).
        answers: model -> what it wrote, seeds one under the other; "" where nothing is stored. Empty for images.
        outcomes: model -> one of OUTCOMES, "" where nothing is stored. Empty for images.
        values: model -> value of the metric; NaN if there is none.
        changes: model -> value minus the original's.
        gains: model -> by how much it is closer to the retained model than the original is, negative where it is
            farther; without a retained model, the change, positive where the model is better on this role.
        reach: largest change that the metric can have; None if there is none.
        retained: name of the retained model that the values are compared with; "" if none has this metric.
        distances: model -> distance of its value from the retained model's, the original's under the same target as
            the model's in `distances_before`. Both without columns where there is no retained model.
        distances_before: model -> distance of the original's value from the retained model's.
        standings: model -> one of STANDINGS, "" where there is no value. Without columns where there is no retained
            model, where neither way of the metric is better, and where it has no range that ALIKE is a share of.
    """

    original: str
    probes: pd.DataFrame
    answers: pd.DataFrame
    outcomes: pd.DataFrame
    values: pd.DataFrame
    changes: pd.DataFrame
    gains: pd.DataFrame
    reach: float | None = None
    retained: str = ""
    distances: pd.DataFrame = field(default_factory=pd.DataFrame)
    distances_before: pd.DataFrame = field(default_factory=pd.DataFrame)
    standings: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def compared(self) -> list[str]:
        """Models that are neither the original nor the retained one that they are held against."""
        return [name for name in self.values.columns if name not in (self.original, self.retained)]


def retained_with(study: Study, board: Scoreboard, key: str) -> str:
    """Name of the retained model if it has values of this metric on single probes, else ""."""
    spec = study.retained
    return spec.name if spec is not None and board.per_probe(spec.name, key).notna().any() else ""


def examples(
    study: Study, store: Store, board: Scoreboard, models: Sequence[str], key: str, *, higher: bool
) -> Examples:
    """What these models did on the probes of a role.

    Args:
        study: the study.
        store: the cache.
        board: of the study.
        models: names, the original among them or not.
        key: role/metric of a metric that has values on single probes.
        higher: higher values of it are better on this role.
    """
    role = MetricKey.parse(key).role
    probes = _asked(study, models, role)
    ids = [probe.id for probe in probes]
    values = pd.DataFrame({name: board.per_probe(name, key).reindex(ids) for name in models}, index=ids)
    before = {name: board.per_probe(study.original.name, key, under=name).reindex(ids) for name in models}
    originals = pd.DataFrame(before, index=ids)
    changes = values - originals
    retained = retained_with(study, board, key)
    gains = changes if higher else -changes
    card = METRICS[MetricKey.parse(key).name].card
    distances, distances_before, standings = (pd.DataFrame(index=ids) for _ in range(3))
    if retained:
        aims = {name: board.per_probe(retained, key, under=name).reindex(ids) for name in models}
        aim = pd.DataFrame(aims, index=ids)
        distances, distances_before = (values - aim).abs(), (originals - aim).abs()
        gains = distances_before - distances
        if card.reach is not None and card.direction(role) in ("lower", "higher"):
            standings = _standings(values - aim if higher else aim - values, ALIKE * card.reach)
    text = study.modality == "text"
    return Examples(
        original=study.original.name,
        probes=pd.DataFrame(
            {
                "id": ids,
                "prompt": [probe.label for probe in probes],
                "reference": [probe.answer for probe in probes],
                "subject": [probe.subject for probe in probes],
                "tags": [probe.tags for probe in probes],
            },
            index=ids,
        ),
        answers=pd.DataFrame(
            {name: _written(answers_for(study, store, name, probes), ids) for name in models} if text else {},
            index=ids,
        ),
        outcomes=pd.DataFrame(
            {name: outcomes_of(board, name, role).reindex(ids) for name in models} if text else {}, index=ids
        ).fillna(""),
        values=values,
        changes=changes,
        gains=gains,
        reach=card.reach,
        retained=retained,
        distances=distances,
        distances_before=distances_before,
        standings=standings,
    )


def _standings(beyond: pd.DataFrame, least: float) -> pd.DataFrame:
    """One of STANDINGS for each value, from how far it is beyond the retained model's on the better side."""
    level = beyond.round(9)  # 0.3 - 0.2 is 0.1
    named = np.select([level > least, level < -least, level.notna()], ["past", "short", "alike"], "")
    return pd.DataFrame(named, index=beyond.index, columns=beyond.columns)


def _asked(study: Study, models: Sequence[str], role: str) -> list[Probe]:
    """Probes that have the role to any of the models, in the order of the study."""
    result: dict[str, Probe] = {}
    for name in models or [study.original.name]:
        for probe in derive.role_probes(targeted(study, name)).get(role, []):
            result.setdefault(probe.id, probe)
    if not has_targets(study):
        return list(result.values())
    order = [probe.id for each in study.probe_sets for probe in each.probes]
    return sorted(result.values(), key=lambda probe: order.index(probe.id))


def outcomes_of(board: Scoreboard, model: str, role: str) -> pd.Series[str]:
    """Outcome of a model's answers by probe id, the most frequent over the seeds; from the kept per-probe numbers.

    The rules are those of `backends.metrics.outcome`, whose rates are kept; a tie goes to the first of OUTCOMES.
    """
    fact, rouge = (board.per_probe(model, str(MetricKey(role, metric))) for metric in ("key_fact", "rouge_l"))
    refusal, gibberish = (
        board.per_probe(model, str(MetricKey(role, metric))) for metric in ("refusal_rate", "gibberish_rate")
    )
    if refusal.empty:
        return pd.Series([], index=pd.Index([], dtype=object), dtype=object)
    # Where no probe has a key fact or an answer, the metric has no column at all.
    true = fact.reindex(refusal.index).fillna((rouge.reindex(refusal.index) >= SAME_ANSWER).astype(float))
    shares = pd.DataFrame({"true": true, "refusal": refusal, "gibberish": gibberish})
    shares["other"] = 1.0 - shares.sum(axis=1)
    named = shares[list(OUTCOMES)].idxmax(axis=1)
    return named.where(refusal.notna(), "")


def compare(shown: Examples) -> pd.DataFrame:
    """For every model on how many probes it is closer to the retained model than the original is, or farther, and
    whether by chance; without a retained model, on how many its values are better or worse than the original's.

    Returns:
        Columns model, alike, short, past (counts of STANDINGS, where there are any), closer, same, farther (counts;
        better, same, worse without a retained model), value (mean of the
        metric over the role's probes), distance (mean distance from the retained model, only with one), mean (of the
        differences: the model's distance from the retained model minus the original's, so negative is closer; without
        one, the change), low, high (95 %, of the same test as p; infinite where too few probes were compared to tell),
        effect (Cohen's d_z; infinite where all differences are equal), p (see `paired_tests`; exact McNemar where all
        values are 0 or 1 and no probes share a subject), holm (p corrected for the models), n, groups (subjects that
        were taken together, 0 for none), alone (all probes are of one subject), and each of OUTCOMES (counts). The
        original is left out; the retained model has a row for its answers, without comparison. NaN where nothing can be
        compared.
    """
    names = list(shown.values.columns.drop(shown.original, errors="ignore"))
    if shown.outcomes.empty:
        names = [name for name in names if name != shown.retained]
    ours = (shown.distances if shown.retained else shown.values)[names].to_numpy(float, copy=True)
    changes = shown.changes[names].to_numpy(float)
    theirs = shown.distances_before[names].to_numpy(float) if shown.retained else ours - changes
    # Its distance from itself says nothing, and must not count among the tests that Holm corrects for.
    ours[:, [name == shown.retained for name in names]] = np.nan
    tests = paired_tests(ours, theirs, groups=list(shown.probes["subject"]), reach=shown.reach)
    counted = ("closer", "same", "farther") if shown.retained else ("better", "same", "worse")
    rows: list[dict[str, object]] = []
    for name, test, difference in zip(names, tests, (ours - theirs).T, strict=True):
        gain = shown.gains[name].to_numpy(float)
        kinds = shown.outcomes[name].value_counts() if name in shown.outcomes else pd.Series(dtype=int)
        sides = (gain >= LEAST_CHANGE, np.abs(gain) < LEAST_CHANGE, gain <= -LEAST_CHANGE)
        rows.append(
            {
                "model": name,
                **_standing_counts(shown, name),
                **{
                    each: int(side.sum()) if test.n else pd.NA
                    for each, side in zip(counted, sides, strict=True)
                },
                "value": shown.values[name].mean(),
                **({"distance": shown.distances[name].mean()} if shown.retained else {}),
                "mean": test.mean,
                "low": test.low,
                "high": test.high,
                "effect": standardised_change(difference),
                "p": test.p if test.n > 1 else np.nan,
                "n": test.n,
                "groups": test.groups,
                "alone": test.alone,
                **{kind: int(kinds.get(kind, 0)) for kind in OUTCOMES},
            }
        )
    table = pd.DataFrame(rows)
    if len(table):
        whole = [*counted, *(each for each in STANDINGS if each in table)]
        table = table.astype(dict.fromkeys(whole, "Int64"))
        table.insert(list(table).index("p") + 1, "holm", holm(table["p"].tolist()))
    return table


def _standing_counts(shown: Examples, name: str) -> dict[str, object]:
    """On how many probes a model stands where; nothing is known of the retained model beside itself."""
    if name not in shown.standings:
        return {}
    counts = shown.standings[name].value_counts()
    return {each: pd.NA if name == shown.retained else int(counts.get(each, 0)) for each in STANDINGS}


def _written(found: dict[str, tuple[str, ...]], ids: Sequence[str]) -> list[str]:
    return ["\n".join(found.get(probe, ())) for probe in ids]
