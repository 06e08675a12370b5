"""Runs that other tools made: their numbers and examples, kept beside our own evidence, never mixed with it.

The key of a run is what it says, so importing a file twice changes nothing. All numbers of a run are one packed vector;
ten thousand runs become one `Board` without looking at any of them alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from blake3 import blake3
from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select

from backends.files.plain import storable
from backends.study import Modality, Part
from cache.store import schema
from cache.store.arrow import packed, unpacked
from cache.store.interface import Store

NOTES = "notes"
"""Setting with what a reader of the numbers must know; a list of sentences."""
LOG, LOG_KEY, COMPUTED, CHOSEN = "retained log", "retained run", "computed here", "chosen as reference"
"""Settings that no file says: what was compared with what, which metric that gave, the person's choice."""
_OURS = frozenset((NOTES, LOG, LOG_KEY, COMPUTED, CHOSEN))
_AT_ONCE = 500
"""Keys of one query; SQLite takes no more than some thousand."""

_IDENTITY = (
    "tool",
    "collection",
    "protocol",
    "modality",
    "model",
    "part",
    "method",
    "step",
    "line",
    "settings",
)


MOST_TEXT = 4096
"""Characters of a name; no path is longer."""
_TEXTS = ("tool", "collection", "protocol", "model", "method", "line", "source", "created")
_NOTHING = pd.DataFrame()
"""Examples of a run that has none; one for all, since making one takes longer than anything else about a run."""


class MetricNumber(NamedTuple):
    """A metric's value with the ends of its 95 % interval and the number of examples; NaN where unknown."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: float = math.nan


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One run of another tool.

    Attributes:
        tool: whose file it is ("open-unlearning").
        collection: what it may be compared within: data set, split, base model.
        protocol: how it was measured; two protocols never share an axis unasked.
        modality: of the models.
        model: name, unique within the collection as far as the files tell.
        part: original, retained or unlearned.
        method: unlearning method, or "".
        step: position on the trajectory, or None.
        line: what the checkpoints of one trajectory share, or "".
        source: file or folder it was read from.
        created: ISO 8601, "" where the files do not say.
        settings: hyper-parameters and whatever else the files say of the run.
        metrics: role/metric -> number.
        examples: one row per example: columns id, prompt, answer, generation, and values by role/metric; may be empty.
    """

    tool: str
    collection: str
    protocol: str
    modality: Modality
    model: str
    metrics: Mapping[str, MetricNumber]
    part: Part = "unlearned"
    method: str = ""
    step: float | None = None
    line: str = ""
    source: str = ""
    created: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    examples: pd.DataFrame = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        """Texts come from files and folder names: lone surrogates, which nothing takes, and megabytes are not kept."""
        for name in _TEXTS:
            text = getattr(self, name)
            if len(text) > MOST_TEXT or not text.isascii():
                object.__setattr__(self, name, storable(text[:MOST_TEXT]))
        if not all(name.isascii() for name in self.metrics):
            clean = {storable(name): number for name, number in self.metrics.items()}
            object.__setattr__(self, "metrics", clean)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its numbers must know."""
        notes = self.settings.get(NOTES)
        return tuple(map(str, notes)) if isinstance(notes, list) else ()

    @property
    def key(self) -> str:
        """Identity of what the run's files say, wherever they lie; what was computed here is no part of it."""
        return self.key_with(_pack(self.examples))

    def key_with(self, examples: bytes) -> str:
        """The same, where the examples are packed already."""
        said = [getattr(self, name) for name in _IDENTITY if name != "settings"]
        settings = {name: value for name, value in self.settings.items() if name not in _OURS}
        computed = self.settings.get(COMPUTED)
        numbers = {
            name: [_plain(part) for part in number]
            for name, number in sorted(self.metrics.items())
            if name != computed
        }
        text = json.dumps([said, settings, numbers], sort_keys=True, default=str)
        return blake3(text.encode() + examples).hexdigest()[:32]


class ImportChanges(NamedTuple):
    """What an import changed."""

    new: int
    replaced: int
    known: int


