"""Tables: plain CSV of runs, and MUSE's own CSV, which is one with known columns.

A row is a run. Columns model (or name), part, method, step, line, protocol, collection, modality say what it is; other
columns are metrics: a key as `unlearnboard metrics` lists them with its role (`forget/probability`), or a name with its
direction in brackets (`my score (higher)`), and `..._low`, `..._high`, `..._n` of the same column.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from backends.files.plain import without_compression
from backends.metrics import METRICS
from backends.metrics.foreign import foreign_card
from backends.metrics.key import MetricKey
from backends.study import ROLES, Modality, Part
from cache.importers import tofu_stat
from cache.importers.findings import MOST_BYTES, ImportFindings, UnreadableFile, listed, number, read_text
from cache.importers.task_names import method_of
from cache.store.results import ImportedRun, MetricNumber

NAMES = ("model", "name", "Unlearned_Methods", "Method")
"""Columns that may name the run."""
_HEAD = ("model", "name", "part", "method", "step", "line", "protocol", "collection", "modality", "created")
_ENDINGS = ("_low", "_high", "_n")
_LONGEST = 300
"""Characters of a name or header that something is looked for in."""
_DIRECTED = re.compile(
    r"^(?P<name>.*?)\s*[\(\[]\s*(?P<way>higher|lower|zero)(?: is better)?\s*[\)\]]$", re.IGNORECASE
)
_MUSE: Mapping[str, tuple[str, float]] = {
    "verbmem_f": ("forget/verbmem_rouge", 0.01),
    "knowmem_f": ("forget/knowmem_rouge", 0.01),
    "knowmem_r": ("retain/knowmem_rouge", 0.01),
    "privleak": ("forget/privleak", 1.0),
}
_MUSE_MORE: Mapping[str, tuple[str, ...]] = {
    "gen": ("utility/higher:MMLU accuracy",),
    "tru": ("utility/higher:TruthfulQA MC1", "utility/higher:TruthfulQA MC2"),
    "fac": ("utility/higher:TriviaQA exact match", "utility/higher:TriviaQA F1"),
    "flu": ("utility/higher:Fluency (n-gram entropy)",),
}
"""Columns that the study of quantised unlearned models adds: one number, or two as Python writes a tuple."""
_OF: Mapping[str, str] = {"gen": "MMLU", "tru": "TruthfulQA", "fac": "TriviaQA", "flu": "fluency"}
"""Where there is one number of two, it is not known which."""
_ROUGES = ("verbmem_f", "knowmem_f", "knowmem_r")
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
    return without_compression(path).suffix.lower() in (".csv", ".tsv")


def read_table(path: Path) -> ImportFindings:
    """A run for each row.

    Raises:
        Unreadable: no text, no table, none with runs.
    """
    findings = ImportFindings()
    columns, rows = _read(path, findings)
    if tofu_stat.has_columns(columns):
        return tofu_stat.read_rows(path, rows)
    named = next((name for name in NAMES if name in columns), None)
    if not rows or named is None:
        raise UnreadableFile("needs one row per run, with a column `model` or `name`")
    muse = named == "name" and not set(_MUSE).isdisjoint(columns)  # `--metrics` may ask for some of them
    keys = _columns(columns, path, findings, muse=muse)
    if not keys:
        raise UnreadableFile("no column is a metric with a key or a direction, as `score (higher)`")
    if muse:
        _scale_muse(keys, rows, path, findings)
    for column, (key, scale) in list(keys.items()):
        if key in _IMAGE and scale != 1.0 and not any(number(row.get(column) or "") > 1 for row in rows):
            keys[column] = (key, 1.0)
    wrong: dict[str, list[int]] = {}
    parts = {column: tuple(f"{column}{end}" for end in _ENDINGS) for column in keys}
    for line, row in enumerate(rows, start=2):
        metrics: dict[str, MetricNumber] = {}
        for column, (key, scale) in keys.items():
            text = row.get(column)
            if not text:
                continue
            value = number(text)
            if math.isnan(value):
                wrong.setdefault(column, []).append(line)
            elif value >= 0 or column not in _SHARES:  # -1 is "not measured" in old leaderboards
                metrics[key] = _number(value, row, parts[column], scale)
        if muse:
            metrics |= _more_of_muse(row)
        name = (row.get(named) or "").strip()
        if not name or not metrics:
            wrong.setdefault(" " if name else "", []).append(line)
            continue
        findings.results.append(_result(path, row, name, metrics, muse=muse))
    _say_wrong(path, rows, wrong, findings)
    return findings


def _read(path: Path, findings: ImportFindings) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows."""
    text = read_text(path)
    name = without_compression(path)
    first = text[: text.find("\n")] if "\n" in text else text
    separator = "\t" if name.suffix.lower() == ".tsv" or (first.count("\t") > first.count(",")) else ","
    if separator == "," and first.count(";") > first.count(","):
        separator = ";"
    limit = csv.field_size_limit(MOST_BYTES)  # Python's own is 131,072 characters
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        columns = [column.strip() for column in next(reader, [])]
        rows = [dict(zip(columns, row, strict=False)) for row in reader if any(row)]
    except csv.Error as error:
        raise UnreadableFile(f"is not a table ({error})") from error
    finally:
        csv.field_size_limit(limit)
    twice = (
        sorted({column for column in columns if column and columns.count(column) > 1})
        if len(set(columns)) < len(columns)
        else []
    )
    if twice:
        findings.leave_out(path, f"columns that are there twice, so none of them is used: {listed(twice)}")
        for row in rows:
            for column in twice:
                row.pop(column, None)
        columns = [column for column in columns if column not in twice]
    return columns, rows


