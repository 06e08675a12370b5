"""Settings of text generation and of image sampling, in a menu beside the results."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from app.shared import state
from app.shared.typed_settings import (
    LEAST_SIDE,
    LIMITS,
    MOST_SEEDS,
    MOST_SIDE,
    seeds_in,
    size_in,
    size_name,
)
from backends.checkpoints.schedulers import schedulers_for
from backends.study import Decoding, Probe, Sampling

DIGITS = 6
"""Decimals that a slider's value keeps: its steps add up to 0.30000000000000004."""


def decoding_menu() -> None:
    """Length, temperature, top-p and seeds; greedy decoding has no use for the last two."""
    current = state.decoding()
    with st.popover(decoding_name(current), icon=":material/tune:", help="How answers are generated"):
        least, most = _reach("max_new_tokens", current.max_new_tokens)
        length = st.number_input(
            "Longest answer, tokens", int(least), int(most), current.max_new_tokens, step=16
        )
        temperature = st.slider(
            "Temperature",
            *_reach("temperature", current.temperature),
            current.temperature,
            0.1,
            help="0 is greedy decoding: always the most probable token.",
        )
        sampled = temperature > 0
        top_p = st.slider(
            "Top-p",
            *_reach("top_p", current.top_p),
            current.top_p,
            0.05,
            disabled=not sampled,
            help="Sample from the smallest set of most probable tokens that reaches this probability.",
        )
        seeds = _seeds("Seeds", current.seeds, disabled=not sampled)
        chosen = Decoding(int(length), round(temperature, DIGITS), round(top_p, DIGITS), seeds)
        if chosen != current:
            state.set_decoding(chosen)
            st.rerun()
        _reset(chosen != state.study().decoding)


def _reset(changed: bool) -> None:
    if st.button("Reset to the study's settings", disabled=not changed, icon=":material/undo:"):
        state.set_decoding(state.study().decoding)
        state.set_sampling(state.study().sampling)
        st.rerun()


def _reach(name: str, value: float) -> tuple[float, float]:
    """Ends of a control: the usual limits, wider where the study's own value lies beyond."""
    low, high = LIMITS[name]
    return min(low, value), max(high, value)


def decoding_name(decoding: Decoding) -> str:
    """The settings in a few words: "Greedy, 48 tokens", "T 0.7 · top-p 0.9 · 48 tokens · 3 seeds"."""
    length = _count(decoding.max_new_tokens, "token")
    if decoding.temperature == 0:
        return f"Greedy, {length}"
    top_p = [f"top-p {decoding.top_p:g}"] if decoding.top_p < 1 else []
    return " · ".join([f"T {decoding.temperature:g}", *top_p, length, _count(len(decoding.seeds), "seed")])


def sampling_name(sampling: Sampling) -> str:
    """The settings in a few words: "25 steps · guidance 4 · 3 seeds"."""
    steps, seeds = _count(sampling.steps, "step"), _count(len(sampling.seeds), "seed")
    parts = [steps, f"guidance {sampling.guidance:g}", seeds]
    parts += [sampling.scheduler] if sampling.scheduler else []
    parts += [f"{size_name(sampling.size)} px"] if sampling.size else []
    parts += ["negative prompt"] if sampling.negative_prompt else []
    return " · ".join(parts)


def own_settings_summary(probe: Probe) -> str:
    """What of the menu's settings a probe's own take the place of; "" where it brings none."""
    seed = [] if probe.seed is None else [f"seed {probe.seed}"]
    named = " and ".join(seed + ([] if probe.guidance is None else [f"guidance {probe.guidance:g}"]))
    return f"This prompt is generated with its own {named}, regardless of the menu." if named else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def sampling_menu() -> None:
    """Steps, guidance, negative prompt, scheduler, size and seeds of image sampling."""
    current = state.sampling()
    with st.popover(sampling_name(current), icon=":material/tune:", help="How images are sampled"):
        least, most = _reach("steps", current.steps)
        steps = st.number_input("Denoising steps", int(least), int(most), current.steps)
        guidance = st.slider(
            "Guidance",
            *_reach("guidance", current.guidance),
            current.guidance,
            0.5,
            help="Guidance scale: weight of the prompt; 1 means no guidance.",
        )
        negative = st.text_input(
            "Negative prompt",
            current.negative_prompt,
            placeholder="none",
            help="What to guide away from, for all models without a negative prompt of their own. It has "
            "no effect at guidance scale 1.",
        )
        left, right = st.columns(2)
        with left:
            scheduler = _scheduler(current.scheduler)
        with right:
            size = _size(current.size)
        seeds = _seeds("Seeds", current.seeds, disabled=False)
        chosen = replace(
            current,
            steps=int(steps),
            guidance=round(guidance, DIGITS),
            seeds=seeds,
            negative_prompt=(negative or "").strip(),
            scheduler=scheduler,
            size=size,
        )
        if chosen != current:
            state.set_sampling(chosen)
            st.rerun()
        _reset(chosen != state.study().sampling)


def _scheduler(current: str) -> str:
    """One of those that the original can draw with, "" for each model's own."""
    fitting = schedulers_for(state.study().original)
    names = ["", *dict.fromkeys((*fitting, *([current] if current else [])))]
    chosen: str = st.selectbox(
        "Scheduler",
        names,
        names.index(current),
        format_func=lambda name: name or "the models' default",
        help="The noise schedule and solver. The same seed gives the same initial noise."
        if fitting
        else "Models of this kind were trained for their own scheduler only.",
        disabled=len(names) == 1,
    )
    return chosen


def _size(current: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
    """Pixels out of "512" or "768 x 512"; what is typed is refused in place where it is something else."""
    text = st.text_input(
        "Size, pixels",
        size_name(current),
        placeholder="the models' default",
        help="One number for a square, or width x height. Models work best at the size they were trained at.",
    )
    size = size_in(text or "")
    if (text or "").strip() and size is None:
        st.caption(f"Type for instance 512 or 768 x 512, from {LEAST_SIDE} to {MOST_SIDE}.")
        return current
    return size


def _seeds(label: str, current: tuple[int, ...], *, disabled: bool) -> tuple[int, ...]:
    """Whole numbers out of "1, 2, 3"; what is typed is refused in place where it is something else."""
    text = st.text_input(
        label, ", ".join(map(str, current)), disabled=disabled, help="Whole numbers, one answer each"
    )
    seeds = seeds_in(text or "")
    if seeds is None:
        st.caption(f"Type 1 to {MOST_SEEDS} whole numbers, for instance 1, 2, 3.")
    return seeds or current
