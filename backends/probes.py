"""Reading probe files: JSONL, JSON, CSV, TSV and Parquet, in TOFU's column names, plainer ones, or a benchmark's.

One row is one probe. What cannot be used is named by its row; nothing is skipped or guessed in silence. Knows nothing
about models: whether a prompt fits into a context is for the model to say.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backends.errors import StudyError
from backends.probe_shapes import CHOICES, RowProblem, in_our_columns, with_choices
from backends.study import Probe, ProbeSet, Role

PROMPT = ("prompt", "question")
SAME: Mapping[str, str] = {
    "question": "prompt",
    "paraphrased_question": "paraphrased_prompt",
    "perturbed_answer": "perturbed_answers",
}
"""TOFU's column names and ours."""

TEXTS = ("prompt", "answer", "paraphrased_prompt", "paraphrased_answer", "key_fact", "subject")
LISTS = ("perturbed_answers", "options", "tags")
KNOWN = (*TEXTS, *LISTS, *SAME, *CHOICES, "id")
SPELT_BY_CHANCE = ("id",)
"""Too short to tell a misspelling from a word of its own (`idx`)."""

SHOWN_PROBLEMS = 3
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


class Row(NamedTuple):
    """One row of a file: where it stands ("line 3"), and its values by column."""

    where: str
    values: Mapping[str, Any]


