"""The prompt box with Run, and the runs that it starts: queued for the worker, found again after a reload."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.components.prompt_watch import prompt_watch
from app.looks.safe_text import literal, visible
from app.pages.compare.conversation_fields import conversation_fields, typed_conversation
from app.pages.compare.probe_bar import place_of
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.conversation import Conversation
from app.shared.job_line import latest, started_here
from app.shared.jobs import Job, Work
from app.shared.resources import runner
from backends.checkpoints.identity import available, missing_model_packages
from backends.study import Probe

LAST_SHOWN = 60  # characters of a typed prompt that stand on the button that brings it back
PLACEHOLDER = 240  # characters of a text that stand in the empty box
JOB_KIND = "compare"
TOPIC_PARTS = 3
WorkFor = Callable[[list[str], Probe], Work]


def prompt_form(work_for: WorkFor, title: str, settings: str) -> None:
    """The box; Run or Ctrl+Enter puts its text to every ticked model whose weights are here.

    Args:
        work_for: makes the work of a run out of the names of those models and the probe.
        title: what such a run does, before "with 6 models".
        settings: identity of decoding or sampling, so that a run is found again only under the same.
    """
    current, typed = state.probe(), state.own_prompt()
    prompt = typed if typed is not None else (current.prompt if current else "")
    box, shown = f"prompt_{state.study_name()}", f"prompt_shown_{state.study_name()}"
    if box not in st.session_state or st.session_state.get(shown) != prompt:
        st.session_state[box] = st.session_state[shown] = prompt
    label = "Your own prompt" if typed is not None or current is None else place_of(current)
    with st.form("prompt_form", border=False):
        with st.container(horizontal=True, vertical_alignment="bottom", key="prompt_box"):
            st.text_area(literal(label), key=box, height=76, placeholder=_placeholder(current))
            run = st.form_submit_button(
                "Run", type="primary", icon=":material/play_arrow:", help="Ctrl+Enter"
            )
        if talks := state.study().modality == "text":
            conversation_fields()
    prompt_watch(
        prompt,
        typed=typed is not None,
        study=state.study_name(),
        kept=state.earlier_prompts(),
        on_replaced=state.keep_prompt,
    )
    _other_prompts(current, typed)
    more = typed_conversation() if run and talks else None
    if run and (more is not None or not talks):
        asked = st.session_state[box] or ""
        if asked.strip():
            st.session_state[shown] = asked  # the box holds it already, and must not be filled again
        _run(asked, work_for, title, settings, more)


def _other_prompts(current: Probe | None, typed: str | None) -> None:
    """Ways back to the probe's own prompt, and to those that were typed before."""
    earlier = [prompt for prompt in state.earlier_prompts() if prompt != typed]
    changed = typed is not None or state.typed_conversation() is not None
    own = changed and current is not None
    if not own and not earlier:
        return
    with st.container(horizontal=True, gap="small", key="other_prompts"):
        if own and current is not None:
            st.button(
                "Back to the probe",
                icon=":material/undo:",
                type="tertiary",
                help="Restore the prompt of the selected probe",
                on_click=state.show_probe,
                args=(current.id,),
            )
        if earlier:
            st.button(
                f"Your prompt: {_short(earlier[0])}",
                icon=":material/history:",
                type="tertiary",
                key="last_prompt",
                on_click=state.type_prompt,
                args=(earlier[0],),
            )
        if len(earlier) > 1:
            st.menu_button(
                "Earlier prompts",
                earlier[1:],
                key="earlier_prompts",
                type="tertiary",
                format_func=_short,
                on_click=lambda: state.type_prompt(st.session_state["earlier_prompts"]),
            )


def _short(prompt: str) -> str:
    short = visible(prompt) if len(prompt) <= LAST_SHOWN else f"{visible(prompt[:LAST_SHOWN])} …"
    return literal(" ".join(short.split()))


def _placeholder(current: Probe | None) -> str:
    if current is not None and not current.prompt:
        text = visible(current.answer)
        text = text if len(text) <= PLACEHOLDER else f"{text[:PLACEHOLDER]} …"
        return f"A text without a prompt: {text} (Run scores it; or type a prompt)"
    return "Type a prompt, then Ctrl+Enter"


def _run(prompt: str, work_for: WorkFor, title: str, settings: str, more: Conversation | None = None) -> None:
    current = state.probe()
    alone = current is not None and not current.prompt and state.own_prompt() is None
    if not prompt.strip() and not alone:
        st.warning("The prompt is empty. Type one and press Run.", icon=":material/edit:")
        return
    state.ask(prompt)
    if more is not None:
        state.set_conversation(more)
    probe, chosen = state.asked(), chosen_models()
    here = [name for name in chosen if available(state.study().model(name))]
    if probe is None or not here:
        sentence = "The weights of the selected models are not on this machine, so only recorded results can be shown."
        ways = missing_model_packages([state.study().model(name) for name in chosen])
        st.warning(literal(" ".join([sentence, *ways])), icon=":material/cloud_off:")
        return
    count = f"{title} with {len(here)} model{'s' if len(here) > 1 else ''}"
    job = runner().submit(count, JOB_KIND, (*_topic(probe, settings), *here), work_for(here, probe))
    started_here(job)
    st.rerun()


def job_about(probe: Probe, settings: str) -> Job | None:
    """The latest run about the probe: any that is on, or one that ended in this visit."""
    return latest(JOB_KIND, _topic(probe, settings), TOPIC_PARTS)


def models_of(job: Job | None) -> list[str]:
    """Models that the run works for, none once it has ended."""
    return [str(name) for name in job.key[TOPIC_PARTS:]] if job is not None and job.active else []


def _topic(probe: Probe, settings: str) -> tuple[str, ...]:
    """What a run is about, whichever models it is for."""
    return (state.board_name(), probe.digest(), settings)
