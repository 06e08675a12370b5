"""UnlearnBoard in a notebook: `import unlearnboard; frame = unlearnboard.load()`.

This is the package `unlearnboard` itself; the application lies in folders beside it (in a clone, around it).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_HERE = Path(__file__).resolve().parent
_ROOT = next(folder for folder in (_HERE, _HERE.parents[1]) if (folder / "cache" / "store").is_dir())

__all__ = ["load"]


def load(cache: str | Path | None = None, *, study: str | Path | None = None) -> pd.DataFrame:
    """Everything a cache knows, a row a run and metric: plot it, test it, write it down.

    Args:
        cache: the cache's folder; None is the one that the dashboard uses.
        study: a study file, whose numbers are derived anew where evidence was added; None takes the newest numbers of
            every study that was evaluated into this cache, the demo's included.

    Returns:
        Columns study, layer, protocol, model, part, method, step, metric, role, key, value, low, high (95 % interval),
        n. Imported results of other tools are layers of their own.

    Raises:
        BoardError: the cache or the study cannot be read.

    Warns:
        UserWarning: the cache has runs of studies whose numbers were never derived.
    """
    if str(_ROOT) not in sys.path:
        sys.path.insert(0, str(_ROOT))
    from app.export.notebook import frame

    return frame(None if cache is None else Path(cache), None if study is None else Path(study))
