"""Settings of text generation and of image sampling, in a menu beside the results."""

from __future__ import annotations

import re
from dataclasses import replace

import streamlit as st

from app import state
from backends.study import Decoding

MOST_SEEDS = 16


def decoding_menu() -> None:
    """Length, temperature, top-p and seeds; greedy decoding has no use for the last two."""
    current = state.decoding()
    with st.popover(_decoding_name(current), icon=":material/tune:", help="How answers are generated"):
        length = st.number_input("Longest answer, tokens", 1, 2048, current.max_new_tokens, step=16)
        temperature = st.slider(
            "Temperature", 0.0, 2.0, current.temperature, 0.1, help="0 is greedy: always the likeliest token."
        )
        sampled = temperature > 0
        top_p = st.slider(
            "Top-p",
            0.05,
            1.0,
            current.top_p,
            0.05,
            disabled=not sampled,
            help="Sample only from the likeliest tokens that together have this probability.",
        )
        seeds = _seeds("Seeds", current.seeds, disabled=not sampled)
        chosen = Decoding(int(length), float(temperature), float(top_p), seeds)
        if chosen != current:
            state.set_decoding(chosen)
            st.rerun()
        _reset(chosen != state.study().decoding)


def _reset(changed: bool) -> None:
    if st.button("As in the study", disabled=not changed, icon=":material/undo:"):
        state.set_decoding(state.study().decoding)
        state.set_sampling(state.study().sampling)
        st.rerun()


def _decoding_name(decoding: Decoding) -> str:
    """The settings in a few words: "Greedy, 48 tokens"."""
    if decoding.temperature == 0:
        return f"Greedy, {decoding.max_new_tokens} tokens"
    count = len(decoding.seeds)
    return f"Temperature {decoding.temperature:.1f}, {count} seed{'s' if count != 1 else ''}"


def sampling_menu() -> None:
    """Steps, guidance and seeds of image sampling."""
    current = state.sampling()
    name = f"{current.steps} steps, {len(current.seeds)} seed{'s' if len(current.seeds) != 1 else ''}"
    with st.popover(name, icon=":material/tune:", help="How images are sampled"):
        steps = st.number_input("Denoising steps", 1, 200, current.steps)
        guidance = st.slider(
            "Guidance",
            0.0,
            15.0,
            current.guidance,
            0.5,
            help="How strongly the prompt pulls; 1 is the plain conditional model.",
        )
        seeds = _seeds("Seeds", current.seeds, disabled=False)
        chosen = replace(current, steps=int(steps), guidance=float(guidance), seeds=seeds)
        if chosen != current:
            state.set_sampling(chosen)
            st.rerun()
        _reset(chosen != state.study().sampling)


def _seeds(label: str, current: tuple[int, ...], *, disabled: bool) -> tuple[int, ...]:
    """Whole numbers out of "1, 2, 3"; what is typed is refused in place where it is something else."""
    text = st.text_input(
        label, ", ".join(map(str, current)), disabled=disabled, help="Whole numbers, one answer each"
    )
    parts = [part for part in re.split(r"[\s,;]+", text or "") if part]
    if parts and len(parts) <= MOST_SEEDS and all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        return tuple(dict.fromkeys(int(part) for part in parts))
    st.caption(f"Type 1 to {MOST_SEEDS} whole numbers, for instance 1, 2, 3.")
    return current
