"""Columns of begun answers, system texts and other ways of asking are read, reported, and change no other evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.probes.reading import read_probes
from backends.study import Probe, ProbeSet

ROW = {"question": "Where was Ada born?", "answer": " Porto."}


def read(path: Path, *rows: dict[str, Any], name: str = "probes.jsonl", skip: bool = False) -> ProbeSet:
    file = path / name
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_probes(file, "forget")


def test_a_begun_answer_is_read_and_is_another_question(tmp_path: Path) -> None:
    found = read(tmp_path, ROW | {"answer_prefix": "She was born in"}, ROW)
    begun, plain = found.probes
    assert (begun.answer_prefix, begun.answer, plain.answer_prefix) == ("She was born in", " Porto.", "")
    assert begun.digest() != plain.digest()
    assert replace(begun, answer_prefix="", id=plain.id).digest() == plain.digest()
    assert any("1 row whose answer is begun" in note for note in found.how.notes)
    assert not any("without a space" in note for note in found.how.notes)


def test_a_missing_space_is_said(tmp_path: Path) -> None:
    found = read(tmp_path, ROW | {"answer": "Porto.", "answer_prefix": "She was born in", "id": "ada"})
    assert any("1 row without a space" in note and "first ada" in note for note in found.how.notes)


def test_a_digest_that_was_made_before_there_were_prefixes_is_the_same() -> None:
    assert Probe("a", "forget", "Q?", "A.").digest() == "ef54fdfd12bc101f2236e8d147e7e291"


def test_rewordings_are_read_by_kind_and_change_no_digest(tmp_path: Path) -> None:
    asked = {
        "translated_question": "¿Dónde nació Ada?",
        "language": "Spanish",
        "alias_prompt": "Where was the poet of Faro born?",
        "Hop Question": ["In which country was Ada born?", "Which river is at Ada's birthplace?"],
        "misspelled_question": "Were was Ada bron?",
    }
    found = read(tmp_path, ROW | asked, ROW)
    probe, plain = found.probes
    assert probe.rewordings == (
        ("translated:Spanish", "¿Dónde nació Ada?"),
        ("alias", "Where was the poet of Faro born?"),
        ("hop", "In which country was Ada born?"),
        ("hop", "Which river is at Ada's birthplace?"),
        ("misspelled", "Were was Ada bron?"),
    )
    assert probe.concepts == {} and plain.rewordings == ()
    assert probe.digest() == plain.digest()
    assert dict(found.how.columns)["translated_question"] == "question in another language, which attacks ask"
    note = next(note for note in found.how.notes if note.startswith("further questions"))
    assert "translated: Spanish (1)" in note and "hop (2)" in note


def test_translations_without_a_language_and_with_several(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        ROW | {"translated_prompt": "¿Dónde?"},
        ROW | {"translated_prompt": {"Spanish": "¿Dónde?", "German": "Wo?"}},
    ).probes
    assert first.rewordings == (("translated:another language", "¿Dónde?"),)
    assert second.rewordings == (("translated:Spanish", "¿Dónde?"), ("translated:German", "Wo?"))


def test_a_language_without_a_translation_stays_a_label(tmp_path: Path) -> None:
    (probe,) = read(tmp_path, ROW | {"language": "English"}).probes
    assert probe.concepts == {"language": "English"}


def test_a_table_writes_lists_out_and_keeps_bars(tmp_path: Path) -> None:
    file = tmp_path / "probes.csv"
    lines = [
        "question,answer,alias_question,hop_question,answer_prefix",
        'Q?, A.,"a | b?","[""c?"", ""d?""]",It is',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    (probe,) = read_probes(file, "forget").probes
    assert probe.rewordings == (("alias", "a | b?"), ("hop", "c?"), ("hop", "d?"))
    assert (probe.answer_prefix, probe.answer) == ("It is", " A.")


def test_system_text_is_the_first_turn(tmp_path: Path) -> None:
    (probe,) = read(tmp_path, ROW | {"system": "Be brief."}).probes
    assert probe.turns == (("system", "Be brief."),)


@pytest.mark.parametrize("value", [3, [1], {"a": 1}])
def test_what_is_no_question_is_said(tmp_path: Path, value: Any) -> None:
    with pytest.raises(Exception, match="`alias_question` must be a question or a list of them"):
        read(tmp_path, ROW | {"alias_question": value})


def test_prompts_of_pictures_have_rewordings_too(tmp_path: Path) -> None:
    file = tmp_path / "pictures.jsonl"
    file.write_text(json.dumps({"prompt": "a dog", "misspelled_prompt": "a dgo", "object": "dog"}))
    (probe,) = read_probes(file, "forget", pictures=True).probes
    assert probe.rewordings == (("misspelled", "a dgo"),) and probe.concepts == {"object": "dog"}
