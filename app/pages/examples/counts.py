"""On how many probes the ticked models are as the retained model, short of it or past it; kinds of answers."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from streamlit.elements.lib.column_types import ColumnConfig

from app.charts.choices import forgets
from app.looks.safe_text import literal, visible
from app.pages.examples.example_table import outcome_names
from app.shared import state
from app.shared.difference_words import effect_text, remarks, told
from app.shared.resources import store
from app.shared.table_export import table_export
from app.shared.verdict_badges import badge_word, behaviour
from app.shared.verdicts import current_verdicts
from backends.study import Study
from cache.analysis.examples import ALIKE, Examples, compare
from cache.analysis.noise import NoiseBand, noise_band
from cache.analysis.scoreboard import Scoreboard
from cache.store import Store

INTERVAL_HELP = (
    "95 % interval of the mean beside it, by the test that gives p. Empty where fewer than 6 probes were compared: "
    "then it cannot be told. Of strongly skewed differences of 12 probes it holds the true mean in about 92 of 100 "
    "studies instead of 95; 20 probes are enough for 93"
)


def counts_panel(
    shown: Examples, models: tuple[str, ...], study: Study, role: str, key: str, board: Scoreboard
) -> None:
    """Verdict, closer, same, farther and kinds of answers by model, over all probes of the role.

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
    judged = _with_verdicts(counts, study)
    names = outcome_names(role)
    number = partial(st.column_config.NumberColumn, format="%.3f")
    config = {
        "model": st.column_config.TextColumn("Model", pinned=True),
        "verdict": st.column_config.TextColumn("Verdict", help="On the whole model, as Overview explains it"),
        **_standing_columns(key, visible(shown.retained)),
        **_side_columns(bool(shown.retained)),
        "value": number("Mean", help="Of the metric, over these probes"),
        "low": number("low", format="%+.3f", help=INTERVAL_HELP),
        "high": number("high", format="%+.3f", help=INTERVAL_HELP),
        "effect": st.column_config.NumberColumn(
            "Effect",
            help="Mean difference over the standard deviation of the differences (Cohen’s d_z): 0.2 is called small, "
            "0.8 large. “none”: the mean difference is 0. “all equal”: the difference is the same on every probe, so "
            "there is no such ratio",
        ),
        "p": number(
            "p",
            format="%.2g",
            help="p-value of the mean difference, by the test that also gives the interval: paired sign-flip test "
            "(exact McNemar for yes/no metrics), and bootstrap-t where values are skewed. Below 0.05 exactly where the "
            "interval leaves out 0",
        ),
        "holm": number(
            "p (Holm)", format="%.2g", help="The same p-value, corrected for the number of models"
        ),
        **{kind: st.column_config.NumberColumn(words.capitalize()) for kind, words in names.items()},
    }
    last = ("closer", "same", "farther") if shown.retained and "alike" in judged else ()
    order = [name for name in judged if name not in ("n", "groups", "alone", *last, *names)]
    st.dataframe(
        _readable(judged),
        hide_index=True,
        column_order=[*order, *(names if study.modality == "text" else ()), *last],
        column_config=config,
        key="examples_counts",
        placeholder="–",
    )
    said = [
        _yardstick(shown, key),
        f"Over all {len(shown.probes):,} probes; filters choose rows of the table below.",
        remarks(counts),
    ]
    st.caption(" ".join(each for each in said if each))
    table_export(told(judged), f"{state.study_name()}-changes", key="examples_counts")
    band = _noise(state.board_name(), store().version(), key, board, study, store())
    if band is not None:
        st.caption(
            f"Seed variance: between two seeds of the original the mean of this metric moves by at most "
            f"±{band.half:.3f} (95 %, {band.pairs} pairs of seeds)."
            + ("" if shown.retained else " A smaller change is within the noise.")
        )