def put_results(store: Store, results: Sequence[ImportedRun]) -> ImportChanges:
    """Keep runs; those that are here already change nothing, a changed file replaces what it said before.

    Raises:
        StoreError: the store cannot be written.
    """
    keyed, told_examples = {}, {}
    for each in results:
        payload = _pack(each.examples)
        key = each.key_with(payload)
        keyed[key], told_examples[key] = each, payload
    table = schema.results
    with store.reading() as connection:
        rows = connection.execute(select(table.c.key, table.c.source)).all()
    sources = {row.key: row.source for row in rows}
    new = {key: result for key, result in keyed.items() if key not in sources}
    told = {result.source for result in new.values() if result.source}
    outdated = [key for key, source in sources.items() if source in told and key not in keyed]
    if new:
        chosen = _chosen_sources(store, outdated)
        with store.writing() as connection:
            _remove(connection, outdated)
            _insert(
                connection, {key: _still_chosen(each, chosen) for key, each in new.items()}, told_examples
            )
    return ImportChanges(len(new) - len(outdated), len(outdated), len(keyed) - len(new))


def update_results(store: Store, changed: Mapping[str, ImportedRun]) -> None:
    """Write again the numbers and settings of runs that are here; what identifies them stays.

    Raises:
        StoreError: the store cannot be written.
    """
    if not changed:
        return
    table = schema.results
    with store.writing() as connection:
        known: dict[str, int] = {}
        for key, each in changed.items():
            row = _row(connection, key, each, known)
            kept = {name: row[name] for name in ("settings", "metrics", "numbers")}
            connection.execute(table.update().where(table.c.key == key).values(**kept))


def remove_collection(store: Store, collection: str) -> int:
    """Forget all runs of a collection; returns how many there were."""
    with store.writing() as connection:
        query = select(schema.results.c.key).where(schema.results.c.collection == collection)
        chosen = list(connection.execute(query).scalars())
        _remove(connection, chosen)
    return len(chosen)


class Collection(NamedTuple):
    """Runs that may be compared with each other."""

    name: str
    modality: str
    protocol: str
    tool: str
    runs: int


def collections(store: Store) -> list[Collection]:
    """All collections, by name."""
    columns = schema.results.c
    head = (columns.collection, columns.modality, columns.protocol, columns.tool)
    with store.reading() as connection:
        query = select(*head, func.count()).group_by(*head).order_by(*head)
        return [Collection(*row) for row in connection.execute(query)]


def result(store: Store, key: str) -> ImportedRun | None:
    """One run with its settings, without its examples; None where it is not here."""
    table = schema.results
    query = select(table, schema.result_metrics.c.names).join(schema.result_metrics).where(table.c.key == key)
    with store.reading() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _read(row)


def has_any(
    store: Store, collection: str, *, retained: bool, settings: Sequence[str], not_of: Sequence[str]
) -> bool:
    """Whether a collection has a retained run, one with such a setting, or one of another tool; at once."""
    table = schema.results.c
    wanted: list[ColumnElement[bool]] = [table.settings.like(f'%"{name}":%') for name in settings]
    wanted += [table.part == "retained"] if retained else []
    wanted += [table.tool.not_in(list(not_of))] if not_of else []
    query = select(table.key).where(table.collection == collection, or_(*wanted)).limit(1)
    with store.reading() as connection:
        return connection.execute(query).first() is not None


def runs_of(store: Store, collection: str) -> dict[str, ImportedRun]:
    """All runs of a collection by key, without their examples, in the order of their sources."""
    table = schema.results
    query = select(table, schema.result_metrics.c.names).join(schema.result_metrics)
    query = query.where(table.c.collection == collection).order_by(table.c.source, table.c.model, table.c.key)
    with store.reading() as connection:
        return {row["key"]: _read(row) for row in connection.execute(query).mappings()}


def example_sums(store: Store, keys: Sequence[str]) -> dict[str, str]:
    """Checksums of what other tools say of single examples, by run; equal ones are equal examples."""
    table = schema.result_examples.c
    result: dict[str, str] = {}
    with store.reading() as connection:
        for start in range(0, len(keys), _AT_ONCE):
            some = list(keys[start : start + _AT_ONCE])
            query = select(table.key, table.checksum).where(table.key.in_(some))
            result |= {row.key: row.checksum for row in connection.execute(query)}
    return result


def _read(row: RowMapping) -> ImportedRun:
    names = json.loads(row["names"])
    numbers = np.frombuffer(row["numbers"], np.float64).reshape(len(MetricNumber._fields), len(names))
    known = {name: row[name] for name in (*_IDENTITY, "source", "created") if name != "settings"}
    metrics = {name: MetricNumber(*map(float, numbers[:, place])) for place, name in enumerate(names)}
    return ImportedRun(**known, metrics=metrics, settings=json.loads(row["settings"]))


