"""Tables of the store. Knows nothing of what the payloads mean, nor of the database that holds them.

Evidence is written in cells: a cell is one batch of probes of one context, one compressed payload, one transaction.
`evidence` says in which cell, at which row, the newest evidence of a probe lies.
"""

from __future__ import annotations

from sqlalchemy import (
    BLOB,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
)

SCHEMA_VERSION = 3
"""What this code writes; `migrations` brings older caches to it, one step a version."""

metadata = MetaData()

meta = Table(
    "meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False)
)

contexts = Table(
    "contexts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("fingerprint", String, nullable=False, index=True),
    Column("tokenizer", String, nullable=False),
    Column("protocol", String, nullable=False),
    Column("settings", String, nullable=False),
    Column("numerics", String, nullable=False),
    Column("code_version", Integer, nullable=False),
)

cells = Table(
    "cells",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("context", ForeignKey("contexts.id"), nullable=False),
    Column("created", Float, nullable=False),
    Column("checksum", String, nullable=False),
    Column("payload", BLOB, nullable=False),
)

damage = Table("damage", metadata, Column("cell", ForeignKey("cells.id"), primary_key=True))
"""Cells that cannot be read. A table of its own: a row with a broken page cannot be updated, let alone deleted."""

evidence = Table(
    "evidence",
    metadata,
    Column("context", ForeignKey("contexts.id"), primary_key=True),
    Column("digest", String, primary_key=True),
    Column("cell", ForeignKey("cells.id"), nullable=False, index=True),
    Column("row", Integer, nullable=False),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("key", String, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("created", String, nullable=False),
    Column("record", String, nullable=False),
)

memos = Table(
    "memos",
    metadata,
    Column("key", String, primary_key=True),
    Column("checksum", String, nullable=False),
    Column("payload", BLOB, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("key", String, primary_key=True),
    Column("collection", String, nullable=False, index=True),
    Column("modality", String, nullable=False),
    Column("tool", String, nullable=False),
    Column("protocol", String, nullable=False),
    Column("model", String, nullable=False),
    Column("part", String, nullable=False),
    Column("method", String, nullable=False),
    Column("step", Float),
    Column("line", String, nullable=False),
    Column("created", String, nullable=False),
    Column("source", String, nullable=False, index=True),
    Column("settings", String, nullable=False),
    Column("metrics", ForeignKey("result_metrics.id"), nullable=False),
    Column("numbers", BLOB, nullable=False),
)
"""Runs of other tools: one row per run, its metrics as one packed vector, so that thousands are read at once."""

result_metrics = Table(
    "result_metrics",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("names", String, nullable=False, unique=True),
)

result_examples = Table(
    "result_examples",
    metadata,
    Column("key", ForeignKey("results.key"), primary_key=True),
    Column("checksum", String, nullable=False),
    Column("payload", BLOB, nullable=False),
)
"""What other tools say of single examples; a table of its own, so that reading the numbers does not touch it."""

networks = Table(
    "networks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("digest", String, nullable=False, unique=True),
)
"""Networks that stored pictures were looked at with, beside the judges."""

features = Table(
    "features",
    metadata,
    Column("network", ForeignKey("networks.id"), primary_key=True),
    Column("subject", String, primary_key=True),
    Column("created", Float, nullable=False),
    Column("checksum", String, nullable=False),
    Column("vector", BLOB, nullable=False),
    sqlite_with_rowid=False,
)
"""What a network makes of a picture, a prompt or a pair of pictures: float32, little-endian."""
