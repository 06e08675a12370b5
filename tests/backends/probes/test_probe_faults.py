"""Probe files that are damaged, disguised or hostile: one sentence that says what, where and how, and nothing hangs."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from backends.errors import StudyError
from backends.files.plain import read_plain
from backends.probes import formats
from backends.probes.reading import inspect_probes, read_probes
from backends.study import Reading

ROWS = [{"question": f"Where was Person {i} born?", "answer": f"In Town {i}."} for i in range(3)]
LINES = "\n".join(map(json.dumps, ROWS)) + "\n"
SKIP = Reading(skip_bad_rows=True)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def sentence(path: Path, reading: Reading | None = None) -> str:
    with pytest.raises(StudyError) as raised:
        read_probes(path, "forget", reading or Reading())
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "kept", "words"),
    [
        ("a.jsonl", LINES[:-20], 2, "line 3, column "),
        ("a.jsonl", LINES[:-20], 2, "the file seems truncated here"),
        ("a.jsonl", "{bad\n" + LINES, 3, "line 1, column 2: this is not valid JSON"),
        ("a.jsonl", LINES + '["x"]\n', 3, 'line 4: an object was expected, not ["x"]'),
        ("a.jsonl", LINES + '"text"\n', 3, 'line 4: an object was expected, not "text"'),
        (
            "a.jsonl",
            '{"question": "q", "answer": "b", "answer": "c"}\n' + LINES,
            3,
            "line 1: `answer` is given twice",
        ),
        ("a.jsonl", '{"x": ' + "[" * 100_000 + "\n" + LINES, 3, "line 1: the JSON is nested too deeply"),
        ("a.jsonl", LINES + LINES.replace("{", '{"id": "x", ').partition("\n")[0] * 1 + "\n", 4, ""),
        ("a.json", json.dumps(ROWS, indent=1)[:-30], 2, "line 11, column "),
        ("a.json", json.dumps({"data": ROWS})[:-30], 2, "the rest of the file is not read"),
        (
            "a.json",
            json.dumps(ROWS[0], indent=1) + json.dumps(ROWS[1], indent=1)[:-4],
            1,
            "the rest is not read",
        ),
        ("a.csv", "question,answer\nq,b1\nc\nd,e1\n", 2, "row 2 (line 3): 1 cells, but the header has 2"),
        ("a.csv", 'question,answer\nq,b1\n"c,d\ne,f\n', 1, "line 4: this is not valid CSV"),
        (
            "a.jsonl",
            LINES.encode() + b'{"question": "caf\xe9", "answer": "x1"}\n',
            3,
            "line 4: `question` has bytes that are",
        ),
        ("a.jsonl", LINES.encode() + '{"question": "é'.encode()[:-1], 3, "line 4"),
        ("a.jsonl", LINES + '{"question": "q", "answer": NaN}\n', 3, "line 4: `answer` is nan"),
        (
            "a.jsonl",
            LINES + '{"question": "q", "answer": 1' + "0" * 400 + "}\n",
            3,
            "line 4: `answer` is inf",
        ),
        (
            "a.jsonl",
            LINES + '{"question": "\\ud800", "answer": "a1"}\n',
            3,
            "line 4: `question` holds a lone surrogate",
        ),
    ],
)
def test_a_bad_row_is_named_and_the_rest_is_kept_where_that_is_asked_for(
    tmp_path: Path, name: str, content: str | bytes, kept: int, words: str
) -> None:
    path = write(tmp_path, name, content)
    found = read_probes(path, "forget", SKIP)
    assert len(found.probes) == kept
    if words:
        assert any(words in row for row in found.left_out)
        told = sentence(path)
        assert "skip_bad_rows" in told or "UTF-8" in told


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "5", "a list of objects was expected, not 5"),
        ("a.json", "null", "a list of objects was expected, not null"),
        ("a.json", "", "this probe file is empty"),
        (
            "a.jsonl",
            "Just words\nand more",
            "line 1, column 1: this is not valid JSON: Expecting value. Write one object",
        ),
        ("a.json", "question,answer\nq,a\n", "Its first line looks like CSV: rename it to end in .csv"),
        ("a.csv", LINES, "its first line looks like JSON. Rename it to end in .jsonl"),
        ("a.json", '[["a", "b"]]', "rows are lists without names of columns"),
        (
            "a.json",
            '{"question": ["a", "b"], "answer": ["c"]}',
            "columns are of different lengths (question 2, answer 1)",
        ),
        (
            "a.json",
            '{"rows": [{"row_idx": 4, "row": {"question": "q"}, "truncated_cells": ["answer"]}]}',
            "truncated answer",
        ),
        (
            "a.csv",
            "Where was A born?,In Rome.\nWhere was B born?,In Bern.\n",
            "put a header such as question,answer",
        ),
        ("a.csv", "question,answer,answer\nq,b,c\n", "line 1: the column `answer` appears twice"),
        ("a.jsonl", b"\x80\x04\x95rest", "this file is a pickle, no text"),
        ("a.csv", b"PK\x03\x04rest", "a ZIP archive or a workbook"),
        (
            "a.jsonl",
            gzip.compress(b"x", mtime=0),
            "compressed with gzip, despite its name. Rename it to end in .gz",
        ),
        ("a.json", b"PAR1rest", "this file is Parquet, despite its name"),
        ("a.jsonl", b"\x00\x01\x02\x00", "NUL characters: this is not text file"),
        ("a.jsonl.gz", LINES, "cannot be unpacked"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-12], "cannot be unpacked"),
        ("a.jsonl.xz", b"junk", "cannot be unpacked"),
        ("a.arrow", b"junk", "Parquet or Arrow file cannot be read"),
        ("a.csv", "question,answer\nWo wohnt Jörg?,Köln\n".encode("cp1252"), 'encoding = "cp1252"'),
        ("a.csv", "question,answer\nWo wohnt Jörg?,Köln\n".encode("mac-roman"), 'encoding = "mac-roman"'),
        ("a.csv", "question,answer\nГде он родился?,Москва\n".encode("cp1251"), 'encoding = "cp1251"'),
        ("a.csv", "question,answer\n他在哪里出生?,北京\n".encode("gb18030"), 'encoding = "gb18030"'),
        (
            "a.csv",
            "question,answer\n彼はどこで生まれた?,東京\n".encode("shift_jis"),
            'encoding = "shift_jis"',
        ),
    ],
)
def test_a_file_that_is_something_else_gets_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    assert words in sentence(write(tmp_path, name, content))


def test_a_file_in_another_encoding_is_asked_about_even_where_bad_rows_are_left_out(tmp_path: Path) -> None:
    rows = "".join(f"Où est la {i}e fenêtre?,Là\n" for i in range(9))
    path = write(tmp_path, "a.csv", f"question,answer\n{rows}".encode("cp1252"))
    assert 'encoding = "cp1252"' in sentence(path, SKIP)
    cut = write(tmp_path, "b.csv", f"question,answer\n{rows}".encode()[:-2])
    assert "it seems truncated" in sentence(cut)
    last = write(tmp_path, "c.csv", "question,answer\nWhere?,In a café".encode("cp1252"))
    assert "a café” in cp1252" in sentence(last)


@pytest.mark.parametrize("encoding", ["cp1252", "mac-roman", "latin-1", "utf-16-le"])
def test_an_encoding_that_a_person_names_is_taken_and_said(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "a.csv", "question,answer\nWo wohnt Jörg?,Köln\n".encode(encoding))
    found = inspect_probes(path, "forget", Reading(encoding=encoding))
    assert found.probe_set.probes[0].prompt == "Wo wohnt Jörg?"
    assert found.how.container == f"CSV; {encoding}"
    assert "unknown encoding 'klingon'" in sentence(path, Reading(encoding="klingon"))


def test_a_named_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    (tmp_path / "zero.jsonl.gz").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data.arrow").touch()
    assert "is a named pipe" in sentence(tmp_path / "pipe.jsonl")
    assert "is a device" in sentence(tmp_path / "zero.jsonl")
    assert "is a device" in sentence(tmp_path / "zero.jsonl.gz")
    assert "this is a folder, a probe file was expected. Name one of its files: data.arrow" in sentence(
        tmp_path / "folder"
    )


def test_what_unpacks_to_more_than_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "read_plain", partial(read_plain, most_unpacked=2**20))
    packed = lzma.compress(b" " * 2**21)
    assert "unpacks to more than the 1 MB that are read" in sentence(write(tmp_path, "a.jsonl.xz", packed))


def test_a_small_table_of_very_many_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"question": pa.array(["q"] * 3_000_000).dictionary_encode()}), path)
    assert "3,000,000 rows" in sentence(path)


def test_more_rows_than_are_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_ROWS", 2)
    assert "3 rows are more than the 2 that are read" in sentence(write(tmp_path, "a.jsonl", LINES))


def test_long_lines_and_cells_and_many_columns_are_read(tmp_path: Path) -> None:
    long = json.dumps({"question": "q", "answer": "In A.", "extra": [0] * 1_000_000}) + "\n"
    assert len(read_probes(write(tmp_path, "a.jsonl", LINES + long), "forget").probes) == 4
    cell = "x" * 200_000
    found = read_probes(write(tmp_path, "a.csv", f"question,answer\nq,{cell}\n"), "forget")
    assert found.probes[0].answer == cell
    header = ",".join(["question", "answer", *(f"c{i}" for i in range(3000))])
    wide = inspect_probes(write(tmp_path, "w.csv", f"{header}\n{','.join(['In A.'] * 3002)}\n"), "forget")
    assert len(wide.columns) == 3002


def test_separators_at_the_end_of_lines_and_columns_without_names_do_no_harm(tmp_path: Path) -> None:
    found = inspect_probes(write(tmp_path, "a.csv", "question,answer,,\nq,In A.,,\nr,In B.,,,,\n"), "forget")
    assert [p.answer for p in found.probe_set.probes] == ["In A.", "In B."]
    assert found.columns[""] == "left out: it has no name"


def test_line_breaks_and_quotes_inside_of_cells_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'question,answer\n"He said ""hi"",\nwhere?","In, A."\n')
    (probe,) = read_probes(path, "forget").probes
    assert (probe.prompt, probe.answer) == ('He said "hi",\nwhere?', "In, A.")


def test_an_empty_text_in_a_list_of_texts_is_left_out_and_listed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '["One text.", "", "Another."]')
    found = inspect_probes(path, "forget")
    assert not found.problems and found.probe_set.left_out == ("item 2: its text is empty",)
    assert [p.id for p in found.probe_set.probes] == ["a-001", "a-003"]
    assert "1 of 1 rows cannot be used" in sentence(write(tmp_path, "b.json", '[""]'))
