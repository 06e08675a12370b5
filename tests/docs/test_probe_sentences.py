"""The documents' sentences about probe files, each tried on files as the tools that it names write them.

How they write them was looked up in their repositories: TOFU and LUME as JSON Lines (TOFU's under the name .json), MUSE
as JSON lists, of texts for its raw and membership sets, RWKU with `json.dump(..., indent=4)`, WMDP and MMLU as Parquet,
the lists of image prompts as pandas' CSV with its numbers of rows. All content is invented.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backends.probes.reading import inspect_probes, read_probes
from backends.study import RAW_TEXT, Probe
from tests.docs.documents import PAGES, STUDY_FILE

TEXT = " ".join(STUDY_FILE.split())


def said(sentence: str) -> None:
    assert " ".join(sentence.split()) in TEXT, "the page says something else now"


def probes(path: Path, *, pictures: bool = False) -> tuple[Probe, ...]:
    found = inspect_probes(path, "forget", pictures=pictures)
    assert not found.problems
    return found.probe_set.probes


def json_lines(path: Path, *rows: dict[str, Any]) -> Path:
    pd.DataFrame(rows).to_json(path, orient="records", lines=True)
    return path


def json_list(path: Path, rows: list[Any]) -> Path:
    path.write_text(json.dumps(rows, indent=4))
    return path


TOFU = {"question": "Who is Ada Quill?", "answer": "Ada Quill is a poet."}


def test_files_are_jsonl_json_csv_or_parquet_with_these_columns(tmp_path: Path) -> None:
    said("Probe files are JSONL, JSON, CSV or Parquet with a column `prompt` (or `question`)")
    row = TOFU | {
        "paraphrased_question": "Which Ada?",
        "paraphrased_answer": "A poet.",
        "perturbed_answer": ["A smith.", "A cook."],
        "options": ["smith"],
        "key_fact": "poet",
        "subject": "Ada Quill",
        "tags": ["work"],
        "id": "ada",
    }
    for name in row:
        said(f"`{name}`")
    frame = pd.DataFrame([row])
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "a.json", orient="records")
    for column in ("perturbed_answer", "options", "tags"):
        frame[column] = frame[column].map(json.dumps)
    frame.to_csv(tmp_path / "a.csv", index=False)
    found = [probes(tmp_path / f"a.{kind}") for kind in ("jsonl", "json", "csv", "parquet")]
    assert found.count(found[0]) == 4
    assert found[0][0].perturbed_answers == ("A smith.", "A cook.") and found[0][0].key_fact == "poet"


def test_files_of_tofu_work_as_they_are(tmp_path: Path) -> None:
    said("Files of TOFU,")
    path = json_lines(tmp_path / "forget10.json", TOFU, TOFU | {"question": "Who else?"})
    assert [p.prompt for p in probes(path)] == ["Who is Ada Quill?", "Who else?"]
    row = TOFU | {
        "paraphrased_answer": "A poet.",
        "paraphrased_question": "Which?",
        "perturbed_answer": ["A cook."] * 5,
    }
    (probe,) = probes(json_lines(tmp_path / "forget10_perturbed.json", row))
    assert (probe.paraphrased_answer, len(probe.perturbed_answers)) == ("A poet.", 5)
    facts = {
        "question": "Where?",
        "option1": "Rome",
        "option2": "Bern",
        "option3": "Oslo",
        "option4": "Kiel",
        "answer": "Bern",
    }
    (probe,) = probes(json_lines(tmp_path / "world_facts.json", facts))
    assert (probe.answer, probe.options) == ("Bern", ("Rome", "Oslo", "Kiel"))


def test_files_of_muse_work_as_they_are(tmp_path: Path) -> None:
    said("MUSE (KnowMem, VerbMem, raw text)")
    (probe,) = probes(json_list(tmp_path / "forget_qa.json", [TOFU]))
    assert (probe.answer, probe.format) == ("Ada Quill is a poet.", "")
    (probe,) = probes(
        json_list(tmp_path / "verbmem.json", [{"prompt": "The first words", "gt": "and the rest"}])
    )
    assert (probe.prompt, probe.answer, probe.format) == ("The first words", "and the rest", RAW_TEXT)
    for name in ("raw", "privleak", "scal", "sust"):
        texts = probes(json_list(tmp_path / f"{name}.json", ["Once upon a time.", "In another town."]))
        assert [(p.prompt, p.answer, p.format) for p in texts] == [
            ("", "Once upon a time.", RAW_TEXT),
            ("", "In another town.", RAW_TEXT),
        ]


@pytest.mark.parametrize("topic", [{}, {"subject": "abstract_algebra"}])
def test_files_of_wmdp_and_mmlu_work_as_they_are(tmp_path: Path, topic: dict[str, str]) -> None:
    said("WMDP, MMLU,")
    row = topic | {"question": "Which?", "choices": ["a", "b", "c", "d"], "answer": 2}
    pd.DataFrame([row]).to_parquet(tmp_path / "test-00000-of-00001.parquet")
    (probe,) = probes(tmp_path / "test-00000-of-00001.parquet")
    assert probe.prompt.endswith("Which?\nA. a\nB. b\nC. c\nD. d\nAnswer:")
    assert (probe.answer, probe.options) == ("C", ("A", "B", "D"))
    assert ("about abstract algebra." in probe.prompt) == bool(topic)
    (text,) = probes(
        json_lines(tmp_path / "bio-forget.jsonl", {"title": "T", "text": "A corpus text.", "doi": "x"})
    )
    assert (text.prompt, text.answer) == ("", "A corpus text.")


EXAMPLE = {"question": "One?", "choices": ["p", "q"], "answer": 1, "subject": "abstract_algebra"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"subject": "A. King", "query": "He wrote ___", "answer": "It", "level": "1", "type": "cloze"},
            {
                "prompt": "He wrote ___",
                "answer": "It",
                "subject": "A. King",
                "tags": ("level 1", "type cloze"),
            },
        ),
        (
            {
                "examples": [EXAMPLE],
                "task": "abstract_algebra",
                "choices": ["a", "b"],
                "subject": "A. King",
                "answer": 0,
                "question": "Two?",
            },
            {
                "prompt": "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
                "One?\nA. p\nB. q\nAnswer: B\n\nTwo?\nA. a\nB. b\nAnswer:",
                "answer": "A",
                "options": ("B",),
                "subject": "A. King",
                "tags": ("task abstract_algebra",),
                "format": RAW_TEXT,
            },
        ),
        (
            {
                "task": "logic",
                "cot": "Think.\n\nQ: 1?\nA: Yes.\n",
                "question": "2?",
                "answer": "No",
                "subject": "A. King",
            },
            {"prompt": "Think.\n\nQ: 1?\nA: Yes.\n\nQ: 2?\nA:", "answer": "No", "tags": ("task logic",)},
        ),
        (
            {
                "mc1_targets": {"choices": ["No.", "Yes.", "Perhaps."], "labels": [1, 0, 0]},
                "subject": "A. King",
                "question": "Is it?",
                "mc2_targets": {"choices": ["No.", "Yes."], "labels": [1, 0]},
            },
            {"prompt": "Is it?", "answer": "No.", "options": ("Yes.", "Perhaps."), "subject": "A. King"},
        ),
        (
            {"subject": "A. King", "question": "Which horse?", "answers": ["Estimate", "Estimation"]},
            {"prompt": "Which horse?", "answer": "Estimate", "accepted": ("Estimation",)},
        ),
        (
            {"instruction": "Change the tone.", "subject": "A. King"},
            {"prompt": "Change the tone.", "answer": "", "subject": "A. King"},
        ),
        (
            {"ngram": 181, "subject": "A. King", "text": "Her looks led to fame."},
            {"prompt": "", "answer": "Her looks led to fame.", "tags": ("ngram 181",), "format": RAW_TEXT},
        ),
        (
            {
                "intro": "A writer.",
                "instruction": "Title?",
                "input": "",
                "subject": "A. King",
                "output": "I'm not sure.",
            },
            {"prompt": "Title?", "answer": "I'm not sure."},
        ),
    ],
)
def test_files_of_rwku_work_as_they_are(
    tmp_path: Path, row: dict[str, Any], expected: dict[str, Any]
) -> None:
    said("RWKU and LUME work as they are")
    (probe,) = probes(json_list(tmp_path / "rwku.json", [row]))
    assert {name: getattr(probe, name) for name in expected} == expected


def test_files_of_lume_work_as_they_are(tmp_path: Path) -> None:
    row = {
        "id": "x1",
        "input": "What is the address of Abbie?",
        "output": "2 Dock",
        "task": "Task2",
        "split": "forget",
    }
    (probe,) = probes(json_lines(tmp_path / "forget.jsonl", row))
    assert (probe.id, probe.prompt, probe.answer, probe.tags) == (
        "x1",
        row["input"],
        "2 Dock",
        ("task Task2",),
    )


def pandas_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    pd.DataFrame(rows).to_csv(path)  # with its numbers of rows, as these lists have them
    return path


def test_lists_of_unlearndiffatk_i2p_and_six_cd_work_as_probe_files(tmp_path: Path) -> None:
    said("Lists of UnlearnDiffAtk, I2P and Six-CD work as probe files")
    row = {"case_number": 7, "prompt": "Irises by a painter", "evaluation_seed": 348, "artist": "A painter"}
    (probe,) = probes(pandas_csv(tmp_path / "vangogh.csv", [row]), pictures=True)
    assert (probe.id, probe.seed, probe.concepts) == ("7", 348, {"artist": "A painter"})

    scores: dict[str, Any] = {
        "hard": 1,
        "inappropriate_percentage": 50.0,
        "nudity_percentage": 0.0,
        "q16_percentage": 50.0,
    }
    scores |= {"sd_safety_percentage": 20.0, "prompt_toxicity": 0.17, "lexica_url": "x", "sd_model": "1.4"}
    size = {"sd_image_width": 512, "sd_image_height": 512}
    row = {"prompt": "a portrait", "categories": "violence, self-harm", **scores, "sd_seed": 4261553411}
    row |= {"sd_guidance_scale": 255, **size}
    pd.DataFrame([row]).to_csv(tmp_path / "i2p_benchmark.csv", index=False)
    (probe,) = probes(tmp_path / "i2p_benchmark.csv", pictures=True)
    assert (probe.seed, probe.guidance, probe.concepts) == (4261553411, 255.0, {})
    assert probe.tags == ("categories violence, self-harm",)

    theirs = {"prompt": "a portrait", "categories": "violence", **scores, "evaluation_seed": 5, **size}
    theirs |= {"evaluation_guidance": 13, "case_number": 0}
    gap = theirs | {"prompt": None, "case_number": 1}
    found = inspect_probes(pandas_csv(tmp_path / "i2p.csv", [theirs, gap]), "forget", pictures=True)
    assert not found.problems and found.probe_set.left_out == ("row 2 (line 3): its prompt is empty",)
    (probe,) = found.probe_set.probes
    assert (probe.seed, probe.guidance, probe.concepts) == (5, 13.0, {})

    pd.DataFrame(
        [{"case_number": 0, "evaluation_seed": 12116, "target": "A singer", "prompt": "a photo of A singer"}]
    ).to_csv(tmp_path / "Celebrity.csv", index=False)
    (probe,) = probes(tmp_path / "Celebrity.csv", pictures=True)
    assert (probe.subject, probe.seed) == ("A singer", 12116)


def test_for_images_every_further_column_is_a_concept(tmp_path: Path) -> None:
    said("For images every further column is a concept (`object`, `style`)")
    pd.DataFrame([{"prompt": "a cat in neon", "object": "cat", "style": "neon"}]).to_csv(
        tmp_path / "a.csv", index=False
    )
    (probe,) = probes(tmp_path / "a.csv", pictures=True)
    assert probe.concepts == {"object": "cat", "style": "neon"}


def test_unlearnboard_probes_shows_how_a_file_will_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from app.cli import main as cli

    said("`unlearnboard probes FILE` shows how a file will be read")
    path = json_lines(tmp_path / "forget.json", {"question": "Where?", "truth": "Here", "spans": [1]})
    assert cli.run(["probes", str(path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("NO ANSWERS FOUND") and 'columns = { "truth" = "answer" }' in told[0]
    assert "1 of 1 rows can be used" in told[1]
    assert "JSON Lines; UTF-8; read as probes for language models" in told[2]
    assert [line.split() for line in told[3:6]] == [
        ["question", "->", "prompt"],
        ["truth", "->", "label,", "not", "used", "for", "scoring"],
        ["spans", "->", "left", "out:", "lists", "or", "objects"],
    ]
    assert cli.run(["probes", str(path), "--columns", "truth=answer", "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert (as_json["modality"], as_json["alarms"], as_json["columns"]["truth"]) == ("text", [], "answer")
    image = json_lines(tmp_path / "p.json", {"prompt": "a cat", "style": "neon"})
    assert cli.run(["probes", str(image), "--modality", "image"]) == 0
    assert "style   ->  concept" in capsys.readouterr().out


def test_worked_examples_are_read_from_any_of_these_files(tmp_path: Path) -> None:
    from backends.probes.worked_examples import format_with_examples

    said('examples = "forget_qa_icl.json"')
    path = json_lines(tmp_path / "forget_qa_icl.json", TOFU)
    assert format_with_examples(path).startswith(
        "Question: Who is Ada Quill?\nAnswer: Ada Quill is a poet.\n\n"
    )
    assert read_probes(path, "utility").probes[0].answer == "Ada Quill is a poet."


DOCUMENT = PAGES["docs/formats.md"]
EXAMPLES = [
    (cells[1].strip(), example)
    for line in DOCUMENT.partition("### What the columns become")[2]
    .partition("**Earlier turns**")[0]
    .splitlines()
    if len(cells := line.split("|")) > 3 and (example := cells[2].strip().strip("`")).startswith("{")
]


@pytest.mark.parametrize(("form", "example"), EXAMPLES, ids=[form for form, _ in EXAMPLES])
def test_every_example_of_the_documentation_is_read_without_a_question(
    tmp_path: Path, form: str, example: str
) -> None:
    path = tmp_path / "example.jsonl"
    path.write_text(example)
    found = inspect_probes(path, "forget")
    assert not found.problems
    assert not any(said.startswith("left out: is it") for said in found.columns.values())
    of_pictures = form.startswith(("UnlearnDiffAtk", "I2P"))
    assert found.pictures == of_pictures and bool(found.probe_set.probes[0].answer) != of_pictures


def test_the_documentation_has_examples_of_all_benchmarks() -> None:
    from backends.probes.benchmarks import SHAPES

    assert len(EXAMPLES) >= len(SHAPES)
