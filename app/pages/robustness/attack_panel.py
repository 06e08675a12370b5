"""Trying attacks from the page: which, on which models, how long it takes, and the job while it is on."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.looks.safe_text import literal, visible
from app.pages.robustness.untold import left_out_line
from app.shared import state
from app.shared.attack_jobs import Outlook, latest_attacks, outlook, submit_attacks, untrained
from app.shared.chosen_models import chosen_models
from app.shared.durations import duration
from app.shared.evaluation_jobs import numerics
from app.shared.evaluation_line import POLL_SECONDS
from app.shared.job_line import JobWords, job_line
from app.shared.jobs import Job
from app.shared.ladders import current_ladder, shown_attacks
from app.shared.resources import store
from backends.attacks import Attack
from backends.study import Study
from cache.analysis.robustness.trials import NOT_TRAINED, Trials
from cache.store import Store

OPEN = "robustness_try"


def _progress(job: Job, ahead: int) -> str:
    if job.state == "queued":
        return f"Waiting for {ahead} other job{'' if ahead == 1 else 's'}; resumes automatically …"
    count = f"{job.done} of {job.total}" if job.total else "starting"
    return f"{job.title}: {count}" + (f" · {job.note}" if job.note else "")


ATTACKING = JobWords(
    line="attack_line",
    button="Cancel",
    button_key="cancel_attacks",
    stopping="Cancelling after the current batch …",
    progress=_progress,
    stopped="Cancelled. Finished work is kept; press Start to resume.",
    stopped_icon=":material/pause_circle:",
    done=": done.",
    remarks=True,
)


def attack_panel(*, open_at_once: bool) -> None:
    """The form, once it is asked for, and the running job.

    Args:
        open_at_once: there is nothing else on the page.
    """
    job = latest_attacks()
    active = job is not None and job.active
    if not active and current_ladder().trials.trials:
        if open_at_once or st.session_state.get(OPEN):
            _form(state.study())
        else:
            st.button(
                "Try attacks",
                icon=":material/play_arrow:",
                on_click=lambda: st.session_state.update({OPEN: True}),
                key="open_attacks",
            )
    st.fragment(run_every=POLL_SECONDS if active else None)(_line)(job, active)


def _line(job: Job | None, was_active: bool) -> None:
    if job is not None:
        job_line(job, ATTACKING)
    if was_active and job is not None and not job.active:
        st.rerun()


def _form(study: Study) -> None:
    st.header("Try attacks", anchor=False)
    found = current_ladder().trials
    possible = possible_attacks(study, found)
    unlearned = [spec.name for spec in study.models if spec.part == "unlearned"]
    ticked = [name for name in chosen_models() if name in unlearned]
    usual = [key for key in study.attacks.use if key in possible] or list(possible)
    attacks = st.multiselect(
        "Attacks",
        list(possible),
        default=usual,
        format_func=lambda key: visible(possible[key].card.title),
        key=f"attacks_{state.board_name()}_{len(possible)}",
        placeholder="Choose attacks",
    )
    models = st.multiselect(
        "Models",
        unlearned,
        default=[name for name in study.attacks.models if name in unlearned] or ticked,
        format_func=visible,
        key=f"attacked_{state.board_name()}_{len(unlearned)}",
        placeholder="Choose models",
        help="The original and the retained model are attacked as well: they are what the others are held against.",
    )
    known = (
        _outlook(
            state.board_name(),
            store().version(),
            numerics(study),
            tuple(models),
            tuple(attacks),
            study,
            store(),
            [possible[key] for key in attacks],
        )
        if attacks and models
        else None
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Start",
            icon=":material/play_arrow:",
            type="primary",
            disabled=known is None or not (known.missing or known.untrained),
            key="start_attacks",
        )
        st.caption(literal(outlook_words(known)))
    missing = [left_out_line(each) for each in found.left_out if each.why != NOT_TRAINED]
    if missing and not current_ladder().ladder.rungs:
        with st.expander(literal(f"{len(missing)} are left out"), icon=":material/rule:"):
            st.text(visible("\n".join(missing)))
    if pressed:
        submit_attacks(study, models, [possible[key] for key in attacks])
        st.session_state[OPEN] = False
        st.rerun()


def possible_attacks(study: Study, found: Trials) -> dict[str, Attack]:
    """Attacks that can be tried, by key: those of which there is a trial, and those that would train first."""
    keys = {each.attack.card.key for each in found.trials} | set(untrained(found))
    return {each.card.key: each for each in shown_attacks(study.modality) if each.card.key in keys}


@st.cache_resource(max_entries=8, show_spinner="Counting what is missing …")
def _outlook(
    board: str,
    version: int,
    numerics: str,
    models: tuple[str, ...],
    attacks: tuple[str, ...],
    _study: Study,
    _store: Store,
    _attacks: Sequence[Attack],
) -> Outlook:
    return outlook(_study, _store, numerics, models, _attacks)


def outlook_words(known: Outlook | None) -> str:
    """What is missing and how long it takes, in a sentence."""
    if known is None:
        return "Choose attacks and models."
    count = len(known.untrained)
    training = (
        f" {count} attack{'s train' if count > 1 else ' trains'} models first, minutes each." if count else ""
    )
    if not known.missing:
        return f"All {known.total:,} pieces of evidence of these attacks are there.{training}"
    text = f"{known.missing:,} of {known.total:,} pieces of evidence are missing"
    if known.seconds is None:
        return f"{text}. Nothing was timed on this machine yet; the first minutes tell how long it takes.{training}"
    return f"{text}: about {duration(known.seconds)} at the speed of the runs so far.{training}"
