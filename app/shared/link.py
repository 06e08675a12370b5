"""What the Trade-offs page shows, as part of its address: axes, view, options, chosen runs, layers, filters.

The page's widgets keep these values in the session under the same names. Streamlit's own binding of widgets to the
address is not used, because it forbids to leave the page from code, as "Open in Compare" does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import streamlit as st

NO_SIZE = "none"
RUNS = "run"
"""Names of the runs that are looked into."""
_SEEN = "tradeoffs.seen"
_ON, _OFF = "yes", "no"

Value = str | bool | list[str] | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One choice of the page.

    Attributes:
        usual: its value until somebody chooses; also tells its kind: text, flag or list.
        allowed: values (or members of a list) that exist; None allows every text.
    """

    usual: Value
    allowed: Collection[str] | None = None

    def sound(self, value: object) -> Value:
        """The value as far as it exists, else the usual one."""
        if isinstance(self.usual, bool):
            return value if isinstance(value, bool) else self.usual
        if isinstance(self.usual, list):
            members = value if isinstance(value, list) else self.usual
            return [each for each in members if self.allowed is None or each in self.allowed]
        known = isinstance(value, str) and (self.allowed is None or value in self.allowed)
        return value if known and isinstance(value, str) else self.usual

    def read(self, texts: list[str]) -> Value:
        """What stands in an address, as a value."""
        if isinstance(self.usual, list):
            return [text for text in texts if text]
        return texts[-1] == _ON if isinstance(self.usual, bool) else texts[-1]

    def write(self, value: Value) -> list[str]:
        """What stands in the address for a value; nothing where it is the usual one."""
        if value == self.usual or value is None:
            return []
        if isinstance(value, list):
            return value or [""]
        return [(_ON if value else _OFF) if isinstance(value, bool) else value]


def settle(settings: Mapping[str, Setting]) -> None:
    """Give every widget a value that exists: from a new link, else as it was, else as usual."""
    link = _new_link(settings)
    for name, setting in settings.items():
        asked = setting.read(link[name]) if name in link else st.session_state.get(name, setting.usual)
        st.session_state[name] = setting.sound(asked)


def write(settings: Mapping[str, Setting]) -> None:
    """Put what is shown into the address, leaving out what is as usual."""
    wanted = {name: setting.write(st.session_state.get(name)) for name, setting in settings.items()}
    for name, texts in wanted.items():
        if texts and st.query_params.get_all(name) != texts:
            st.query_params[name] = texts
        elif not texts and name in st.query_params:
            del st.query_params[name]
    _remember({name: texts for name, texts in wanted.items() if texts})


def _new_link(settings: Mapping[str, Setting]) -> dict[str, list[str]]:
    """What the address asks for, unless this session wrote or read it before: that is old news."""
    link = {name: st.query_params.get_all(name) for name in settings if name in st.query_params}
    seen = st.session_state.get(_SEEN, {})
    news = {name: texts for name, texts in link.items() if texts not in seen.get(name, [])}
    _remember(news)
    return news


def _remember(link: Mapping[str, list[str]]) -> None:
    seen: dict[str, list[list[str]]] = st.session_state.setdefault(_SEEN, {})
    for name, texts in link.items():
        if texts not in seen.setdefault(name, []):
            seen[name].append(texts)
