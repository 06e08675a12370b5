"""What callers may ask of a store, and what a store asks of its database.

`Store` is the whole of the cache to everybody else. `Database` is the part that differs from one database to another:
`sqlite` has the one for a file; another is another module like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from backends.errors import StoreError
from backends.evidence import ImageEvidence, TextEvidence
from cache.store.codec import TextPart
from cache.store.keys import Context
from cache.store.runs import RunRecord


class BrokenPage(StoreError):
    """A part of the database cannot be read; other parts may be sound."""


class Database(Protocol):
    """Connections, transactions and what a database says of itself. Complaints of the database come as StoreError."""

    @property
    def path(self) -> Path:
        """The database's file; pictures and locks lie in its folder."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection to read with; BrokenPage where a part cannot be read."""

    def writing(self, size: int = 0) -> AbstractContextManager[Connection]:
        """A transaction of `size` bytes, 0 where unknown. One at a time over all processes, so it may look first."""

    def schema_version(self, connection: Connection) -> int:
        """Version of the tables (`schema.SCHEMA_VERSION`) that the database has."""

    def set_schema_version(self, connection: Connection, version: int) -> None:
        """Say that the tables are of this version now, within the connection's transaction."""

    def changes(self) -> tuple[int, int]:
        """Another pair after every transaction that was committed, by any process; asked in microseconds."""

    def faults(self) -> list[str]:
        """What the database finds wrong with its pages and indices, a line each; empty where all is well."""

    def compact(self) -> None:
        """Make the database one small file without companions, fit to be shipped; nobody may have it open."""

    def close(self) -> None:
        """Give back all connections."""


class Store(Protocol):
    """All that is remembered. Thread-safe; several processes may have one store open."""

    def __hash__(self) -> int:
        """Two stores are two, whatever they hold."""
        return object.__hash__(self)

    @property
    def path(self) -> Path:
        """The database's file."""

    def close(self) -> None:
        """Give back all connections. Needed only before the file is moved."""

    def seal(self) -> None:
        """Make the database one small file without companions, fit to be shipped or mailed; then close it.

        Raises:
            StoreError: the file cannot be written, or is open elsewhere.
        """

    # Contexts

    def register(self, context: Context) -> str:
        """Remember what a context's key stands for, before evidence is put under it; returns the key."""

    def contexts(self, kind: str = "", fingerprint: str = "") -> list[Context]:
        """All contexts that were registered, oldest first; a damaged one is left out until it is registered again.

        Of one kind and of one model's weights where these are given.
        """

    # Evidence

    def missing(self, context: str, digests: Sequence[str]) -> list[str]:
        """Those of the digests that have no readable evidence in this context, in the order given, each once."""

    def put_text(self, context: str, rows: Sequence[tuple[str, TextEvidence]]) -> None:
        """Store one batch of text evidence: probe digest and evidence. All of it or, when killed, nothing.

        Raises:
            StoreError: the store cannot be written.
        """

    def put_images(self, context: str, rows: Sequence[tuple[str, ImageEvidence, bytes]]) -> None:
        """Store one batch of image evidence: probe digest, evidence, PNG. Files first, then the rows that name them.

        Raises:
            StoreError: the store cannot be written.
        """

    def put_values(self, context: str, values: Mapping[str, object]) -> None:
        """Store one batch of what is said in JSON, by digest; nothing is written where the same is kept already.

        Raises:
            StoreError: the store cannot be written.
        """

    def text(
        self, context: str, digests: Sequence[str], *, pieces: bool = True, only: TextPart = ""
    ) -> dict[str, TextEvidence]:
        """Text evidence that is there, by digest. `pieces` and `only` leave out parts, which is quicker (`codec`)."""

    def images(self, context: str, digests: Sequence[str]) -> dict[str, ImageEvidence]:
        """Image evidence that is there and whose file is intact, by digest."""

    def values(self, contexts: Sequence[str]) -> dict[str, dict[str, object]]:
        """Everything that is kept in JSON under each of these contexts, by digest, in the order in which it was put."""

    def stamps(self, contexts: Sequence[str]) -> dict[str, dict[str, str]]:
        """For each context, digest -> checksum of the cell that holds it: changes when the evidence does."""

    def states(self, contexts: Sequence[str]) -> dict[str, str]:
        """For each context something that changes whenever its `stamps` do, and is read without looking at each probe.

        "" where it has no evidence. Says what is in the cells, so equal states of two stores are equal evidence.
        """

    def damaged(self) -> int:
        """Pieces of evidence and runs that were found damaged and have not been computed again since."""

    # Pictures

    def put_picture(self, png: bytes) -> str:
        """Keep a picture that values name; returns its hash.

        Raises:
            StoreError: the folder cannot be written or the disk is full.
        """

    def has_picture(self, digest: str) -> bool:
        """Whether a picture is there and holds what its hash says."""

    def image_path(self, digest: str) -> Path:
        """PNG file of an image.

        Raises:
            StoreError: it was deleted.
        """

    def thumbnail_path(self, digest: str) -> Path:
        """A small version of an image for boards of many; the image itself where that is small.

        Raises:
            StoreError: the image was deleted.
        """

    # Runs, derived numbers

    def put_run(self, run: RunRecord) -> None:
        """Store a run; one of the same key is replaced."""

    def runs(self, study: str | None = None) -> list[RunRecord]:
        """Runs of one study, or all, newest first; damaged ones are left out."""

    def memo(self, key: str) -> bytes | None:
        """Derived numbers that were kept under this key; None where none or damaged."""

    def memos(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The same of several keys, those that are kept."""

    def memo_keys(self, prefix: str) -> list[str]:
        """Keys of derived numbers that begin so, in order."""

    def put_memo(self, key: str, payload: bytes) -> None:
        """Keep derived numbers. Does not change `version`: nothing new became known."""

    def put_memos(self, memos: Mapping[str, bytes]) -> None:
        """The same for several keys, in one transaction."""

    def version(self) -> int:
        """A number that grows whenever evidence or runs were written, by any process."""

    def faults(self) -> list[str]:
        """What the database finds wrong with itself, a line each; empty where all is well.

        Raises:
            StoreError: it cannot be opened.
        """

    # Tables of their own: imported results, what networks say

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection to read with; StoreError where the database cannot be read."""

    def writing(self, *, news: bool = True, size: int = 0) -> AbstractContextManager[Connection]:
        """A transaction of `size` bytes, 0 where unknown; `news`: `version` grows. StoreError: it cannot be written.

        One at a time over all processes, so what it finds stays true until its end.
        """
