"""The store: evidence, runs and derived numbers in one SQLite file, images beside it.

One call of `put_text` or `put_images` is one cell and one transaction: after a kill, all of it is there or none. The
newest evidence of a probe wins. A cell whose checksum fails counts as missing, so the next evaluation replaces it.
Several processes may have one store open; each waits for the other's short transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DatabaseError

from backends.errors import StoreError
from backends.evidence import ImageEvidence, TextEvidence
from cache.store import codec, schema
from cache.store.image_files import ImageFiles
from cache.store.keys import Context
from cache.store.runs import RunRecord

Evidence = TypeVar("Evidence")
_CONTEXT_FIELDS = tuple(field.name for field in fields(Context))

_DAMAGED = select(schema.damage.c.cell)


class _Place(NamedTuple):
    digest: str
    row: int


class Store:
    """One cache. Thread-safe: every call takes its own connection from the engine's pool."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.path = path
        self._engine = engine
        self._images = ImageFiles(path.parent / "images")
        self._verified: set[int] = set()
        self._contexts: dict[int, Context] = {}
        self._numbers: dict[str, int] = {}
        self._broken: set[int] = set()
        self._lock = Lock()  # pages and the worker share one store; protects the three above

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store, made where it is new.

        Args:
            path: the database file; images go into `images/` beside it.

        Raises:
            StoreError: read-only, full, damaged, another program's file, or of a newer version.
        """
        return cls(schema.open_engine(path), path)

    def close(self) -> None:
        """Give back all connections. Needed only before the file is moved."""
        self._engine.dispose()

    def seal(self) -> None:
        """Make the database one small file without companions, fit to be shipped or mailed; then close it.

        Raises:
            StoreError: the file cannot be written, or is open elsewhere.
        """
        cells = schema.cells
        used = select(schema.evidence.c.cell)
        with self.writing(news=False) as connection:
            connection.execute(delete(cells).where(cells.c.id.not_in(used), cells.c.id.not_in(_DAMAGED)))
        self.close()  # leaving the write-ahead log needs the file for itself, idle connections included
        with self.reading() as connection:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
        self.close()

    # Contexts

    def register(self, context: Context) -> str:
        """Remember what a context's key stands for, before evidence is put under it; returns the key."""
        if context.key not in {known.key for known in self.contexts()}:
            values = {name: getattr(context, name) for name in _CONTEXT_FIELDS}
            with self.writing(news=False) as connection:
                statement = sqlite_insert(schema.contexts).values(key=context.key, **values)
                connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=values))
        return context.key

    def contexts(self) -> list[Context]:
        """All contexts that were registered, oldest first; a damaged one is left out until it is registered again."""
        table = schema.contexts
        query = select(table.c.id, table.c.key, *(table.c[name] for name in _CONTEXT_FIELDS))
        with self._lock:
            # Contexts are never changed or removed, so only those that came since the last call are read.
            new = table.c.id > max(self._contexts, default=0)
            with self.reading() as connection:
                for number, key, *values in connection.execute(
                    query.where(new | table.c.id.in_(self._broken))
                ):
                    context = Context(*values)
                    if all(isinstance(value, str | int) for value in values) and context.key == key:
                        self._contexts[number] = context
                        self._numbers[context.key] = number
                        self._broken.discard(number)
                    else:
                        self._broken.add(number)
            return [self._contexts[number] for number in sorted(self._contexts)]

    # Evidence

    def missing(self, context: str, digests: Sequence[str]) -> list[str]:
        """Those of the digests that have no readable evidence in this context, in the order given, each once."""
        cells = self._cells_of(context, digests)
        self._verify([cell for cell in cells if cell not in self._verified])
        sound = {place.digest for cell, places in cells.items() if cell in self._verified for place in places}
        if sound and self._contexts[self._numbers[context]].kind == "images":
            sound = set(self.images(context, sorted(sound)))
        return [digest for digest in dict.fromkeys(digests) if digest not in sound]

    def put_text(self, context: str, rows: Sequence[tuple[str, TextEvidence]]) -> None:
        """Store one batch of text evidence: probe digest and evidence. All of it or, when killed, nothing.

        Raises:
            StoreError: the store cannot be written.
        """
        self._put(context, [digest for digest, _ in rows], codec.encode_text([found for _, found in rows]))

    def put_images(self, context: str, rows: Sequence[tuple[str, ImageEvidence, bytes]]) -> None:
        """Store one batch of image evidence: probe digest, evidence, PNG. Files first, then the rows that name them.

        Raises:
            StoreError: the store cannot be written.
        """
        for _, found, png in rows:
            if self._images.write(png) != found.image:
                raise ValueError(f"image {found.image} is not the hash of its PNG")
        self._put(
            context, [digest for digest, _, _ in rows], codec.encode_images([found for _, found, _ in rows])
        )

    def text(self, context: str, digests: Sequence[str], *, pieces: bool = True) -> dict[str, TextEvidence]:
        """Text evidence that is there, by digest. `pieces=False` leaves out what only pages need, and is quicker."""
        return self._get(
            context, digests, lambda payload, rows: codec.decode_text(payload, rows, pieces=pieces)
        )

    def images(self, context: str, digests: Sequence[str]) -> dict[str, ImageEvidence]:
        """Image evidence that is there and whose file is intact, by digest."""
        found = self._get(context, digests, codec.decode_images)
        return {digest: item for digest, item in found.items() if self._images.intact(item.image)}

    def image_path(self, digest: str) -> Path:
        """PNG file of an image.

        Raises:
            StoreError: it was deleted.
        """
        path = self._images.path(digest)
        if not path.is_file():
            raise StoreError(
                "this image was deleted", where=str(path), how="Reload the page and make it again"
            )
        return path

    def thumbnail_path(self, digest: str) -> Path:
        """A small version of an image for boards of many; the image itself where that is small.

        Raises:
            StoreError: the image was deleted.
        """
        self.image_path(digest)
        return self._images.thumbnail(digest)

    def stamps(self, contexts: Sequence[str]) -> dict[str, dict[str, str]]:
        """For each context, digest -> checksum of the cell that holds it: changes when the evidence does."""
        index, cells, table = schema.evidence, schema.cells, schema.contexts
        query = (
            select(table.c.key, index.c.digest, cells.c.checksum)
            .join_from(index, cells, index.c.cell == cells.c.id)
            .join(table, index.c.context == table.c.id)
            .where(index.c.cell.not_in(_DAMAGED), table.c.key.in_(contexts))
        )
        found: dict[str, dict[str, str]] = {key: {} for key in contexts}
        with self.reading() as connection:
            for key, digest, checksum in connection.execute(query):
                found[key][digest] = checksum
        return found

    def damaged(self) -> int:
        """Pieces of evidence and runs that were found damaged and have not been computed again since."""
        index = schema.evidence
        self.contexts()
        broken = index.c.cell.in_(_DAMAGED) | index.c.context.in_(self._broken)
        query = select(func.count()).select_from(index).where(broken)
        with self.reading() as connection:
            runs = connection.execute(select(schema.runs.c.key, schema.runs.c.record)).all()
            return int(connection.execute(query).scalar_one()) + sum(
                RunRecord.from_row(*row) is None for row in runs
            )

    # Runs, derived numbers

    def put_run(self, run: RunRecord) -> None:
        """Store a run; one of the same key is replaced."""
        record = run.to_json()
        row = {"key": run.key, "study": run.study, "created": run.created, "record": record}
        with self.writing(size=len(record)) as connection:
            connection.execute(delete(schema.runs).where(schema.runs.c.key == run.key))
            connection.execute(insert(schema.runs), row)

    def runs(self, study: str | None = None) -> list[RunRecord]:
        """Runs of one study, or all, newest first; damaged ones are left out."""
        table = schema.runs.c
        query = select(table.key, table.record).order_by(table.created.desc(), table.key)
        if study is not None:
            query = query.where(schema.runs.c.study == study)
        with self.reading() as connection:
            found = [RunRecord.from_row(*row) for row in connection.execute(query)]
        return [run for run in found if run is not None]

    def memo(self, key: str) -> bytes | None:
        """Derived numbers that were kept under this key; None where none or damaged."""
        query = select(schema.memos.c.checksum, schema.memos.c.payload).where(schema.memos.c.key == key)
        with self.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None or codec.checksum(row.payload) != row.checksum else bytes(row.payload)

    def memo_keys(self, prefix: str) -> list[str]:
        """Keys of derived numbers that begin so, in order."""
        column = schema.memos.c.key
        with self.reading() as connection:
            return list(
                connection.execute(select(column).where(column.startswith(prefix)).order_by(column)).scalars()
            )

    def put_memo(self, key: str, payload: bytes) -> None:
        """Keep derived numbers. Does not change `version`: nothing new became known."""
        row = {"key": key, "checksum": codec.checksum(payload), "payload": payload}
        with self.writing(news=False, size=len(payload)) as connection:
            connection.execute(delete(schema.memos).where(schema.memos.c.key == key))
            connection.execute(insert(schema.memos), row)

    def version(self) -> int:
        """A number that grows whenever evidence or runs were written, by any process."""
        with self.reading() as connection:
            query = select(schema.meta.c.value).where(schema.meta.c.key == "version")
            value = connection.execute(query).scalar_one_or_none()
        return int(value) if value is not None and str(value).isdecimal() else 0  # the next write mends it

    # Connections

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with; StoreError where the database cannot be read."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise schema.explain(error, self.path) from error

    @contextmanager
    def writing(self, *, news: bool = True, size: int = 0) -> Iterator[Connection]:
        """A transaction of `size` bytes, 0 where unknown; `news`: `version` grows. StoreError: it cannot be written."""
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                if news:
                    connection.exec_driver_sql(schema.GROW_VERSION)
        except DatabaseError as error:
            raise schema.explain(error, self.path, size) from error

    # Inside

    def _number(self, context: str) -> int | None:
        """A context's row; None where it is unknown or damaged. Asks the database only about those not seen yet."""
        if context not in self._numbers:
            self.contexts()
        return self._numbers.get(context)

    def _put(self, context: str, digests: Sequence[str], payload: bytes) -> None:
        if not digests:
            return
        index = schema.evidence
        owner = self._number(context)
        if owner is None:
            raise ValueError(f"context {context} was not registered")
        with self.writing(size=len(payload)) as connection:
            row = {"context": owner, "created": time.time(), "payload": payload}
            made = (
                insert(schema.cells)
                .values(checksum=codec.checksum(payload), **row)
                .returning(schema.cells.c.id)
            )
            cell = int(connection.execute(made).scalar_one())
            newest = {digest: row for row, digest in enumerate(digests)}
            connection.execute(
                delete(index).where(index.c.context == owner, index.c.digest == bindparam("old")),
                [{"old": digest} for digest in newest],
            )
            connection.execute(
                insert(index),
                [{"context": owner, "digest": key, "cell": cell, "row": row} for key, row in newest.items()],
            )
        self._verified.add(cell)

    def _cells_of(self, context: str, digests: Sequence[str]) -> dict[int, list[_Place]]:
        """Undamaged cells of the context that hold any of the digests, and where in them."""
        index, owner = schema.evidence, self._number(context)
        if owner is None:
            return {}
        query = select(index.c.digest, index.c.cell, index.c.row).where(
            index.c.context == owner, index.c.cell.not_in(_DAMAGED)
        )
        if len(digests) <= 500:
            query = query.where(index.c.digest.in_(digests))
        wanted = set(digests)
        found: dict[int, list[_Place]] = {}
        with self.reading() as connection:
            for digest, cell, row in connection.execute(query):
                if digest in wanted:
                    found.setdefault(cell, []).append(_Place(digest, row))
        return found

    def _get(
        self,
        context: str,
        digests: Sequence[str],
        decode: Callable[[bytes, Sequence[int]], list[Evidence]],
    ) -> dict[str, Evidence]:
        cells = self._cells_of(context, digests)
        found: dict[str, Evidence] = {}
        for cell, payload in self._payloads(list(cells)):
            places = cells[cell]
            try:
                items = decode(payload, [place.row for place in places])
            except codec.DamagedCell:
                self._mark_damaged([cell])
                continue
            found.update(zip((place.digest for place in places), items, strict=True))
        return {digest: found[digest] for digest in digests if digest in found}

    def _payloads(self, cells: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Payloads of the cells whose checksum holds; the others are marked as damaged."""
        broken: list[int] = []
        for cell, checksum, payload in self._rows(cells):
            if payload is not None and codec.checksum(payload) == checksum:
                self._verified.add(cell)
                yield cell, payload
            else:
                broken.append(cell)
        if broken:
            self._mark_damaged(broken)

    def _rows(self, cells: Sequence[int]) -> Iterable[tuple[int, str, bytes | None]]:
        """Cell, checksum, payload; payload None where the database itself cannot read it."""
        table = schema.cells
        query = select(table.c.id, table.c.checksum, table.c.payload)
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.execute(query.where(table.c.id.in_(cells)))]
        except DatabaseError as error:
            if "malformed" not in str(error.orig):
                raise schema.explain(error, self.path) from error
        found: list[tuple[int, str, bytes | None]] = []
        for cell in cells:
            try:
                with self._engine.connect() as connection:
                    row = connection.execute(query.where(table.c.id == cell)).one_or_none()
                    found.append((cell, "", None) if row is None else tuple(row))
            except DatabaseError:
                found.append((cell, "", None))
        return found

    def _verify(self, cells: Sequence[int]) -> None:
        for _ in self._payloads(cells) if cells else ():
            pass

    def _mark_damaged(self, cells: Sequence[int]) -> None:
        with self.writing() as connection:
            known = sqlite_insert(schema.damage).on_conflict_do_nothing()
            connection.execute(known, [{"cell": cell} for cell in cells])
        self._verified.difference_update(cells)
