"""What differs between runs: on the same probes, with a paired test, and in their settings."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd

from cache.analysis.paired_tests import paired_test, standardised_change


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Second minus first, over the probes that both have a value on.

    Attributes:
        table: columns first, second, difference, by probe.
        mean: of the difference.
        low, high: its 95 % interval; infinite where there are too few probes to tell (see `paired_tests`).
        p_value: of the same test, below 0.05 exactly where the interval leaves out 0.
        effect: Cohen's d_z.
        n: probes.
        groups: subjects whose probes were taken together; 0 where each probe stands for itself.
        alone: all probes are of one subject, so that each was taken as independent.
    """

    table: pd.DataFrame
    mean: float
    low: float
    high: float
    p_value: float
    effect: float
    n: int
    groups: int = 0
    alone: bool = False


def difference(
    first: pd.Series,
    second: pd.Series,
    *,
    subjects: Mapping[str, str] | None = None,
    reach: float | None = None,
) -> RunDifference | None:
    """Compare two runs' values by probe; None where fewer than two probes have both.

    Args:
        first: value by probe id.
        second: the same.
        subjects: of the probes; those of one subject are not independent.
        reach: largest difference that the metric can have; None takes the range of the values.
    """
    if first.index.has_duplicates or second.index.has_duplicates:
        first, second = (each[~each.index.duplicated()] for each in (first, second))
    table = pd.DataFrame({"first": first, "second": second}).dropna()
    if len(table) < 2:
        return None
    table["difference"] = table["second"] - table["first"]
    groups: list[Hashable] | None = (
        None if subjects is None else [subjects.get(str(i), "") for i in table.index]
    )
    test = paired_test(
        table["second"].to_numpy(float), table["first"].to_numpy(float), groups=groups, reach=reach
    )
    return RunDifference(
        table=table,
        mean=test.mean,
        low=test.low,
        high=test.high,
        p_value=test.p,
        effect=standardised_change(table["difference"]),
        n=test.n,
        groups=test.groups,
        alone=test.alone,
    )


def differing(settings: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Only the settings that are not the same for all: one row per setting, one column per run; "–" where one
    has none.
    """
    names = list(dict.fromkeys(name for held in settings.values() for name in held))
    told = {run: {name: str(held.get(name, "–")) for name in names} for run, held in settings.items()}
    rows = [name for name in names if len({held[name] for held in told.values()}) > 1]
    return pd.DataFrame({run: [held[name] for name in rows] for run, held in told.items()}, index=rows)
