"""The facts of a mark that was clicked: the most surprising first, as they were asked, with every model's answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from app.components.answer_cards import answer_cards
from app.looks.safe_text import literal, visible
from app.looks.theme import is_dark
from app.pages.robustness.fact_board import fact_board
from app.shared import state
from app.shared.ladders import Found
from app.shared.resources import store
from app.shared.robustness_words import FLOORS, title_of
from backends.errors import StoreError
from backends.metrics import METRICS
from backends.study import Study
from cache.analysis.robustness.facts import CAME_BACK, Fact, facts_of
from cache.analysis.robustness.ladder import PLAIN, Rung
from cache.analysis.robustness.trials import Trial, Trials
from cache.store import Store
from cache.store.reading import images_for

AT_FIRST, MORE = 3, 5
ANSWERS, LEAK = "Answers", "Leak heat map"


def facts_panel(study: Study, found: Found, rung: Rung) -> None:
    """What came back of one model under one attack."""
    facts = _facts(
        state.board_name(),
        store().version(),
        rung.model,
        rung.attack,
        rung.measure,
        study,
        found.trials,
        rung,
        store(),
    )
    back = [each for each in facts if each.surprise >= CAME_BACK]
    st.header(literal(f"{title_of(rung.attack, found.ladder)} · {rung.model}"), anchor=False)
    st.caption(literal(_headline(study, found, rung, len(facts), len(back))))
    if not facts:
        return
    view = ANSWERS
    if study.modality == "text":
        view = st.segmented_control(
            "View", [ANSWERS, LEAK], default=ANSWERS, required=True, key="robustness_view",
            label_visibility="collapsed",
        ) or ANSWERS  # fmt: skip
    key = f"robustness_shown_{rung.attack}_{rung.model}_{rung.measure}"
    count = int(st.session_state.get(key, AT_FIRST))
    for place, fact in enumerate(facts[:count]):
        _fact(study, found, rung, fact, place, leak=view == LEAK)
    left = len(facts) - count
    if left > 0:
        st.button(
            f"Show {min(MORE, left)} more of {left}",
            icon=":material/expand_more:",
            on_click=lambda: st.session_state.update({key: count + MORE}),
            key="robustness_more",
        )


@st.cache_resource(max_entries=12, show_spinner=False)
def _facts(
    board: str,
    version: int,
    model: str,
    attack: str,
    measure: str,
    _study: Study,
    _trials: Trials,
    _rung: Rung,
    _store: Store,
) -> list[Fact]:
    return facts_of(_study, _store, _trials, _rung)


def _headline(study: Study, found: Found, rung: Rung, count: int, back: int) -> str:
    metric = METRICS[rung.metric].card.title if rung.metric in METRICS else ""
    by = f" by {metric}" if metric else ""
    floor = FLOORS.get(rung.floor_is, "nothing")
    card = found.ladder.attacks.get(rung.attack)
    about = f" {card.reading} It puts in: {card.injects}." if card is not None else ""
    things = "facts" if study.modality == "text" else "prompts"
    return f"{back} of {count} {things} came back{by}: at least {CAME_BACK:g} more than {floor} gives.{about}"


def _fact(study: Study, found: Found, rung: Rung, fact: Fact, place: int, *, leak: bool) -> None:
    with st.container(border=True, key=f"fact_{place}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(literal(_numbers(fact, rung, found)))
            if st.button(
                "Open in Compare", icon=":material/compare:", type="tertiary", key=f"open_fact_{place}"
            ):
                _open(study, fact, rung)
        trial = _way(found, fact)
        beside = [study.original.name, *([study.retained.name] if study.retained else []), rung.model]
        asked = study if trial is None else trial.study
        names = {name: name if trial is None else trial.models.get(name, name) for name in beside}
        if study.modality == "image":
            _pictures(study, asked, names, fact)
            return
        board = fact_board(study, asked, names, fact.asked, store(), leak=leak, dark=is_dark())
        answer_cards(board, key=f"fact_cards_{place}")


def _way(found: Found, fact: Fact) -> Trial | None:
    """The trial that asked for this fact; None for the plain question."""
    ways = (way for each in found.trials.trials if each.attack.card.key == fact.attack for way in each.ways)
    return next((way for way in ways if fact.asked.id in way.probes.get("forget", {})), None)


def _numbers(fact: Fact, rung: Rung, found: Found) -> str:
    parts = [f"{rung.model} {fact.score:.2f}"]
    if not math.isnan(fact.floor):
        parts.append(f"{FLOORS.get(rung.floor_is, 'floor')} {fact.floor:.2f}")
    if fact.attack != PLAIN and not math.isnan(fact.plain):
        parts.append(f"asked plainly {fact.plain:.2f}")
    if fact.attack not in (PLAIN, rung.attack):
        parts.append(title_of(fact.attack, found.ladder))
    return visible(" · ".join([*parts, *([fact.probe.subject] if fact.probe.subject else [])]))


def _open(study: Study, fact: Fact, rung: Rung) -> None:
    """Turn to Compare with everything typed in as the attack asks it. Ends the running script."""
    retained = [study.retained.name] if study.retained else []
    state.open_in_compare(fact.probe.id, [study.original.name, *retained, rung.model], fact.asked)


def _pictures(study: Study, asked: Study, names: dict[str, str], fact: Fact) -> None:
    st.text(visible(fact.asked.prompt))
    columns = st.columns(len(names))
    for column, (name, own) in zip(columns, names.items(), strict=True):
        column.caption(literal(visible(name)))
        pictures = images_for(asked, store(), own, [fact.asked]).get(fact.asked.id, {})
        shown = _paths([each.image for each in pictures.values()])
        if shown:
            column.image(shown, width=160)
        else:
            column.caption("No picture was recorded.")


def _paths(digests: Sequence[str]) -> list[str]:
    found = []
    for digest in digests:
        try:
            found.append(str(store().thumbnail_path(digest)))
        except StoreError:  # it was cleaned away; its numbers stay
            continue
    return found
