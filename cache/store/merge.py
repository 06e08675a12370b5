"""Taking over another store. Every table has a rule, so nothing that only the other one has is lost.

Rows are told by what they are about (`Rule.key`), never by their numbers, which differ from store to store. All rows
come in one transaction; pictures come before it, so that no row names a picture that is not there. Taking over the
same store again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, select, tuple_, update

from cache.store import codec, schema
from cache.store.image_files import CopiedImages, ImageFiles
from cache.store.interface import BrokenPage, Store
from cache.store.named_pictures import pictures_named
from cache.store.rows import Row, is_sound, rows_of, rows_with
from cache.store.runs import RunRecord

Progress = Callable[[str, int, int], None]
"""What comes ("pictures"), how many are done, how many there are."""
CELLS_AT_ONCE = 32
Numbers = dict[str, dict[Any, Any]]
"""Table -> their primary key -> ours."""


def _later(row: Row) -> float:
    return float(row["created"])


def _further(row: Row) -> tuple[int, str]:
    """A run that was carried further goes before a newer one that was stopped."""
    run = RunRecord.from_row(row["key"], row["record"])
    return (0, "") if run is None else (run.n_done, run.created)


@dataclass(frozen=True, slots=True)
class Rule:
    """How rows of a table come together with those of another store.

    Attributes:
        key: columns that say what a row is about.
        rank: of two rows about the same thing the one with the higher rank stays; None keeps ours, as both say the
            same or only we can say it.
    """

    key: tuple[str, ...]
    rank: Callable[[Row], Any] | None = None


RULES: Mapping[str, Rule] = {
    "contexts": Rule(("key",)),
    "runs": Rule(("key",), _further),
    "memos": Rule(("key",)),
    "result_metrics": Rule(("names",)),
    "results": Rule(("key",)),
    "result_examples": Rule(("key",)),
    "networks": Rule(("digest",)),
    "features": Rule(("network", "subject"), _later),
}
EVIDENCE = ("cells", "evidence")
"""Evidence comes cell by cell: of each probe the newest stays, as where it is put."""
OWN = ("meta", "damage")
"""What a store says of itself."""
_POINTED_AT = {
    pointer.column.table.name for table in schema.metadata.tables.values() for pointer in table.foreign_keys
}


@dataclass(slots=True)
class Counts:
    """What became of the rows of a table, or of the pieces of evidence.

    Attributes:
        new: that only the other store had.
        mended: that were damaged here.
        newer: where both had another one and theirs stays.
        older: where both had another one and ours stays.
        damaged: of theirs, which were left out.
    """

    new: int = 0
    mended: int = 0
    newer: int = 0
    older: int = 0
    damaged: int = 0

    @property
    def taken(self) -> int:
        """How many came."""
        return self.new + self.mended + self.newer


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What taking over a store changed.

    Attributes:
        tables: table -> counts; "evidence" counts pieces of evidence.
        pictures: files.
    """

    tables: Mapping[str, Counts]
    pictures: CopiedImages

    @property
    def taken(self) -> int:
        """How many rows, pieces of evidence and pictures came."""
        return sum(each.taken for each in self.tables.values()) + self.pictures.new

    @property
    def damaged(self) -> dict[str, int]:
        """Table, "evidence" or "pictures" -> how many of theirs were left out."""
        return {name: each.damaged for name, each in self.tables.items()} | {
            "pictures": self.pictures.damaged
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a store.

    Attributes:
        contexts: key of every context that is part of it -> digests of its evidence; None is all of that context's.
        rows: table -> which of its rows; none of a table that is not named.
    """

    contexts: Mapping[str, Collection[str] | None]
    rows: Mapping[str, Callable[[Row], bool]] = field(default_factory=dict)

    def has(self, table: str, row: Row) -> bool:
        """Whether a row is part of it."""
        if table == "contexts":
            return row["key"] in self.contexts
        return table in self.rows and self.rows[table](row)


class _NothingWritten(Exception):
    """Ends a transaction in which nothing was written, so that nothing else is said to have changed."""


def merge(
    store: Store,
    other: Store,
    pictures: Path | None = None,
    progress: Progress = lambda what, done, total: None,
    only: Selection | None = None,
) -> MergeResult:
    """Take over everything that another store has and this one lacks, or has an older or damaged one of.

    Args:
        store: is added to.
        other: of the same version, see `other.opened`; is only read.
        pictures: the folder of its pictures, where that is not `images` beside it.
        progress: hears how far it is.
        only: what is taken over; pictures are then left where they are.

    Raises:
        StoreError: either store cannot be used.
    """
    own = other.path.parent / "images"
    images = ImageFiles(own if only else store.path.parent / "images")
    copied = CopiedImages(0, 0)
    # The copy of an older store has pictures of its own: strips that stood in other files beside its database.
    for folder in () if only else dict.fromkeys((pictures or own, own)):
        new, damaged = images.copy_from(folder, lambda *count: progress("pictures", *count))
        copied = CopiedImages(copied.new + new, copied.damaged + damaged)
    counts = {name: Counts() for name in (*RULES, "evidence")}
    try:
        with store.writing() as connection:
            numbers: Numbers = {}
            for table in schema.metadata.sorted_tables:
                if table.name in RULES:
                    _merge_table(connection, other, table, numbers, counts[table.name], only)
            evidence = _Evidence(connection, store, other, images, counts["evidence"], only)
            evidence.merge(numbers["contexts"], lambda *count: progress("evidence", *count))
            if not sum(each.taken for each in counts.values()):
                raise _NothingWritten
    except _NothingWritten:
        pass
    return MergeResult(counts, copied)


def _merge_table(
    connection: Connection,
    other: Store,
    table: Table,
    numbers: Numbers,
    counts: Counts,
    only: Selection | None,
) -> None:
    rule = RULES[table.name]
    numbered = _numbered(table)
    primary = next(iter(table.primary_key.columns)).name
    known = numbers.setdefault(table.name, {}) if table.name in _POINTED_AT else None
    for batch in rows_of(other, table):
        theirs: dict[tuple[Any, ...], tuple[Any, dict[str, Any]]] = {}
        for row in batch:
            if row is not None and only is not None and not only.has(table.name, row):
                continue
            translated = None if row is None or not is_sound(table, row) else _translated(table, row, numbers)
            if row is None or translated is None:
                counts.damaged += 1
                continue
            number = translated.pop(numbered) if numbered else row[primary]
            theirs[tuple(translated[name] for name in rule.key)] = number, translated
        ours = _ours(connection, table, rule, list(theirs))
        missing = [row for key, (_, row) in theirs.items() if key not in ours]
        if missing:
            connection.execute(insert(table), missing)
            counts.new += len(missing)
        for key, (_, row) in theirs.items():
            if key in ours and _takes_place_of(table, rule, row, ours[key], counts):
                same = and_(*(table.c[name] == row[name] for name in rule.key))
                connection.execute(update(table).where(same).values(**row))
        if known is not None:
            ours |= _ours(connection, table, rule, [key for key in theirs if key not in ours])
            known.update((number, ours[key][primary]) for key, (number, _) in theirs.items())


def _takes_place_of(table: Table, rule: Rule, theirs: Row, ours: Row, counts: Counts) -> bool:
    """Whether their row takes the place of ours about the same thing."""
    if not is_sound(table, ours):
        counts.mended += 1
        return True
    compared = ["checksum"] if "checksum" in table.columns else list(theirs)
    if rule.rank is None or all(theirs[name] == ours[name] for name in compared):
        return False
    if rule.rank(theirs) > rule.rank(ours):
        counts.newer += 1
        return True
    counts.older += 1
    return False


def _ours(
    connection: Connection, table: Table, rule: Rule, keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], Row]:
    if not keys:
        return {}
    query = select(table).where(tuple_(*(table.c[name] for name in rule.key)).in_(keys))
    return {tuple(row[name] for name in rule.key): row for row in connection.execute(query).mappings()}


def _numbered(table: Table) -> str:
    """The primary key, where it is a number that only says which row it is; else ""."""
    (first, *more) = table.primary_key.columns
    return "" if more or first.name in RULES[table.name].key else first.name


def _translated(table: Table, row: Row, numbers: Numbers) -> dict[str, Any] | None:
    """The row with our numbers in the place of theirs; None where it points at a row that did not come."""
    values = dict(row)
    for column in table.columns:
        for pointer in column.foreign_keys:
            known = numbers[pointer.column.table.name]
            if row[column.name] not in known:
                return None
            values[column.name] = known[row[column.name]]
    return values


class _EvidencePlace(NamedTuple):
    """Where a piece of evidence lies."""

    cell: int
    row: int
    created: float
    checksum: str
    sound: bool


class _MissingEvidence(NamedTuple):
    """A piece of evidence that is to come."""

    digest: str
    row: int
    becomes: str
    """What it counts as: "new", "mended" or "newer"."""


@dataclass(slots=True)
class _Evidence:
    """Takes over evidence within a transaction."""

    connection: Connection
    store: Store
    other: Store
    images: ImageFiles
    counts: Counts
    only: Selection | None
    wanted: dict[int, list[_MissingEvidence]] = field(default_factory=dict)
    """Their cell -> what is taken from it."""
    owners: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Their cell -> our context and the kind of what is in it."""

    def merge(self, contexts: Mapping[int, int], progress: Callable[[int, int], None]) -> None:
        """Choose what is newer there, then copy the cells that hold it; `contexts`: their number -> ours."""
        table = schema.contexts
        with self.other.reading() as connection:
            heads = connection.execute(select(table.c.id, table.c.kind, table.c.key))
            told = {number: (kind, key) for number, kind, key in heads}
        here, there = _Index(self.store), _Index(self.other)
        for theirs, ours in contexts.items():
            kind, key = told[theirs]
            pieces = there.of(theirs)
            wanted = None if self.only is None else self.only.contexts[key]
            if wanted is not None:
                pieces = {digest: piece for digest, piece in pieces.items() if digest in wanted}
            self._choose(here.of(ours), pieces, ours, kind)
        cells = sorted(self.wanted)
        for start in range(0, len(cells), CELLS_AT_ONCE):
            some = cells[start : start + CELLS_AT_ONCE]
            rows = {
                row["id"]: row for row in rows_with(self.other, schema.cells, [(n,) for n in some]) if row
            }
            for number in some:
                self._copy(number, rows.get(number))
            progress(start + len(some), len(cells))

    def _choose(
        self, ours: Mapping[str, _EvidencePlace], theirs: Mapping[str, _EvidencePlace], owner: int, kind: str
    ) -> None:
        """Note what is taken of a context's evidence; `owner` is our number of the context."""
        for digest, piece in theirs.items():
            mine = ours.get(digest)
            if not piece.sound:
                self.counts.damaged += 1
                continue
            if mine is None or not mine.sound:
                becomes = "new" if mine is None else "mended"
            elif mine.checksum == piece.checksum or mine.created == piece.created:
                continue
            elif mine.created > piece.created:
                self.counts.older += 1
                continue
            else:
                becomes = "newer"
            self.wanted.setdefault(piece.cell, []).append(_MissingEvidence(digest, piece.row, becomes))
            self.owners[piece.cell] = owner, kind

    def _copy(self, number: int, row: Row | None) -> None:
        (owner, kind), wanted = self.owners[number], self.wanted[number]
        kept = wanted if row is not None and is_sound(schema.cells, row) else []
        if row is not None and kept:
            readable = _readable(kind, row["payload"], [each.row for each in wanted], self.images)
            kept = [each for each in wanted if each.row in readable]
        self.counts.damaged += len(wanted) - len(kept)
        if row is None or not kept:
            return
        values = {name: row[name] for name in ("created", "checksum", "payload")}
        made = insert(schema.cells).values(context=owner, **values).returning(schema.cells.c.id)
        cell = int(self.connection.execute(made).scalar_one())
        index = schema.evidence
        if old := [{"probe": each.digest} for each in kept if each.becomes != "new"]:
            same = and_(index.c.context == owner, index.c.digest == bindparam("probe"))
            self.connection.execute(delete(index).where(same), old)
        self.connection.execute(
            insert(index),
            [{"context": owner, "digest": each.digest, "cell": cell, "row": each.row} for each in kept],
        )
        for each in kept:
            setattr(self.counts, each.becomes, getattr(self.counts, each.becomes) + 1)


class _Index:
    """Where the evidence of a store lies."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.reading() as connection:
            self._marked = set(connection.execute(select(schema.damage.c.cell)).scalars())
            self._used = set(connection.execute(select(schema.evidence.c.context).distinct()).scalars())

    def of(self, context: int) -> dict[str, _EvidencePlace]:
        """Digest -> where its evidence in a context lies."""
        if context not in self._used:
            return {}
        index = schema.evidence
        query = select(index.c.digest, index.c.cell, index.c.row).where(index.c.context == context)
        with self._store.reading() as connection:
            places = connection.execute(query).all()
        cells = self._cells(context, sorted({cell for _, cell, _ in places}))
        result: dict[str, _EvidencePlace] = {}
        for digest, cell, row in places:
            created, checksum = cells.get(cell, (None, None))
            if isinstance(row, int) and isinstance(created, int | float) and isinstance(checksum, str):
                result[digest] = _EvidencePlace(cell, row, created, checksum, cell not in self._marked)
            else:
                result[digest] = _EvidencePlace(cell, 0, 0.0, "", sound=False)
        return result

    def _cells(self, context: int, wanted: Sequence[int]) -> dict[int, tuple[Any, Any]]:
        """Cell -> when it was written, and its checksum, of the cells of a context that can be read."""
        table = schema.cells
        heads = select(table.c.id, table.c.created, table.c.checksum).where(table.c.context == context)
        try:
            with self._store.reading() as connection:
                return {row[0]: (row[1], row[2]) for row in connection.execute(heads)}
        except BrokenPage:  # what is on the other pages is read cell by cell
            found = rows_with(self._store, table, [(cell,) for cell in wanted])
            return {
                row["id"]: (row["created"], row["checksum"])
                for row in found
                if row is not None and row["context"] == context
            }


def _readable(kind: str, payload: bytes, rows: Sequence[int], images: ImageFiles) -> set[int]:
    """Those of the rows of a cell that can be read and whose pictures are here."""
    try:
        named = pictures_named(kind, payload, rows)
    except codec.DamagedCell:
        return set()
    return {row for row, digests in zip(rows, named, strict=True) if all(map(images.intact, digests))}
