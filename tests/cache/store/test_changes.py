"""A store tells that something is new without reading it, whoever wrote it."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from backends.evidence import Answer, TextEvidence
from cache.store import Store, open_store
from cache.store.keys import Context

ANSWERS = Context("answers", "weights", "tokenizer", "corrected/1", "{}", "float32", 1)
OTHER = Context("answers", "other weights", "tokenizer", "corrected/1", "{}", "float32", 1)


def said(text: str) -> TextEvidence:
    return TextEvidence({}, (Answer(text, 1, "stop", 0, 0.5),), math.nan)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "evidence.sqlite")
    store.register(ANSWERS)
    store.put_text(ANSWERS.key, [("a", said("one")), ("b", said("two"))])
    return store


def other_process(store: Store) -> Store:
    return open_store(store.path)


def test_what_another_process_writes_is_seen(store: Store) -> None:
    before = store.version()
    assert store.version() == before
    other_process(store).put_text(ANSWERS.key, [("c", said("three"))])
    assert store.version() > before


def test_a_context_that_another_process_registers_is_seen(store: Store) -> None:
    assert [each.key for each in store.contexts()] == [ANSWERS.key]
    other_process(store).register(OTHER)
    assert [each.key for each in store.contexts()] == [ANSWERS.key, OTHER.key]
    assert [each.key for each in store.contexts("answers", "other weights")] == [OTHER.key]
    assert not store.contexts("scores", "weights")


def test_nothing_is_read_while_nothing_is_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version, contexts = store.version(), store.contexts()
    monkeypatch.setattr(type(store), "reading", lambda _: pytest.fail("the database was read"))
    assert store.version() == version
    assert store.contexts() == contexts


def test_a_store_that_was_closed_and_written_elsewhere_is_read_anew(store: Store) -> None:
    before = store.version()
    store.close()
    other = other_process(store)
    other.put_text(ANSWERS.key, [("c", said("three"))])
    other.close()
    assert store.version() > before


def test_the_state_of_a_context_changes_with_its_evidence_and_with_nothing_else(store: Store) -> None:
    def state() -> str:
        return store.states([ANSWERS.key])[ANSWERS.key]

    before = state()
    store.register(OTHER)
    store.put_text(OTHER.key, [("a", said("elsewhere"))])
    store.put_memo("numbers", b"derived")
    assert state() == before
    store.put_text(ANSWERS.key, [("c", said("three"))])
    added = state()
    assert added != before
    store.put_text(ANSWERS.key, [("a", said("another"))])
    assert state() not in (before, added)


def test_the_state_of_a_context_tells_which_probe_has_which_evidence(tmp_path: Path) -> None:
    states = []
    for digest in ("a", "b"):
        store = open_store(tmp_path / digest / "evidence.sqlite")
        store.register(ANSWERS)
        store.put_text(ANSWERS.key, [(digest, said("the same"))])
        states.append(store.states([ANSWERS.key])[ANSWERS.key])
    assert states[0] != states[1]


def test_the_state_of_a_context_changes_when_a_cell_is_damaged(store: Store) -> None:
    before = store.states([ANSWERS.key])[ANSWERS.key]
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE cells SET payload = x'00'")
    damaged = other_process(store)
    assert damaged.text(ANSWERS.key, ["a"]) == {}
    assert damaged.states([ANSWERS.key])[ANSWERS.key] == ""
    assert before


def test_a_context_without_evidence_has_no_state(store: Store) -> None:
    assert store.states([OTHER.key, ANSWERS.key])[OTHER.key] == ""
    store.register(OTHER)
    assert store.states([OTHER.key])[OTHER.key] == ""


def test_derived_numbers_are_kept_and_read_several_at_a_time(store: Store) -> None:
    store.put_memos({"one": b"1", "two": b"2"})
    assert store.memos(["two", "one", "three"]) == {"one": b"1", "two": b"2"}
    assert store.memo("one") == b"1"
    assert store.memos([]) == {}
