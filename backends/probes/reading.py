"""Reading probe files: what holds the rows, what their columns become, and one probe for each row that can be used.

One row is one probe. What cannot be used is named by its row; nothing is skipped or guessed in silence: how a file was
read stays with its probe set (`ReadingReport`). Knows nothing about models: whether a prompt fits into a context is for
the model to say. The forms that are read are listed in `docs/formats.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backends.errors import StudyError
from backends.files.plain import storable, without_compression
from backends.probes.benchmarks import HAVE_GAPS
from backends.probes.building import ReadingLog, RowLayout, build
from backends.probes.columns import LABEL, AmbiguousColumns, ColumnFacts, ColumnPlan, plan
from backends.probes.facts import check_letters, column_facts, first_number, options_are_named
from backends.probes.formats import ARROW, TABLES, read_rows
from backends.probes.report import alarms, notes
from backends.probes.rows import EmptyPrompt, FileOptions, RepeatedKeys, Row, RowProblem
from backends.study import DEFAULT_READING, Probe, ProbeSet, Reading, ReadingReport, Role

SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class ProbeFile:
    """A file of probes with how its columns were read, before anything runs on it.

    Attributes:
        probe_set: the probes that can be used, and how they were read.
        problems: for each row that cannot be used, where it stands and why.
        pictures: it was read as prompts for image models.
    """

    probe_set: ProbeSet
    problems: tuple[str, ...]
    pictures: bool

    @property
    def how(self) -> ReadingReport:
        """How the file was read."""
        return self.probe_set.how

    @property
    def rows(self) -> int:
        """How many rows the file has."""
        return self.how.rows

    @property
    def columns(self) -> Mapping[str, str]:
        """Column of the file -> what it became, in the order of the file."""
        return dict(self.how.columns)

    @property
    def shape(self) -> str:
        """The benchmark whose columns these are, or ""."""
        return self.how.shape


def read_probes(
    path: Path, role: Role, reading: Reading = DEFAULT_READING, *, pictures: bool | None = None
) -> ProbeSet:
    """The probes of one file, in its order.

    Args:
        path: the file.
        role: of all its probes.
        reading: a mapping of columns, a prompt format, and whether rows that cannot be used may be left out.
        pictures: the prompts are for image models; None asks the columns.

    Raises:
        StudyError: the file is missing, empty, not in one of the formats, or has rows that cannot be used.
    """
    probe_file = inspect_probes(path, role, reading, pictures=pictures)
    usable = bool(probe_file.probe_set.probes)
    if not usable or (probe_file.problems and not reading.skip_bad_rows):
        raise _unusable(
            path, probe_file.problems or probe_file.probe_set.left_out, probe_file.rows, usable=usable
        )
    return probe_file.probe_set


def inspect_probes(
    path: Path, role: Role, reading: Reading = DEFAULT_READING, *, pictures: bool | None = None
) -> ProbeFile:
    """What `read_probes` would make of a file, with every row that cannot be used; arguments as there.

    Raises:
        StudyError: the file is missing, empty, not in one of the formats, has no column of prompts, or one of which
            cannot be told what it is.
    """
    called = reading.columns
    asked = FileOptions(reading.encoding, reading.split, reading.skip_bad_rows, frozenset(called))
    held = read_rows(path, asked)
    if not held.rows:
        raise StudyError("this probe file is empty", where=str(path), how="Write one probe a row")
    kind = without_compression(path).suffix.lower()
    table = kind in TABLES
    readable = [row for row in held.rows if not row.problem]
    columns = list(
        dict.fromkeys(column for kind in {tuple(row.values): None for row in readable} for column in kind)
    )
    if not columns:
        raise _unusable(
            path, [f"{row.where}: {row.problem or 'it is empty'}" for row in held.rows], usable=False
        )
    _check_mapping(path, columns, called)
    rows = [_mapped(row, called) for row in held.rows] if called else held.rows
    readable = [row for row in rows if not row.problem]
    named = list(dict.fromkeys(called.get(column, column) for column in columns if called.get(column) != ""))
    try:
        facts = column_facts(readable, named, table=table, pictures=pictures, own_seeds=reading.own_seeds)
        ways = _RowLayouts(readable, facts, role, reading.format, table)
        whole = plan(named, facts)
        _check_prompts(path, readable, whole, ways, table)
        _check_alike(whole, facts)
        if table or kind in ARROW:
            _check_twice(readable[0], whole)
        seen = ReadingLog()
        probes, problems, gaps = _built(path, rows, ways, seen, texts=held.texts)
    except AmbiguousColumns as ask:
        raise StudyError(ask.what, where=_place(path, readable, ask.column, table), how=ask.how) from None
    shapes = dict.fromkeys(way.plan.shape for way in ways.known() if way.plan.shape)
    how = ReadingReport(
        len(rows),
        held.container,
        ", ".join(shapes),
        _told(columns, called, ways, whole, seen),
        alarms(
            probes, whole, facts, [name for name in named if name in seen.labels], asked=pictures is not None
        ),
        (*held.notes, *ways.notes(), *notes(probes, whole, facts, seen)),
    )
    name = without_compression(path).stem
    probe_set = ProbeSet(name, role, tuple(probes), str(path), reading, (*problems, *gaps), how)
    return ProbeFile(probe_set, tuple(problems), facts.pictures)


def _unusable(path: Path, problems: Sequence[str], rows: int = 0, *, usable: bool) -> StudyError:
    listed = "; ".join(problems[:SHOWN_PROBLEMS])
    more = len(problems) - SHOWN_PROBLEMS
    return StudyError(
        f"{len(problems):,} of {rows or len(problems):,} rows cannot be used: {listed}"
        + (f"; and {more:,} more" if more > 0 else ""),
        where=str(path),
        how="Fix them, or skip them with skip_bad_rows = true" if usable else "Fix them",
    )


class _RowLayouts:
    """How rows are read, by their columns: a file may mix conversations with questions and answers."""

    def __init__(self, rows: Sequence[Row], facts: ColumnFacts, role: Role, form: str, table: bool) -> None:
        self._rows = rows
        self._facts = facts
        self._role: Role = role
        self._form = form
        self._table = table
        self._by_columns: dict[tuple[str, ...], RowLayout] = {}

    def of(self, row: Row) -> RowLayout:
        """The way of a row. Where the column that it would be asked from is empty, its other columns decide."""
        way = self._way(tuple(row.values))
        if row.values.get(way.prompt_column) is None:
            filled = tuple(column for column, value in row.values.items() if value is not None)
            if len(filled) < len(row.values):
                other = self._way(filled)
                return other if other.plan.prompted else way
        return way

    def known(self) -> Sequence[RowLayout]:
        """All ways that rows were read in."""
        return list(self._by_columns.values())

    def notes(self) -> list[str]:
        """How answers name one of the choices, where they do not stand as text."""
        result = []
        for way in self.known():
            if way.options is not None:
                result.append(
                    "the answers name one of the options, by letter, or by number from "
                    f"{way.options} on: the text that they name is scored, the others are the wrong ones"
                )
            elif way.by_number:
                result.append(
                    f"the answers count the choices from {way.first} on: the text that they name is scored"
                )
        return list(dict.fromkeys(result))

    def _way(self, columns: tuple[str, ...]) -> RowLayout:
        if columns not in self._by_columns:
            self._by_columns[columns] = self._made(columns)
        return self._by_columns[columns]

    def _made(self, columns: tuple[str, ...]) -> RowLayout:
        made = plan(columns, self._facts)
        source = {target: column for column, target in made.becomes.items() if target}
        values = [row.values for row in self._rows]
        choices, first, options = self._facts.choices, 0, None
        by_number = False
        if "answer" in source and "#choice" in source:
            usual = 1 if "1" in choices.values() else 0
            first = first_number(values, source["answer"], len(choices), usual)
            by_number = any(str(each.get(source["answer"])).strip().isdecimal() for each in values)
        if "answer" in source and "#choices" in source:
            check_letters(self._rows, source["#choices"], source["answer"], table=self._table)
        if "answer" in source and "options" in source:
            options = options_are_named(self._rows, source["options"], source["answer"], table=self._table)
        return RowLayout(made, self._role, self._form, self._table, choices, first, options, by_number)


class _BuiltProbes(NamedTuple):
    """The probes, the rows that cannot be used, and gaps that a list has as it is published."""

    probes: list[Probe]
    problems: list[str]
    gaps: list[str]


def _built(
    path: Path, rows: Sequence[Row], ways: _RowLayouts, seen: ReadingLog, *, texts: bool
) -> _BuiltProbes:
    probes: list[Probe] = []
    problems: list[str] = []
    gaps: list[str] = []
    places: dict[str, str] = {}
    stem = without_compression(path).stem
    for number, row in enumerate(rows, start=1):
        try:
            if row.problem:
                raise RowProblem(row.problem)
            probe = build(row, f"{stem}-{number:03d}", ways.of(row), seen)
            if probe.id in places:
                raise RowProblem(f"its id {probe.id!r} is that of {places[probe.id]}")
        except RowProblem as problem:
            gap = isinstance(problem, EmptyPrompt) and (texts or ways.of(row).plan.shape in HAVE_GAPS)
            (gaps if gap else problems).append(f"{row.where}: {problem}")
        else:
            places[probe.id] = row.where
            probes.append(probe)
    return _BuiltProbes(probes, list(map(storable, problems)), list(map(storable, gaps)))


def _told(
    columns: Sequence[str], called: Mapping[str, str], ways: _RowLayouts, whole: ColumnPlan, seen: ReadingLog
) -> tuple[tuple[str, str], ...]:
    """What each column of the file became, under its own name."""
    says: dict[str, str] = {}
    for way in ways.known():
        for column, said in way.plan.says.items():
            if says.get(column, "left out").startswith("left out") or way.plan.becomes[column] != LABEL:
                says[column] = said
    told = []
    for column in columns:
        ours = called.get(column, column)
        if called.get(column) == "":
            told.append((column, "left out, as the study says"))
            continue
        said = says.get(ours) or whole.says.get(ours, "left out")
        if (
            whole.becomes.get(ours) == LABEL
            and ours not in seen.labels
            and said.startswith(("label", "concept"))
        ):
            lost = seen.left_out.get(ours)
            said = f"left out: {lost.what}" if lost else "left out: empty"
        told.append((column, said))
    return tuple((storable(column), said) for column, said in told)


def _check_mapping(path: Path, columns: Sequence[str], called: Mapping[str, str]) -> None:
    """Refuse a mapping of a column that no row has, and two columns that would become one."""
    wrong = next((theirs for theirs in called if theirs not in columns), None)
    what = f"names the column `{wrong}`, which no row has (columns: {', '.join(columns)})"
    if wrong is None:
        new = [called.get(column, column) for column in columns if called.get(column) != ""]
        wrong = next((column for column in new if new.count(column) > 1), None)
        what = f"makes two columns `{wrong}`"
    if wrong is not None:
        raise StudyError(
            f"the mapping {what}", where=str(path), how="Fix the table `columns` of this probe set"
        )


def _mapped(row: Row, called: Mapping[str, str]) -> Row:
    """The row with the columns that the study maps renamed."""
    values = {called.get(name, name): value for name, value in row.values.items() if called.get(name) != ""}
    if isinstance(row.values, RepeatedKeys):
        values = RepeatedKeys(values, [called.get(name, name) for name in row.values.names])
    return row._replace(values=values)


def _check_prompts(
    path: Path, rows: Sequence[Row], whole: ColumnPlan, ways: _RowLayouts, table: bool
) -> None:
    """Refuse a file in which nothing is asked."""
    if whole.prompted or any(ways.of(row).plan.prompted for row in rows[:1000]):
        return
    if meant := next((column for column, name in whole.alike.items() if name in ("prompt", "question")), ""):
        raise _unknown(meant, whole.alike[meant])
    found = ", ".join(whole.says) or "none"
    if table and not any(whole.becomes[column] not in (None, LABEL) for column in whole.becomes):
        raise StudyError(
            f"no column of prompts is named in line 1 (columns: {found})",
            where=str(path),
            how="If line 1 is a row already, put a header such as question,answer before it; otherwise map the column "
            'with the prompts: columns = { yours = "prompt" }',
        )
    raise StudyError(
        f"no column `prompt` or `question` (columns: {found})",
        where=str(path),
        how='Rename the one with the prompts, or map it in the study: columns = { yours = "prompt" }',
    )


def _check_twice(first: Row, whole: ColumnPlan) -> None:
    """Refuse a table that has one of the columns that are used twice."""
    if isinstance(first.values, RepeatedKeys):
        for column in first.values.names:
            if whole.becomes.get(column) not in (None, LABEL):
                raise AmbiguousColumns(f"the column `{column}` appears twice", "Rename one of them", column)


def _check_alike(whole: ColumnPlan, facts: ColumnFacts) -> None:
    """Ask of a misspelt column of answers where there is no other; a file that has all it needs is never stopped."""
    if facts.pictures or whole.answered:
        return
    if column := next((column for column, name in whole.alike.items() if name == "answer"), ""):
        raise _unknown(column, "answer")


def _unknown(column: str, meant: str) -> AmbiguousColumns:
    return AmbiguousColumns(f"the column `{column}` is unknown", f"Did you mean `{meant}`?", column)


def _place(path: Path, rows: Sequence[Row], column: str, table: bool) -> str:
    """The file, and where a column is first met."""
    where = "line 1" if table else next((row.where for row in rows if column in row.values), "")
    return f"{path}, {where}" if where and column else str(path)
