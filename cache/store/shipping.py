"""Making a store ready to be shipped: cells that compress as a whole, and nothing of the machine that made it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sqlalchemy import delete, select, update

from cache.store import codec, schema
from cache.store.interface import Store
from cache.store.keys import VALUE_KINDS
from cache.store.opening import open_store


def decompress_cells(path: Path) -> None:
    """Rewrites every cell of a sealed store without compression, and forgets what was derived from the cells before.

    The probes' tokens are the same in the cells of all models, and a compressor that sees all of them keeps one.

    Raises:
        DamagedCell: a cell cannot be read.
    """
    cells, contexts = schema.cells, schema.contexts
    packed = select(cells.c.id).join(contexts).where(contexts.c.kind.not_in(VALUE_KINDS))
    with closing(open_store(path)) as store:
        with store.writing() as connection:
            for cell in connection.execute(packed).scalars().all():
                payload = connection.execute(select(cells.c.payload).where(cells.c.id == cell)).scalar_one()
                loose = codec.uncompressed(payload)
                changed = {"payload": loose, "checksum": codec.checksum(loose)}
                connection.execute(update(cells).where(cells.c.id == cell).values(**changed))
            connection.execute(delete(schema.memos))
        store.seal()


def forget_own_machine(store: Store) -> None:
    """Forget what is true of the machine that made a store alone: whether its original draws the same twice."""
    index, contexts = schema.evidence, schema.contexts
    checks = [context.key for context in store.contexts() if context.kind == "checks"]
    own = [
        (context, digest)
        for context, held in store.values(checks).items()
        for digest, check in held.items()
        if isinstance(check, dict) and check.get("report") is None
    ]
    with store.writing() as connection:
        for context, digest in own:
            owner = select(contexts.c.id).where(contexts.c.key == context).scalar_subquery()
            connection.execute(delete(index).where(index.c.context == owner, index.c.digest == digest))
