"""What is asked for again is not made again, and not more is kept than has room."""

from __future__ import annotations

from pathlib import Path

from cache.analysis.in_memory import InMemory, in_memory
from cache.store import open_store


def test_a_value_is_made_once() -> None:
    memory, made = InMemory(), []

    def make() -> str:
        made.append("value")
        return "value"

    assert [memory.get("key", make, len) for _ in range(3)] == ["value"] * 3
    assert made == ["value"]


def test_the_least_recently_used_is_forgotten_where_there_is_no_room() -> None:
    memory = InMemory(most=10)
    made: list[str] = []

    def ask(key: str) -> None:
        def make() -> str:
            made.append(key)
            return key * 4

        assert memory.get(key, make, len) == key * 4

    for key in ("a", "b", "a", "c"):
        ask(key)
    made.clear()
    ask("a")
    ask("c")
    assert made == []
    ask("b")
    assert made == ["b"]


def test_one_value_that_is_larger_than_the_room_is_kept_until_another_comes() -> None:
    memory = InMemory(most=3)
    assert memory.get("large", lambda: "large", len) == "large"
    assert memory.get("large", lambda: "made again", len) == "large"


def test_every_store_has_its_own(tmp_path: Path) -> None:
    one, two = (open_store(tmp_path / name / "evidence.sqlite") for name in ("one", "two"))
    assert in_memory(one) is in_memory(one)
    assert in_memory(one) is not in_memory(two)
