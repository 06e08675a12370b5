"""Which examples are shown: role and metric, order, filters and columns, which live in the page's address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from app.charts.choices import role_of, title
from app.looks.names import ROLE_NAMES
from app.looks.safe_text import visible
from app.pages.examples.example_table import COLUMNS, ORDERS, ExampleFilter, order_names, outcome_names
from app.shared import link
from app.shared.link import LinkSetting
from app.shared.metric_card import metric_card
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis.examples import Examples, retained_with
from cache.analysis.scoreboard import Scoreboard

ALL = "all"
PREFERRED = ("probability", "rouge_l", "key_fact", "attack_success", "unlearn_accuracy", "in_domain_retain")
"""Metrics that are shown first, where the role has them."""
TEXT_COLUMNS = ("answer", "outcome", "value", "change", "distance")
IMAGE_COLUMNS = ("picture", "value", "change", "distance")
GROUP, PREFIX = "examples", "examples_"
SETTINGS = {
    "role": LinkSetting("", always=True),
    "metric": LinkSetting("", always=True),
    "find": LinkSetting(""),
    "outcome": LinkSetting([]),
    "subject": LinkSetting(ALL),
    "tag": LinkSetting(ALL),
    "different": LinkSetting(False),
    "order": LinkSetting("change"),
}
"""The widgets keep these in the session under their names after the prefix; a link brings them."""


def write_address() -> None:
    """Put what is chosen into the page's address."""
    link.write_settings(SETTINGS, PREFIX)


def _settled(name: str, options: Sequence[str] | None = None, usual: str | None = None) -> str:
    """Session key of a choice, holding an allowed value: from a new link, else from the session, else the default."""
    setting = replace(SETTINGS[name], allowed=options)
    link.settle(GROUP, {name: setting if usual is None else replace(setting, usual=usual)}, PREFIX)
    return f"{PREFIX}{name}"


def role_and_metric(roles: list[str], keys: list[str], study: Study, board: Scoreboard) -> tuple[str, str]:
    """The role whose probes are shown, and the metric beside them; the order is chosen with them."""
    with st.container(horizontal=True, vertical_alignment="top", gap="small", key="examples_choice"):
        chosen = st.segmented_control(
            "Probes",
            roles,
            format_func=lambda each: ROLE_NAMES.get(each, each),
            key=_settled("role", roles, roles[0]),
            required=True,
            persist_state="session",
        )
        role = chosen or roles[0]
        ours = [key for key in keys if role_of(key) == role]
        preferred = (str(MetricKey(role, name)) for name in PREFERRED)
        usual = next((key for key in preferred if key in ours), ours[0])
        with st.container(horizontal=True, vertical_alignment="bottom", gap="xxsmall", width=345):
            metric: str = st.selectbox(
                "Metric",
                ours,
                format_func=lambda key: title(key).partition(" · ")[2] or title(key),
                key=_settled("metric", ours, usual),
                persist_state="session",
            )
            metric_card("examples metric", metric, ())
        named = order_names(retained_with(study, board, metric))
        st.selectbox(
            "Order",
            ORDERS,
            format_func=lambda order: named[order],
            key=_settled("order", ORDERS),
            persist_state="session",
            width=210,
        )
    return role, metric


def filters(shown: Examples, study: Study, role: str) -> tuple[ExampleFilter, list[str]]:
    """Which rows and which columns are shown."""
    text = study.modality == "text"
    names = outcome_names(role)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="examples_filters"):
        find = st.text_input(
            "Find",
            key=_settled("find"),
            icon=":material/search:",
            placeholder="Regular expression",
            persist_state="session",
            help="Searches prompts, reference answers and the answers of the selected models for a regular "
            "expression (RE2: without look-around and back-references); case is ignored.",
            width=210,
        )
        outcomes: list[str] = []
        if text:
            outcomes = st.pills(
                "Some model’s answer is",
                list(names),
                format_func=lambda kind: names[kind],
                selection_mode="multi",
                key=_settled("outcome", list(names)),
                persist_state="session",
                help="Decided by fixed rules, not by a judge model: see the card of the metric “Refusals”. "
                "The original is not counted.",
            )
        subject, tag, different = _more_filters(shown)
        columns = _columns(study, shown.retained)
    order = str(st.session_state["examples_order"])
    return ExampleFilter(find or "", frozenset(outcomes or ()), subject, tag, different, order), columns


def _more_filters(shown: Examples) -> tuple[str, str, bool]:
    """Subject, tag and difference, in a menu whose name says how many of them are on."""
    count = sum(st.session_state.get(f"{PREFIX}{name}", ALL) != ALL for name in ("subject", "tag"))
    count += bool(st.session_state.get(f"{PREFIX}different"))
    label = f"More filters · {count}" if count else "More filters"
    with st.popover(label, icon=":material/filter_alt:"):
        subject = _slice(shown, "Subject", "subject")
        tag = _slice(shown, "Tag", "tag")
        different = st.toggle(
            "Only where a model differs from the original", key=_settled("different"), persist_state="session"
        )
    return subject, tag, different


def _columns(study: Study, retained: str) -> list[str]:
    """Which columns each model has."""
    text = study.modality == "text"
    offered = [name for name in COLUMNS if name in (TEXT_COLUMNS if text else IMAGE_COLUMNS)]
    if not retained:
        offered.remove("distance")
    with st.popover("Columns", icon=":material/view_column:"):
        columns: list[str] | None = st.pills(
            "Columns",
            offered,
            default=["answer", "value"] if text else ["picture", "value"],
            format_func=lambda name: COLUMNS[name],
            selection_mode="multi",
            key=f"examples_columns_{study.modality}{'' if retained else '_original'}",
            persist_state="session",
            label_visibility="collapsed",
            width="content",
        )
    return list(columns or ())


def _slice(shown: Examples, label: str, name: str) -> str:
    """A choice among subjects or tags, where the probes have several; "" for all."""
    cells = shown.probes["tags"] if name == "tag" else [[subject] for subject in shown.probes["subject"]]
    result = sorted({part for parts in cells for part in parts if part})
    if len(result) < 2:
        st.session_state.pop(f"examples_{name}", None)
        return ""
    chosen: str = st.selectbox(
        label,
        [ALL, *result],
        format_func=visible,
        key=_settled(name, [ALL, *result]),
        persist_state="session",
        width=150,
    )
    return "" if chosen == ALL else chosen
