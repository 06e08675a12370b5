"""Blind ratings on Compare: two models' answers in random order, without names, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random

import pandas as pd
import streamlit as st

from app.looks.names import ROLE_NAMES
from app.looks.safe_text import cell_text, literal, visible
from app.pages.compare.trials import Shown, Trial, next_trial, recorded
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.resources import store
from backends.metrics.ratings import win_rate_key
from backends.study import Role
from cache.analysis.rating_rows import rating_rows, reliability
from cache.store.ratings import Choice, Rating, how_made, keep_rating, ratings_of

OPEN = "rating_open"
"""Of the session state: a person is rating."""
BUTTONS: tuple[tuple[Choice, str, str], ...] = (
    ("left", "Left is better", "Left"),
    ("same", "Same", "S"),
    ("both bad", "Both bad", "B"),
    ("right", "Right is better", "Right"),
)
"""What may be said, its button and its key."""
FORGET_LABELS: Mapping[Choice, str] = {"left": "Left gives less away", "right": "Right gives less away"}
"""What the buttons say of forget probes, where the answer that gives less away wins."""
QUESTIONS = {
    "forget": "Which gives less away of what was to be forgotten?",
    "retain": "Which is the better answer?",
}
RATED_ROLES = ("forget", "neighbour", "retain", "utility")


def rating_button() -> None:
    """The way in, and out again."""
    rating = bool(st.session_state.get(OPEN))
    st.button(
        "Stop rating" if rating else "Rate blind",
        key="rate_blind",
        icon=":material/close:" if rating else ":material/balance:",
        help=None if rating else "Compare two models' answers without knowing which is which",
        on_click=_turn,
        args=(not rating,),
    )


def rating_panel() -> None:
    """One trial, and the results so far."""
    study = state.study()
    models = chosen_models()
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        roles = [role for role in state.roles() if role in RATED_ROLES] or state.roles()
        if not roles:
            st.info("This study has no probes, so there is nothing to rate.", icon=":material/info:")
            return
        chosen: Role | None = st.segmented_control(
            "Probes",
            roles,
            key="rating_role",
            default=roles[0],
            required=True,
            format_func=lambda role: ROLE_NAMES[role],
        )
        role = chosen or roles[0]
        rater = st.text_input(
            "Your name or initials",
            key="rating_rater",
            placeholder="optional",
            help="Kept with the ratings, so that several people's can be told apart",
            persist_state="session",
            max_chars=60,
            width=180,
        )
    rated = ratings_of(study, store())
    own = [each for each in rated if each.rater == (rater or "") and each.role == role]
    shown = _recorded(models, role)
    trial = _trial(models, role, shown, own)
    if trial is None:
        st.info(
            "There are no two ticked models with different recorded answers to these probes. Tick more models, or "
            "evaluate them on the Runs page.",
            icon=":material/balance:",
        )
    else:
        _ask(trial, shown, rater or "")
    st.caption(
        f"{len(own)} rated by you on these probes. Ticked models are compared; their names are shown below only."
    )
    with st.expander("Results so far", key="rating_results"):
        _results(rated, role)


def _turn(on: bool) -> None:
    st.session_state[OPEN] = on
    st.session_state.pop("rating_trial", None)


def _recorded(models: list[str], role: Role) -> Shown:
    """What there is to show: read once for these models, probes and state of the settings."""
    key = (state.board_name(), role, tuple(models))
    held: tuple[object, Shown] | None = st.session_state.get("rating_shown")
    if held is None or held[0] != key:
        held = (key, recorded(state.study(), store(), models, state.probes(role)))
        st.session_state["rating_shown"] = held
    return held[1]


def _trial(models: list[str], role: Role, shown: Shown, own: list[Rating]) -> Trial | None:
    """The trial that is open; another one once it is rated, or for other models or probes."""
    key = (state.board_name(), role, tuple(models), len(own))
    held: tuple[object, Trial | None] | None = st.session_state.get("rating_trial")
    if held is None or held[0] != key:
        held = (key, next_trial(models, state.probes(role), shown, own, Random()))
        st.session_state["rating_trial"] = held
    return held[1]


def _ask(trial: Trial, shown: Shown, rater: str) -> None:
    st.subheader(QUESTIONS.get(trial.probe.role, QUESTIONS["retain"]), anchor=False)
    with st.container(border=True):
        st.caption("Prompt")
        st.text(visible(trial.probe.label))
        if trial.probe.answer:
            st.caption("Reference answer")
            st.text(visible(trial.probe.answer))
    for side, model, place in zip(
        ("Left", "Right"), (trial.left, trial.right), st.columns(2, border=True), strict=True
    ):
        with place:
            st.caption(side)
            _show(shown[model, trial.probe.id, trial.seed])
    with st.container(horizontal=True, horizontal_alignment="center", gap="small", key="rating_buttons"):
        for choice, label, shortcut in BUTTONS:
            st.button(
                FORGET_LABELS.get(choice, label) if trial.probe.role == "forget" else label,
                key=f"rating_{choice}",
                shortcut=shortcut,
                type="primary" if choice in ("left", "right") else "secondary",
                on_click=_keep,
                args=(trial, choice, rater),
            )


def _show(what: str) -> None:
    if state.study().modality == "text":
        st.text(visible(what) or "(an empty answer)")
    else:
        st.image(str(store().image_path(what)), width="stretch")


def _keep(trial: Trial, choice: Choice, rater: str) -> None:
    study = state.study()
    settings = study.decoding if study.modality == "text" else study.sampling
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    rating = Rating(
        trial.probe.digest(), trial.probe.role, trial.seed, trial.left, trial.right, choice, rater, at
    )
    keep_rating(study, store(), rating, how_made(study, settings, trial.seed))


def _results(rated: list[Rating], role: Role) -> None:
    study = state.study()
    rows = [
        (spec.name, value, low, high, n)
        for spec in study.models
        for _, of_role, _, value, low, high, n in rating_rows(study, rated, spec.name)
        if of_role == role
    ]
    if not rows:
        st.caption("Nothing is rated yet.")
        return
    table = pd.DataFrame(rows, columns=["Model", "Win rate", "low", "high", "Rated"])
    table["Model"] = table["Model"].map(cell_text)
    table = table.sort_values("Win rate", ascending=False, kind="stable")
    st.dataframe(
        table,
        hide_index=True,
        key="rating_table",
        placeholder="–",
        column_config={
            "Win rate": st.column_config.NumberColumn(format="%.2f", help="A tie counts half"),
            "low": st.column_config.NumberColumn(format="%.2f", help="95 % interval, by probe"),
            "high": st.column_config.NumberColumn(format="%.2f"),
        },
    )
    known = reliability([each for each in rated if each.role == role])
    said = [f"{known.caught} of {known.catch_trials} catch trials (one model shown twice) were called equal."]
    if known.repeated:
        alpha = "" if math.isnan(known.alpha) else f", Krippendorff's alpha {known.alpha:.2f}"
        said.append(f"{known.repeated} comparisons were rated more than once{alpha}.")
    st.caption(literal(" ".join(said)))
    st.caption(literal(f"On Trade-offs and in exports this is the metric {win_rate_key(study.modality)}."))
    st.download_button(
        "Download the ratings",
        pd.DataFrame([_plain(each) for each in rated]).to_csv(index=False),
        file_name="ratings.csv",
        mime="text/csv",
        key="rating_download",
    )


def _plain(rating: Rating) -> dict[str, object]:
    """A row of the downloaded table, with the id and the prompt of its probe."""
    probe = next((each for each in state.probes() if each.digest() == rating.probe), None)
    return {
        "probe": cell_text(probe.id if probe else rating.probe),
        "role": rating.role,
        "seed": rating.seed,
        "left": cell_text(rating.left),
        "right": cell_text(rating.right),
        "choice": rating.choice,
        "rater": cell_text(rating.rater),
        "at": rating.at,
    }
