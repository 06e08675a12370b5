"""The runs that were chosen on the chart: details of one, two compared, several listed with what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import pandas as pd
import streamlit as st

from app.charts.choices import card_of, in_order, per_example, role_of, title
from app.charts.points import Axis, p_values_shown
from app.looks.safe_text import cell_text, literal, visible
from app.pages.tradeoffs.imported_run import imported_examples, imported_run_panel
from app.pages.tradeoffs.selected_model import selected_model
from app.pages.tradeoffs.settings import RUNS
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.difference_words import difference_text
from app.shared.resources import store
from backends.study import Study
from backends.study.inference import described
from backends.study.targets import target_name
from cache.analysis.board import Board
from cache.analysis.differences import RunDifference, difference, differing
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_board import STUDY
from cache.store.results import LOG_KEY, NOTES, result

MOST_OPTIONS = 400
"""Runs that the list offers; more are chosen on the chart or found by the filter."""
MOST_LISTED = 12
FEW = 3
CHANGED_SHOWN = 6


def chosen_runs(runs: Board, board: Scoreboard, study: Study, x: Axis, y: Axis) -> list[str]:
    """The panel beside the chart; returns the names of the chosen runs."""
    names = list(runs.heads["model"])
    held = [name for name in st.session_state.get(RUNS, []) if name in set(names)]
    options = names if len(names) <= MOST_OPTIONS else list(dict.fromkeys([*held, *names[:MOST_OPTIONS]]))
    st.session_state[RUNS] = held
    chosen: list[str] = st.multiselect(
        "Runs",
        options,
        key=RUNS,
        persist_state="session",
        placeholder="Click a point, or select runs",
        format_func=visible,
    )
    if not chosen:
        st.caption(
            "One run: its values compared with the original and the probes that changed most. Two: a paired test of "
            "their difference. More: the settings in which they differ."
        )
        return []
    own = own_runs(runs)
    if len(chosen) == 1:
        if chosen[0] in own:
            selected_model(board, study, chosen[0], x, y)
        else:
            imported_run_panel(runs, chosen[0], x, y)
    elif len(chosen) == 2:
        _pair(runs, board, study, chosen, x, y)
    else:
        _several(runs, chosen, x, y)
    _settings(runs, study, chosen)
    _onwards(study, [name for name in chosen if name in own])
    return chosen


def own_runs(runs: Board) -> set[str]:
    """Names of the study's own runs on the board; an imported run may be called as a model of the study."""
    return set(runs.heads.loc[runs.heads["layer"] == STUDY, "model"])


def _pair(runs: Board, board: Scoreboard, study: Study, chosen: Sequence[str], x: Axis, y: Axis) -> None:
    """Two runs on the same probes: difference with interval and test, and the probes that differ most."""
    _several(runs, chosen, x, y)
    keys = [key for key in in_order(runs.known()) if per_example(key)]
    usual = next((axis.key for axis in (x, y) if axis.key in keys), keys[0] if keys else None)
    if usual is None:
        return
    key = st.selectbox("Compared by", keys, index=keys.index(usual), format_func=title, key=f"pair_{usual}")
    first, second = (_values(runs, board, name, key) for name in chosen)
    # Other tools number their examples: number 3 of one collection has nothing to do with number 3 of another.
    together = runs.heads.loc[runs.heads["model"].isin(chosen), "layer"].nunique() == 1
    subjects = {probe.id: probe.subject for each in study.probe_sets for probe in each.probes}
    own = set(chosen) <= own_runs(runs)
    comparison = (
        difference(first, second, subjects=subjects if own else None, reach=card_of(key).reach)
        if together
        else None
    )
    if comparison is None:
        reason = "no probe with a value for both" if together else "different collections of probes"
        st.caption(f"The two have {reason}, so no test is possible.")
        return
    st.text(_worded(comparison, chosen, key))
    table = comparison.table.reindex(
        comparison.table["difference"].abs().sort_values(ascending=False).index
    ).head(CHANGED_SHOWN)
    labels = {probe.id: probe.label for each in study.probe_sets for probe in each.probes}
    shown = pd.DataFrame(
        {
            "Probe": [cell_text(labels.get(str(probe), str(probe))) for probe in table.index],
            visible(chosen[0]): table["first"].to_numpy(),
            visible(chosen[1]): table["second"].to_numpy(),
            "Difference": table["difference"].to_numpy(),
        }
    )
    worded = shown.astype(object)
    for name in shown.columns[1:]:
        form = "{:+.3f}" if name == "Difference" else "{:.3f}"
        worded[name] = [form.format(value) for value in shown[name]]
    _whole(worded.set_index("Probe"))
    shared = [name for name in chosen if name in own_runs(runs)]
    if len(shared) == 2:
        st.button(
            "Open the first probe in Compare",
            icon=":material/compare:",
            on_click=partial(_remember_probe, str(table.index[0]), [*chosen_models(), *shared]),
            key="pair_open",
        )
        if st.session_state.pop("pair_go", False):
            st.switch_page(state.COMPARE_PAGE)


