"""The ladder on the page: which measure, the chart of the ticked models, and the mark that was clicked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import get_args

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app.charts.ladder import End, Group, Mark, Row, ladder_drawing
from app.charts.notes import note
from app.components import chart
from app.looks.model_looks import RETAINED, Look, look_of
from app.looks.theme import is_dark
from app.shared import link, state
from app.shared.figure_export import figure_config, figure_export
from app.shared.ladders import Found
from app.shared.link import LinkSetting
from app.shared.robustness_words import MEASURE_WORDS, attacked, title_of, why_not
from backends.attacks import Access
from backends.metrics import METRICS
from backends.study import Modality, Study
from cache.analysis.robustness.ladder import MEASURES, PLAIN, STRONGEST, Ladder, Measure, Rung

GROUP, PREFIX = "robustness", "robustness_"
MOST_NAMES = 3
PLAIN_IN_LINK = "plain"
SETTINGS = {
    "measure": LinkSetting(MEASURES[0], MEASURES),
    "attack": LinkSetting(""),
    "of": LinkSetting(""),
}
"""Measure, and attack and model of the mark that was clicked; a link brings them."""
READING = (
    "0 is {floor} under the same attack, 1 is the original under it; the arms are 95 % intervals. A filled mark "
    "recovers something for sure, an open one nothing that is sure. Click a mark to see the facts that came back."
)


def measure_choice(modality: Modality, found: Ladder) -> Measure:
    """What models say, or how they rate the true answer; no choice where there is only one."""
    link.settle(GROUP, SETTINGS, PREFIX)
    held = [each for each in MEASURES if any(rung.measure == each for rung in found.rungs)]
    if st.session_state[f"{PREFIX}measure"] not in held:
        st.session_state[f"{PREFIX}measure"] = held[0]
    chosen: Measure | None = held[0]
    if len(held) > 1:
        chosen = st.segmented_control(
            "Measure",
            held,
            format_func=MEASURE_WORDS[modality].__getitem__,
            key=f"{PREFIX}measure",
            required=True,
            persist_state="session",
            label_visibility="collapsed",
        )
    link.write_settings(SETTINGS, PREFIX)
    return chosen or held[0]


def chosen_rung(found: Ladder, measure: Measure) -> Rung | None:
    """The mark that was clicked, where it is one of those that are shown."""
    attack, model = st.session_state[f"{PREFIX}attack"], st.session_state[f"{PREFIX}of"]
    return found.rung(model, measure, PLAIN if attack == PLAIN_IN_LINK else attack) if model else None


def ladder_view(study: Study, found: Found, names: Sequence[str], measure: Measure) -> None:
    """The chart, and how it is read."""
    shown = found.ladder
    keys = [PLAIN, *shown.attacks, STRONGEST]
    codes = {cell: code for code, cell in enumerate((key, name) for key in keys for name in names)}
    groups = ladder_groups(shown, names, measure, codes)
    floor, ceiling = _ends(study, shown, measure)
    looks = {name: look_of(study.model(name), study) for name in names}
    chosen = chosen_rung(shown, measure)

    def take(places: list[int]) -> None:
        attack, model = list(codes)[places[0]]
        st.session_state[f"{PREFIX}attack"] = attack or PLAIN_IN_LINK
        st.session_state[f"{PREFIX}of"] = model

    st.caption(READING.format(floor=floor.title.lower() if floor.look is None else "the retained model"))
    drawn = ladder_drawing(groups, looks, floor, ceiling, dark=is_dark())
    name = f"{state.study_name()}-robustness"
    chart.chart(
        drawn.json(),
        f"ladder_{state.study_name()}",
        height=int(drawn.layout["height"]),
        alt=f"What every attack recovers of {', '.join(names)}, from the floor at 0 to the original at 1.",
        config=figure_config(name) | {"displayModeBar": False},
        chosen=[codes[chosen.attack, chosen.model]]
        if chosen is not None and (chosen.attack, chosen.model) in codes
        else [],
        on_choose=take,
    )
    figure_export(
        partial(_figure, groups, looks, floor, ceiling),
        name,
        note(
            np.array(
                [each.found.n for each in shown.rungs if each.measure == measure and each.model in names]
            ),
            [study.protocol] if study.modality == "text" else [],
            ["bars: 95 % intervals", f"0: {floor.title}", f"1: {ceiling.title}, both under the same attack"],
        ),
        key="ladder",
    )


def _figure(groups: Sequence[Group], looks: dict[str, Look], floor: End, ceiling: End) -> go.Figure:
    return ladder_drawing(groups, looks, floor, ceiling, dark=False, legend=True).figure()


def ladder_groups(
    found: Ladder, names: Sequence[str], measure: Measure, codes: dict[tuple[str, str], int]
) -> list[Group]:
    """Rows from the plain question over attacks by what an attacker must have to the strongest of them.

    Args:
        found: the ladder.
        names: models that are shown.
        measure: by which.
        codes: (attack, model) -> what a click on the mark hands over.
    """
    by_access: dict[str, list[str]] = {}
    for key in tried(found, names, measure):
        by_access.setdefault(found.attacks[key].most, []).append(key)
    row = partial(_row, found, names, measure, codes)
    order = sorted(by_access, key=get_args(Access).index)
    return [
        Group("", (row(PLAIN),)),
        *(Group(f"Takes: {access}", tuple(map(row, by_access[access]))) for access in order),
        *([Group("All attacks", (row(STRONGEST),))] if by_access else []),
    ]


def tried(found: Ladder, names: Sequence[str], measure: Measure) -> list[str]:
    """Keys of the attacks that have a number of some of these models."""
    return [key for key in found.attacks if any(found.rung(name, measure, key) for name in names)]


def _row(
    found: Ladder, names: Sequence[str], measure: Measure, codes: dict[tuple[str, str], int], attack: str
) -> Row:
    marks: list[Mark] = []
    reasons: dict[str, list[str]] = {}
    for name in names:
        rung = found.rung(name, measure, attack)
        why = why_not(rung, found, attack, name)
        if rung is None and not attacked(found, name):
            continue  # its verdict says that nothing was tried
        if rung is None or why:
            reasons.setdefault(why, []).append(name)
        else:
            marks.append(_mark(found, rung, codes[attack, name]))
    notes = (f"{'' if len(of) == len(names) else f'{listed(of)}: '}{why}" for why, of in reasons.items())
    return Row(title_of(attack, found), tuple(marks), tuple(notes))


def listed(names: Sequence[str]) -> str:
    """Some names and how many more there are."""
    more = len(names) - MOST_NAMES if len(names) > MOST_NAMES + 1 else 0
    names = names if not more else names[:MOST_NAMES]
    return ", ".join([*names, *([f"{more} more"] if more > 0 else [])])


def _mark(found: Ladder, rung: Rung, code: int) -> Mark:
    held = rung.found
    return Mark(
        rung.model, held.share, held.low, held.high, rung.told == "recovers", _said(found, rung), code
    )


def _said(found: Ladder, rung: Rung) -> tuple[str, ...]:
    held = rung.found
    metric = f" ({METRICS[rung.metric].card.title})" if rung.metric in METRICS else ""
    picked = ", ".join(found.attacks[key].title for key in rung.picked)
    plain = "" if math.isnan(rung.plain) else f"; asked plainly {rung.plain:.2f}"
    lines = [
        f"{rung.model} · {title_of(rung.attack, found)}",
        *([f"picked: {picked}"] if picked else []),
        f"recovered {held.share:.2f}, 95 % interval {held.low:.2f} to {held.high:.2f}: {rung.told}",
        f"score {held.unlearned:.2f}, floor {held.floor:.2f}, original {held.ceiling:.2f}{plain}{metric}",
        f"{held.n} facts" + (f" of {held.groups} subjects" if held.groups else ""),
    ]
    if not math.isnan(rung.worst) and rung.worst - rung.value > 0.005:
        lines.append(f"with the strongest variant of each fact {rung.worst:.2f}")
    if not math.isnan(rung.holdout):
        lines.append(f"facts that nobody was taught: {rung.holdout:.2f}")
    return tuple(lines)


def _ends(study: Study, found: Ladder, measure: Measure) -> tuple[End, End]:
    """What 0 and 1 are."""
    floors = {rung.floor_is for rung in found.rungs if rung.measure == measure and rung.floor_is}
    original = End(study.original.name, look_of(study.original, study))
    if "retained" in floors and study.retained is not None:
        return End(study.retained.name, RETAINED), original
    return End("Facts that nobody was taught" if floors else "No floor", None), original