def examples(store: Store, key: str) -> pd.DataFrame:
    """What the other tool says of single examples; empty where it says nothing or the row is damaged."""
    table = schema.result_examples
    with store.reading() as connection:
        row = connection.execute(select(table).where(table.c.key == key)).one_or_none()
    if row is None or _checksum(row.payload) != row.checksum:
        return pd.DataFrame()
    found: pd.DataFrame = unpacked(row.payload).to_pandas()
    return found


def settings_of(store: Store, keys: Sequence[str]) -> dict[str, dict[str, object]]:
    """Settings of runs, by key."""
    table = schema.results.c
    result: dict[str, dict[str, object]] = {}
    with store.reading() as connection:
        for start in range(0, len(keys), _AT_ONCE):
            query = select(table.key, table.settings).where(
                table.key.in_(list(keys[start : start + _AT_ONCE]))
            )
            result |= {row.key: json.loads(row.settings) for row in connection.execute(query)}
    return result


def _insert(connection: Connection, new: Mapping[str, ImportedRun], payloads: Mapping[str, bytes]) -> None:
    known: dict[str, int] = {}
    rows, told = [], []
    for key, each in new.items():
        rows.append(_row(connection, key, each, known))
        payload = payloads[key]
        if payload:
            told.append({"key": key, "checksum": _checksum(payload), "payload": payload})
    connection.execute(insert(schema.results), rows)
    if told:
        connection.execute(insert(schema.result_examples), told)


def _row(connection: Connection, key: str, each: ImportedRun, known: dict[str, int]) -> dict[str, object]:
    """A run as the table has it; `known` keeps the numbers of lists of metrics, of which few are different."""
    names = sorted(each.metrics)
    numbers = (
        np.array([each.metrics[name] for name in names], np.float64).reshape(-1, len(MetricNumber._fields)).T
    )
    listed = json.dumps(names)
    if listed not in known:
        known[listed] = _metrics_id(connection, listed)
    return {
        **{name: getattr(each, name) for name in (*_IDENTITY, "source", "created") if name != "settings"},
        "key": key,
        "settings": storable(
            json.dumps(dict(each.settings), ensure_ascii=False, default=str, sort_keys=True)
        ),
        "metrics": known[listed],
        "numbers": np.ascontiguousarray(numbers).tobytes(),
    }


def _chosen_sources(store: Store, keys: Sequence[str]) -> frozenset[str]:
    """Sources of runs that a person chose as reference; the choice outlives a changed file."""
    held = settings_of(store, keys)
    chosen = [key for key, settings in held.items() if settings.get(CHOSEN)]
    found = [result(store, key) for key in chosen]
    return frozenset(each.source for each in found if each is not None)


def _still_chosen(each: ImportedRun, chosen: frozenset[str]) -> ImportedRun:
    if not chosen or each.source not in chosen or each.part != "retained":
        return each
    return replace(each, settings={**each.settings, CHOSEN: True})


def _metrics_id(connection: Connection, names: str) -> int:
    table = schema.result_metrics
    known = connection.execute(select(table.c.id).where(table.c.names == names)).scalar_one_or_none()
    if known is None:
        known = connection.execute(insert(table).values(names=names).returning(table.c.id)).scalar_one()
    return int(known)


def _remove(connection: Connection, keys: Sequence[str]) -> None:
    for start in range(0, len(keys), _AT_ONCE):
        some = list(keys[start : start + _AT_ONCE])
        connection.execute(delete(schema.result_examples).where(schema.result_examples.c.key.in_(some)))
        connection.execute(delete(schema.results).where(schema.results.c.key.in_(some)))


def _plain(number: float) -> float | None:
    return None if math.isnan(number) else float(number)


def _pack(frame: pd.DataFrame) -> bytes:
    if not len(frame):
        return b""
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except UnicodeEncodeError:  # lone surrogates
        clean = frame.map(lambda value: storable(value) if isinstance(value, str) else value)
        table = pa.Table.from_pandas(clean.rename(columns=storable), preserve_index=False)
    return packed(table)


def _checksum(payload: bytes) -> str:
    return blake3(payload).hexdigest()[:16]
