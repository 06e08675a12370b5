"""A file of probes as it will be read, before anything runs: columns, first probe, rows that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from backends.probes.reading import ProbeFile
from backends.study import Probe, ProbeSet

SHOWN = 72


def lines(probe_file: ProbeFile) -> Iterator[str]:
    """The file for people: what may be wrong with all of it first, every row that cannot be used last."""
    probes, how = probe_file.probe_set.probes, probe_file.how
    yield from how.alarms
    shape = f" ({how.shape})" if how.shape else ""
    yield f"{probe_file.probe_set.path}: {len(probes):,} of {how.rows:,} rows can be used{shape}"
    kind = "image models" if probe_file.pictures else "language models"
    yield f"  {how.container}; read as probes for {kind}"
    yield from (f"  {line}" for line in _table(how.columns))
    yield from (f"Note: {note}" for note in how.notes)
    if probes:
        yield "First probe:"
        for name, value in _filled(probes[0]):
            yield f"  {name}: {_short(value)}"
    if gaps := probe_file.probe_set.left_out[len(probe_file.problems) :]:
        yield "Left out, as the list is published so:"
        yield from (f"  {gap}" for gap in gaps)
    if probe_file.problems:
        count = len(probe_file.problems)
        what = "1 row cannot be used" if count == 1 else f"{count:,} rows cannot be used"
        yield f"{what}; skip_bad_rows = true in the study leaves {'it' if count == 1 else 'them'} out:"
        yield from (f"  {problem}" for problem in probe_file.problems)


def as_json(probe_file: ProbeFile) -> str:
    """The same for scripts, one line."""
    return json.dumps(
        {
            "file": probe_file.probe_set.path,
            "rows": probe_file.rows,
            "usable": len(probe_file.probe_set.probes),
            "shape": probe_file.shape,
            "container": probe_file.how.container,
            "modality": "image" if probe_file.pictures else "text",
            "columns": dict(probe_file.columns),
            "alarms": list(probe_file.how.alarms),
            "notes": list(probe_file.how.notes),
            "problems": list(probe_file.problems),
        },
        ensure_ascii=False,
    )


def of_sets(sets: Sequence[ProbeSet]) -> Iterator[str]:
    """How the probe sets of a study were read, in one table: set, rows, container, and what each column became."""
    for each in sets:
        yield from (f"{each.name}: {alarm}" for alarm in each.how.alarms)
    for each in sets:
        shape = f" ({each.how.shape})" if each.how.shape else ""
        yield f"{each.name}: {len(each.probes):,} of {each.how.rows:,} rows, {each.how.container}{shape}"
        yield from (f"  {line}" for line in _table(each.how.columns))
        yield from (f"  Note: {note}" for note in each.how.notes)


def rows_of_sets(sets: Sequence[ProbeSet]) -> list[tuple[str, str, str]]:
    """The same table as rows: probe set, column of its file, what that became."""
    return [
        (each.name, column or "(no name)", became) for each in sets for column, became in each.how.columns
    ]


def _table(columns: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max((len(column) for column, _ in columns), default=0)
    for column, became in columns:
        yield f"{column or '(no name)':<{width}}  ->  {became}"


def _filled(probe: Probe) -> Iterator[tuple[str, object]]:
    for name in Probe.__dataclass_fields__:
        value = getattr(probe, name)
        if value not in ("", (), {}, None) and name != "role":
            yield name, value


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("\n", "\\n")
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