def _remember_probe(probe: str, models: list[str]) -> None:
    state.show_probe(probe)
    state.choose_models(models)
    st.session_state["pair_go"] = True


def _worded(comparison: RunDifference, names: Sequence[str], key: str) -> str:
    way = card_of(key).direction(role_of(key))
    better = (
        ""
        if way in ("zero", "neutral") or comparison.mean == 0
        else names[int((comparison.mean > 0) == (way == "higher"))]
    )
    verdict = (
        f"{visible(better)} is better" if better and comparison.p_value < 0.05 else "No clear difference"
    )
    return f"{verdict}: {difference_text(comparison)}."


def _several(runs: Board, chosen: Sequence[str], x: Axis, y: Axis) -> None:
    """Their values on the axes."""
    heads = runs.heads.set_index("model")
    names = list(chosen)[:MOST_LISTED]
    places = [list(runs.heads["model"]).index(name) for name in names]
    table = pd.DataFrame(
        {
            "Run": [cell_text(name) for name in names],
            "Layer": heads.loc[names, "layer"].map(cell_text).to_numpy(),
            x.name: runs.column(x.key)[places],
            y.name: runs.column(y.key)[places],
        }
    )
    if table["Layer"].nunique() == 1:
        table = table.drop(columns="Layer")
    number = st.column_config.NumberColumn(format="%.3f")
    if len(names) <= FEW:  # the names of metrics are long, so they stand in rows
        worded = {
            f"{axis.name} ({axis.way})": [
                "–" if pd.isna(value) else axis.number(value) for value in table[axis.name]
            ]
            for axis in (x, y)
        }
        _whole(pd.DataFrame(worded, index=table["Run"]).T)
    else:
        powers = [each.name for each in (x, y) if each.p_value]
        config = {each.name: number for each in (x, y) if not each.p_value}
        shown = p_values_shown(table, powers)
        st.dataframe(shown, hide_index=True, column_config=config, key="chosen_values")
    if len(chosen) > MOST_LISTED:
        st.caption(f"And {len(chosen) - MOST_LISTED} more.")


def _whole(table: pd.DataFrame) -> None:
    """A small table of words whose cells wrap, so that nothing of it is cut."""
    st.table(
        pd.DataFrame(
            [[literal(str(value)) for value in row] for row in table.to_numpy()],
            index=[literal(str(name)) for name in table.index],
            columns=[literal(str(name)) for name in table.columns],
        )
    )


def _settings(runs: Board, study: Study, chosen: Sequence[str]) -> None:
    """Only what differs between the chosen runs."""
    if len(chosen) < 2:
        return
    names = list(chosen)[:MOST_LISTED]
    table = differing({name: _described(runs, study, name) for name in names})
    if table.empty:
        st.caption("Their recorded settings are the same.")
        return
    with st.expander("Settings that differ", expanded=True):
        _whole(table)


def _described(runs: Board, study: Study, name: str) -> dict[str, object]:
    """Everything that is recorded of a run's making."""
    heads = runs.heads.set_index("model").loc[name]
    facts: dict[str, object] = {
        "method": heads["method"],
        "step": heads["step"],
        "protocol": heads["protocol"],
    }
    spec = next((each for each in study.models if each.name == name), None)
    if spec is not None and heads["layer"] == STUDY:
        more = {
            key: value for key, value in asdict(spec).items() if key not in ("name", "note", "fingerprint")
        }
        more |= {
            "forget": target_name(dict(spec.forget)),
            "adapter": _short(spec.adapter),
            "weights": _short(spec.weights),
            "source": _short(spec.source),
            "inference": described(spec.inference),
            "embeddings": ", ".join(_short(file) for _, file in spec.embeddings),
        }
        recorded = [run for run in store().runs(study.name) if run.model == name]
        if recorded:
            more |= {"device": recorded[0].device, "dtype": recorded[0].dtype}
        return facts | {key: value for key, value in more.items() if value not in (None, "")}
    found = result(store(), str(heads["key"])) if isinstance(heads.get("key"), str) else None
    settings = found.settings if found else {}
    return facts | {name: value for name, value in settings.items() if name not in (NOTES, LOG_KEY)}


def _short(path: str | None) -> str:
    """The end of a path, which tells checkpoints apart."""
    return "/".join((path or "").split("/")[-2:])


def _onwards(study: Study, names: Sequence[str]) -> None:
    """To the examples and the prompt, with these models ticked."""
    if not names or len(names) < 2:
        return
    with st.container(horizontal=True):
        if st.button("Compare them", icon=":material/compare:", key="chosen_compare"):
            probe = state.probe()
            state.open_in_compare(probe.id if probe else "", list(names))
        if st.button("All probes in Examples", icon=":material/list_alt:", key="chosen_examples"):
            key = str(st.session_state["x"])
            state.open_in_examples(key, list(names))


def _values(runs: Board, board: Scoreboard, name: str, key: str) -> pd.Series:
    if name in own_runs(runs):
        return board.per_probe(name, key)
    return imported_examples(runs, name, key)
