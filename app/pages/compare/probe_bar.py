"""Going through the probes of the study: by role, one after another, or by search."""

from __future__ import annotations

import streamlit as st

from app.components.step_buttons import step_buttons
from app.looks.names import ROLE_NAMES
from app.looks.safe_text import visible
from app.pages.compare.comparison import found_probes
from app.shared import state
from backends.study import Probe

LIST_LENGTH = 90


def probe_bar() -> None:
    """One line of controls; nothing where the study has no probes."""
    current = state.probe()
    if current is None:
        st.info("This study has no probes. Type a prompt and press Run.", icon=":material/info:")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="probe_bar"):
        _role_choice(current)
        shown = _searched(current)
        _list(current, shown)
        _steps(current, shown)


def place_of(current: Probe) -> str:
    """Where the probe stands, and whom it is about: "Forget probe 3 of 48 · Ada Quill", "… 2 of 4 found · …"."""
    ids, found = ([probe.id for probe in probes] for probes in (state.probes(current.role), _hits(current)))
    counted, end = (found, " found") if current.id in found else (ids, "")
    name = ROLE_NAMES[current.role]
    role = "" if name.lower() == current.role else f" (role {current.role})"
    role += " (never trained on)" if current.role == "holdout" else ""
    subject = f" · {visible(current.subject)}" if current.subject else ""
    return f"{name} probe {counted.index(current.id) + 1} of {len(counted)}{end}{role}{subject}"


def _hits(current: Probe) -> list[Probe]:
    """Probes of the role that the search finds; none without a search."""
    search = st.session_state.get("probe_search") or ""
    return found_probes(state.probes(current.role), search) if search.strip() else []


def _role_choice(current: Probe) -> None:
    st.session_state["role"] = current.role
    st.segmented_control(
        "Probes",
        state.roles(),
        key="role",
        required=True,
        format_func=lambda role: ROLE_NAMES[role],
        label_visibility="collapsed",
        on_change=lambda: state.show_probe(state.probes(st.session_state["role"])[0].id),
    )


def _searched(current: Probe) -> list[Probe]:
    """The role's probes, narrowed by the search box, which tells the number; all of them where nothing fits."""
    search = st.text_input(
        "Search probes",
        key="probe_search",
        placeholder="Search probes",
        label_visibility="collapsed",
        type="search",
        icon=":material/search:",
        on_change=_show_first_found,
        persist_state="session",
        width=150,
    )
    probes, hits = state.probes(current.role), _hits(current)
    if search and search.strip():
        st.caption(f"{len(hits) or 'none'} of {len(probes)} match", width="content")
    return hits or probes


def _show_first_found() -> None:
    """Turn to the first hit: among the probes of this role, else of any."""
    search, current = st.session_state["probe_search"], state.probe()
    if not search or current is None:
        return
    hits = found_probes(state.probes(current.role), search) or found_probes(state.probes(), search)
    if hits:
        state.show_probe(hits[0].id)
    else:
        st.toast(f"No probe of this study contains “{visible(search)[:60]}”.", icon=":material/search_off:")


def _steps(current: Probe, shown: list[Probe]) -> None:
    ids = [probe.id for probe in shown]

    def go(start: str, steps: int) -> None:
        begun = start if start in ids else current.id  # another list may be shown by now
        place = ids.index(begun) if begun in ids else -1
        state.show_probe(ids[min(max(place + steps, 0), len(ids) - 1)])

    step_buttons(current.id, ids.index(current.id) if current.id in ids else -1, len(ids), go)


def _list(current: Probe, shown: list[Probe]) -> None:
    """All probes of the role in one drop-down, which also says "3 of 48"."""
    by_id = {probe.id: probe for probe in shown}
    if current.id not in by_id:
        by_id = {current.id: current} | by_id
    st.session_state["probe_choice"] = current.id
    st.selectbox(
        "Probe",
        list(by_id),
        key="probe_choice",
        format_func=lambda key: visible(by_id[key].label)[:LIST_LENGTH] if key in by_id else str(key),
        on_change=lambda: state.show_probe(st.session_state["probe_choice"]),
        label_visibility="collapsed",
    )
