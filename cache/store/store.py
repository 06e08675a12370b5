"""The store: evidence, runs and derived numbers in one database, images beside it. Knows no SQL dialect.

One call of `put_text`, `put_images` or `put_values` is one cell and one transaction: after a kill, all of it is there
or none. The newest evidence of a probe wins. A cell whose checksum fails counts as missing, so the next evaluation
replaces it. Several processes may have one store open; each waits for the other's short transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, delete, func, insert, select

from backends.errors import StoreError
from backends.evidence import ImageEvidence, TextEvidence
from cache.store import codec, schema
from cache.store.cells import CONTEXT_FIELDS, grow_version, put_cell, put_context, replace_rows
from cache.store.codec import TextPart
from cache.store.image_files import ImageFiles
from cache.store.interface import BrokenPage, Database, Store
from cache.store.keys import Context
from cache.store.runs import RunRecord

Evidence = TypeVar("Evidence")
Part = TypeVar("Part", int, str)
_AT_ONCE = 500
"""Cells and contexts of one query; databases take no more than some thousand."""

_DAMAGED = select(schema.damage.c.cell)


class _Place(NamedTuple):
    digest: str
    row: int


class DatabaseStore(Store):
    """One cache, as `interface.Store` says. Every call takes a connection of its own from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._images = ImageFiles(database.path.parent / "images")
        self._verified: set[int] = set()
        self._contexts: dict[int, Context] = {}
        self._numbers: dict[str, int] = {}
        self._broken: set[int] = set()
        self._alike: dict[tuple[str, str], list[Context]] = {}  # kind and fingerprint -> contexts
        self._seen: dict[str, tuple[int, int]] = {}  # what was read -> the database's changes before that
        self._version = 0
        self._lock = Lock()  # pages and the worker share one store; protects all above

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._database.path

    def close(self) -> None:
        """Give back all connections. Needed only before the file is moved."""
        self._database.close()

    def seal(self) -> None:
        """Make the database one small file without companions, fit to be shipped or mailed; then close it."""
        cells = schema.cells
        used = select(schema.evidence.c.cell)
        with self.writing(news=False) as connection:
            connection.execute(delete(cells).where(cells.c.id.not_in(used), cells.c.id.not_in(_DAMAGED)))
        self._database.compact()

    # Contexts

    def register(self, context: Context) -> str:
        """Remember what a context's key stands for, before evidence is put under it; returns the key."""
        if self._number(context.key) is None:
            with self.writing(news=False) as connection:
                put_context(connection, context)
        return context.key

    def contexts(self, kind: str = "", fingerprint: str = "") -> list[Context]:
        """All contexts that were registered, or those of a kind and a model's weights, oldest first."""
        with self._lock:
            self._read_contexts()
            if kind:
                return list(self._alike.get((kind, fingerprint), ()))
            return [self._contexts[number] for number in sorted(self._contexts)]

    def _read_contexts(self) -> None:
        changes = self._database.changes()
        if self._seen.get("contexts") == changes:
            return
        table = schema.contexts
        query = select(table.c.id, table.c.key, *(table.c[name] for name in CONTEXT_FIELDS))
        # Contexts are never changed or removed, so only those that came since the last call are read.
        new = table.c.id > max(self._contexts, default=0)
        with self.reading() as connection:
            for number, key, *values in connection.execute(query.where(new | table.c.id.in_(self._broken))):
                context = Context(*values)
                if all(isinstance(value, str | int) for value in values) and context.key == key:
                    self._contexts[number] = context
                    self._numbers[context.key] = number
                    self._broken.discard(number)
                else:
                    self._broken.add(number)
        self._seen["contexts"] = changes
        self._alike.clear()
        for number in sorted(self._contexts):
            context = self._contexts[number]
            self._alike.setdefault((context.kind, context.fingerprint), []).append(context)

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
        """Store one batch of text evidence: probe digest and evidence. All of it or, when killed, nothing."""
        self._put(context, [digest for digest, _ in rows], codec.encode_text([found for _, found in rows]))

    def put_images(self, context: str, rows: Sequence[tuple[str, ImageEvidence, bytes]]) -> None:
        """Store one batch of image evidence: probe digest, evidence, PNG. Files first, then the rows that name them."""
        for _, found, png in rows:
            if self._images.write(png) != found.image:
                raise ValueError(f"image {found.image} is not the hash of its PNG")
        self._put(
            context, [digest for digest, _, _ in rows], codec.encode_images([found for _, found, _ in rows])
        )

    def put_values(self, context: str, values: Mapping[str, object]) -> None:
        """Store one batch of what is said in JSON, by digest; nothing is written where the same is kept already."""
        kept = self._get(context, list(values), codec.decode_values)
        new = {
            digest: value for digest, value in values.items() if digest not in kept or kept[digest] != value
        }
        self._put(context, list(new), codec.encode_values(list(new.values())))

    def text(
        self, context: str, digests: Sequence[str], *, pieces: bool = True, only: TextPart = ""
    ) -> dict[str, TextEvidence]:
        """Text evidence that is there, by digest. `pieces` and `only` leave out parts, which is quicker (`codec`)."""
        return self._get(
            context, digests, lambda payload, rows: codec.decode_text(payload, rows, pieces=pieces, only=only)
        )

    def images(self, context: str, digests: Sequence[str]) -> dict[str, ImageEvidence]:
        """Image evidence that is there and whose file is intact, by digest."""
        found = self._get(context, digests, codec.decode_images)
        return {digest: item for digest, item in found.items() if self._images.intact(item.image)}

    def values(self, contexts: Sequence[str]) -> dict[str, dict[str, object]]:
        """Everything that is kept in JSON under each of these contexts, by digest, in the order in which it was put."""
        found: dict[str, dict[str, object]] = {context: {} for context in contexts}
        numbers = {number: key for key in found if (number := self._number(key)) is not None}
        index = schema.evidence
        query = (
            select(index.c.cell, index.c.context, index.c.digest, index.c.row)
            .where(index.c.cell.not_in(_DAMAGED))
            .order_by(index.c.cell, index.c.row)
        )
        places: dict[int, list[tuple[str, _Place]]] = {}
        with self.reading() as connection:
            for some in _parts(list(numbers)):
                for cell, context, digest, row in connection.execute(query.where(index.c.context.in_(some))):
                    places.setdefault(cell, []).append((numbers[context], _Place(digest, row)))
        for cell, payload in self._payloads(list(places)):
            try:
                values = codec.decode_values(payload, [place.row for _, place in places[cell]])
            except codec.DamagedCell:
                self._mark_damaged([cell])
                continue
            for (context, place), value in zip(places[cell], values, strict=True):
                found[context][place.digest] = value
        return found

    def put_picture(self, png: bytes) -> str:
        """Keep a picture that values name; returns its hash."""
        return self._images.write(png, thumbnail=False)

    def has_picture(self, digest: str) -> bool:
        """Whether a picture is there and holds what its hash says."""
        return self._images.intact(digest)

    def image_path(self, digest: str) -> Path:
        """PNG file of an image."""
        path = self._images.path(digest)
        if not path.is_file():
            raise StoreError(
                "this image was deleted", where=str(path), how="Reload the page and generate it again"
            )
        return path

    def thumbnail_path(self, digest: str) -> Path:
        """A small version of an image for boards of many; the image itself where that is small."""
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

    def states(self, contexts: Sequence[str]) -> dict[str, str]:
        """For each context something that changes whenever its `stamps` do; "" where it has no evidence."""
        index, cells = schema.evidence, schema.cells
        numbers = {number: key for key in contexts if (number := self._number(key)) is not None}
        digests = func.aggregate_strings(index.c.digest, " ").label("digests")
        held = (
            select(index.c.context, index.c.cell, digests)
            .where(index.c.cell.not_in(_DAMAGED))
            .group_by(index.c.context, index.c.cell)
        )
        parts: dict[str, list[str]] = {}
        with self.reading() as connection:
            for some in _parts(list(numbers)):
                groups = held.where(index.c.context.in_(some)).subquery()
                query = select(groups.c.context, groups.c.digests, cells.c.checksum).join_from(
                    groups, cells, groups.c.cell == cells.c.id
                )
                for number, held_here, checksum in connection.execute(query):
                    parts.setdefault(numbers[number], []).append(f"{checksum} {held_here}")
        return {
            key: codec.checksum("\n".join(sorted(parts[key])).encode()) if key in parts else ""
            for key in contexts
        }

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
            replace_rows(connection, schema.runs, [row])

    def runs(self, study: str | None = None) -> list[RunRecord]:
        """Runs of one study, or all, newest first; damaged ones are left out."""
        table = schema.runs.c
        query = select(table.key, table.record).order_by(table.created.desc(), table.key)
        if study is not None:
            query = query.where(schema.runs.c.study == study)
        with self.reading() as connection:
            result = [RunRecord.from_row(*row) for row in connection.execute(query)]
        return [run for run in result if run is not None]

    def memo(self, key: str) -> bytes | None:
        """Derived numbers that were kept under this key; None where none or damaged."""
        return self.memos([key]).get(key)

    def memos(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The same of several keys, those that are kept."""
        table = schema.memos.c
        query = select(table.key, table.checksum, table.payload)
        result: dict[str, bytes] = {}
        with self.reading() as connection:
            for some in _parts(keys):
                for key, checksum, payload in connection.execute(query.where(table.key.in_(some))):
                    if codec.checksum(payload) == checksum:
                        result[key] = bytes(payload)
        return result

    def memo_keys(self, prefix: str) -> list[str]:
        """Keys of derived numbers that begin so, in order."""
        column = schema.memos.c.key
        with self.reading() as connection:
            return list(
                connection.execute(select(column).where(column.startswith(prefix)).order_by(column)).scalars()
            )

    def put_memo(self, key: str, payload: bytes) -> None:
        """Keep derived numbers. Does not change `version`: nothing new became known."""
        self.put_memos({key: payload})

    def put_memos(self, memos: Mapping[str, bytes]) -> None:
        """The same for several keys, in one transaction."""
        rows = [
            {"key": key, "checksum": codec.checksum(payload), "payload": payload}
            for key, payload in memos.items()
        ]
        with self.writing(news=False, size=sum(map(len, memos.values()))) as connection:
            replace_rows(connection, schema.memos, rows)

    def version(self) -> int:
        """A number that grows whenever evidence or runs were written, by any process."""
        with self._lock:
            changes = self._database.changes()
            if self._seen.get("version") != changes:
                with self.reading() as connection:
                    query = select(schema.meta.c.value).where(schema.meta.c.key == "version")
                    value = connection.execute(query).scalar_one_or_none()
                # The next write mends one that was lost.
                self._version = int(value) if value is not None and str(value).isdecimal() else 0
                self._seen["version"] = changes
            return self._version

    def faults(self) -> list[str]:
        """What the database finds wrong with itself."""
        return self._database.faults()

    # Connections

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with; StoreError where the database cannot be read."""
        with self._database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self, *, news: bool = True, size: int = 0) -> Iterator[Connection]:
        """A transaction of `size` bytes, 0 where unknown; `news`: `version` grows. StoreError: it cannot be written."""
        with self._database.writing(size) as connection:
            yield connection
            if news:
                grow_version(connection)

    # Inside

    def _number(self, context: str) -> int | None:
        """A context's row; None where it is unknown or damaged. Asks the database only about those not seen yet."""
        if context not in self._numbers:
            self.contexts()
        return self._numbers.get(context)

    def _put(self, context: str, digests: Sequence[str], payload: bytes) -> None:
        if not digests:
            return
        owner = self._number(context)
        if owner is None:
            raise ValueError(f"context {context} was not registered")
        with self.writing(size=len(payload)) as connection:
            cell = put_cell(connection, owner, digests, payload)
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
        result: dict[int, list[_Place]] = {}
        with self.reading() as connection:
            for digest, cell, row in connection.execute(query):
                if digest in wanted:
                    result.setdefault(cell, []).append(_Place(digest, row))
        return result

    def _get(
        self,
        context: str,
        digests: Sequence[str],
        decode: Callable[[bytes, Sequence[int]], list[Evidence]],
    ) -> dict[str, Evidence]:
        cells = self._cells_of(context, digests)
        result: dict[str, Evidence] = {}
        for cell, payload in self._payloads(list(cells)):
            places = cells[cell]
            try:
                items = decode(payload, [place.row for place in places])
            except codec.DamagedCell:
                self._mark_damaged([cell])
                continue
            result.update(zip((place.digest for place in places), items, strict=True))
        return {digest: result[digest] for digest in digests if digest in result}

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
        result: list[tuple[int, str, bytes | None]] = []
        try:
            with self.reading() as connection:
                for some in _parts(cells):
                    result += [tuple(row) for row in connection.execute(query.where(table.c.id.in_(some)))]
            return result
        except BrokenPage:
            result.clear()
        for cell in cells:
            try:
                with self.reading() as connection:
                    row = connection.execute(query.where(table.c.id == cell)).one_or_none()
                    result.append((cell, "", None) if row is None else tuple(row))
            except StoreError:
                result.append((cell, "", None))
        return result

    def _verify(self, cells: Sequence[int]) -> None:
        for _ in self._payloads(cells) if cells else ():
            pass

    def _mark_damaged(self, cells: Sequence[int]) -> None:
        with self.writing() as connection:
            known = set(connection.execute(_DAMAGED.where(schema.damage.c.cell.in_(cells))).scalars())
            new = [{"cell": cell} for cell in cells if cell not in known]
            if new:
                connection.execute(insert(schema.damage), new)
        self._verified.difference_update(cells)


def _parts(several: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """As many at a time as one query takes."""
    for start in range(0, len(several), _AT_ONCE):
        yield several[start : start + _AT_ONCE]
