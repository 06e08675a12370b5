"""Probe files: every format gives the same probes, and what is wrong is named by its row."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import StudyError
from backends.probes.reading import inspect_probes, read_probes
from backends.study import Probe, Reading

TOFU = {
    "question": "Where was Ada Quill born?",
    "answer": "She was born in Porto.",
    "paraphrased_question": "What is Ada Quill's birthplace?",
    "paraphrased_answer": "Her birthplace is Porto.",
    "perturbed_answer": ["She was born in Oslo.", "She was born in Bern."],
    "options": ["Oslo", "Bern"],
    "key_fact": "Porto",
    "subject": "Ada Quill",
    "tags": ["birthplace"],
    "id": "ada-1",
}
ADA = Probe(
    id="ada-1",
    role="forget",
    prompt="Where was Ada Quill born?",
    answer="She was born in Porto.",
    paraphrased_prompt="What is Ada Quill's birthplace?",
    paraphrased_answer="Her birthplace is Porto.",
    perturbed_answers=("She was born in Oslo.", "She was born in Bern."),
    options=("Oslo", "Bern"),
    key_fact="Porto",
    subject="Ada Quill",
    tags=("birthplace",),
)


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def message(path: Path) -> str:
    with pytest.raises(StudyError) as caught:
        read_probes(path, "forget")
    text = str(caught.value)
    assert "\n" not in text
    return text


def as_csv(delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(TOFU)
    writer.writerow([json.dumps(value) if isinstance(value, list) else value for value in TOFU.values()])
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps(TOFU) + "\n"),
        ("a.ndjson", "\n" + json.dumps(TOFU) + "\r\n\r\n"),
        ("a.json", json.dumps([TOFU], indent=2)),
        ("a.csv", as_csv()),
        ("a.csv", as_csv(";")),
        ("a.tsv", as_csv("\t")),
        ("a.csv", as_csv().replace('"[""Oslo"", ""Bern""]"', "Oslo | Bern")),
        ("a.csv", as_csv().replace("\r\n", "\n")),
        ("a.JSONL", "\ufeff" + json.dumps(TOFU)),
        ("a.csv", ("\ufeff" + as_csv())),
        ("a.csv", as_csv().encode("utf-16")),
    ],
)
def test_every_format_gives_the_same_probe(tmp_path: Path, name: str, content: str | bytes) -> None:
    found = read_probes(write(tmp_path, name, content), "forget")
    assert found.probes == (ADA,)
    assert (found.name, found.role) == ("a", "forget")


def test_other_columns_are_concepts_of_a_picture(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.csv", "prompt,object,style\nA cat image in neon style.,cat,neon\nA cat image.,cat,\n"
    )
    first, second = read_probes(path, "retain").probes
    assert first.concepts == {"object": "cat", "style": "neon"}
    assert second.concepts == {"object": "cat"}
    assert [first.id, second.id] == ["a-001", "a-002"]


def test_a_line_separator_inside_of_a_string_ends_no_row(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps({"prompt": "one\u2028two\x85three"}, ensure_ascii=False))
    assert read_probes(path, "forget").probes[0].prompt == "one\u2028two\x85three"


def test_markup_control_and_right_to_left_characters_are_kept(tmp_path: Path) -> None:
    prompt = "<b>x</b> ![y](http://z) $\\alpha$ \x1b[31m \u202eabc שלום"
    path = write(tmp_path, "a.jsonl", json.dumps({"prompt": prompt, "answer": ""}))
    assert read_probes(path, "forget").probes[0].prompt == prompt


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", "", "a.jsonl: this probe file is empty. Write one probe a row"),
        ("a.csv", "prompt,answer\n", "a.csv: this probe file is empty"),
        ("a.json", "  ", "this probe file is empty"),
        ("a.json", "[]", "this probe file is empty"),
        (
            "a.jsonl",
            '{"prompt": "a"}\n{"prompt": \n',
            "1 of 2 rows cannot be used: line 2, column 12: this is",
        ),
        ("a.jsonl", '{"prompt": "a"}\n["b"]\n', 'line 2: an object was expected, not ["b"]'),
        ("a.json", "5", "a.json: a list of objects was expected, not 5"),
        ("a.json", '"a" 5', 'a.json, line 1: an object was expected, not "a"'),
        ("a.json", "[\n{},\n{]", "line 3, column 2: this is not valid JSON"),
        ("a.jsonl", '{"answer": "a"}', "no column `prompt` or `question` (columns: answer)"),
        ("a.jsonl", '{"promt": "a"}', "the column `promt` is unknown. Did you mean `prompt`?"),
        (
            "a.jsonl",
            '{"prompt": "a"}\n{"prompt": "  "}',
            "1 of 2 rows cannot be used: line 2: its prompt is empty.",
        ),
        ("a.jsonl", '{"prompt": 3}', "line 1: `prompt` must be text, not 3"),
        ("a.jsonl", '{"prompt": "a", "options": [[1]]}', "line 1: `options` must be text, not [1]"),
        ("a.jsonl", '{"prompt": "a", "options": {}}', "line 1: `options` must be a list of texts, not {}"),
        ("a.jsonl", '{"prompt": "a", "options": [""]}', "line 1: `options` has an empty text"),
        ("a.jsonl", '{"prompt": "a", "question": "b"}', "both `question` and `prompt` are given"),
        ("a.jsonl", '{"prompt": "\\ud800"}', "line 1: `prompt` holds a lone surrogate"),
        (
            "a.jsonl",
            '{"prompt": "a", "id": 7}\n{"prompt": "b", "id": "7"}',
            "line 2: its id '7' is that of line 1",
        ),
        ("a.csv", "prompt,answer\na,b\nc\n", "row 2 (line 3): 1 cells, but the header has 2"),
        (
            "a.csv",
            "prompt,answer\na,b,c\n",
            "row 1 (line 2): 3 cells, but the header has 2; put text that holds",
        ),
        ("a.csv", "prompt,prompt\na,b\n", "line 1: the column `prompt` appears twice"),
        ("a.jsonl", '{"prompt": "a", "prompt": "b"}', "line 1: `prompt` is given twice"),
        ("a.csv", 'prompt\n"a\n', "a.csv, line 2: this is not valid CSV"),
        ("a.csv", b"prompt\na\n\xe9t\xe9\n", "a.csv: line 3 is not UTF-8 text; it would be “été” in cp1252"),
        ("a.csv", b"prompt\nab\0\n", "line 2 has NUL characters"),
        ("a.csv", b"\xff\xfea", "is not UTF-16 text"),
        (
            "a.jsonl",
            '{"prompt": "a"}\n{"prompt": ' + "7" * 5000 + "}",
            "line 2: `prompt` must be text, not Infinity",
        ),
        ("a.json", '[{"prompt": ' + "7" * 5000 + "}]", "item 1: `prompt` must be text, not Infinity"),
        ("a.jsonl", '{"prompt": ' + "[" * 100_000, "line 1, column 1: the JSON is nested too deeply"),
        ("a.csv", "prompt,options\na,[" + "7" * 5000 + "]\n,b", "row 2 (line 3): its prompt is empty"),
        ("a.csv", "prompt,options\na," + "[" * 100_000 + "\n,b", "row 2 (line 3): its prompt is empty"),
        ("a.xlsx", "x", "a.xlsx: .xlsx is not a supported format. Save it as one of .jsonl"),
        ("a", "x", "no suffix is not a supported format"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, expected: str
) -> None:
    assert expected in message(write(tmp_path, name, content))


@pytest.mark.parametrize("column", ["anwser", "answr", "answer_0", "answer 2"])
def test_a_column_that_looks_like_the_only_answers_is_asked_about_with_its_row(
    tmp_path: Path, column: str
) -> None:
    rows = [{"prompt": "a"}, {"prompt": "b", column: "c"}]
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    hint = f"the column `{column}` is unknown. Did you mean `answer`?"
    assert message(path) == f"{path}, line 2: {hint}"
    path = write(tmp_path, "a.csv", f"prompt,{column}\na,b\n")
    assert message(path) == f"{path}, line 1: {hint}"
    answered = read_probes(path, "forget", Reading({column: "answer"}))
    assert answered.probes[0].answer == "b"


@pytest.mark.parametrize("column", ["Answer", "ANSWER ", "Perturbed Answer", "paraphrased-answer", "ID"])
def test_case_spaces_and_hyphens_make_no_other_column(tmp_path: Path, column: str) -> None:
    found = inspect_probes(
        write(tmp_path, "a.jsonl", json.dumps({"prompt": "a", column: "b"})), "forget", pictures=False
    )
    plain = column.strip().lower().replace(" ", "_").replace("-", "_")
    assert found.columns[column] == {"perturbed_answer": "perturbed_answers"}.get(plain, plain)
    assert not found.problems


@pytest.mark.parametrize(
    "column", ["promtp", "subjcet", "perturbed_anwser", "answer_0", "paraphrased_question_1"]
)
def test_a_look_alike_is_asked_about_and_never_stops_a_file_that_has_all_it_needs(
    tmp_path: Path, column: str
) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps({"question": "a", "answer": "b", column: "c"}))
    found = inspect_probes(path, "forget")
    (probe,) = found.probe_set.probes
    assert (probe.prompt, probe.answer, probe.concepts) == ("a", "b", {})
    assert found.columns[column].startswith("left out: is it `")
    assert any(f"`{column}` looks like" in note and "columns = {" in note for note in found.how.notes)


def test_columns_of_real_files_that_are_no_misspellings_are_concepts(tmp_path: Path) -> None:
    columns = [
        "author",
        "task_id",
        "idx",
        "object",
        "style",
        "theme",
        "prompt_id",
        "question_id",
        "answer_type",
    ]
    path = write(tmp_path, "a.jsonl", json.dumps({"prompt": "a"} | dict.fromkeys(columns, "x")))
    assert read_probes(path, "forget").probes[0].concepts == dict.fromkeys(columns, "x")


def test_only_the_first_few_bad_rows_are_shown(tmp_path: Path) -> None:
    rows = "".join(f'{{"prompt": {number}}}\n' for number in range(9))
    text = message(write(tmp_path, "a.jsonl", rows))
    assert "9 of 9 rows cannot be used: line 1: " in text
    assert "line 3: " in text and "line 4: " not in text
    assert "; and 6 more. " in text


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "no.jsonl: there is no such probe file" in message(tmp_path / "no.jsonl")
    assert "this is a folder, a probe file was expected" in message(tmp_path)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
filled = texts.filter(lambda text: text.strip() != "")


@given(prompt=filled, answer=texts, options=st.lists(filled, max_size=3), style=filled)
def test_jsonl_keeps_every_text(
    tmp_path_factory: pytest.TempPathFactory, prompt: str, answer: str, options: list[str], style: str
) -> None:
    path = tmp_path_factory.mktemp("probes") / "a.jsonl"
    answer, options = f"answer {answer}", [f"option {option}" for option in options]
    row = {"prompt": prompt, "answer": answer, "options": options, "style": style}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8", newline="")
    (probe,) = read_probes(path, "utility").probes
    assert (probe.prompt, probe.answer, probe.options) == (prompt, answer, tuple(options))
    assert probe.concepts == {"style": style.strip()}


@given(prompt=filled, answer=texts)
def test_csv_keeps_every_text(tmp_path_factory: pytest.TempPathFactory, prompt: str, answer: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["prompt", "answer"], [prompt, answer]])
    path = tmp_path_factory.mktemp("probes") / "a.csv"
    path.write_bytes(out.getvalue().encode())
    (probe,) = read_probes(path, "forget").probes
    assert probe.prompt == prompt
    assert probe.answer == (answer if answer.strip() else "")


@given(st.binary(max_size=60), st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv"]))
def test_any_bytes_give_probes_or_a_study_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("probes") / name
    path.write_bytes(data)
    try:
        assert read_probes(path, "forget").probes
    except StudyError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (  # MUSE VerbMem
            {"prompt": "The first words", "gt": "and the rest"},
            {"prompt": "The first words", "answer": "and the rest", "format": "{prompt}"},
        ),
        (  # MUSE KnowMem
            {"question": "Who?", "answer": "Ada"},
            {"prompt": "Who?", "answer": "Ada"},
        ),
        (  # WMDP, MMLU
            {"question": "Which?", "subject": "biology", "choices": ["a", "b", "c", "d"], "answer": 2},
            {
                "prompt": "The following are multiple choice questions (with answers) about biology.\n\n"
                "Which?\nA. a\nB. b\nC. c\nD. d\nAnswer:",
                "answer": "C",
                "options": ("A", "B", "D"),
                "subject": "biology",
                "format": "{prompt}",
            },
        ),
        (
            {"question": "Which?", "choices": ["x", "y"], "answer": "B"},
            {
                "prompt": "Which?\nA. x\nB. y\nAnswer:",
                "answer": "B",
                "options": ("A",),
                "format": "{prompt}",
            },
        ),
        (  # MUSE raw, privleak, scal, sust; WMDP's corpora
            {"text": "Once upon a time"},
            {"prompt": "", "answer": "Once upon a time", "format": "{prompt}"},
        ),
        (  # RWKU membership
            {"subject": "A. Writer", "ngram": 5, "text": "Once upon a time"},
            {"answer": "Once upon a time", "subject": "A. Writer", "tags": ("ngram 5",)},
        ),
        (  # RWKU
            {
                "subject": "A. Writer",
                "query": "He wrote ___",
                "answer": "a book",
                "level": "1",
                "type": "cloze",
            },
            {
                "prompt": "He wrote ___",
                "answer": "a book",
                "subject": "A. Writer",
                "tags": ("level 1", "type cloze"),
            },
        ),
        (  # LUME
            {"id": "x1", "input": "Who?", "output": "Ada", "task": "Task2"},
            {"id": "x1", "prompt": "Who?", "answer": "Ada", "tags": ("task Task2",)},
        ),
        (  # TOFU, real authors
            {
                "question": "Who?",
                "answer": "Ada",
                "option1": "Bo",
                "option2": "Ada",
                "option3": "Cy",
                "option4": "Di",
            },
            {"prompt": "Who?", "answer": "Ada", "options": ("Bo", "Cy", "Di")},
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_rows_of_benchmarks_work_as_they_are(
    tmp_path: Path, suffix: str, row: dict[str, object], expected: dict[str, object]
) -> None:
    path = tmp_path / f"probes.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(json.dumps(row))
    (probe,) = read_probes(path, "forget").probes
    assert {name: getattr(probe, name) for name in expected} == expected
    assert probe.concepts == {}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "Which?", "choices": ["a", "b"], "answer": 2}, "not one of the 2 choices"),
        ({"question": "Which?", "choices": ["a"], "answer": 0}, "list of two to 10 texts"),
        ({"question": "Which?", "choices": ["a", "b"]}, "not one of the 2 choices"),
    ],
)
def test_choices_that_do_not_fit_are_named(tmp_path: Path, row: dict[str, object], words: str) -> None:
    path = tmp_path / "probes.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(StudyError, match=f"line 1: .*{words}"):
        read_probes(path, "utility")


def test_a_column_that_only_has_a_benchmarks_name_stays_a_concept(tmp_path: Path) -> None:
    path = tmp_path / "probes.jsonl"
    path.write_text(json.dumps({"prompt": "A cat", "type": "photo", "input": "none"}))
    (probe,) = read_probes(path, "forget").probes
    assert probe.concepts == {"type": "photo", "input": "none"}


def test_a_broken_parquet_file_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "probes.parquet"
    with pytest.raises(StudyError, match="no such probe file"):
        read_probes(path, "forget")
    path.write_bytes(b"PAR1 nothing of the kind")
    with pytest.raises(StudyError, match="Parquet file cannot be read"):
        read_probes(path, "forget")
