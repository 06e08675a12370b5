"""Looking through a whole store: whether rows, cells and pictures are as they were written, and what is unused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select

from cache.store import codec, schema
from cache.store.image_files import ImageFiles
from cache.store.interface import BrokenPage, Store
from cache.store.named_pictures import pictures_named
from cache.store.rows import Row, is_sound, rows_of, rows_with

CELLS_AT_ONCE = 32
TABLES = tuple(name for name in schema.metadata.tables if name not in ("meta", "damage", "cells", "evidence"))
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class CheckFindings:
    """What was found of one kind of things.

    Attributes:
        whole: how many are as they were written.
        damaged: how many are not, or cannot be read.
        missing: pictures that evidence names and that are not there.
        unused: how many are whole and nothing needs them.
        unused_bytes: what these take.
    """

    whole: int = 0
    damaged: int = 0
    missing: int = 0
    unused: int = 0
    unused_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CacheCheck:
    """What was found.

    Attributes:
        faults: what the database says of its pages and indices, a line each.
        kinds: table, "evidence" or "pictures" -> what was found; evidence is counted by its pieces.
    """

    faults: tuple[str, ...]
    kinds: Mapping[str, CheckFindings]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.faults and not any(each.damaged or each.missing for each in self.kinds.values())


def check(store: Store, progress: Progress = lambda what, done, total: None) -> CacheCheck:
    """Look through everything. Cells that are damaged are marked, so that they count as missing from then on.

    Args:
        store: may be open elsewhere.
        progress: hears what is looked at, how much of it is done, and how much there is.

    Raises:
        StoreError: the store cannot be read at all, or the marks cannot be written.
    """
    said = tuple(store.faults())
    kinds = {name: _rows(store, name) for name in TABLES}
    images = ImageFiles(store.path.parent / "images")
    kinds["evidence"], named = _evidence(store, progress)
    kinds["pictures"] = _pictures(images, named, progress)
    return CacheCheck(said, kinds)


def _rows(store: Store, name: str) -> CheckFindings:
    table = schema.metadata.tables[name]
    found = CheckFindings()
    try:
        for batch in rows_of(store, table):
            whole = sum(row is not None and is_sound(table, row) for row in batch)
            found.whole += whole
            found.damaged += len(batch) - whole
    except BrokenPage:  # not even its keys can be read
        found.damaged += 1
    return found


def _evidence(store: Store, progress: Progress) -> tuple[CheckFindings, set[str]]:
    """What was found of the evidence, and the pictures that it names."""
    index, contexts = schema.evidence, schema.contexts
    places: dict[int, list[int]] = {}
    try:
        with store.reading() as connection:
            kinds = {row[0]: row[1] for row in connection.execute(select(contexts.c.id, contexts.c.kind))}
            for cell, row in connection.execute(select(index.c.cell, index.c.row)):
                places.setdefault(cell, []).append(row)
            marked = set(connection.execute(select(schema.damage.c.cell)).scalars())
    except BrokenPage:
        return CheckFindings(damaged=1), set()
    found = CheckFindings()
    named: set[str] = set()
    whole: set[int] = set()
    cells = sorted({*places, *_listed_cells(store)})
    for start in range(0, len(cells), CELLS_AT_ONCE):
        some = cells[start : start + CELLS_AT_ONCE]
        for row in filter(None, rows_with(store, schema.cells, [(cell,) for cell in some])):
            wanted = places.get(row["id"], [])
            pictures = _pictures_of(row, kinds, wanted)
            if pictures is not None and row["id"] not in marked:
                whole.add(row["id"])
                named.update(pictures)
                if not wanted:
                    found.unused += 1
                    found.unused_bytes += len(row["payload"])
        progress("evidence", start + len(some), len(cells))
    for cell, rows in places.items():
        if cell in whole:
            found.whole += len(rows)
        else:
            found.damaged += len(rows)
    _mark(store, places.keys() - whole - marked)
    return found, named


def _listed_cells(store: Store) -> list[int]:
    """Numbers of all cells; none where they cannot be listed, as those that evidence names are looked at anyway."""
    try:
        with store.reading() as connection:
            return list(connection.execute(select(schema.cells.c.id)).scalars())
    except BrokenPage:
        return []


def _pictures_of(row: Row, kinds: Mapping[int, str], wanted: list[int]) -> set[str] | None:
    """Pictures that a cell names for these of its rows; None where the cell is damaged."""
    if not is_sound(schema.cells, row) or row["context"] not in kinds:
        return None
    try:
        named = pictures_named(kinds[row["context"]], row["payload"], wanted)
    except codec.DamagedCell:
        return None
    return {digest for digests in named for digest in digests}


def _mark(store: Store, cells: Iterable[int]) -> None:
    new = [{"cell": cell} for cell in sorted(cells)]
    if not new:
        return
    with store.writing() as connection:
        known = set(connection.execute(select(schema.damage.c.cell)).scalars())
        rows = [row for row in new if row["cell"] not in known]
        if rows:
            connection.execute(insert(schema.damage), rows)


def _pictures(images: ImageFiles, named: set[str], progress: Progress) -> CheckFindings:
    found = CheckFindings()
    for done, digest in enumerate(sorted(named), 1):
        if images.intact(digest):
            found.whole += 1
        elif images.path(digest).exists():
            found.damaged += 1
        else:
            found.missing += 1
        progress("pictures", done, len(named))
    for path in _files(images.folder):
        if path.stem not in named:
            found.unused += 1
            found.unused_bytes += path.stat().st_size
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("??/*.png")) if path.is_file())
