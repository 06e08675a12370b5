"""The page's address: the one module that reads and writes it, for links, reloads, Back and Forward.

What is shown lives in Streamlit's session. The frame (`app/shared/board_link.py`) and the pages say which names they
have in the address; here they are encoded and decoded. An address is taken over when the browser brings it: with the
first run of a session, and after Back or Forward, then whole, so that what it does not name is as usual. In every other
run the session is right: the browser may send the address of a step before. Streamlit's own binding of widgets to the
address is not used, because it forbids to leave the page from code, as "Open in Compare" does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.looks.safe_text import literal

_HELD = "link.held"
_ON, _OFF = "yes", "no"
_WHOLE: ContextVar[_Held | None] = ContextVar("link.whole", default=None)  # set while a whole page runs

Value = str | bool | list[str] | None
Link = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name in the address whose value is more than a widget's.

    Attributes:
        name: in the address.
        take: takes over what a link says; returns a sentence where that is not to be had, else "".
        give: what stands in the address for what is shown; nothing where it is as it would be anyway.
        reset: makes it as it is where the address does not name it.
        decisive: where it is not to be had, the rest of the link means nothing here.
        foreign: whether texts are not meant for it, as a page has a parameter of the same name.
    """

    name: str
    take: Callable[[list[str]], str]
    give: Callable[[], list[str]]
    reset: Callable[[], None]
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


@dataclass(slots=True)
class _Held:
    """What the session knows of its address.

    Attributes:
        page: the page that it is of.
        address: what stands in it, or will when the run of the whole page has ended.
        brought: the browser brought it; else the session made it.
        back: it was brought by Back or Forward.
        taken: what was taken over of it. A run may be stopped before all is, and the next one goes on.
    """

    page: str
    address: Link
    brought: bool = False
    back: bool = False
    taken: set[tuple[str, str]] = field(default_factory=set)

    def takes(self, group: str, name: str = "") -> bool:
        """Whether a name that the browser brought is to be taken over, which holds once."""
        new = self.brought and (group, name) not in self.taken
        self.taken.add((group, name))
        return new


@contextmanager
def whole_page(page: str) -> Iterator[None]:
    """Around a run of a whole page: what is written meanwhile goes to the browser at its end, as one step of history.

    A step that was stopped by another before it was shown is none.

    Args:
        page: which one.
    """
    held: _Held | None = st.session_state.get(_HELD)
    back = by_history()
    if held is None or back or held.page != page:
        held = _Held(page, address(), brought=held is None or back, back=back)
        st.session_state[_HELD] = held
    token = _WHOLE.set(held)
    try:
        yield
    finally:
        _WHOLE.reset(token)
    # What an earlier step still wrote may have replaced the address that Back led to; it is said again.
    _send(held, again=back)


def by_history() -> bool:
    """Whether this run was asked for by Back or Forward; Streamlit says so on the context of the run only."""
    return bool(getattr(get_script_run_ctx(suppress_warning=True), "is_history_navigation", False))


def is_new() -> bool:
    """Whether this session has shown no page yet."""
    return _HELD not in st.session_state


def address() -> Link:
    """The whole address of this run."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def read(group: str, parameters: Sequence[Parameter]) -> list[str]:
    """Take over an address that the browser brought.

    Args:
        group: whose parameters these are.
        parameters: in the order in which they are taken over.

    Returns:
        What the link asks for and is not here, a sentence each; what was shown before, or the usual, stays.
    """
    held = _held()
    if not held.takes(group):
        return []
    missing = []
    for each in parameters:
        texts = st.query_params.get_all(each.name)
        if each.name in st.query_params:
            said = "" if each.foreign and each.foreign(texts) else each.take(texts)
            missing += [said] if said else []
            if said and each.decisive:
                break
        elif held.back:
            each.reset()
    return missing


def write(parameters: Sequence[Parameter]) -> None:
    """Put what is shown into the address, leaving out what is as it would be anyway."""
    held = _held()
    _put(
        {
            each.name: each.give()
            for each in parameters
            if not (each.foreign and each.name in held.address and each.foreign(held.address[each.name]))
        }
    )


def settle(group: str, settings: Mapping[str, LinkSetting], prefix: str = "") -> None:
    """Give every widget a value that exists: from an address that the browser brought, else as it was, else as usual.

    Args:
        group: whose settings these are.
        settings: by their names in the address.
        prefix: before the name of a setting in the session.
    """
    held = _held()
    missed = {}
    for name, setting in settings.items():
        key = f"{prefix}{name}"
        asked = st.session_state.get(key, setting.usual)
        if held.takes(group, name):
            if name in st.query_params:
                texts = st.query_params.get_all(name)
                asked, missed[name] = setting.read(texts), setting.missed(texts)
            elif held.back:
                asked = setting.usual
        st.session_state[key] = setting.sound(asked)
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


def _held() -> _Held:
    return _WHOLE.get() or st.session_state.get(_HELD) or _Held("", address())


def _put(wanted: Link) -> None:
    held = _held()
    for name, texts in wanted.items():
        if texts:
            held.address[name] = texts
        else:
            held.address.pop(name, None)
    if _WHOLE.get() is None:
        _send(held)


def _send(held: _Held, *, again: bool = False) -> None:
    """Give the browser the address as the session has it; it may still have that of a step before."""
    stands = address()
    if again or stands != held.address:
        st.query_params.from_dict(stands if stands == held.address else held.address)
