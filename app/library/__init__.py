"""UnlearnBoard in a notebook: `import unlearnboard; frame = unlearnboard.load()`.

This is the package `unlearnboard` itself. Installed, the three layers lie in it: `unlearnboard.app`,
`unlearnboard.backends`, `unlearnboard.cache`. In a clone they lie around it, and `in_clone` gives them these names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__version__: str
__all__ = ["__version__", "load"]

if not (Path(__file__).parent / "backends").is_dir():
    from unlearnboard import in_clone

    in_clone.name_the_layers()


def load(cache: str | Path | None = None, *, study: str | Path | None = None) -> pd.DataFrame:
    """Everything a cache knows, one row per run and metric: plot it, test it, write it down.

    Args:
        cache: the cache's folder; None is the one that the dashboard uses.
        study: a study file, whose numbers are recomputed where evidence was added; None takes the newest numbers of
            every study that was evaluated into this cache, the demo's included.

    Returns:
        Columns study, layer, protocol, model, part, method, step, metric, role, key, value, low, high (95 % interval),
        n. Imported results of other tools are layers of their own.

    Raises:
        BoardError: the cache or the study cannot be read.

    Warns:
        UserWarning: the cache has runs of studies whose numbers were never derived.
    """
    from app.export.notebook import frame

    return frame(None if cache is None else Path(cache), None if study is None else Path(study))


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from backends.versions import own_version

    return own_version()
