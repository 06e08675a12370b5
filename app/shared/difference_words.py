"""A mean difference between two models, its interval and its test in words. No Streamlit, no arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from app.charts.points import p_value_text
from cache.analysis.differences import RunDifference
from cache.analysis.paired_tests import LEAST_GROUPS

ALL_EQUAL = "all equal"
"""In the place of an effect size where all differences are equal, so that they have no spread to divide by."""


def effect_text(effect: float) -> str:
    """Cohen's d_z; without a number where all differences are equal."""
    if math.isinf(effect):
        return ALL_EQUAL
    if effect == 0:
        return "none"
    return "–" if math.isnan(effect) else f"{effect:+.2f}"


def told(counts: pd.DataFrame) -> pd.DataFrame:
    """A table of differences for files: words for an effect without spread, nothing for ends that cannot be told.

    Args:
        counts: as `compare` gives it.
    """
    ends = ["low", "high"]
    found = counts.assign(**counts[ends].where(np.isfinite(counts[ends].to_numpy(float))).to_dict("series"))
    spreadless = np.isinf(counts["effect"].to_numpy(float))
    if spreadless.any():
        found["effect"] = counts["effect"].astype(object).mask(spreadless, ALL_EQUAL)
    return found


def difference_text(comparison: RunDifference) -> str:
    """The difference with its interval, test and effect size, for a sentence."""
    interval = (
        f"[{comparison.low:+.3f}, {comparison.high:+.3f}]"
        if math.isfinite(comparison.low) and math.isfinite(comparison.high)
        else f"({_unknown(comparison)})"
    )
    effect = (
        "all differences are equal"
        if math.isinf(comparison.effect)
        else f"effect size d = {comparison.effect:.2f}"
    )
    return (
        f"mean difference {comparison.mean:+.3f} {interval} over {comparison.n} probes{_together(comparison)}, "
        f"paired sign-flip test p {p_value_text(comparison.p_value)}, {effect}"
    )


def remarks(counts: pd.DataFrame) -> str:
    """What a reader of the table of changes must know of its intervals; "" where there is nothing.

    Args:
        counts: as `compare` gives it.
    """
    said = []
    groups = int(counts["groups"].max())
    if groups:
        said.append(
            f"The probes of one subject are not independent, so intervals and p-values take them together ({groups} "
            "subjects)."
        )
        if groups < LEAST_GROUPS:
            said.append(f"With fewer than {LEAST_GROUPS} subjects it cannot be told whether a mean changed.")
    elif counts["alone"].any():
        said.append("All probes are of one subject, and intervals and p-values speak of this subject alone.")
    if counts["n"].between(1, LEAST_GROUPS - 1).any():
        said.append(f"With fewer than {LEAST_GROUPS} probes it cannot be told whether a mean changed.")
    units, tests = groups or int(counts["n"].max()), int(counts["p"].notna().sum())
    least = 2.0 ** (1 - units)
    if tests > 1 and units >= LEAST_GROUPS and least * tests >= 0.05:
        said.append(
            f"So few can be arranged in so few ways that no p-value is below {least:.2g}, and none below 0.05 after "
            f"correction for {tests} models."
        )
    return " ".join(said)


def _together(comparison: RunDifference) -> str:
    if comparison.groups:
        return f" of {comparison.groups} subjects, each taken as a whole"
    return " of one subject" if comparison.alone else ""


def _unknown(comparison: RunDifference) -> str:
    if comparison.n < LEAST_GROUPS:
        return f"fewer than {LEAST_GROUPS} probes: how large it is cannot be told"
    if 0 < comparison.groups < LEAST_GROUPS:
        return f"fewer than {LEAST_GROUPS} subjects: how large it is cannot be told"
    return "all values are equal: how large it is cannot be told"
