"""The best run of each method: what it cost, among those that meet a condition, with the chance that they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from app.charts.choices import card_of, default_cost, forgets, role_of, title
from app.looks.safe_text import literal
from app.pages.tradeoffs.shown_runs import ShownRuns, show_table
from app.shared import state
from app.shared.scoreboards import current_scoreboard
from app.shared.verdicts import current_verdicts
from cache.analysis.conditions import Met, best_by_group, met
from cache.analysis.frontier import Floats
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_board import STUDY
from cache.analysis.verdict.rules import Verdict

NONE = "none; nearest is "
NO_CANDIDATES = {"not forgotten": "forgot too little", "destroyed": "destroyed"}
"""Verdicts of models that are not compared, in words."""


class _Condition(NamedTuple):
    """At most `share` worse than the yardstick.

    Attributes:
        key: of the metric.
        share: of the way from the yardstick to the original, or of the yardstick's value.
        base: place of the yardstick.
        original: place of the original, where the way to it counts; else None.
    """

    key: str
    share: float
    base: int
    original: int | None


def best_view(shown: ShownRuns) -> None:
    """The choice of condition and cost, the best of all in a sentence, the best of each method in a table."""
    heads = shown.runs.heads
    retained, original = _place(heads, "retained"), _place(heads, "original")
    base = original if retained is None else retained
    if base is None:
        st.info(
            "The condition needs the retained model or the original on the chart.", icon=":material/rule:"
        )
        return
    condition, aim = _choice(shown, base, original, has_retained=retained is not None)
    if np.isnan(shown.runs.column(condition.key)[base]):
        st.info(
            f"The condition needs a value of {literal(title(condition.key))} for "
            f"{literal(str(heads['model'].iloc[base]))}.",
            icon=":material/rule:",
        )
        return
    board = current_scoreboard()
    drawn = _drawn(shown, board, condition.key)
    found = _stands(drawn, condition)
    unlearned = np.flatnonzero((heads["part"] == "unlearned").to_numpy())
    reasons = _reasons(heads, current_verdicts())
    groups = [shown.groups()[place] for place in unlearned]
    values = shown.runs.column(aim)
    best = best_by_group(
        groups,
        values[unlearned],
        card_of(aim).direction(role_of(aim)),
        [found[place] for place in unlearned],
        [not reasons[place] for place in unlearned],
    )
    rows = []
    for group, at in best.items():
        held = [int(place) for place, name in zip(unlearned, groups, strict=True) if name == group]
        # Where no run may be named, the nearest says why.
        place = _nearest(held, found, reasons) if at is None else int(unlearned[at])
        rows.append(
            {
                "Method": group,
                "Run": ("" if at is not None else NONE) + str(heads["model"].iloc[place]),
                "Condition": reasons[place] or found[place].outcome,
                "Chance that it holds": found[place].chance,
                title(aim): values[place],
                title(condition.key): drawn[place, 0],
            }
        )
    table = _sorted(pd.DataFrame(rows), title(aim), lower=card_of(aim).direction(role_of(aim)) == "lower")
    _say(table, title(aim))
    _limit(drawn, condition, heads)
    percent = {"Chance that it holds": st.column_config.NumberColumn(format="percent")}
    show_table(table, f"{state.study_name()}-best", "best_table", {title(aim): shown.ruler(aim)}, percent)


def _choice(
    shown: ShownRuns, base: int, original: int | None, *, has_retained: bool
) -> tuple[_Condition, str]:
    """With a retained model: forgotten like it, at the least cost. Without one: cost little, and forget most."""
    keys = list(shown.keys)
    cost = default_cost(keys, shown.y.key)
    forgotten = next((each.key for each in (shown.x, shown.y) if forgets(each.key)), shown.x.key)
    usual = (forgotten, cost) if has_retained else (cost, forgotten)
    columns = st.columns([4, 2, 4], gap="small", vertical_alignment="bottom")
    with columns[0]:
        kept = st.selectbox(
            "Condition on", keys, index=keys.index(usual[0]), format_func=title, key="best_kept"
        )
    with columns[1]:
        share = st.number_input(
            "at most % worse",
            0.0,
            100.0,
            5.0 if has_retained else 2.0,
            0.5,
            key="best_share",
            help="Than the retained model, or than the original in a study without one. For a metric of forgetting: "
            "per cent of the way from the retained model's value to the original's; for others: per cent of its value.",
        )
    with columns[2]:
        aim = st.selectbox(
            "then best in", keys, index=keys.index(usual[1]), format_func=title, key="best_aim"
        )
    way = original if forgets(kept) and has_retained else None
    return _Condition(kept, share / 100, base, way), aim


def _drawn(shown: ShownRuns, board: Scoreboard, key: str) -> Floats:
    """Values and resamples of all runs, shape (runs, 1 + B); runs of other layers have no resamples."""
    own = (shown.runs.heads["layer"] == STUDY).to_numpy()
    names = shown.runs.heads["model"].astype(str).to_numpy()
    drawn = np.full((len(own), 1), np.nan)
    if own.any():
        held = board.drawn(list(names[own]), key)
        drawn = np.full((len(own), held.shape[1]), np.nan)
        drawn[own] = held
    drawn[:, 0] = shown.runs.column(key)
    return drawn


def _allowance(drawn: Floats, condition: _Condition) -> Floats:
    base = drawn[condition.base]
    if condition.original is None:
        found: Floats = condition.share * np.abs(base)
        return found
    way: Floats = condition.share * np.abs(drawn[condition.original] - base)
    return way


def _stands(drawn: Floats, condition: _Condition) -> list[Met]:
    way = card_of(condition.key).direction(role_of(condition.key))
    allowance = _allowance(drawn, condition)
    if np.isnan(allowance[0]):  # the original has no such number
        allowance = condition.share * np.abs(drawn[condition.base])
    return [met(row, drawn[condition.base], allowance, way) for row in drawn]


def _reasons(heads: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> list[str]:
    """Why each run is no candidate, by its verdict; "" where it is one."""
    return [
        NO_CANDIDATES.get(verdicts[model].kind, "") if layer == STUDY and model in verdicts else ""
        for model, layer in zip(heads["model"].astype(str), heads["layer"], strict=True)
    ]


def _place(heads: pd.DataFrame, part: str) -> int | None:
    """The study's model of that part, else the first one."""
    of_part = (heads["part"] == part).to_numpy()
    own = np.flatnonzero(of_part & (heads["layer"] == STUDY).to_numpy())
    places = own if len(own) else np.flatnonzero(of_part)
    return int(places[0]) if len(places) else None


