"""What the Trade-offs page shows, as part of its address: axes, marker size, turning, chosen model.

The page's widgets keep these values in the session under the same names. Streamlit's own binding of widgets to the
address is not used, because it forbids to leave the page from code, as "Open in Compare" does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import streamlit as st

NO_SIZE = "none"
RUN = "run"
_NAMES = ("x", "y", "size", "turn", RUN)
_WRITTEN = "tradeoffs.written"


def settle(axes: tuple[str, str], keys: Collection[str], models: Collection[str]) -> None:
    """Give every widget a value that exists: from a new link, else as it was, else as usual.

    Args:
        axes: usual keys of the x and the y axis.
        keys: metrics that can be chosen.
        models: names that can be chosen.
    """
    link = _new_link()
    usual: dict[str, object] = {"x": axes[0], "y": axes[1], "size": NO_SIZE, "turn": True, RUN: None}
    allowed: dict[str, Collection[object]] = {
        "x": set(keys),
        "y": set(keys),
        "size": {NO_SIZE, *keys},
        "turn": {True, False},
        RUN: {None, *models},
    }
    for name, value in usual.items():
        asked = link.get(name, st.session_state.get(name, value))
        st.session_state[name] = asked if asked in allowed[name] else value


def write(axes: tuple[str, str]) -> None:
    """Put what is shown into the address, leaving out what is as usual."""
    shown = {name: st.session_state.get(name) for name in _NAMES}
    link = {
        "x": shown["x"] if shown["x"] != axes[0] else None,
        "y": shown["y"] if shown["y"] != axes[1] else None,
        "size": shown["size"] if shown["size"] != NO_SIZE else None,
        "turn": None if shown["turn"] else "no",
        RUN: shown[RUN],
    }
    wanted = {name: str(value) for name, value in link.items() if value is not None}
    for name in _NAMES:
        if name in wanted and st.query_params.get(name) != wanted[name]:
            st.query_params[name] = wanted[name]
        elif name not in wanted and name in st.query_params:
            del st.query_params[name]
    _remember(wanted)


def _new_link() -> Mapping[str, object]:
    """What the address asks for, unless this session wrote it itself: that is old news."""
    link = {name: st.query_params[name] for name in _NAMES if name in st.query_params}
    if not link or link in st.session_state.get(_WRITTEN, []):
        return {}
    _remember(link)
    return link | ({"turn": link["turn"] != "no"} if "turn" in link else {})


def _remember(link: dict[str, str]) -> None:
    written = st.session_state.setdefault(_WRITTEN, [])
    if link not in written:
        written.append(link)