def _yardstick(shown: Examples, key: str) -> str:
    """What the models of the table are held against."""
    if not shown.retained:
        return "Against the original: no retained model has this metric, so to forget too much looks better, too."
    if shown.standings.empty:
        return (
            f"Compared by distance to {literal(shown.retained)}, which never saw the forget set: does a model’s value "
            "lie closer to its value than the original’s does, or farther?"
        )
    short, past = standing_names(key)
    return (
        f"Held against {literal(shown.retained)}, which never saw the forget set, probe by probe: as it (within "
        f"{100 * ALIKE:.0f} % of the metric’s range), {short.lower()}, or {past.lower()}."
    )


def standing_names(key: str) -> tuple[str, str]:
    """What it is called not to have reached the retained model, and to be beyond it."""
    return ("Still known", "Over-forgotten") if forgets(key) else ("Worse", "Better")


def _standing_columns(key: str, retained: str) -> dict[str, ColumnConfig]:
    """The counts that tell models apart, whose sum is the number of probes."""
    count, range_ = st.column_config.NumberColumn, f"{100 * ALIKE:.0f} % of the metric’s range"
    short, past = standing_names(key)
    return {
        "alike": count(
            "As retained",
            help=f"Probes on which the value is within {range_} of the value of {literal(retained)}",
        ),
        "short": count(short, help="Probes on which the value is further than that on the original’s side")
        if forgets(key)
        else count(short, help="Probes on which the value is worse by more than that"),
        "past": count(past, help="Probes on which the value is beyond it by more than that"),
    }


def _side_columns(retained: bool) -> dict[str, ColumnConfig]:
    """The counts and the mean that they belong to."""
    count, mean = st.column_config.NumberColumn, partial(st.column_config.NumberColumn, format="%+.3f")
    same = count("Same", help="Equal to three decimals")
    if not retained:
        return {
            "better": count("Better", help="Probes on which the metric is better than the original’s"),
            "same": same,
            "worse": count("Worse", help="Probes on which it is worse than the original’s"),
            "mean": mean("Mean change", help="Against the original, on the same probes"),
        }
    return {
        "closer": count(
            "Closer to retained",
            help="Probes on which the metric is closer to the retained model’s value than the original’s is",
        ),
        "same": same,
        "farther": count(
            "Farther",
            help="Probes on which it is farther from the retained model’s value than the original’s is, on either side",
        ),
        "distance": count(
            "Distance",
            format="%.3f",
            help="Mean distance from the retained model’s value, on either side: 0 where every value is the same",
        ),
        "mean": mean(
            "Δ distance",
            help="The mean distance minus the original’s, on the same probes: below 0 the model is closer to the "
            "retained model than the original is",
        ),
    }


def _with_verdicts(counts: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The table with the verdict on every unlearned model beside its name."""
    verdicts = current_verdicts()
    said = {
        name: ", ".join([badge_word(verdict), *behaviour(verdict, study.modality)])
        for name, verdict in verdicts.items()
        if study.model(name).part == "unlearned"
    }
    if not any(name in said for name in counts["model"]):
        return counts
    judged = counts.copy()
    judged.insert(1, "verdict", counts["model"].map(said).fillna(""))
    return judged


def _readable(counts: pd.DataFrame) -> Styler:
    """The table with “all equal” for an effect that has no spread, and no ends where they cannot be told."""
    shown = told(counts).assign(model=counts["model"].map(visible), effect=counts["effect"])
    return shown.style.format({"effect": effect_text})


@st.cache_resource(max_entries=12, show_spinner=False)
def _counts(name: str, version: int, models: tuple[str, ...], key: str, _shown: Examples) -> pd.DataFrame:
    return compare(_shown)


@st.cache_resource(max_entries=32, show_spinner=False)
def _noise(
    name: str, version: int, key: str, _board: Scoreboard, _study: Study, _store: Store
) -> NoiseBand | None:
    return noise_band(_study, _store, key, _board.numerics)
