"""The page's address: the one module that reads and writes it, so that a reload or a link shows the same.

What is shown lives in Streamlit's session. The frame (`app/shared/board_link.py`) and the pages say which names they
have in the address; here they are encoded, decoded and kept apart from what this session wrote itself, which is known
already. Streamlit's own binding of widgets to the address is not used, because it forbids to leave the page from code,
as "Open in Compare" does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from app.looks.safe_text import literal

_SEEN = "link.seen"
_ON, _OFF = "yes", "no"

Value = str | bool | list[str] | None
Link = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name in the address whose value is more than a widget's.

    Attributes:
        name: in the address.
        take: takes over what a link says; returns a sentence where that is not to be had, else "".
        give: what stands in the address for what is shown; nothing where it is as it would be anyway.
        decisive: where it is not to be had, the rest of the link means nothing here.
        foreign: whether texts are not meant for it, as a page has a parameter of the same name.
    """

    name: str
    take: Callable[[list[str]], str]
    give: Callable[[], list[str]]
    decisive: bool = False
    foreign: Callable[[list[str]], bool] | None = None


@dataclass(frozen=True, slots=True)
class LinkSetting:
    """A name in the address that is a widget's value.

    Attributes:
        usual: its value until somebody chooses; also tells its kind: text, flag or list.
        allowed: values (or members of a list) that exist; None allows every text.
        always: it stands in the address also where it is as usual.
        shared: the frame has a parameter of the same name, so what does not exist is not missed.
    """

    usual: Value
    allowed: Collection[str] | None = None
    always: bool = False
    shared: bool = False

    def sound(self, value: object) -> Value:
        """The value as far as it exists, else the default."""
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
        """What stands in the address for a value; nothing where it is the default."""
        if value is None or (value == self.usual and not self.always):
            return []
        if isinstance(value, list):
            return value or [""]
        return [(_ON if value else _OFF) if isinstance(value, bool) else value]

    def missed(self, texts: list[str]) -> list[str]:
        """What an address asks for that does not exist."""
        if self.shared or self.allowed is None or isinstance(self.usual, bool):
            return []
        wanted = [text for text in texts if text] if isinstance(self.usual, list) else texts[-1:]
        return [text for text in wanted if text not in self.allowed]


def read(group: str, parameters: Sequence[Parameter]) -> list[str]:
    """Take over what a link says; nothing where the address says only what this session wrote or read before.

    Args:
        group: whose parameters these are.
        parameters: in the order in which they are taken over; they belong together, so all of a new link are.

    Returns:
        What the link asks for and is not here, a sentence each; what was shown before, or the usual, stays.
    """
    address = _address(each.name for each in parameters)
    known = {each.name: each for each in parameters}
    link = {
        name: texts
        for name, texts in address.items()
        if not ((foreign := known[name].foreign) and foreign(texts))
    }
    if not _news(group, link):
        return []
    missing = []
    for each in parameters:
        said = each.take(link[each.name]) if each.name in link else ""
        missing += [said] if said else []
        if said and each.decisive:
            break
    return missing


def write(parameters: Sequence[Parameter]) -> None:
    """Put what is shown into the address, leaving out what is as it would be anyway."""
    _put(
        {
            each.name: each.give()
            for each in parameters
            if not (
                each.foreign
                and each.name in st.query_params
                and each.foreign(st.query_params.get_all(each.name))
            )
        }
    )


def settle(group: str, settings: Mapping[str, LinkSetting], prefix: str = "") -> None:
    """Give every widget a value that exists: from a new link, else as it was, else as usual.

    Args:
        group: whose settings these are.
        settings: by their names in the address.
        prefix: before the name of a setting in the session.
    """
    link = _news(group, _address(settings))
    missed = {}
    for name, setting in settings.items():
        key = f"{prefix}{name}"
        asked = setting.read(link[name]) if name in link else st.session_state.get(key, setting.usual)
        st.session_state[key] = setting.sound(asked)
        missed[name] = setting.missed(link[name]) if name in link else []
    say(
        f"The link asks for {name} {', '.join(texts)}, which is not here."
        for name, texts in missed.items()
        if texts
    )


def write_settings(settings: Mapping[str, LinkSetting], prefix: str = "") -> None:
    """Put the widgets' values into the address, leaving out those that are as usual; arguments as for `settle`."""
    _put({name: each.write(st.session_state.get(f"{prefix}{name}")) for name, each in settings.items()})


def say(missing: Iterable[str]) -> None:
    """Tell what a link asks for and is not here."""
    for sentence in missing:
        st.toast(literal(sentence), icon=":material/link_off:", duration="long")


def _address(names: Iterable[str]) -> Link:
    """What the address says of these names."""
    return {name: st.query_params.get_all(name) for name in names if name in st.query_params}


def _put(wanted: Link) -> None:
    for name, texts in wanted.items():
        if texts and st.query_params.get_all(name) != texts:
            st.query_params[name] = texts
        elif not texts and name in st.query_params:
            del st.query_params[name]
    _remember("", {name: texts for name, texts in wanted.items() if texts})


def _news(group: str, link: Link) -> Link:
    """What this session neither wrote nor took over for this group before."""
    seen: dict[tuple[str, str], list[list[str]]] = st.session_state.get(_SEEN, {})
    news = {
        name: texts
        for name, texts in link.items()
        if texts not in seen.get(("", name), []) and texts not in seen.get((group, name), [])
    }
    _remember(group, news)
    return news


def _remember(group: str, link: Link) -> None:
    """Of the empty group is what this session wrote, which is no group's news."""
    seen: dict[tuple[str, str], list[list[str]]] = st.session_state.setdefault(_SEEN, {})
    for name, texts in link.items():
        known = seen.setdefault((group, name), [])
        if texts not in known:
            known.append(texts)