def _say_wrong(
    path: Path, rows: Sequence[Mapping[str, str]], wrong: Mapping[str, list[int]], findings: ImportFindings
) -> None:
    """A line for each column with cells that are no number, and for rows without a name or a number."""
    for column, lines in wrong.items():
        if not column.strip():
            what = "name" if column == "" else "number"
            findings.leave_out(path, f"{_lines(lines)} no {what}")
            continue
        shown = str(rows[lines[0] - 2].get(column))
        shown = repr(shown if len(shown) <= 40 else f"{shown[:37]}...")
        more = f" and {len(lines) - 1:,} lines more" if len(lines) > 1 else ""
        findings.leave_out(path, f"line {lines[0]}{more}: {column[:80]} is {shown}, not a number")


def _lines(lines: Sequence[int]) -> str:
    if len(lines) == 1:
        return f"line {lines[0]} has"
    return f"{len(lines):,} lines (the first: {lines[0]}) have"


def _scale_muse(
    keys: dict[str, tuple[str, float]],
    rows: Sequence[Mapping[str, str]],
    path: Path,
    findings: ImportFindings,
) -> None:
    """MUSE writes per cent, papers fractions: where no overlap is above 1 and one is above 0, they are fractions."""
    rouges = [number(row.get(column) or "") for row in rows for column in _ROUGES]
    known = [value for value in rouges if not math.isnan(value)]
    if not known or max(known) > 1 or max(known) <= 0:
        return
    for column in set(_ROUGES) & set(keys):
        keys[column] = (_MUSE[column][0], 1.0)
    said = "no overlap is above 1, so they were read as fractions, not as per cent"
    leaks = [abs(number(row.get("privleak") or "")) for row in rows]
    shares = [value for value in leaks if not math.isnan(value)]
    # The original's is about 100 per cent, so a whole table within 1.5 is one of fractions as well.
    if shares and 0 < max(shares) <= 1.5:
        keys["privleak"] = (_MUSE["privleak"][0], 100.0)
        said += "; PrivLeak as well"
    findings.note(path, said)


