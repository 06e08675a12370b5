"""SQLite stands in one module, so that another database is one more module like it."""

from __future__ import annotations

import re
from pathlib import Path

CACHE = Path(__file__).parents[3] / "cache"
DIALECT = re.compile(
    r"sqlite3|dialects|sqlite_insert|PRAGMA|user_version|sqlite_master|ON CONFLICT|INSERT OR", re.I
)
STORE = re.compile(r"from cache\.(analysis|evaluate|importers|exporters)")


def test_no_dialect_stands_outside_of_one_module() -> None:
    found = {
        path.relative_to(CACHE).as_posix()
        for path in CACHE.rglob("*.py")
        if DIALECT.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"store/sqlite.py"}


def test_the_store_knows_nothing_of_what_is_made_of_it() -> None:
    for path in (CACHE / "store").glob("*.py"):
        assert not STORE.search(path.read_text(encoding="utf-8")), path.name
