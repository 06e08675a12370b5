"""Making a store ready to be compressed as a whole: cells without compression of their own, which repeat each other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sqlalchemy import delete, select, update

from cache.store import codec, schema
from cache.store.interface import Store
from cache.store.keys import VALUE_KINDS


def loosen(path: Path) -> None:
    """Rewrites every cell of a sealed store without compression, and forgets what was derived from the cells before.

    The probes' tokens are the same in the cells of all models, and a compressor that sees all of them keeps one.

    Raises:
        DamagedCell: a cell cannot be read.
    """
    cells, contexts = schema.cells, schema.contexts
    packed = select(cells.c.id).join(contexts).where(contexts.c.kind.not_in(VALUE_KINDS))
    with closing(Store.open(path)) as store:
        with store.writing() as connection:
            for cell in connection.execute(packed).scalars().all():
                payload = connection.execute(select(cells.c.payload).where(cells.c.id == cell)).scalar_one()
                loose = codec.uncompressed(payload)
                changed = {"payload": loose, "checksum": codec.checksum(loose)}
                connection.execute(update(cells).where(cells.c.id == cell).values(**changed))
            connection.execute(delete(schema.memos))
        store.seal()
