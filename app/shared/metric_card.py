"""What a reader needs to know about a metric, in a popover beside its selector."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.charts.choices import card_of, role_of, title
from app.looks.safe_text import literal, visible
from app.shared import state
from app.shared.resources import store
from backends.metrics import MetricCard
from backends.metrics.intervals import interval_method
from backends.metrics.protocols import PROTOCOLS
from cache.analysis.scoreboard import MODEL_UTILITY
from cache.store.features import networks_of
from cache.store.real_sets import real_subjects

WAYS = {
    "higher": "Higher is better",
    "lower": "Lower is better",
    "zero": "Nearest to 0 is best",
    "neutral": "Neither is better",
}


def metric_card(label: str, key: str, utility_parts: Sequence[str] = ()) -> None:
    """A button that opens the card of the metric.

    Args:
        label: which axis it belongs to, for the button's name ("horizontal axis").
        key: `role/metric`.
        utility_parts: what model utility is made of in this study.
    """
    card, role = card_of(key), role_of(key)
    with st.popover(
        ":material/info:",
        type="tertiary",
        help=f"About {label}: {title(key)}",
        key=f"card_{label.replace(' ', '_')}",
    ):
        st.header(card.title, anchor=False)
        st.text(card.reading)
        st.latex(card.formula)
        high = "∞" if card.high is None else f"{card.high:g}"
        facts = {
            "Direction": f"{WAYS[card.direction(role)]}{'' if role == 'all' else f' on {role} probes'}",
            **({"Made of": "\n".join(map(title, utility_parts))} if key == MODEL_UTILITY else {}),
            "Range": f"{card.low:g} to {high}".replace("-inf", "−∞"),
            "Ideal": card.ideal,
            "Needs": ", ".join(card.needs) or "nothing else",
            "Source": card.source,
            "95 % interval": str(interval_method(card)),
            **_protocol(card),
            **_network(card, role),
            "Trust": card.trust or "Not validated.",
        }
        # One element for all: cards of both axes are part of every change of an axis.
        st.markdown("\n\n".join(f"**{name}**  \n{_lines(value)}" for name, value in facts.items()))


def _lines(value: str) -> str:
    """Text as Markdown that shows it as it is, line by line."""
    return "  \n".join(map(literal, value.split("\n")))


def _network(card: MetricCard, role: str) -> dict[str, str]:
    """Which network of the study the number comes from, and which real pictures it is a distance to."""
    known = networks_of(state.study(), store())
    said = [
        f"{each.name} (fingerprint {each.digest[:12] or 'unknown, its files are not here'})"
        for each in known
        if f"[features] {each.kind}" in card.needs
    ]
    folder = state.study().features.real_for(role) if "[features] real" in card.needs else ""
    count = len(real_subjects(store(), folder)) if folder else 0
    real = {"Real pictures": f"{count:,} in {visible(folder)}"} if folder else {}
    return {**({"Network": said[0]} if said else {}), **real}


def _protocol(card: MetricCard) -> dict[str, str]:
    """Under which protocol the number was made, and what that changes of the metric."""
    if card.modality != "text":
        return {}
    name = state.protocol()
    deviation = PROTOCOLS[name].deviations.get(card.key, "")
    return {"Protocol": f"{name}: {deviation or 'as defined here'}"}
