"""What the ticked models changed, counted over all probes of a role: better, same, worse, kinds of answers."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from app.looks.safe_text import visible
from app.pages.examples.example_table import outcome_names
from app.shared import state
from app.shared.difference_words import effect_text, remarks
from app.shared.resources import store
from app.shared.table_export import table_export
from backends.study import Study
from cache.analysis.examples import Examples, against_original
from cache.analysis.noise import NoiseBand, noise_band
from cache.analysis.scoreboard import Scoreboard
from cache.store import Store

INTERVAL_HELP = (
    "95 % interval of the mean change, by the test that also gives p. Empty where fewer than 6 probes were compared: "
    "then it cannot be told. Of strongly skewed changes of 12 probes it holds the true mean in about 92 of 100 studies "
    "instead of 95; 20 probes are enough for 93"
)


def counts_panel(
    shown: Examples, models: tuple[str, ...], study: Study, role: str, key: str, board: Scoreboard
) -> None:
    """Improved, same, worse and kinds of answers by model, over all probes of the role.

    Args:
        shown: examples of these models and this metric.
        models: the ticked ones.
        study: the study.
        role: of the probes.
        key: of the metric.
        board: the study's numbers.
    """
    counts = _counts(state.board_name(), store().version(), models, key, shown)
    if counts.empty:
        st.caption("Select another model to see what changed.")
        return
    names = outcome_names(role)
    number = partial(st.column_config.NumberColumn, format="%.3f")
    config = {
        "model": st.column_config.TextColumn("Model", pinned=True),
        "better": st.column_config.NumberColumn(
            "Better", help="Probes on which the metric is better than the original’s"
        ),
        "same": st.column_config.NumberColumn("Same", help="Equal to three decimals"),
        "worse": st.column_config.NumberColumn("Worse"),
        "mean": number("Mean change", format="%+.3f", help="Against the original, on the same probes"),
        "low": number("low", format="%+.3f", help=INTERVAL_HELP),
        "high": number("high", format="%+.3f", help=INTERVAL_HELP),
        "effect": st.column_config.NumberColumn(
            "Effect",
            help="Mean change over the standard deviation of the changes (Cohen’s d_z): 0.2 is called small, 0.8 "
            "large. “all equal”: every probe changed by the same amount, so there is no such ratio",
        ),
        "p": number(
            "p",
            format="%.2g",
            help="p-value of the mean change, by the test that also gives the interval: paired sign-flip test (exact "
            "McNemar for yes/no metrics), and bootstrap-t where values are skewed. Below 0.05 exactly where the "
            "interval leaves out 0",
        ),
        "holm": number(
            "p (Holm)", format="%.2g", help="The same p-value, corrected for the number of models"
        ),
        **{kind: st.column_config.NumberColumn(words.capitalize()) for kind, words in names.items()},
    }
    order = ["model", "better", "same", "worse", "mean", "low", "high", "effect", "p", "holm"]
    st.dataframe(
        _readable(counts),
        hide_index=True,
        column_order=[*order, *names] if study.modality == "text" else order,
        column_config=config,
        key="examples_counts",
        placeholder="–",
    )
    said = [
        f"Over all {len(shown.probes):,} probes; filters choose rows of the table below.",
        remarks(counts),
    ]
    st.caption(" ".join(each for each in said if each))
    table_export(counts, f"{state.study_name()}-changes", key="examples_counts")
    band = _noise(state.board_name(), store().version(), key, board, study, store())
    if band is not None:
        st.caption(
            f"Seed variance: between two seeds of the original this mean moves by at most ±{band.half:.3f} (95 %, "
            f"{band.pairs} pairs of seeds). A smaller change is within the noise."
        )


def _readable(counts: pd.DataFrame) -> Styler:
    """The table with “all equal” for an effect that has no spread, and no ends where they cannot be told."""
    shown = counts.assign(model=counts["model"].map(visible))
    ends = ["low", "high"]
    shown[ends] = shown[ends].where(np.isfinite(shown[ends].to_numpy(float)))
    return shown.style.format({"effect": effect_text})


@st.cache_resource(max_entries=12, show_spinner=False)
def _counts(name: str, version: int, models: tuple[str, ...], key: str, _shown: Examples) -> pd.DataFrame:
    return against_original(_shown)


@st.cache_resource(max_entries=32, show_spinner=False)
def _noise(
    name: str, version: int, key: str, _board: Scoreboard, _study: Study, _store: Store
) -> NoiseBand | None:
    return noise_band(_study, _store, key, _board.numerics)
