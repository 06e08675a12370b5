"""The table [report]: read strictly, written back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backends.errors import StudyError
from backends.study import writing
from backends.study.file import read_study
from backends.study.request import NOTHING_SAID, Request
from tests.filled_store import text_study, write_study

SAID = Request("Six people", "The data subject", "2026-05-04", licences=(("forget", "CC-BY-4.0"),))


def with_lines(folder: Path, *lines: str) -> Path:
    path = write_study(text_study(), folder)
    path.write_text("\n".join([path.read_text(), "[report]", *lines]))
    return path


def test_a_request_is_read_and_written(tmp_path: Path) -> None:
    study = read_study(write_study(text_study(), tmp_path))
    assert study.request == NOTHING_SAID
    writing.write_study(replace(study, request=SAID), tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").request == SAID


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('requestd_by = "me"', "Did you mean `requested_by`?"),
        ("reason = 17", "text in quotes was expected"),
        ('reason = ""', "this is empty"),
        ('licences = { forgot = "CC0" }', "Did you mean `forget`?"),
        ('licences = "CC0"', "a table was expected"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(StudyError, match=r"study\.toml, line \d+, key") as caught:
        read_study(with_lines(tmp_path, line))
    assert said in str(caught.value)
