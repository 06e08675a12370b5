"""Examples: the evidence behind every number. One row per probe, all ticked models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from app.charts.choices import available, card_of, role_of, title
from app.looks.names import ROLE_NAMES
from app.looks.safe_text import literal, visible
from app.pages.examples.confusion_panel import confusion_panel
from app.pages.examples.example_table import (
    COLUMNS,
    ORDERS,
    ExampleFilter,
    as_csv,
    as_jsonl,
    chosen_rows,
    outcome_names,
    table,
)
from app.shared import link, state
from app.shared.difference_words import effect_text, remarks
from app.shared.link import LinkSetting
from app.shared.metric_card import metric_card
from app.shared.protocol_choice import protocol_note, under_protocol
from app.shared.resources import store
from app.shared.scoreboards import current_scoreboard
from app.shared.table_export import table_export
from backends.metrics import METRICS, StudyMetric
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis.examples import Examples, against_original, examples
from cache.analysis.noise import NoiseBand, noise_band
from cache.analysis.scoreboard import Scoreboard
from cache.store import Store

ALL = "all"
# Shown first, where the role has it. (A string here would be drawn: Streamlit shows loose expressions of a page.)
PREFERRED = ("probability", "rouge_l", "key_fact", "unlearn_accuracy", "in_domain_retain")
ANSWER_HEIGHT, VALUE_HEIGHT, TABLE_HEIGHT = 76, 36, 620  # pixels; an answer has three lines
INTERVAL_HELP = (
    "95 % interval of the mean change, by the test that also gives p. Empty where fewer than 6 probes were compared: "
    "then it cannot be told"
)
HOLDOUT_NOT_WRITTEN = (
    "Holdout probes are scored, not answered: membership attacks need nothing else. `holdout_answers = true` in the "
    "study file has answers written, too."
)
WIDTHS = {"prompt": 210, "reference": 210, "answer": 230, "outcome": 105}


def page() -> None:
    """Filters, counts by model, the rows, and the way to Compare."""
    st.title("Examples", anchor=False)
    st.caption(
        "The evidence behind the numbers: one row per probe, all selected models beside the original."
        + protocol_note()
    )
    study, board = state.study(), current_scoreboard()
    keys = [
        key
        for key in available(board.frame)
        if not isinstance(METRICS[MetricKey.parse(key).name], StudyMetric)
    ]
    roles = list(dict.fromkeys(role_of(key) for key in keys))
    if not roles:
        _nothing_yet()
        return
    if study.modality == "image":
        confusion_panel()
    role, key = _role_and_metric(roles, keys)
    models = tuple(state.chosen_models())
    shown = _examples(state.board_name(), store().version(), models, key, study, board, store())
    choice, columns = _filters(shown, study, role)
    rows = chosen_rows(shown, choice)
    link.write_settings(SETTINGS, PREFIX)
    _counts(shown, study, role, key, board)
    _rows(shown, rows, columns, role, key, study)


def _nothing_yet() -> None:
    st.info(
        f"Nothing of this study has been evaluated yet{under_protocol()}, so there are no examples. Evaluate its "
        "models on the Runs page.",
        icon=":material/list_alt:",
    )
    st.page_link(state.RUNS_PAGE, label="Go to Runs", icon=":material/arrow_forward:")


@st.cache_resource(max_entries=6, show_spinner="Reading answers from the cache …")
def _examples(
    name: str,
    version: int,
    models: tuple[str, ...],
    key: str,
    _study: Study,
    _board: Scoreboard,
    _store: Store,
) -> Examples:
    higher = card_of(key).direction(role_of(key)) == "higher"
    return examples(_study, _store, _board, models, key, higher=higher)


# Choices: the widgets keep them in the session under these names after a prefix; a link brings them.

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


def _settled(name: str, options: Sequence[str] | None = None, usual: str | None = None) -> str:
    """Session key of a choice, holding an allowed value: from a new link, else from the session, else the default."""
    setting = replace(SETTINGS[name], allowed=options)
    link.settle(GROUP, {name: setting if usual is None else replace(setting, usual=usual)}, PREFIX)
    return f"{PREFIX}{name}"


def _role_and_metric(roles: list[str], keys: list[str]) -> tuple[str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
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
        st.selectbox(
            "Order",
            list(ORDERS),
            format_func=lambda order: ORDERS[order],
            key=_settled("order", list(ORDERS)),
            persist_state="session",
            width=190,
        )
    return role, metric


def _filters(shown: Examples, study: Study, role: str) -> tuple[ExampleFilter, list[str]]:
    text = study.modality == "text"
    names = outcome_names(role)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        find = st.text_input(
            "Find",
            key=_settled("find"),
            icon=":material/search:",
            placeholder="Regular expression",
            persist_state="session",
            help="Searches prompts, reference answers and the answers of the selected models; case is ignored.",
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
        subject = _slice(shown, "Subject", "subject")
        tag = _slice(shown, "Tag", "tag")
    offered = [name for name in COLUMNS if text or name in ("value", "change")]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        columns = st.pills(
            "Columns",
            offered,
            default=["answer", "value"] if text else ["value", "change"],
            format_func=lambda name: COLUMNS[name],
            selection_mode="multi",
            key=f"examples_columns_{study.modality}",
            persist_state="session",
            label_visibility="collapsed",
            width="content",
        )
        different = st.toggle(
            "Only where a model differs", key=_settled("different"), persist_state="session"
        )
    order = str(st.session_state["examples_order"])
    return ExampleFilter(find or "", frozenset(outcomes or ()), subject, tag, different, order), list(
        columns or ()
    )


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


def _counts(shown: Examples, study: Study, role: str, key: str, board: Scoreboard) -> None:
    """Improved, same, worse and kinds of answers by model, over all probes of the role."""
    counts = against_original(shown)
    if counts.empty:
        st.caption("Select another model to see what changed.")
        return
    names = outcome_names(role)
    number = partial(st.column_config.NumberColumn, format="%.3f")
    config = {
        "model": st.column_config.TextColumn("Model", pinned=True),
        "better": st.column_config.NumberColumn(
            "Better", help="Probes on which the metric is better than the original’s"
        ),
        "same": st.column_config.NumberColumn("Same", help="Equal to three decimals"),
        "worse": st.column_config.NumberColumn("Worse"),
        "mean": number("Mean change", format="%+.3f", help="Against the original, on the same probes"),
        "low": number("low", format="%+.3f", help=INTERVAL_HELP),
        "high": number("high", format="%+.3f", help=INTERVAL_HELP),
        "effect": st.column_config.NumberColumn(
            "Effect",
            help="Mean change over the standard deviation of the changes (Cohen’s d_z): 0.2 is called small, 0.8 "
            "large. “all equal”: every probe changed by the same amount, so there is no such ratio",
        ),
        "p": number(
            "p",
            format="%.2g",
            help="p-value of the mean change, by the test that also gives the interval: paired sign-flip test (exact "
            "McNemar for yes/no metrics), and bootstrap-t where values are skewed. Below 0.05 exactly where the "
            "interval leaves out 0",
        ),
        "holm": number(
            "p (Holm)", format="%.2g", help="The same p-value, corrected for the number of models"
        ),
        **{kind: st.column_config.NumberColumn(words.capitalize()) for kind, words in names.items()},
    }
    order = ["model", "better", "same", "worse", "mean", "low", "high", "effect", "p", "holm"]
    st.dataframe(
        _readable(counts),
        hide_index=True,
        column_order=[*order, *names] if study.modality == "text" else order,
        column_config=config,
        key="examples_counts",
        placeholder="–",
    )
    said = remarks(counts)
    if said:
        st.caption(said)
    table_export(counts, f"{state.study_name()}-changes", key="examples_counts")
    band = _noise(state.board_name(), store().version(), key, board, study, store())
    if band is not None:
        st.caption(
            f"Seed variance: between two seeds of the original this mean moves by at most ±{band.half:.3f} (95 %, "
            f"{band.pairs} pairs of seeds). A smaller change is within the noise."
        )


def _readable(counts: pd.DataFrame) -> Styler:
    """The table with “all equal” for an effect that has no spread, and no ends where they cannot be told."""
    shown = counts.assign(model=counts["model"].map(visible))
    ends = ["low", "high"]
    shown[ends] = shown[ends].where(np.isfinite(shown[ends].to_numpy(float)))
    return shown.style.format({"effect": effect_text})


@st.cache_resource(max_entries=32, show_spinner=False)
def _noise(
    name: str, version: int, key: str, _board: Scoreboard, _study: Study, _store: Store
) -> NoiseBand | None:
    return noise_band(_study, _store, key, _board.numerics)


def _rows(
    shown: Examples, rows: pd.Index[str], columns: list[str], role: str, key: str, study: Study
) -> None:
    if rows.empty:
        st.info("No probe fits these filters.", icon=":material/filter_alt_off:")
        return
    ids = list(rows)
    widget = f"examples_rows_{state.study_name()}_{key}"
    held = st.session_state.get(widget) or {"selection": {"rows": []}}
    chosen = [ids[row] for row in held["selection"]["rows"] if row < len(ids)]
    metric = MetricKey.parse(key).name
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{len(ids):,} of {len(shown.probes):,} probes. Select a row, then:", width="content")
        if st.button(
            "Open in Compare",
            icon=":material/compare:",
            type="primary",
            disabled=not chosen,
            key="examples_open",
        ):
            state.open_in_compare(chosen[0], state.chosen_models())
        for label, make in (("CSV", as_csv), ("JSONL", as_jsonl)):
            st.download_button(
                label,
                partial(make, shown, ids, metric, study.protocol if study.modality == "text" else ""),
                file_name=f"{state.study_name()}-{role}-{metric}.{label.lower()}",
                icon=":material/download:",
                on_click="ignore",
            )
    if role == "holdout" and "answer" in columns and not shown.answers.ne("").any(axis=None):
        st.caption(HOLDOUT_NOT_WRITTEN)
    shown_rows = table(shown, ids, columns, role)
    config: dict[str, Any] = {}
    flat: dict[str, pd.Series[object]] = {}
    for (model, what), column in shown_rows.items():
        name = f"{model}: {what}" if model else what
        flat[name] = column
        label = {
            "prompt": "Prompt",
            "reference": "Reference",
            "answer": visible(model),
            "outcome": f"{visible(model)} is",
            "value": visible(model) if "answer" not in columns else "value",
            "change": f"Δ {visible(model)}",
        }[what]
        if what in ("value", "change"):
            number = "%.3f" if what == "value" else "%+.3f"
            config[name] = st.column_config.NumberColumn(
                label, format=number, help=f"{literal(model)}: {what}"
            )
        else:
            width = WIDTHS[what]
            config[name] = st.column_config.TextColumn(label, width=width, pinned=what == "prompt" or None)
    if not shown.probes["reference"].any():
        flat.pop("reference")
    height = ANSWER_HEIGHT if "answer" in columns else VALUE_HEIGHT
    st.dataframe(
        pd.DataFrame(flat),
        hide_index=True,
        column_config=config,
        height=min(TABLE_HEIGHT, height * (len(ids) + 1)),
        row_height=height,
        on_select="rerun",
        selection_mode="single-row",
        key=widget,
        placeholder="–",
    )


page()
