"""A mean difference between two models, its interval and its test in words. No Streamlit, no arithmetic."""

from __future__ import annotations

import math

import pandas as pd

from app.charts.points import p_value_text
from cache.analysis.differences import RunDifference
from cache.analysis.paired_tests import LEAST_GROUPS


def effect_text(effect: float) -> str:
    """Cohen's d_z; without a number where all differences are equal."""
    if math.isinf(effect):
        return "all equal"
    return "–" if math.isnan(effect) else f"{effect:+.2f}"


def difference_text(comparison: RunDifference) -> str:
    """The difference with its interval, test and effect size, for a sentence."""
    interval = (
        f"[{comparison.low:+.3f}, {comparison.high:+.3f}]"
        if math.isfinite(comparison.low) and math.isfinite(comparison.high)
        else f"({_unknown(comparison.n)})"
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
        counts: as `against_original` gives it.
    """
    said = []
    few = counts.loc[(counts["n"] > 0) & (counts["n"] < LEAST_GROUPS), "n"]
    if len(few):
        said.append(f"Fewer than {LEAST_GROUPS} probes were compared: whether a mean changed cannot be told.")
    groups = int(counts["groups"].max())
    if groups:
        said.append(
            f"The probes of one subject are not independent, so intervals and p-values take them together ({groups} "
            "subjects)."
        )
    elif counts["few"].any():
        said.append(
            f"With fewer than {LEAST_GROUPS} subjects the probes are taken as independent, so intervals and p-values "
            "speak of these subjects alone."
        )
    return " ".join(said)


def _together(comparison: RunDifference) -> str:
    if comparison.groups:
        return f" of {comparison.groups} subjects, each taken as a whole"
    return f" of fewer than {LEAST_GROUPS} subjects, taken as independent" if comparison.few else ""


def _unknown(n: int) -> str:
    if n < LEAST_GROUPS:
        return f"fewer than {LEAST_GROUPS} probes: how large it is cannot be told"
    return "all values are equal: how large it is cannot be told"
