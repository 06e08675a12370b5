"""What differs between runs: on the same probes, with a paired test, and in their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cache.analysis.statistics import paired_difference, permutation_test, standardised_change


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Second minus first, over the probes that both have a value on.

    Attributes:
        table: columns first, second, difference, by probe.
        mean: of the difference.
        low, high: its 95 % interval, bootstrap over the probes.
        p_value: paired permutation test.
        effect: Cohen's d_z.
        n: probes.
    """

    table: pd.DataFrame
    mean: float
    low: float
    high: float
    p_value: float
    effect: float
    n: int


def difference(first: pd.Series, second: pd.Series) -> RunDifference | None:
    """Compare two runs' values by probe; None where fewer than two probes have both."""
    if first.index.has_duplicates or second.index.has_duplicates:
        first, second = (each[~each.index.duplicated()] for each in (first, second))
    table = pd.DataFrame({"first": first, "second": second}).dropna()
    if len(table) < 2:
        return None
    table["difference"] = table["second"] - table["first"]
    ours, theirs = table["second"].to_numpy(float), table["first"].to_numpy(float)
    low, high = paired_difference(ours, theirs)
    return RunDifference(
        table=table,
        mean=float(table["difference"].mean()),
        low=low,
        high=high,
        p_value=permutation_test(ours, theirs),
        effect=standardised_change(ours - theirs),
        n=len(table),
    )


def differing(settings: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Only the settings that are not the same for all: one row per setting, one column per run; "–" where one
    has none.
    """
    names = list(dict.fromkeys(name for held in settings.values() for name in held))
    told = {run: {name: str(held.get(name, "–")) for name in names} for run, held in settings.items()}
    rows = [name for name in names if len({held[name] for held in told.values()}) > 1]
    return pd.DataFrame({run: [held[name] for name in rows] for run, held in told.items()}, index=rows)
