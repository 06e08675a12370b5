"""Rows of JSON, by what the text holds and not by the file's name: lines, lists, and what tools wrap around them.

Rows are found in: JSON Lines, objects one after another, a list, a list of texts, one key of an object ("data"), splits
("train", "test"; which one must be said), the hub viewer's pages, columns, pandas' five forms, objects by index. Knows
names of columns only as far as it must tell columns from rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backends.errors import StudyError
from backends.files.plain import json_decoder
from backends.probes.names import ANSWERS, CONVERSATIONS, OTHER_PROMPTS, PROMPTS, canonical, is_known
from backends.probes.rows import FileOptions, RepeatedKeys, Row, Rows, shown

_BLANK = re.compile(r"[ \t\r\n]*")
_SEEN = 20
_DEEPEST = 5
"""Wrappings inside of wrappings."""
_WRAPPING = 200
"""Characters before the list in a wrapping."""
_LINES = "JSON Lines"
_FOR_ROWS = (
    "data",
    "rows",
    "items",
    "texts",
    "examples",
    "instances",
    "train",
    "test",
    "forget",
    "retain",
    "holdout",
)
_ASKS = frozenset((*PROMPTS, *OTHER_PROMPTS, "text"))


class JsonBreak(NamedTuple):
    """Where JSON ends to be JSON, and why."""

    line: int
    column: int
    what: str


def json_rows(path: Path, text: str, asked: FileOptions) -> Rows:
    """The rows of a text of JSON.

    Raises:
        StudyError: it is no JSON at all, holds no rows, or several splits of which none was chosen.
    """
    start = _after_blanks(text, 0)
    if start == len(text):
        return Rows([], "JSON")
    value, end, broken = _read(text, start)
    if broken is None and _after_blanks(text, end) == len(text):
        return _document(path, value, asked)
    by_lines = _lines(text)
    if broken is None and end == _end_of_line(text, start):
        return _from_lines(path, text, by_lines)
    if broken is not None and text[start] == "{" and _has_rows(by_lines[1:]):
        return _from_lines(path, text, by_lines)
    if broken is None:
        return _from_stream(path, text, start)
    return _rescued(path, text, start, broken)


def _after_blanks(text: str, start: int) -> int:
    match = _BLANK.match(text, start)
    return match.end() if match else start


def _read(text: str, start: int) -> tuple[Any, int, JsonBreak | None]:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return None, start, JsonBreak(error.lineno, error.colno, f"this is not valid JSON: {error.msg}")
    except RecursionError:
        return None, start, JsonBreak(text.count("\n", 0, start) + 1, 1, "the JSON is nested too deeply")
    return value, end, None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    names = [name for name, _ in pairs]
    return RepeatedKeys(values, {name for name in names if names.count(name) > 1})


_DECODER = json_decoder(_object)


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text.rstrip()) if end < 0 else len(text[start:end].rstrip()) + start


def _lines(text: str) -> list[tuple[int, str]]:
    # split at "\n" only: str.splitlines would also split at U+2028, which may stand inside a JSON string
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _has_rows(lines: Sequence[tuple[int, str]]) -> bool:
    """One of the next lines is a whole object."""
    for _, line in lines[:_SEEN]:
        value, _, broken = _read(line.strip(), 0)
        if broken is None and isinstance(value, dict):
            return True
    return False


def _from_lines(path: Path, text: str, lines: Sequence[tuple[int, str]]) -> Rows:
    rows: list[Row] = []
    decode = _DECODER.decode
    for number, line in lines:
        where = f"line {number}"
        try:
            value = decode(line)
        except json.JSONDecodeError as error:
            rows.append(Row(f"{where}, column {error.colno}", {}, f"this is not valid JSON: {error.msg}"))
            continue
        except RecursionError:
            rows.append(Row(where, {}, "the JSON is nested too deeply"))
            continue
        rows.append(Row(where, value) if type(value) is dict else _row(where, value))
    if rows and rows[-1].problem and not text.endswith("\n"):
        rows[-1] = rows[-1]._replace(problem=f"{rows[-1].problem}; the file seems truncated here")
    texts = all(row.problem and row.values for row in rows)
    rows = _texts_only(rows)
    if all(row.problem for row in rows):
        raise StudyError(rows[0].problem, where=f"{path}, {rows[0].where}", how="Write one object per line")
    return Rows(rows, f"{_LINES}, texts" if texts else _LINES, texts=texts)


def _from_stream(path: Path, text: str, start: int) -> Rows:
    """Objects one after another, over as many lines as they like."""
    rows: list[Row] = []
    line, counted = 1, 0
    while start < len(text):
        line, counted = line + text.count("\n", counted, start), start
        value, end, broken = _read(text, start)
        if broken is not None:
            what = broken.what if broken.line >= line else "this is not valid JSON"
            rows.append(
                Row(f"line {broken.line}, column {broken.column}", {}, f"{what}; the rest is not read")
            )
            break
        rows.append(_row(f"line {line}", value))
        start = _after_blanks(text, end)
    rows = _texts_only(rows)
    if all(row.problem for row in rows):
        raise StudyError(rows[0].problem, where=f"{path}, {rows[0].where}")
    return Rows(rows, "JSON, one object after another")


def _row(where: str, value: Any) -> Row:
    if isinstance(value, dict):
        return Row(where, value)
    if isinstance(value, str):
        return Row(where, {"text": value}, f"an object was expected, not {shown(value)}")
    return Row(where, {}, f"an object was expected, not {shown(value)}")


def _texts_only(rows: list[Row]) -> list[Row]:
    """A file of nothing but texts is raw text; a text among objects is a row that cannot be read."""
    if all(row.problem and row.values for row in rows):
        return [Row(row.where, row.values) for row in rows]
    return [Row(row.where, {}, row.problem) if row.problem else row for row in rows]


def _rescued(path: Path, text: str, start: int, broken: JsonBreak) -> Rows:
    """What comes before the place where a list is broken.

    Raises:
        StudyError: nothing does.
    """
    rows: list[Row] = []
    at = text.find("[", start)
    while at >= 0 and not rows and at - start < _WRAPPING:
        rows = [row for row in _items(text, at + 1) if at == start or _is_row(row.values)]
        at = text.find("[", at + 1)
    if not rows:
        where = f"{path}, line {broken.line}, column {broken.column}"
        how = "Its first line looks like CSV: rename it to end in .csv" if _is_like_csv(text) else ""
        how = how or ("" if text[start] in "[{" else "Write one object per line")
        raise StudyError(broken.what, where=where, how=how)
    rest = f"{broken.what}; the rest of the file is not read"
    rows.append(Row(f"line {broken.line}, column {broken.column}", {}, rest))
    return Rows(_texts_only(rows), "JSON, broken")


def _items(text: str, start: int) -> Iterator[Row]:
    number = 0
    while True:
        start = _after_blanks(text, start)
        value, end, broken = _read(text, start)
        if broken is not None or not isinstance(value, dict | str):
            return
        number += 1
        if isinstance(value, dict) and isinstance(value.get("row"), dict):
            value = value["row"]
        yield _row(f"item {number}", value)
        start = _after_blanks(text, end)
        if text[start : start + 1] != ",":
            return
        start += 1


def _is_like_csv(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    return any(is_known(name.strip(' "\r')) for name in re.split(r"[,;\t|]", first))


def _document(path: Path, value: Any, asked: FileOptions, under: str = "", depth: int = 0) -> Rows:
    """The rows of one value, inside of whatever wraps them."""
    said = f"JSON, rows under {under}" if under else "JSON"
    if isinstance(value, list):
        return _listed(path, value, asked, said, depth)
    if not isinstance(value, dict):
        raise StudyError(
            f"a list of objects was expected, not {shown(value)}",
            where=str(path),
            how="Put one object per probe into [ ]",
        )
    if not value:
        return Rows([], said)
    if _is_whole_row(value, asked):
        return Rows(
            [Row(f"item 1 under {under}" if under else "line 1", value)],
            said if under else _LINES,
        )
    if found := _of_viewer(value) or _of_columns(path, value, asked, said):
        return found
    if all(isinstance(each, dict) and each for each in value.values()) and (
        any(_is_row(each) or not asked.columns.isdisjoint(each) for each in value.values())
    ):
        rows = [Row(f"entry {shown(name)}", each) for name, each in value.items()]
        return Rows(rows, f"{said}, one entry per row" if under else "JSON, one entry per row")
    return _of_split(path, value, asked, under, depth)


def _is_row(value: Mapping[str, Any]) -> bool:
    """It asks something itself: a text or number under the name of a prompt, or a conversation."""
    return any(
        (canonical(name) in _ASKS and isinstance(each, str | int | float)) or _is_conversation(name, each)
        for name, each in value.items()
    )


def _is_whole_row(value: Mapping[str, Any], asked: FileOptions) -> bool:
    """As above, and it is no wrapping whose rows have something in common."""
    if any(name in asked.columns and isinstance(value[name], str | int | float) for name in value):
        return True
    rows_inside = any(
        isinstance(each, list) and each and isinstance(each[0], dict) and not _is_conversation(name, each)
        for name, each in value.items()
    )
    answered = any(canonical(name) in (*ANSWERS, "answer") for name in value)
    return _is_row(value) and (answered or not rows_inside)


def _is_conversation(name: str, value: Any) -> bool:
    return (
        (canonical(name) in CONVERSATIONS or canonical(name) in _ASKS)
        and isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and bool({"role", "from"} & value[0].keys())
    )


def _listed(path: Path, items: list[Any], asked: FileOptions, said: str, depth: int) -> Rows:
    if len(items) == 1 and isinstance(items[0], dict) and depth < _DEEPEST:
        lists = [
            each
            for each in items[0].values()
            if isinstance(each, list) and each and isinstance(each[0], dict)
        ]
        if lists and not any(map(is_known, items[0])):
            return _document(path, items[0], asked, depth=depth + 1)
    if items and all(isinstance(item, list) for item in items):
        return _table(path, items, said)
    rows = [_row(f"item {number}", item) for number, item in enumerate(items, start=1)]
    if rows and all(row.problem and not row.values for row in rows):
        raise StudyError(
            rows[0].problem, where=f"{path}, {rows[0].where}", how="Put one object per probe into [ ]"
        )
    texts = bool(rows) and all(row.problem for row in rows)
    return Rows(_texts_only(rows), f"{said}, a list of texts" if texts else said, texts=texts)


def _table(path: Path, items: list[list[Any]], said: str) -> Rows:
    """Lists, the first of which names the columns."""
    header = items[0]
    if not all(isinstance(name, str) for name in header) or not any(map(is_known, header)):
        raise StudyError(
            f"its rows are lists without names of columns (the first is {shown(header)})",
            where=str(path),
            how='Write each as an object: {"question": ..., "answer": ...}',
        )
    return Rows(_tabled(header, items[1:]), f"{said}, lists under a header")


def _tabled(names: list[str], items: Sequence[Any]) -> list[Row]:
    rows = []
    for number, item in enumerate(items, start=1):
        if isinstance(item, list) and len(item) == len(names):
            rows.append(Row(f"item {number}", dict(zip(names, item, strict=True))))
        else:
            rows.append(
                Row(f"item {number}", {}, f"a list of {len(names)} values was expected, not {shown(item)}")
            )
    return rows


def _of_viewer(value: Mapping[str, Any]) -> Rows | None:
    """A page of the hub's data set viewer: rows with their number, and which cells it cut off."""
    rows = value.get("rows")
    if not isinstance(rows, list) or not rows:
        return None
    if not all(isinstance(each, dict) and isinstance(each.get("row"), dict) for each in rows):
        return None
    result = []
    for place, each in enumerate(rows):
        cut = each.get("truncated_cells") or []
        problem = f"the viewer truncated {', '.join(map(str, cut))}" if cut else ""
        result.append(Row(f"row {each.get('row_idx', place)}", each["row"], problem))
    total = value.get("num_rows_total")
    notes: tuple[str, ...] = ()
    if isinstance(total, int) and total > len(rows):
        notes = (f"this is a page of {len(rows):,} of the data set's {total:,} rows",)
    return Rows(result, "a page of the hub's viewer", notes)


