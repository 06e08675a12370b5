"""Reading probe files: JSONL, JSON, CSV, TSV and Parquet, in TOFU's column names, plainer ones, or a benchmark's.

One row is one probe. What cannot be used is named by its row; nothing is skipped or guessed in silence. Knows nothing
about models: whether a prompt fits into a context is for the model to say.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.errors import StudyError
from backends.probe_rows import TABLES, Row, read_rows, shown
from backends.probe_settings import COLUMNS as SETTINGS
from backends.probe_settings import OwnSettings, own_settings
from backends.probe_shapes import CHOICES, RowProblem, in_our_columns, shape_column, with_choices
from backends.study import AS_IS, RAW_TEXT, Probe, ProbeSet, Reading, Role

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


@dataclass(frozen=True, slots=True)
class ProbeFile:
    """A file of probes with what its columns were taken for, before anything runs on it.

    Attributes:
        probe_set: the probes that can be used.
        rows: how many rows the file has.
        columns: column of the file -> what it is taken for ("prompt", "concept", "tag"), in the order of the file.
        shape: the benchmark whose columns these are, or "".
        problems: for each row that cannot be used, where it stands and why.
    """

    probe_set: ProbeSet
    rows: int
    columns: Mapping[str, str]
    shape: str
    problems: tuple[str, ...]


def read_probes(path: Path, role: Role, reading: Reading = AS_IS, *, pictures: bool = True) -> ProbeSet:
    """The probes of one file, in its order.

    Columns: prompt (or question), answer, paraphrased_question, paraphrased_answer, perturbed_answer (list),
    options (list, the wrong ones), key_fact, subject, tags (list), id. For pictures, seed or evaluation_seed and
    guidance or evaluation_guidance are what the row's picture is drawn with (see `Reading.own_seeds`). Every other
    column is a concept of a picture (object, style). Rows of MUSE, WMDP, MMLU, RWKU and LUME work as they are (see
    `probe_shapes`). In CSV a list is written as JSON or with `|` between its items.

    Args:
        path: the file.
        role: of all its probes.
        reading: a mapping of columns, a prompt format, and whether rows that cannot be used may be left out.
        pictures: the prompts are for image models; to others a seed is a column like any.

    Raises:
        StudyError: the file is missing, empty, not in one of the formats, or has rows that cannot be used.
    """
    found = inspect_probes(path, role, reading, pictures=pictures)
    if found.problems and not (reading.skip_bad_rows and found.probe_set.probes):
        listed = "; ".join(found.problems[:SHOWN_PROBLEMS])
        more = len(found.problems) - SHOWN_PROBLEMS
        raise StudyError(
            f"{len(found.problems)} of {found.rows} rows cannot be used: {listed}"
            + (f"; and {more} more" if more > 0 else ""),
            where=str(path),
            how="Mend them, or leave them out with skip_bad_rows = true"
            if found.probe_set.probes
            else "Mend them",
        )
    return found.probe_set


def inspect_probes(path: Path, role: Role, reading: Reading = AS_IS, *, pictures: bool = True) -> ProbeFile:
    """What `read_probes` would make of a file, with every row that cannot be used; arguments as there.

    Raises:
        StudyError: the file is missing, empty, not in one of the formats, or has no column of prompts.
    """
    called = reading.columns
    lists = {theirs for theirs in (*called, *LISTS, *SAME, "choices") if _is_list(called.get(theirs, theirs))}
    found = read_rows(path, lists)
    if not found:
        raise StudyError("this probe file is empty", where=str(path), how="Write one probe a row")
    _check_mapping(path, found, called)
    rows = [_mapped(row, called) for row in found]
    used = SETTINGS if pictures and reading.own_seeds else {}
    shaped = [in_our_columns(row.values, used) for row in rows]
    ours = [Row(row.where, each.values) for row, each in zip(rows, shaped, strict=True)]
    _check_columns(path, ours)
    probes: list[Probe] = []
    places: dict[str, str] = {}
    problems: list[str] = []
    for number, (row, shape) in enumerate(zip(ours, shaped, strict=True), start=1):
        try:
            values, own_format = with_choices(row.values)
            form = reading.format or own_format or shape.format
            drawn_with = own_settings(rows[number - 1].values) if used else OwnSettings()
            probe = _probe(values, role, f"{path.stem}-{number:03d}", form, drawn_with)
            if probe.id in places:
                raise RowProblem(f"its id {probe.id!r} is that of {places[probe.id]}")
        except RowProblem as problem:
            problems.append(f"{row.where}: {problem}")
        else:
            places[probe.id] = row.where
            probes.append(probe)
    probe_set = ProbeSet(path.stem, role, tuple(probes), str(path), reading, tuple(problems))
    names = dict.fromkeys(each.shape for each in shaped if each.shape)
    columns = {
        column: used.get(column) or _taken_for(column, called, shaped[0].shape)
        for row in rows
        for column in row.values
    }
    theirs = {ours: name for name, ours in called.items()}
    return ProbeFile(
        probe_set,
        len(rows),
        {theirs.get(column, column): meaning for column, meaning in columns.items()},
        ", ".join(names),
        tuple(problems),
    )


def _is_list(column: str) -> bool:
    return SAME.get(column, column) in LISTS or column == "choices"


def _check_mapping(path: Path, rows: Sequence[Row], called: Mapping[str, str]) -> None:
    """Refuse a mapping of a column that no row has, and two columns that would become one."""
    columns = dict.fromkeys(column for row in rows for column in row.values)
    wrong = next((theirs for theirs in called if theirs not in columns), None)
    what = f"names the column `{wrong}`, which no row has (columns: {', '.join(columns)})"
    if wrong is None:
        new = [called.get(column, column) for column in columns if called.get(column) != ""]
        wrong = next((column for column in new if new.count(column) > 1), None)
        what = f"makes two columns `{wrong}`"
    if wrong is not None:
        raise StudyError(
            f"the mapping {what}", where=str(path), how="Mend the table `columns` of this probe set"
        )


def _mapped(row: Row, called: Mapping[str, str]) -> Row:
    """The row with the columns that the study maps renamed."""
    renamed = {called.get(name, name): value for name, value in row.values.items() if called.get(name) != ""}
    return Row(row.where, renamed)


def _taken_for(column: str, called: Mapping[str, str], shape: str) -> str:
    """What a column, renamed as the study says, means for a probe."""
    meaning = shape_column(shape, column)
    name = SAME.get(meaning or column, meaning or column)
    if name in (*TEXTS, *LISTS, "id"):
        return name
    return meaning or ("choices" if column in CHOICES else "concept")


def _check_columns(path: Path, rows: Sequence[Row]) -> None:
    """Refuse a column that is a known one misspelt, or no prompts; any other unknown column is a concept."""
    places: dict[str, str] = {}
    for row in rows:
        for column in row.values:
            places.setdefault(column, row.where)
    table = path.suffix.lower() in TABLES
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
            how='Rename the one with the prompts, or map it in the study: columns = { yours = "prompt" }',
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


def _probe(
    values: Mapping[str, Any], role: Role, default_id: str, form: str, drawn_with: OwnSettings
) -> Probe:
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
    alone = form == RAW_TEXT and not texts.get("prompt")
    if alone and not texts.get("answer", "").strip():
        raise RowProblem("its text is empty")
    if not alone and not texts.get("prompt", "").strip():
        raise RowProblem("its prompt is empty")
    return Probe(
        id=identity,
        role=role,
        prompt=texts.get("prompt", ""),
        answer=texts.get("answer", ""),
        paraphrased_prompt=texts.get("paraphrased_prompt", ""),
        paraphrased_answer=texts.get("paraphrased_answer", ""),
        perturbed_answers=lists.get("perturbed_answers", ()),
        options=lists.get("options", ()),
        key_fact=texts.get("key_fact", ""),
        subject=texts.get("subject", ""),
        tags=lists.get("tags", ()),
        concepts=concepts,
        format=form,
        seed=drawn_with.seed,
        guidance=drawn_with.guidance,
    )


def _string(column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RowProblem(f"`{column}` must be text, not {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowProblem(f"`{column}` holds half a character (a lone surrogate)") from None
    return value


def _strings(column: str, value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise RowProblem(f"`{column}` must be a list of texts, not {shown(value)}")
    texts = tuple(_string(column, item) for item in items)
    if not all(text.strip() for text in texts):
        raise RowProblem(f"`{column}` has an empty text in its list")
    return texts


def _label(column: str, value: Any) -> str:
    """A short text; numbers are taken as they are written, for ids and the like."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowProblem(f"`{column}` must be text, not {shown(value)}")
    text = _string(column, str(value)).strip()
    if not text:
        raise RowProblem(f"`{column}` is empty")
    return text
