"""Probe files whose columns do not speak for themselves: mappings, formats, rows left out, raw text, the hub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from backends.errors import StudyError
from backends.probes.reading import inspect_probes, read_probes
from backends.probes.sources import probe_file
from backends.study import RAW_TEXT, Probe, Reading, Sampling
from backends.study.file import read_study
from backends.study.writing import write_study

STUDY = """
name = "S"
modality = "text"
[[models]]
name = "Original"
part = "original"
source = "package:none/x.gguf"
[[probes]]
file = "forget.csv"
role = "forget"
"""


def csv(folder: Path, text: str) -> Path:
    path = folder / "forget.csv"
    path.write_text(text)
    return path


def jsonl(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "forget.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_mapping_renames_columns_and_leaves_some_out(tmp_path: Path) -> None:
    path = csv(tmp_path, "q,a,wrong,notes\nWho?,Ada,Ben|Cy,x\n")
    reading = Reading({"q": "prompt", "a": "answer", "wrong": "options", "notes": ""})
    (probe,) = read_probes(path, "forget", reading).probes
    assert (probe.prompt, probe.answer, probe.options) == ("Who?", "Ada", ("Ben", "Cy"))
    assert not probe.concepts
    found = inspect_probes(path, "forget", reading)
    assert found.columns == {
        "q": "prompt",
        "a": "answer",
        "wrong": "options",
        "notes": "left out, as the study says",
    }


def test_a_mapping_of_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = csv(tmp_path, "q,a\nWho?,Ada\n")
    with pytest.raises(StudyError, match=r"names the column `question`, which no row has \(columns: q, a\)"):
        read_probes(path, "forget", Reading({"question": "prompt"}))
    with pytest.raises(StudyError, match=r"line 1 \(columns: q, a\).*columns = \{ yours = \"prompt\" \}"):
        read_probes(path, "forget")


def test_a_mapped_column_may_be_missing_in_some_rows_but_not_become_two(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"q": "One?", "a": "Ada"}, {"q": "Two?"})
    found = read_probes(path, "forget", Reading({"q": "prompt", "a": "answer"}))
    assert [probe.answer for probe in found.probes] == ["Ada", ""]
    both = csv(tmp_path, "q,prompt\nOne?,Two?\n")
    with pytest.raises(StudyError, match="makes two columns `prompt`"):
        read_probes(both, "forget", Reading({"q": "prompt"}))
    assert read_probes(both, "forget", Reading({"q": "prompt", "prompt": ""})).probes[0].prompt == "One?"


def test_bad_rows_are_all_listed_and_left_out_on_request_only(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"prompt": "One?"}, {"prompt": ""}, {"prompt": "Two?"}, {"prompt": 3})
    with pytest.raises(StudyError, match=r"2 of 4 rows cannot be used: line 2: .*skip_bad_rows"):
        read_probes(path, "forget")
    found = read_probes(path, "forget", Reading(skip_bad_rows=True))
    assert [probe.prompt for probe in found.probes] == ["One?", "Two?"]
    assert [problem.partition(":")[0] for problem in found.left_out] == ["line 2", "line 4"]


def test_a_file_of_bad_rows_only_is_refused_even_on_request(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"prompt": ""})
    with pytest.raises(StudyError, match="1 of 1 rows cannot be used"):
        read_probes(path, "forget", Reading(skip_bad_rows=True))


def test_a_format_changes_what_is_asked_and_so_the_identity(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"prompt": "Who?", "answer": "Ada"})
    (plain,) = read_probes(path, "forget").probes
    (formed,) = read_probes(path, "forget", Reading(format="Q: {prompt}\nA:")).probes
    assert formed.format == "Q: {prompt}\nA:"
    assert formed.digest() != plain.digest()


def test_raw_text_has_no_prompt_and_a_label(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "Once upon a time"})
    found = inspect_probes(path, "holdout")
    (probe,) = found.probe_set.probes
    assert (probe.prompt, probe.answer, probe.format) == ("", "Once upon a time", RAW_TEXT)
    assert probe.label == "Once upon a time"
    assert found.shape == "raw text" and found.columns == {"text": "raw text, scored without a prompt"}


def test_an_empty_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="line 2: its text is empty"):
        read_probes(jsonl(tmp_path, {"text": "a"}, {"text": " "}), "forget")


def test_a_study_says_how_its_probes_are_read_and_keeps_it_when_written(tmp_path: Path) -> None:
    csv(tmp_path, "q,a\nWho?,Ada\n,Ben\n")
    path = tmp_path / "study.toml"
    path.write_text(
        STUDY
        + 'format = "Q: {prompt}\\nA:"\nskip_bad_rows = true\ncolumns = { q = "prompt", a = "answer" }\n'
    )
    study = read_study(path)
    (found,) = study.probe_sets
    assert len(found.probes) == 1 and len(found.left_out) == 1
    write_study(study, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").probe_sets == study.probe_sets


def test_worked_examples_go_before_every_prompt_as_in_muse(tmp_path: Path) -> None:
    csv(tmp_path, "prompt,answer\nWho?,Ada\n")
    (tmp_path / "icl.json").write_text(
        '[{"question": "When?", "answer": "Now."}, {"question": "Where?", "answer": "Here."}]'
    )
    path = tmp_path / "study.toml"
    path.write_text(STUDY + 'examples = "icl.json"\n')
    study = read_study(path)
    (probe,) = study.probe_sets[0].probes
    assert probe.format == (
        "Question: When?\nAnswer: Now.\n\nQuestion: Where?\nAnswer: Here.\n\nQuestion: {prompt}\nAnswer: "
    )
    write_study(study, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").probe_sets == study.probe_sets
    path.write_text(STUDY + 'examples = "icl.json"\nformat = "Q: {prompt} A: "\n')
    assert read_study(path).probe_sets[0].probes[0].format == (
        "Q: When? A: Now.\n\nQ: Where? A: Here.\n\nQ: {prompt} A: "
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"question": "When?"}', "has no answer"),
        ('{"question": "{prompt}?", "answer": "x"}', "holds {prompt}"),
    ],
)
def test_worked_examples_that_are_none_are_named(tmp_path: Path, row: str, words: str) -> None:
    csv(tmp_path, "prompt,answer\nWho?,Ada\n")
    (tmp_path / "icl.jsonl").write_text(row)
    path = tmp_path / "study.toml"
    path.write_text(STUDY + 'examples = "icl.jsonl"\n')
    with pytest.raises(StudyError, match=words):
        read_study(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('format = "Question:"', "must hold {prompt}"),
        ('skip_bad_rows = "yes"', "true or false was expected"),
        ("columns = { q = 3 }", "text in quotes was expected"),
        ('protocol = "muse"', "has no such key"),
    ],
)
def test_readings_that_are_none_are_named_with_their_line(tmp_path: Path, line: str, words: str) -> None:
    csv(tmp_path, "prompt,answer\nWho?,Ada\n")
    path = tmp_path / "study.toml"
    path.write_text(STUDY + line + "\n")
    with pytest.raises(StudyError) as raised:
        read_study(path)
    assert words in str(raised.value) and "line " in str(raised.value)


def test_a_study_names_its_protocol(tmp_path: Path) -> None:
    csv(tmp_path, "prompt,answer\nWho?,Ada\n")
    path = tmp_path / "study.toml"
    path.write_text('protocol = "open-unlearning"\n' + STUDY)
    study = read_study(path)
    assert study.protocol == "open-unlearning"
    write_study(study, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").protocol == "open-unlearning"
    path.write_text('protocol = "open_unlearning"\n' + STUDY)
    with pytest.raises(StudyError, match="Did you mean `open-unlearning`"):
        read_study(path)


def test_a_file_of_the_hub_is_found_in_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "datasets--owner--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "forget10.json").write_text('[{"question": "Who?", "answer": "Ada"}]')
    refs = tmp_path / "datasets--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    path = probe_file("hf://owner/name/forget10.json")
    assert read_probes(path, "forget").probes[0].answer == "Ada"


def test_a_file_that_the_hub_cannot_give_here_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StudyError, match="hub cannot be reached"):
        probe_file("hf://owner/name/forget10.json")
    with pytest.raises(StudyError, match="does not name a file of a data set"):
        probe_file("hf://owner/name")


def test_prompt_lists_of_attacks_on_image_models_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "nudity.csv"
    header = (
        "case_number,prompt,evaluation_seed,evaluation_guidance,categories,hard,nudity_percentage,sd_seed"
    )
    path.write_text(f'{header}\n12,"a, b",2487,7.5,violence,1,0.5,99\n13,c,11,7.5,,0,0,1\n')
    found = inspect_probes(path, "forget")
    first, second = found.probe_set.probes
    assert (first.id, first.prompt, first.concepts) == ("12", "a, b", {})
    assert (first.seed, first.guidance, first.tags) == (2487, 7.5, ("categories violence",))
    assert (second.seed, second.guidance, second.tags) == (11, 7.5, ())
    assert "UnlearnDiffAtk" in found.shape
    assert found.columns["evaluation_seed"] == "seed" and found.columns["evaluation_guidance"] == "guidance"
    studys = read_probes(path, "forget", Reading(own_seeds=False)).probes[0]
    assert studys.tags == ("evaluation_seed 2487", "evaluation_guidance 7.5", "categories violence")
    assert studys.own == () and studys.digest() == Probe("x", "forget", "a, b").digest()
    assert found.columns["hard"] == "not used" and found.columns["case_number"] == "id"

    path.write_text("case_number,evaluation_seed,target,prompt\n1,5,Elon Musk,a photo of Elon Musk\n")
    (six,) = inspect_probes(path, "forget").probe_set.probes
    assert (six.subject, six.prompt, six.seed) == ("Elon Musk", "a photo of Elon Musk", 5)


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_any_file_may_bring_seeds_and_guidance_along(tmp_path: Path, name: str) -> None:
    rows = [
        {"prompt": "a", "seed": 4294967296, "guidance": 3, "style": "neon"},
        {"prompt": "b", "seed": None, "guidance": 7.5, "style": "ink"},
    ]
    frame = pd.DataFrame(rows)
    if name.endswith("csv"):
        frame.to_csv(tmp_path / name, index=False)
    elif name.endswith("parquet"):
        frame.to_parquet(tmp_path / name)  # a column with gaps: its whole numbers become 4294967296.0
    else:
        (tmp_path / name).write_text("\n".join(json.dumps(row) for row in rows))
    first, second = read_probes(tmp_path / name, "forget").probes
    assert (first.seed, first.guidance, first.concepts) == (4294967296, 3.0, {"style": "neon"})
    assert (second.seed, second.guidance, second.own) == (None, 7.5, ("guidance",))
    text = read_probes(tmp_path / name, "forget", pictures=False).probes[0]
    assert text.own == () and "seed" in text.concepts


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"seed": "soon"}, r"`seed` must be a whole number from 0 to 9223372036854775807, not \"soon\""),
        ({"seed": -1}, "`seed` must be a whole number"),
        ({"seed": 1.5}, "`seed` must be a whole number"),
        ({"seed": True}, "`seed` must be a whole number"),
        ({"guidance": "NaN"}, "`guidance` must be a number from 0 on"),
        ({"seed": 1, "evaluation_seed": 2}, "both `seed` and `evaluation_seed` are given"),
    ],
)
def test_a_setting_that_is_none_is_a_row_that_cannot_be_used(
    tmp_path: Path, row: dict[str, object], said: str
) -> None:
    path = jsonl(tmp_path, {"prompt": "fine"}, {"prompt": "a"} | row)
    with pytest.raises(StudyError, match=said):
        read_probes(path, "forget")
    assert len(read_probes(path, "forget", Reading(skip_bad_rows=True)).probes) == 1


def test_only_settings_that_are_there_change_what_a_probe_is() -> None:
    plain = Probe("a", "forget", "A cat")
    assert (
        plain.digest() == "0faf127a30a6617291e005f6cfc0cd6d"
    )  # as recorded before probes had settings of their own
    own = [replace(plain, seed=1), replace(plain, guidance=1.0), replace(plain, seed=1, guidance=1.0)]
    assert len({plain.digest(), *(each.digest() for each in own)}) == 4
    base = Sampling(5, 2.0, seeds=(1, 2))
    assert base.of(plain) == base
    assert base.of(replace(plain, seed=9, guidance=7.5)) == Sampling(5, 7.5, seeds=(9,))