def _of_columns(path: Path, value: Mapping[str, Any], asked: FileOptions, said: str) -> Rows | None:
    """Columns instead of rows: of lists, of entries by index, or with their names apart (pandas' `split`).

    Raises:
        StudyError: the columns are of different lengths.
    """
    header, data = value.get("columns"), value.get("data")
    if isinstance(header, list) and isinstance(data, list) and all(isinstance(name, str) for name in header):
        return Rows(_tabled(header, data), f"{said}, columns and data apart")
    if not any(is_known(name) or name in asked.columns for name in value):
        return None
    if all(isinstance(each, list) for each in value.values()):
        lengths = {name: len(each) for name, each in value.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in list(lengths.items())[:6])
            raise StudyError(f"its columns are of different lengths ({told})", where=str(path))
        rows = zip(*value.values(), strict=True)
        result = [Row(f"item {n}", dict(zip(value, row, strict=True))) for n, row in enumerate(rows, start=1)]
        return Rows(result, f"{said}, one list per column")
    if all(isinstance(each, dict) for each in value.values()):
        index = dict.fromkeys(key for each in value.values() for key in each)
        result = [
            Row(f"entry {shown(key)}", {name: each[key] for name, each in value.items() if key in each})
            for key in index
        ]
        return Rows(result, f"{said}, one object a column")
    return None


