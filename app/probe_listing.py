"""A file of probes as it will be read, before anything runs: columns, first probe, rows that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterator

from backends.probes import ProbeFile
from backends.study import Probe

SHOWN = 72


def lines(found: ProbeFile) -> Iterator[str]:
    """The file for people; every row that cannot be used is listed."""
    probes = found.probe_set.probes
    shape = f" ({found.shape})" if found.shape else ""
    yield f"{found.probe_set.path}: {len(probes):,} of {found.rows:,} rows can be used{shape}"
    width = max(map(len, found.columns), default=0)
    for column, meaning in found.columns.items():
        yield f"  {column:<{width}}  ->  {meaning}"
    if probes:
        yield "First probe:"
        for name, value in _filled(probes[0]):
            yield f"  {name}: {_short(value)}"
    if found.problems:
        yield f"{len(found.problems):,} rows cannot be used; skip_bad_rows = true in the study leaves them out:"
        yield from (f"  {problem}" for problem in found.problems)


def as_json(found: ProbeFile) -> str:
    """The same for scripts, one line."""
    return json.dumps(
        {
            "file": found.probe_set.path,
            "rows": found.rows,
            "usable": len(found.probe_set.probes),
            "shape": found.shape,
            "columns": dict(found.columns),
            "problems": list(found.problems),
        },
        ensure_ascii=False,
    )


def _filled(probe: Probe) -> Iterator[tuple[str, object]]:
    for name in Probe.__dataclass_fields__:
        value = getattr(probe, name)
        if value and name != "role":
            yield name, value


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("\n", "\\n")
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