def _more_of_muse(row: Mapping[str, str]) -> dict[str, MetricNumber]:
    metrics: dict[str, MetricNumber] = {}
    for column, keys in _MUSE_MORE.items():
        values = [number(part) for part in (row.get(column) or "").strip("() ").split(",")]
        named = keys if len(values) == len(keys) else (f"utility/higher:{column} of {_OF[column]}",)
        if len(values) == len(named):
            known = zip(named, values, strict=True)
            metrics |= {key: MetricNumber(value) for key, value in known if not math.isnan(value)}
    return metrics


def _columns(
    columns: list[str], path: Path, findings: ImportFindings, *, muse: bool
) -> dict[str, tuple[str, float]]:
    """Column -> key and scale."""
    keys: dict[str, tuple[str, float]] = {}
    unknown = []
    there = set(columns)
    leaderboard = "Unlearned_Methods" in there or {"UA", "IRA"} <= there
    for column in columns:
        if column in (*_HEAD, *NAMES, "") or any(
            column.endswith(end) and column.removesuffix(end) in there for end in _ENDINGS
        ):
            continue
        named = MetricKey.parse(column)
        directed = _DIRECTED.match(column) if len(column) <= _LONGEST else None
        if muse and column in _MUSE:
            keys[column] = _MUSE[column]
        elif muse and column in _MUSE_MORE:
            continue
        elif leaderboard and column in _SHARES:
            keys[column] = _SHARES[column]
        elif named.role in (*ROLES, "all") and _is_metric(named):
            keys[column] = (column, 1.0)
        elif directed and directed["name"]:
            keys[column] = (str(MetricKey("all", f"{directed['way'].lower()}:{directed['name']}")), 1.0)
        else:
            unknown.append(column)
    if unknown:
        findings.leave_out(
            path,
            "the direction of these columns is unknown; write `NAME (higher)` or `NAME (lower)`: "
            + listed(unknown),
        )
    return keys


def _is_metric(key: MetricKey) -> bool:
    return not key.kind and (key.metric in METRICS or foreign_card(key.metric) is not None)


def _number(value: float, row: Mapping[str, str], ends: tuple[str, ...], scale: float) -> MetricNumber:
    low, high, n = (number(row[end]) if row.get(end) else math.nan for end in ends)
    return MetricNumber(_scaled(value, scale), _scaled(low, scale), _scaled(high, scale), n)


def _scaled(value: float, scale: float) -> float:
    """Without the rounding of the product: so 32.1 per cent equals 0.321."""
    return value if scale == 1.0 else round(value * scale, 12)


@lru_cache(maxsize=4096)
def _told(name: str) -> tuple[str, tuple[tuple[str, object], ...]]:
    method, settings = method_of(name[:_LONGEST])
    return method, tuple(settings.items())


def _result(
    path: Path, row: Mapping[str, str], name: str, metrics: Mapping[str, MetricNumber], *, muse: bool
) -> ImportedRun:
    told = {column: (row.get(column) or "").strip() for column in _HEAD}
    guessed, settings = _told(name)
    part: Part = next((each for each in _PARTS if each == told["part"].lower()), "unlearned")
    if muse and not told["part"]:
        part = _MUSE_PARTS.get(name, "unlearned")
    pictures = told["modality"].lower() == "image" or any(key in _IMAGE for key in metrics)
    modality: Modality = "image" if pictures else "text"
    step = number(told["step"])
    leader = "Unlearned_Methods" in row or "Method" in row  # a leaderboard's rows are methods
    file = without_compression(path)
    return ImportedRun(
        tool="MUSE" if muse else "table",
        collection=told["collection"] or (f"MUSE {file.stem}" if muse else file.stem),
        protocol=told["protocol"] or ("muse" if muse else f"as in {file.name}"),
        modality=modality,
        model=name,
        part=part,
        method=told["method"] or (guessed or (name if leader else "") if part == "unlearned" else ""),
        step=None if math.isnan(step) else step,
        line=told["line"],
        source=f"{path}#{name} {told['step']}".strip(),
        created=told["created"],
        settings=dict(settings),
        metrics=metrics,
    )