def _may_be_rows(name: str, held: list[Any], beside: Mapping[str, Any]) -> bool:
    """Objects may be rows; texts only under a name for rows, or where all else is lists, too."""
    if isinstance(held[0], dict | list):
        return True
    only_lists = all(isinstance(each, list) for each in beside.values())
    return isinstance(held[0], str) and (only_lists or name in _FOR_ROWS)


def _of_split(path: Path, value: Mapping[str, Any], asked: FileOptions, under: str, depth: int) -> Rows:
    """The rows under the one name that has some, or under the split that a person chose.

    Raises:
        StudyError: there are none, or several and none was chosen.
    """
    held: dict[str, Any] = {
        name: each
        for name, each in value.items()
        if (isinstance(each, list) and each and _may_be_rows(name, each, value))
        or (isinstance(each, dict) and any(isinstance(inner, list | dict) for inner in each.values()))
    }
    chosen = asked.split.partition("/")[0]
    if chosen in held:
        held = {chosen: held[chosen]}
        asked = asked._replace(split=asked.split.partition("/")[2])
    elif not (chosen or held or under):
        return Rows([Row("line 1", value)], _LINES)  # whose columns are then found wanting
    elif chosen or not held or depth >= _DEEPEST:
        has = f"; it has {', '.join(map(str, list(value)[:8]))}"
        what = f"there is no split {chosen!r}{has}" if chosen else f"no rows were found in this object{has}"
        raise StudyError(what, where=str(path), how="Put one object per probe into [ ]" if not chosen else "")
    elif len(held) > 1:
        rows = {
            name: each for name, each in held.items() if isinstance(each, list) and isinstance(each[0], dict)
        }
        rows = {name: each for name, each in rows.items() if any(map(is_known, each[0]))} or rows
        if len(rows) != 1:
            told = ", ".join(f"{name} ({len(each):,})" for name, each in held.items())
            raise StudyError(
                f"it holds several splits: {told}",
                where=str(path),
                how=f'Say which: split = "{next(iter(held))}"',
            )
        held = dict(rows)
    name, inner = next(iter(held.items()))
    return _document(path, inner, asked, f"{under}/{name}" if under else name, depth + 1)
