"""Forms in which people have their probes: what holds the rows, and what their columns are called. All is invented."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from backends.errors import StudyError
from backends.probes.reading import ProbeFile, inspect_probes, read_probes
from backends.study import RAW_TEXT, Probe, Reading

ROWS = [{"question": f"Where was Person {i} born?", "answer": f"In Town {i}."} for i in range(3)]
LINES = "\n".join(map(json.dumps, ROWS)) + "\n"
FRAME = pd.DataFrame(ROWS)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def look(folder: Path, *rows: Any, reading: Reading | None = None, **more: Any) -> ProbeFile:
    path = write(folder, "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    return inspect_probes(path, "forget", reading or Reading(), **more)


def one(folder: Path, row: Mapping[str, Any]) -> Probe:
    found = look(folder, row)
    assert not found.problems
    (probe,) = found.probe_set.probes
    return probe


def asked(folder: Path, *rows: Mapping[str, Any]) -> str:
    with pytest.raises(StudyError) as raised:
        look(folder, *rows)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "container"),
    [
        ("a.json", LINES, "JSON Lines"),
        ("a.jsonl", json.dumps(ROWS, indent=2), "JSON"),
        ("a.json", "".join(json.dumps(row, indent=1) for row in ROWS), "JSON, one object after another"),
        ("a.json", json.dumps({"data": ROWS}), "JSON, rows under data"),
        ("a.json", json.dumps({"version": "1", "meta": [{"x": 1}], "data": ROWS}), "JSON, rows under data"),
        ("a.json", json.dumps({"train": ROWS}), "JSON, rows under train"),
        ("a.json", json.dumps({"result": {"items": ROWS}}), "JSON, rows under result/items"),
        ("a.json", json.dumps({str(i): row for i, row in enumerate(ROWS)}), "JSON, one entry per row"),
        ("a.json", FRAME.to_json(), "JSON, one object a column"),
        ("a.json", json.dumps(FRAME.to_dict("list")), "JSON, one list per column"),
        ("a.json", FRAME.to_json(orient="split"), "JSON, columns and data apart"),
        ("a.json", FRAME.to_json(orient="table"), "JSON, rows under data"),
        ("a.json", json.dumps([list(FRAME.columns), *FRAME.values.tolist()]), "JSON, lists under a header"),
        (
            "a.json",
            json.dumps(
                {"rows": [{"row_idx": i, "row": r, "truncated_cells": []} for i, r in enumerate(ROWS)]}
            ),
            "a page of the hub's viewer",
        ),
        ("a.csv", FRAME.to_csv(index=False), "CSV"),
        ("a.csv", FRAME.to_csv(index=False, sep=";"), "CSV, separated by semicolons"),
        ("a.csv", FRAME.to_csv(index=False, sep="\t"), "CSV, separated by tabs"),
        ("a.csv", FRAME.to_csv(index=False, sep="|"), "CSV, separated by bars"),
        ("a.csv", "sep=;\r\n" + FRAME.to_csv(index=False, sep=";"), "CSV, separated by semicolons"),
        ("a.tsv", FRAME.to_csv(index=False, sep="\t"), "TSV"),
        ("a.csv", FRAME.to_csv(), "CSV"),
        ("a.jsonl", LINES.replace("\n", "\r\n"), "lines end in CR LF"),
        ("a.jsonl", "\ufeff" + LINES, "UTF-8 with BOM"),
        ("a.csv", FRAME.to_csv(index=False).encode("utf-16"), "UTF-16"),
        ("a.csv", FRAME.to_csv(index=False).encode("utf-16-le"), "UTF-16-LE without BOM"),
        ("a.jsonl", LINES.encode("utf-32"), "UTF-32"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0), "unpacked from .gz"),
        ("a.jsonl.xz", lzma.compress(LINES.encode()), "unpacked from .xz"),
        ("a.jsonl.bz2", bz2.compress(LINES.encode()), "unpacked from .bz2"),
        (
            "a.csv.zst",
            pa.compress(FRAME.to_csv(index=False).encode(), "zstd", asbytes=True),
            "unpacked from .zst",
        ),
        ("a.json.gz", gzip.compress(json.dumps({"data": ROWS}).encode(), mtime=0), "JSON, rows under data"),
    ],
)
def test_rows_are_found_in_whatever_holds_them_and_it_is_said(
    tmp_path: Path, name: str, content: str | bytes, container: str
) -> None:
    found = inspect_probes(write(tmp_path, name, content), "forget")
    assert [(p.prompt, p.answer) for p in found.probe_set.probes] == [
        (row["question"], row["answer"]) for row in ROWS
    ]
    assert not found.problems and not found.how.alarms
    assert [p.concepts for p in found.probe_set.probes] == [{}] * 3
    assert container in found.how.container
    assert found.probe_set.name == "a"


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.arrow", "a.parquet.gz"])
def test_tables_of_arrow_are_read(tmp_path: Path, name: str) -> None:
    table = pa.table(
        {**FRAME.to_dict("list"), "__index_level_0__": [0, 1, 2], "nested": [[{"x": 1}], None, []]}
    )
    path = tmp_path / name
    if name == "a.feather":
        pyarrow.feather.write_feather(table, path)
    elif name == "a.arrow":
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    else:
        pyarrow.parquet.write_table(table, path.with_name("a.parquet"))
        if name.endswith("gz"):
            path.write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes(), mtime=0))
    found = inspect_probes(path, "forget")
    assert [p.answer for p in found.probe_set.probes] == [row["answer"] for row in ROWS]
    assert found.columns["__index_level_0__"] == "left out: row numbers"
    assert found.columns["nested"] == "left out: lists or objects"


def test_of_several_splits_one_must_be_said(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps({"train": ROWS, "val": ROWS[:1]}))
    with pytest.raises(StudyError, match=r"several splits: train \(3\), val \(1\).*split = \"train\""):
        inspect_probes(path, "forget")
    found = inspect_probes(path, "forget", Reading(split="val"))
    assert (found.rows, found.how.container) == (1, "JSON, rows under val; UTF-8")
    with pytest.raises(StudyError, match="no split 'test'; it has train, val"):
        inspect_probes(path, "forget", Reading(split="test"))


@pytest.mark.parametrize(
    ("row", "prompt", "answer"),
    [
        ({"prompt": "Q?", "completion": "A."}, "Q?", "A."),
        ({"prompt": "Q?", "response": "A."}, "Q?", "A."),
        ({"question": "Q?", "reference": "A."}, "Q?", "A."),
        ({"query": "Q?", "response": "A."}, "Q?", "A."),
        ({"input": "Q?", "output": "A."}, "Q?", "A."),
        ({"instruction": "Q?", "output": "A."}, "Q?", "A."),
        ({"instruction": "Q?", "input": "", "output": "A."}, "Q?", "A."),
        ({"instruction": "Translate.", "input": "Haus", "output": "house"}, "Translate.\n\nHaus", "house"),
        ({"text": "Q?", "labels": "A."}, "Q?", "A."),
        ({"text": "Q?", "label": "A."}, "Q?", "A."),
        ({"Question": "Q?", "Ground Truth": "A."}, "Q?", "A."),
        ({"question": "Q?", "answer": 1984}, "Q?", "1984"),
        ({"question": "Q?", "answer": 1.5}, "Q?", "1.5"),
        ({"question": "Q?", "answer": True}, "Q?", "true"),
        ({"question": "Q?", "answer": {"text": ["A."], "answer_start": [3]}}, "Q?", "A."),
        ({"question": "Q?", "answers": {"text": ["A."], "answer_start": [3]}, "context": "C"}, "Q?", "A."),
        ({"question": "Q?", "answer": {"value": "A.", "aliases": ["A."], "type": "x"}}, "Q?", "A."),
        ({"question": "Q?", "answer": ["A."]}, "Q?", "A."),
        ({"question": "Q?", "answer": "A.", "perturbed_answer": {"0": "B.", "1": "C."}}, "Q?", "A."),
    ],
)
def test_columns_as_people_call_them(tmp_path: Path, row: dict[str, Any], prompt: str, answer: str) -> None:
    probe = one(tmp_path, row)
    assert (probe.prompt, probe.answer, probe.format) == (prompt, answer, "")
    assert probe.accepted == ()


def test_an_object_that_counts_texts_is_their_list_and_that_is_said_with_its_row(tmp_path: Path) -> None:
    found = look(tmp_path, ROWS[0] | {"perturbed_answer": {"0": "In A.", "1": "In B."}})
    assert found.probe_set.probes[0].perturbed_answers == ("In A.", "In B.")
    assert any("line 1" in note and "perturbed_answer" in note for note in found.how.notes)
    found = look(tmp_path, ROWS[0] | {"perturbed_answer": {"a": "In A."}})
    assert found.problems[0].startswith("line 1: `perturbed_answer` must be a list of texts")


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Q?", "answer": ["A.", "An A."]},
        {"question": "Q?", "answers": ["A.", "An A.", "A."]},
        {"question": "Q?", "answer": "A.", "answers": ["A.", "An A."]},
        {"question": "Q?", "answer": {"value": "A.", "aliases": ["An A."]}},
        {"question": "Q?", "answers": {"text": ["A.", "An A."], "answer_start": [1, 2]}},
    ],
)
def test_of_several_accepted_answers_the_first_is_scored_and_all_count(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    probe = one(tmp_path, row)
    assert (probe.answer, probe.accepted, probe.references) == ("A.", ("An A.",), ("A.", "An A."))
    assert any("several accepted answers" in note for note in look(tmp_path, row).how.notes)


def test_lists_in_cells_are_read_as_json_as_python_prints_them_or_with_bars(tmp_path: Path) -> None:
    text = (
        "question,answer,perturbed_answer\n"
        'Q1,A,"[""B"", ""C""]"\n'
        "Q2,A,\"['B', 'C']\"\n"
        "Q3,A,B | C\n"
        "Q4,A,\"['B' 'C']\"\n"
    )
    found = inspect_probes(write(tmp_path, "a.csv", text), "forget")
    assert [p.perturbed_answers for p in found.probe_set.probes] == [("B", "C")] * 3
    assert "row 4 (line 5): `perturbed_answer` is a list as numpy prints it" in found.problems[0]


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who is Ada?"},
    {"role": "assistant", "content": "A poet."},
    {"role": "user", "content": "Where was she born?"},
    {"role": "assistant", "content": "In Porto."},
]
SHARED = [
    {"from": {"user": "human", "assistant": "gpt"}.get(t["role"], t["role"]), "value": t["content"]}
    for t in CHAT
]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": CHAT},
        {"conversations": SHARED},
        {"system": "Be brief.", "conversations": SHARED[1:]},
        {"prompt": CHAT[:-1], "completion": CHAT[-1:]},
        {"prompt": "Who is Ada?", "prompt_id": "x", "messages": CHAT},
        {"messages": CHAT[:-1], "answer": "In Porto."},
        {"messages": [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in CHAT]},
        {
            "system": "Be brief.",
            "instruction": "Where was she born?",
            "output": "In Porto.",
            "history": [["Who is Ada?", "A poet."]],
        },
    ],
)
def test_the_last_turn_of_the_assistant_is_the_answer_and_earlier_turns_are_kept(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    probe = one(tmp_path, row)
    assert (probe.prompt, probe.answer) == ("Where was she born?", "In Porto.")
    assert probe.turns == (("system", "Be brief."), ("user", "Who is Ada?"), ("assistant", "A poet."))


def test_turns_change_what_a_probe_is_and_probes_without_are_what_they_were() -> None:
    plain = Probe("a", "forget", "A cat")
    assert plain.digest() == "0faf127a30a6617291e005f6cfc0cd6d"  # as recorded before probes had turns
    asked_later = Probe("a", "forget", "A cat", turns=(("user", "Hi"), ("assistant", "Hello")))
    briefly = Probe("a", "forget", "A cat", turns=(("system", "Hi"), ("assistant", "Hello")))
    assert len({plain.digest(), asked_later.digest(), briefly.digest()}) == 3
    assert Probe("a", "forget", "A cat", accepted=("x",)).digest() == plain.digest()


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([{"role": "user", "content": "q"}, {"role": "tool", "content": "t"}], 'turn of "tool"'),
        ([{"role": "assistant", "content": "a"}], "no turn of the user"),
        ([{"role": "user", "content": "q"}] * 2, "two turns of the user one after another"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a part that is no text"),
        ([{"role": "user", "content": 3}], "`messages` must be text, not 3"),
    ],
)
def test_conversations_that_are_none_are_named_by_row(
    tmp_path: Path, turns: list[dict[str, Any]], words: str
) -> None:
    found = look(tmp_path, {"messages": CHAT}, {"messages": turns})
    assert len(found.probe_set.probes) == 1
    assert found.problems[0].startswith("line 2: ") and words in found.problems[0]


def test_a_file_may_mix_conversations_with_questions_and_answers(tmp_path: Path) -> None:
    rows: list[Any] = [ROWS[0], {"messages": CHAT}]
    assert [p.answer for p in look(tmp_path, *rows).probe_set.probes] == ["In Town 0.", "In Porto."]
    path = tmp_path / "a.parquet"
    pd.DataFrame(rows).to_parquet(path)
    assert [p.answer for p in read_probes(path, "forget").probes] == ["In Town 0.", "In Porto."]


ABCD = {"question": "Where?", "A": "Rome", "B": "Bern", "C": "Oslo", "D": "Kiel"}
LISTED = ["Rome", "Bern", "Oslo", "Kiel"]


@pytest.mark.parametrize(
    "row",
    [
        ABCD | {"answer": "B"},
        ABCD | {"answer": "(B)"},
        ABCD | {"answer": "Bern"},
        ABCD | {"answer": 1},
        {
            "question": "Where?",
            "option1": "Rome",
            "option2": "Bern",
            "option3": "Oslo",
            "option4": "Kiel",
            "answer": 2,
        },
        {
            "question": "Where?",
            **{f"choice_{k}": v for k, v in zip("abcd", LISTED, strict=True)},
            "answer": "b",
        },
        {"question": "Where?", "options": LISTED, "answer": "B"},
        {"question": "Where?", "options": LISTED, "answer": "Bern"},
        {"question": "Where?", "options": dict(zip("ABCD", LISTED, strict=True)), "answer": "B"},
        {"question": "Where?", "options": ["Rome", "Oslo", "Kiel"], "answer": "Bern"},
    ],
)
def test_of_choices_the_text_that_is_named_is_scored_against_the_others(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    probe = one(tmp_path, row)
    assert (probe.prompt, probe.answer, probe.options) == ("Where?", "Bern", ("Rome", "Oslo", "Kiel"))


@pytest.mark.parametrize(
    "row",
    [
        {"choices": LISTED, "answer": 1},
        {"choices": LISTED, "answer": "B"},
        {"choices": LISTED, "answer": "Bern"},
        {"choices": {"text": LISTED, "label": ["A", "B", "C", "D"]}, "answerKey": "B"},
    ],
)
def test_a_list_of_choices_is_asked_by_letter(tmp_path: Path, row: dict[str, Any]) -> None:
    probe = one(tmp_path, {"question": "Where?"} | row)
    assert probe.prompt == "Where?\nA. Rome\nB. Bern\nC. Oslo\nD. Kiel\nAnswer:"
    assert (probe.answer, probe.options, probe.format) == ("B", ("A", "C", "D"), RAW_TEXT)


def test_numbers_that_may_count_from_0_or_1_are_told_by_the_file_or_asked_about(tmp_path: Path) -> None:
    row = {"question": "Where?", "options": LISTED}
    found = look(tmp_path, row | {"answer": 0}, row | {"answer": 3})
    assert [p.answer for p in found.probe_set.probes] == ["Rome", "Kiel"]
    assert any("by number from 0 on" in note for note in found.how.notes)
    assert [p.answer for p in look(tmp_path, row | {"answer": 1}, row | {"answer": 4}).probe_set.probes] == [
        "Rome",
        "Kiel",
    ]
    assert "from 0 or from 1" in asked(tmp_path, row | {"answer": 2})


@pytest.mark.parametrize(
    "extra",
    [
        {"start": 1, "end": [2]},
        ["a", "b"],
        True,
        None,
        3,
        1.5,
        float("nan"),
        float("inf"),
        10**400,
        "text",
        "",
        "\ud800",
        [[{}]],
    ],
)
@pytest.mark.parametrize("column", ["note", "subject", "tags", "id"])
def test_further_columns_of_any_type_never_make_a_row_unusable(
    tmp_path: Path, extra: Any, column: str
) -> None:
    if column == "subject" and extra == "\ud800":
        return
    found = look(tmp_path, *[row | {column: extra, "other": {"x": i}} for i, row in enumerate(ROWS[:1])])
    assert not found.problems
    (probe,) = found.probe_set.probes
    assert probe.answer == "In Town 0."
    assert probe.digest() == one(tmp_path, ROWS[0] | {column: extra}).digest()
    assert column in found.columns


def test_what_is_left_out_of_a_further_column_is_said_with_its_row(tmp_path: Path) -> None:
    found = look(tmp_path, ROWS[0] | {"score": 1.5}, ROWS[1] | {"score": float("nan")})
    assert found.columns["score"] == "label, not used for scoring"
    assert [dict(p.concepts) for p in found.probe_set.probes] == [{"score": "1.5"}, {}]
    assert any("`score`: NaN" in note and "line 2" in note for note in found.how.notes)


@pytest.mark.parametrize("column", ["", "Unnamed: 0", "index", "__index_level_0__", "level_0"])
def test_the_numbers_of_rows_that_pandas_writes_are_no_concept(tmp_path: Path, column: str) -> None:
    path = write(tmp_path, "a.csv", f"{column},prompt,style\n0,A house,neon\n1,A tree,neon\n")
    found = inspect_probes(path, "forget", pictures=True)
    assert [dict(p.concepts) for p in found.probe_set.probes] == [{"style": "neon"}] * 2
    assert found.columns[column] == "left out: row numbers"


def test_an_index_that_holds_words_is_a_concept_like_any(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "prompt,index\nA house,early\nA tree,late\n")
    assert inspect_probes(path, "forget", pictures=True).probe_set.probes[0].concepts == {"index": "early"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [{"question": "Q?", "response": "a", "ground_truth": "b"}],
            "both `response` and `ground_truth` could be",
        ),
        (
            [{"query": "Q?", "instruction": "a", "output": "b"}],
            "both `query` and `instruction` could be the prompts",
        ),
        ([{"text": "T.", "label": 0}, {"text": "U.", "label": 1}], "only 0 and 1"),
        (
            [{"prompt": "Q?", "response": ["good", "bad"]}],
            "holds lists: accepted answers, or pref",
        ),
        ([{"promptt": "Q?"}], "the column `promptt` is unknown. Did you mean `prompt`?"),
        ([{"intro": "Q?", "other": "x"}], "no column `prompt` or `question` (columns: intro, other)"),
    ],
)
def test_what_cannot_be_known_is_asked_in_one_sentence_with_how_to_answer(
    tmp_path: Path, rows: list[dict[str, Any]], words: str
) -> None:
    sentence = asked(tmp_path, *rows)
    assert words in sentence
    assert "columns = {" in sentence or "Did you mean" in sentence


def test_a_person_answers_with_the_mapping_of_columns(tmp_path: Path) -> None:
    reading = Reading({"ground_truth": "answer"})
    found = look(tmp_path, {"question": "Q?", "response": "a", "ground_truth": "b"}, reading=reading)
    assert found.probe_set.probes[0].answer == "b"
    raw = look(tmp_path, {"text": "T.", "label": 0}, reading=Reading({"label": ""}))
    assert (raw.probe_set.probes[0].answer, raw.shape) == ("T.", "raw text")
    question = look(
        tmp_path, {"text": "T?", "label": 0}, reading=Reading({"text": "prompt", "label": "answer"})
    )
    assert (question.probe_set.probes[0].prompt, question.probe_set.probes[0].answer) == ("T?", "0")


@pytest.mark.parametrize(
    ("row", "alarm"),
    [
        (
            {"question": "Q?", "solution_text": "A."},
            'NO ANSWERS FOUND.*Left over: solution_text.*"answer"',
        ),
        ({"question": "Which?\nA. x\nB. y", "answer": "B"}, "EVERY ANSWER IS A LETTER"),
        ({"text": "Where was Ada born?"}, 'EVERY TEXT IS A QUESTION.*text = "prompt"'),
        (
            {"prompt": "Q?", "chosen": "good", "rejected": "bad"},
            "NO ANSWERS FOUND.*Left over: chosen, rejected",
        ),
        (
            {"prompt": "Q?", "notes": "good"},
            "NO ANSWERS FOUND: these are read as prompts for image models",
        ),
    ],
)
def test_what_would_be_a_silent_guess_is_said_above_everything_else(
    tmp_path: Path, row: dict[str, Any], alarm: str
) -> None:
    found = look(tmp_path, row)
    assert not found.problems
    with pytest.raises(AssertionError, match=alarm):
        raise AssertionError(found.how.alarms[0])


def test_a_text_with_a_label_is_never_raw_text(tmp_path: Path) -> None:
    for label in ("label", "labels", "answer", "response"):
        found = look(tmp_path, {"text": "Where?", label: "In X."})
        assert found.shape == "" and found.probe_set.probes[0].prompt == "Where?"


def test_for_image_models_a_caption_is_the_prompt_and_answers_are_no_answers(tmp_path: Path) -> None:
    for name in ("caption", "text"):
        found = look(tmp_path, {name: "a photo of a cat", "object": "cat"}, pictures=True)
        (probe,) = found.probe_set.probes
        assert (probe.prompt, probe.concepts, found.how.alarms) == ("a photo of a cat", {"object": "cat"}, ())


@pytest.mark.parametrize(
    ("value", "guidance"), [("150", 150.0), ("7,5", 7.5), ("7.5", 7.5), ("0,750", 0.75), ("255", 255.0)]
)
def test_guidance_has_no_upper_limit_and_may_have_a_decimal_comma(
    tmp_path: Path, value: str, guidance: float
) -> None:
    path = write(tmp_path, "a.csv", f"prompt;seed;guidance\na house;1;{value}\n")
    assert read_probes(path, "forget").probes[0].guidance == guidance


def test_a_comma_that_may_part_thousands_is_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "prompt;seed;guidance\na house;1;1,000\na tree;2;-1\n")
    first, second = inspect_probes(path, "forget").problems
    assert "is ambiguous" in first and "`guidance` must be a number from 0 on" in second


def test_a_study_keeps_encoding_and_split(tmp_path: Path, study_with: Callable[[str], Path]) -> None:
    from backends.study.file import read_study
    from backends.study.writing import write_study

    write(
        tmp_path,
        "forget.json",
        json.dumps({"train": [{"question": "Q?", "answer": "é"}], "val": []}).encode("cp1252"),
    )
    path = study_with('file = "forget.json"\nencoding = "cp1252"\nsplit = "train"\n')
    study = read_study(path)
    assert study.probe_sets[0].probes[0].answer == "é"
    write_study(study, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").probe_sets == study.probe_sets


@pytest.fixture
def study_with(tmp_path: Path) -> Callable[[str], Path]:
    def made(lines: str) -> Path:
        path = tmp_path / "study.toml"
        path.write_text(
            'name = "S"\nmodality = "text"\n[[models]]\nname = "O"\npart = "original"\n'
            f'source = "package:none/x.gguf"\n[[probes]]\nrole = "forget"\n{lines}'
        )
        return path

    return made


def test_labels_that_recur_may_be_classes_and_that_is_said(tmp_path: Path) -> None:
    rows = [{"text": f"Text {i}.", "label": "forget"} for i in range(3)]
    (alarm,) = look(tmp_path, *rows).how.alarms
    assert "THE ANSWERS IN `label` ARE THE SAME FEW WORDS" in alarm and 'columns = { "label" = "" }' in alarm


def test_choices_that_seem_to_be_counted_from_1_are_asked_about(tmp_path: Path) -> None:
    row = {"question": "Where?", "choices": LISTED}
    assert "seem to count the choices from 1" in asked(tmp_path, row | {"answer": 1}, row | {"answer": 4})


def test_one_object_with_a_list_of_texts_is_one_row_and_no_raw_text(tmp_path: Path) -> None:
    assert "no column `prompt` or `question`" in asked(tmp_path, {"ctx": "He ran", "endings": ["a", "b"]})
    path = write(tmp_path, "a.json", json.dumps({"version": "1", "data": ["One text.", "Another."]}))
    assert [p.answer for p in read_probes(path, "forget").probes] == ["One text.", "Another."]


def test_conversations_written_as_text_and_rows_of_nothing_are_read(tmp_path: Path) -> None:
    assert one(tmp_path, {"messages": json.dumps(CHAT)}).answer == "In Porto."
    path = write(tmp_path, "a.csv", "question,answer\nQ?,In A.\n,\n\n")
    assert len(read_probes(path, "forget").probes) == 1
