"""Tables: plain CSV of runs, and MUSE's own CSV, which is one with known columns.

A row is a run. Columns model (or name), part, method, step, line, protocol, collection, modality say what it is; other
columns are metrics: a key as `unlearnboard metrics` lists them with its role (`forget/probability`), or a name with its
direction in brackets (`my score (higher)`), and `..._low`, `..._high`, `..._n` of the same column.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path

from backends.metrics import METRICS
from backends.metrics.foreign import foreign_card
from backends.study import ROLES, Modality, Part
from cache.importers.found import Found, number
from cache.importers.task_names import method_of
from cache.results import Number, Result

NAMES = ("model", "name", "Unlearned_Methods", "Method")
"""Columns that may name the run."""
_HEAD = ("model", "name", "part", "method", "step", "line", "protocol", "collection", "modality", "created")
_ENDINGS = ("_low", "_high", "_n")
_DIRECTED = re.compile(
    r"^(?P<name>.*?)\s*[\(\[]\s*(?P<way>higher|lower|zero)(?: is better)?\s*[\)\]]$", re.IGNORECASE
)
_MUSE: Mapping[str, tuple[str, float]] = {
    "verbmem_f": ("forget/verbmem_rouge", 0.01),
    "knowmem_f": ("forget/knowmem_rouge", 0.01),
    "knowmem_r": ("retain/knowmem_rouge", 0.01),
    "privleak": ("forget/privleak", 1.0),
}
_SHARES: Mapping[str, tuple[str, float]] = {
    "UA": ("forget/unlearn_accuracy", 0.01),
    "IRA": ("retain/in_domain_retain", 0.01),
    "CRA": ("retain/cross_domain_retain", 0.01),
    "Pre-ASR": ("forget/attack_success", 0.01),
    "Post-ASR": ("forget/post_asr", 0.01),
    "FID": ("retain/fid", 1.0),
    "CLIP-Score": ("retain/clip_score", 1.0),
}
"""Columns of UnlearnCanvas' and UnlearnDiffAtk's leaderboards: per cent there, where any value is more than 1."""
_IMAGE = frozenset(key for key, _ in _SHARES.values())
_MUSE_PARTS: Mapping[str, Part] = {"target": "original", "original_target": "original", "retrain": "retained"}
_PARTS: tuple[Part, ...] = ("original", "retained", "unlearned")


def is_table(path: Path) -> bool:
    """Whether this may be a table, by name."""
    return path.suffix.lower() in (".csv", ".tsv")


def read_table(path: Path) -> Found:
    """A run for each row."""
    found = Found()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found.problems.append(f"{path}: cannot be read as text ({type(error).__name__})")
        return found
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
    columns = [name for name in (rows[0] if rows else {}) if name]
    named = next((name for name in NAMES if name in columns), None)
    if not rows or named is None:
        found.problems.append(f"{path}: needs a row a run, with a column `model` or `name`")
        return found
    muse = set(_MUSE) <= set(columns)
    keys = _columns(columns, path, found, muse=muse)
    if not keys:
        found.problems.append(f"{path}: no column is a metric with a key or a direction, as `score (higher)`")
        return found
    for column, (key, scale) in list(keys.items()):
        values = [number(row.get(column) or "") for row in rows]
        if key in _IMAGE and scale != 1.0 and not any(value > 1 for value in values):
            keys[column] = (key, 1.0)
    for line, row in enumerate(rows, start=2):
        read = {key: _number(row, column, scale) for column, (key, scale) in keys.items()}
        metrics = {key: value for key, value in read.items() if value is not None}
        for column in keys:
            if row.get(column) and math.isnan(number(row[column])):
                found.left_out.append(f"{path}: line {line}: {column} is {row[column]!r}, not a number")
        if not (row.get(named) or "").strip() or not metrics:
            found.left_out.append(f"{path}: line {line} has no {'number' if row.get(named) else 'name'}")
            continue
        found.results.append(_result(path, row, str(row[named]).strip(), metrics, muse=muse))
    return found


def _columns(columns: list[str], path: Path, found: Found, *, muse: bool) -> dict[str, tuple[str, float]]:
    """Column -> key and scale."""
    keys: dict[str, tuple[str, float]] = {}
    unknown = []
    leaderboard = "Unlearned_Methods" in columns or {"UA", "IRA"} <= set(columns)
    for column in columns:
        if column in (*_HEAD, *NAMES) or any(
            column.endswith(end) and column[: -len(end)] in columns for end in _ENDINGS
        ):
            continue
        role, _, metric = column.partition("/")
        directed = _DIRECTED.match(column)
        if muse and column in _MUSE:
            keys[column] = _MUSE[column]
        elif leaderboard and column in _SHARES:
            keys[column] = _SHARES[column]
        elif role in (*ROLES, "all") and _is_metric(metric):
            keys[column] = (column, 1.0)
        elif directed and directed["name"]:
            keys[column] = (f"all/{directed['way'].lower()}:{directed['name']}", 1.0)
        else:
            unknown.append(column)
    if unknown:
        found.left_out.append(
            f"{path}: of these columns it is not known which way is better, write `NAME (higher)` or `NAME (lower)`: "
            + ", ".join(unknown)
        )
    return keys


def _is_metric(name: str) -> bool:
    metric = name.partition("@")[0]
    return metric in METRICS or foreign_card(metric) is not None


def _number(row: Mapping[str, str | None], column: str, scale: float) -> Number | None:
    value = number(row.get(column) or "") * scale
    if math.isnan(value) or (
        column in _SHARES and value < 0
    ):  # -1 stands for "not measured" in old leaderboards
        return None
    low, high, n = (number(row.get(f"{column}{ending}") or "") for ending in _ENDINGS)
    return Number(value, low * scale, high * scale, n)


def _result(
    path: Path, row: Mapping[str, str | None], name: str, metrics: Mapping[str, Number], *, muse: bool
) -> Result:
    told = {column: (row.get(column) or "").strip() for column in _HEAD}
    guessed, settings = method_of(name)
    part: Part = next((each for each in _PARTS if each == told["part"].lower()), "unlearned")
    if muse and not told["part"]:
        part = _MUSE_PARTS.get(name, "unlearned")
    pictures = told["modality"].lower() == "image" or any(key in _IMAGE for key in metrics)
    modality: Modality = "image" if pictures else "text"
    step = number(told["step"])
    leader = "Unlearned_Methods" in row or "Method" in row  # a leaderboard's rows are methods
    return Result(
        tool="MUSE" if muse else "table",
        collection=told["collection"] or (f"MUSE {path.stem}" if muse else path.stem),
        protocol=told["protocol"] or ("muse" if muse else f"as in {path.name}"),
        modality=modality,
        model=name,
        part=part,
        method=told["method"] or (guessed or (name if leader else "") if part == "unlearned" else ""),
        step=None if math.isnan(step) else step,
        line=told["line"],
        source=f"{path}#{name} {told['step']}".strip(),
        created=told["created"],
        settings=settings,
        metrics=metrics,
    )
