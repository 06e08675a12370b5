"""What a person types around a prompt becomes the probe that is asked, and stands in the address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.shared.conversation import NOTHING_MORE, Conversation, turns_as_text, turns_in
from app.shared.resources import studies
from backends.study import RAW_TEXT, Probe

TURNS = (("user", "Who is Ada?"), ("assistant", "A poet.\nOf Faro."))


def test_typed_turns_are_read_back() -> None:
    assert turns_in(turns_as_text(TURNS)) == TURNS
    assert turns_in("USER : a\n\nAssistant: b") == (("user", "a"), ("assistant", "b"))
    assert turns_in("  \n") == ()
    assert turns_in("hello\nuser: a") is None


def test_what_a_probe_brings() -> None:
    probe = Probe("a", "forget", "Q?", turns=(("system", "S"), *TURNS), answer_prefix="It", format=RAW_TEXT)
    found = Conversation.of(probe)
    assert found == Conversation("S", TURNS, "It", True)
    assert found.all_turns == probe.turns
    assert Conversation.of(Probe("a", "forget", "Q?")) == NOTHING_MORE == Conversation.of(None)


def page() -> None:
    import streamlit as st

    from app.shared import link, state
    from app.shared.board_link import read_link, write_link

    with link.whole_page("compare"):
        read_link()
        write_link()
    st.session_state["told"] = state.asked()
    st.session_state["address"] = dict(st.query_params.to_dict())


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path))
    studies.clear()
    yield
    studies.clear()


def test_a_link_asks_the_same_conversation_again() -> None:
    name = next(name for name, study in studies().items() if study.modality == "text")
    probe = next(iter(studies()[name].probe_sets)).probes[0]
    said = {"system": "Be brief.", "turns": turns_as_text(TURNS), "begun": "Sure,", "raw": "yes"}
    app = AppTest.from_function(page, default_timeout=120)
    for key, value in {"study": name, "probe": probe.id, **said}.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    asked: Probe = app.session_state["told"]
    assert (asked.prompt, asked.role, asked.answer) == (probe.prompt, "mine", "")
    assert asked.turns == (("system", "Be brief."), *TURNS)
    assert (asked.answer_prefix, asked.format) == ("Sure,", RAW_TEXT)
    assert said.items() <= app.session_state["address"].items()


def test_without_anything_typed_the_probe_itself_is_asked() -> None:
    name = next(name for name, study in studies().items() if study.modality == "text")
    app = AppTest.from_function(page, default_timeout=120)
    app.query_params["study"] = name
    app.run()
    assert app.session_state["told"] in studies()[name].probe_sets[0].probes
    assert not {"system", "turns", "begun", "raw"} & app.session_state["address"].keys()