def _nearest(places: Sequence[int], found: Sequence[Met], reasons: Sequence[str]) -> int:
    """The run of a method that comes nearest to being named."""
    return max(places, key=lambda place: (not reasons[place], np.nan_to_num(found[place].chance, nan=-1.0)))


def _sorted(table: pd.DataFrame, aim: str, *, lower: bool) -> pd.DataFrame:
    order = {"pass": 0, "borderline": 1}
    rank = table["Condition"].map(lambda said: order.get(said, 2))
    cost = table[aim] if lower else -table[aim]
    return table.assign(_rank=rank, _cost=cost).sort_values(
        ["_rank", "_cost"], na_position="last", ignore_index=True
    )[list(table)]


def _say(table: pd.DataFrame, aim: str) -> None:
    """The best of all, in a sentence."""
    first = table.iloc[0] if len(table) else None
    if first is None or first["Condition"] not in ("pass", "borderline"):
        st.markdown("**No run meets the condition.** The table says how near each method comes.")
        return
    chance = first["Chance that it holds"]
    held = (
        "It meets the condition" if first["Condition"] == "pass" else "It is on the border of the condition"
    )
    told = "" if np.isnan(chance) else f" (chance {chance:.0%})"
    st.markdown(f"**{literal(first['Run'])}** is the best: {literal(aim)} {first[aim]:.3f}. {held}{told}.")


def _limit(drawn: Floats, condition: _Condition, heads: pd.DataFrame) -> None:
    allowance = float(_allowance(drawn, condition)[0])
    base = float(drawn[condition.base, 0])
    lower = card_of(condition.key).direction(role_of(condition.key)) == "lower"
    allowed = f"at most {base + allowance:.3f}" if lower else f"at least {base - allowance:.3f}"
    name = literal(str(heads["model"].iloc[condition.base]))
    st.caption(
        f"Condition: {literal(title(condition.key))} {allowed} ({name} has {base:.3f}). Pass and fail: the whole 95 % "
        "interval is on one side; borderline: it is not. Models that forgot too little or are destroyed, by their "
        "verdict, are no candidates."
    )
