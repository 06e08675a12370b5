"""[attacks] in a study file: which attacks on which models; a misspelt one is named with its line and the nearest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backends.errors import StudyError
from backends.study.attack_choice import ALL_ATTACKS, AttackChoice
from backends.study.file import read_study
from backends.study.writing import write_study
from tests.filled_store import text_study
from tests.filled_store import write_study as write_filled


def study_file(folder: Path, added: str) -> tuple[Path, int]:
    """The file, and the line on which what is added begins."""
    path = write_filled(text_study(), folder)
    text = path.read_text()
    path.write_text(text + added)
    return path, text.count("\n") + 1


def test_both_lists_are_read(tmp_path: Path) -> None:
    path, _ = study_file(tmp_path, '[attacks]\nuse = ["begun_25", "role_play"]\nmodels = ["NPO 10"]\n')
    assert read_study(path).attacks == AttackChoice(("begun_25", "role_play"), ("NPO 10",))


def test_no_table_is_every_attack(tmp_path: Path) -> None:
    path, _ = study_file(tmp_path, "")
    assert read_study(path).attacks == ALL_ATTACKS


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path, _ = study_file(tmp_path, '[attacks]\nuse = ["begun_25"]\nmodels = ["NPO 10", "NPO 8"]\n')
    study = read_study(path)
    write_study(study, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").attacks == study.attacks
    write_study(replace(study, attacks=ALL_ATTACKS), tmp_path / "without.toml")
    assert "[attacks]" not in (tmp_path / "without.toml").read_text()


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ('use = ["begun_52"]', "use", "Did you mean 'begun_50'?"),
        ('models = ["NPO 11"]', "models", "Did you mean 'NPO 10'?"),
        ('models = ["Original"]', "models", "there is no unlearned model"),
        ('use = "begun_25"', "use", "a list of names was expected"),
        ('use = ["mine.py"]', "use", "a study file runs no code"),
        ('model = ["NPO 10"]', "model", "Did you mean `models`?"),
    ],
)
def test_what_does_not_exist_is_named_with_its_line(
    tmp_path: Path, line: str, key: str, message: str
) -> None:
    path, first = study_file(tmp_path, f"[attacks]\n{line}\n")
    with pytest.raises(StudyError) as caught:
        read_study(path)
    assert message in str(caught.value)
    assert f"line {first + 1}, key `{key}`" in str(caught.value)
