"""Curves over the strength of attacks that differ in that alone: begun answers, other facts before, pruning, steps."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.charts.curves import Curve, curves_drawing
from app.components import chart
from app.looks.model_looks import look_of
from app.looks.theme import is_dark
from app.shared import state
from app.shared.figure_export import figure_config
from app.shared.robustness_words import MEASURE_WORDS
from backends.study import Study
from cache.analysis.robustness.ladder import Ladder, Measure, Rung

LEAST = 2
"""Strengths that make a curve."""


def curves_panel(study: Study, found: Ladder, names: Sequence[str], measure: Measure) -> None:
    """One group of attacks as curves; nothing where no group has two strengths with numbers."""
    groups = series(found, names, measure)
    if not groups:
        return
    with st.expander("Curves over the strength of an attack", icon=":material/show_chart:"):
        group = st.segmented_control(
            "Attack", list(groups), default=next(iter(groups)), required=True, key="robustness_group",
            label_visibility="collapsed",
        ) or next(iter(groups))  # fmt: skip
        keys = groups[group]
        unit = found.attacks[keys[0]].unit
        drawn = curves_drawing(
            curves(study, found, names, measure, keys),
            unit,
            MEASURE_WORDS[study.modality][measure],
            dark=is_dark(),
        )
        chart.chart(
            drawn.json(),
            f"curves_{state.study_name()}",
            height=int(drawn.layout["height"]),
            alt=f"{group}: {MEASURE_WORDS[study.modality][measure].lower()} over {unit}.",
            config=figure_config(f"{state.study_name()}-curves") | {"displayModeBar": False},
        )


def series(found: Ladder, names: Sequence[str], measure: Measure) -> dict[str, list[str]]:
    """Groups of attacks by title, each with the keys that have numbers, from the weakest on."""
    by_group: dict[str, list[str]] = {}
    for key, card in found.attacks.items():
        if card.group and any(found.rung(name, measure, key) for name in names):
            by_group.setdefault(card.group, []).append(key)
    return {
        group: sorted(keys, key=lambda key: found.attacks[key].strength)
        for group, keys in by_group.items()
        if len(keys) >= LEAST
    }


def curves(
    study: Study, found: Ladder, names: Sequence[str], measure: Measure, keys: Sequence[str]
) -> list[Curve]:
    """The original, the floor and every model over the strengths of these attacks."""
    made = []
    rungs = {name: [each for key in keys if (each := found.rung(name, measure, key))] for name in names}
    told = max(rungs.values(), key=len, default=[])
    made.append(
        Curve(
            study.original.name, look_of(study.original, study), [_level(found, each, True) for each in told]
        )
    )
    if study.retained is not None and any(each.floor_is == "retained" for each in told):
        levels = [_level(found, each, False) for each in told]
        made.append(Curve(study.retained.name, look_of(study.retained, study), levels))
    for name, own in rungs.items():
        points = [(found.attacks[each.attack].strength, each.value, each.low, each.high) for each in own]
        made.append(Curve(name, look_of(study.model(name), study), points))
    return [curve for curve in made if curve.points]


def _level(found: Ladder, rung: Rung, ceiling: bool) -> tuple[float, float, float, float]:
    value = rung.found.ceiling if ceiling else rung.found.floor
    return found.attacks[rung.attack].strength, value, value, value