def read_probes(path: Path, role: Role) -> ProbeSet:
    """The probes of one file, in its order.

    Columns: prompt (or question), answer, paraphrased_question, paraphrased_answer, perturbed_answer (list),
    options (list, the wrong ones), key_fact, subject, tags (list), id. Every other column is a concept of a picture
    (object, style). Rows of MUSE, WMDP, MMLU, RWKU and LUME work as they are (see `probe_shapes`). In CSV a list is
    written as JSON or with `|` between its items.

    Raises:
        StudyError: the file is missing, empty, not in one of the formats, or has rows that cannot be used.
    """
    found = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _rows(path, _text(path))
    rows = [Row(row.where, in_our_columns(row.values)) for row in found]
    if not rows:
        raise StudyError("this probe file is empty", where=str(path), how="Write one probe a row")
    _check_columns(path, rows)
    probes: list[Probe] = []
    places: dict[str, str] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            probe = _probe(with_choices(row.values), role, f"{path.stem}-{number:03d}")
            if probe.id in places:
                raise RowProblem(f"its id {probe.id!r} is that of {places[probe.id]}")
        except RowProblem as problem:
            problems.append(f"{row.where}: {problem}")
        else:
            places[probe.id] = row.where
            probes.append(probe)
    if problems:
        shown = "; ".join(problems[:SHOWN_PROBLEMS])
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise StudyError(
            f"{len(problems)} of {len(rows)} rows cannot be used: {shown}{more}", where=str(path)
        )
    return ProbeSet(path.stem, role, tuple(probes), str(path))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StudyError("there is no such probe file", where=str(path), how="Check the path") from None
    except IsADirectoryError:
        raise StudyError("this is a folder, a probe file was expected", where=str(path)) from None
    except OSError as error:
        raise StudyError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise StudyError(
            f"line {line} is not {'UTF-16' if utf16 else 'UTF-8'} text",
            where=str(path),
            how="Save the file as UTF-8",
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise StudyError(f"line {line} has NUL characters", where=str(path), how="Save the file as UTF-8")
    return text


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        rows = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise StudyError("there is no such probe file", where=str(path), how="Check the path") from None
    except (OSError, ArrowException) as error:
        first = (str(error).splitlines() or [""])[0]
        raise StudyError(
            f"this is no Parquet file that can be read ({first[:120]})", where=str(path)
        ) from error
    for number, values in enumerate(rows, start=1):
        yield Row(f"row {number}", values)


def _rows(path: Path, text: str) -> Iterator[Row]:
    suffix = path.suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        return _json_lines(path, text)
    if suffix == ".json":
        return _json_list(path, text)
    if suffix in {".csv", ".tsv"}:
        return _table_rows(path, text)
    raise StudyError(
        f"{suffix or 'no suffix'} is none of the formats that can be read",
        where=str(path),
        how=f"Save it as one of {', '.join(SUFFIXES)}",
    )


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    # split at "\n" only: str.splitlines would also split at U+2028, which may stand inside a JSON string
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Row(f"line {number}", _object(_json(path, line, number), f"line {number}", path))


def _json_list(path: Path, text: str) -> Iterator[Row]:
    if not text.strip():
        return
    document = _json(path, text, None)
    if not isinstance(document, list):
        raise StudyError(
            "a JSON list of objects was expected", where=str(path), how="Put one object a probe into [ ]"
        )
    for number, item in enumerate(document, start=1):
        yield Row(f"item {number}", _object(item, f"item {number}", path))


def _json(path: Path, text: str, line: int | None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise StudyError(f"this is no valid JSON: {error.msg}", where=f"{path}, {where}") from error
    except RecursionError:
        raise StudyError("the JSON is nested too deeply", where=f"{path}, line {line or 1}") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        where = f"{path}, line {line}" if line else str(path)
        raise StudyError(
            "a whole number here has thousands of digits", where=where, how="Put it in quotes as text"
        ) from None


def _object(value: Any, where: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise StudyError(f"an object was expected, not {_shown(value)}", where=f"{path}, {where}")
    return value


def _table_rows(path: Path, text: str) -> Iterator[Row]:
    header = text.partition("\n")[0]
    delimiter = (
        "\t" if "\t" in header and "," not in header else ";" if ";" in header and "," not in header else ","
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
        for column in columns:
            if columns.count(column) > 1:
                raise StudyError(f"the column {column!r} is there twice", where=f"{path}, line 1")
        for number, cells in enumerate((cells for cells in reader if cells), start=1):
            where = f"row {number} (line {reader.line_num})"
            if len(cells) != len(columns):
                raise StudyError(
                    f"{len(cells)} cells, but the header has {len(columns)}",
                    where=f"{path}, {where}",
                    how='Put text that holds the separator into "quotes"',
                )
            yield Row(
                where, {column: _cell(column, cell) for column, cell in zip(columns, cells, strict=True)}
            )
    except csv.Error as error:
        raise StudyError(f"this is no valid CSV: {error}", where=f"{path}, line {reader.line_num}") from error


def _cell(column: str, cell: str) -> Any:
    """A cell as JSON would have it: a list where the column holds lists, None where nothing is written."""
    if not cell.strip():
        return None
    if SAME.get(column, column) not in LISTS and column != "choices":
        return cell
    if cell.lstrip().startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell  # an answer may begin with a bracket
    return [item.strip() for item in cell.split("|")]


def _check_columns(path: Path, rows: Sequence[Row]) -> None:
    """Refuse a column that is a known one misspelt, or no prompts; any other unknown column is a concept."""
    places: dict[str, str] = {}
    for row in rows:
        for column in row.values:
            places.setdefault(column, row.where)
    table = path.suffix.lower() in {".csv", ".tsv"}
    for column, place in places.items():
        if column not in KNOWN and (meant := _meant(column)):
            raise StudyError(
                f"the column `{column}` is unknown",
                where=f"{path}, {'line 1' if table else place}",
                how=f"Did you mean `{meant}`?",
            )
    if not set(PROMPT) & set(places):
        found = ", ".join(places) or "none"
        raise StudyError(
            f"no column `prompt` or `question` (columns: {found})",
            where=str(path),
            how="Rename the one with the prompts",
        )


def _meant(column: str) -> str:
    """The known column that this one seems to be, or ""."""
    plain = column.strip().lower().replace(" ", "_").replace("-", "_")
    if plain in KNOWN:
        return plain
    # Two swapped letters of a short word give 0.83, and so does a known word with another behind it (`prompt_id`).
    cutoff = 0.85 if "_" in plain else 0.8
    known = [name for name in KNOWN if name not in SPELT_BY_CHANCE]
    return next(iter(difflib.get_close_matches(plain, known, n=1, cutoff=cutoff)), "")


def _probe(values: Mapping[str, Any], role: Role, default_id: str) -> Probe:
    texts: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    concepts: dict[str, str] = {}
    identity = default_id
    for column, value in values.items():
        name = SAME.get(column, column)
        if value is None:
            continue
        if name in texts or name in lists:
            raise RowProblem(f"both `{column}` and `{name}` are given")
        if name in TEXTS:
            texts[name] = _string(column, value)
        elif name in LISTS:
            lists[name] = _strings(column, value)
        elif name == "id":
            identity = _label(column, value)
        elif value != "":
            concepts[column] = _label(column, value)
    if not texts.get("prompt", "").strip():
        raise RowProblem("its prompt is empty")
    return Probe(
        id=identity,
        role=role,
        prompt=texts["prompt"],
        answer=texts.get("answer", ""),
        paraphrased_prompt=texts.get("paraphrased_prompt", ""),
        paraphrased_answer=texts.get("paraphrased_answer", ""),
        perturbed_answers=lists.get("perturbed_answers", ()),
        options=lists.get("options", ()),
        key_fact=texts.get("key_fact", ""),
        subject=texts.get("subject", ""),
        tags=lists.get("tags", ()),
        concepts=concepts,
    )


def _string(column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RowProblem(f"`{column}` must be text, not {_shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowProblem(f"`{column}` holds half a character (a lone surrogate)") from None
    return value


def _strings(column: str, value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise RowProblem(f"`{column}` must be a list of texts, not {_shown(value)}")
    texts = tuple(_string(column, item) for item in items)
    if not all(text.strip() for text in texts):
        raise RowProblem(f"`{column}` has an empty text in its list")
    return texts


def _label(column: str, value: Any) -> str:
    """A short text; numbers are taken as they are written, for ids and the like."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowProblem(f"`{column}` must be text, not {_shown(value)}")
    text = _string(column, str(value)).strip()
    if not text:
        raise RowProblem(f"`{column}` is empty")
    return text


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."
