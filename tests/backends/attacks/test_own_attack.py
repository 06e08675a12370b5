"""An attack of one's own is one file with ATTACK; what is wrong with it is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.attacks import ATTACKS
from backends.attacks.own_attack import attacks_named
from backends.errors import StudyError
from tests.docs.documents import example_of_attack

GOOD = example_of_attack()


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_the_documented_file_joins_ours(tmp_path: Path) -> None:
    found = attacks_named([written(tmp_path, GOOD), "role_play"], "text")
    assert [each.card.key for each in found] == ["role_play", "shouted"]


def test_without_names_all_of_ours_are_meant() -> None:
    assert [each.card.key for each in attacks_named([], "text")] == [
        key for key, each in ATTACKS.items() if each.card.modality == "text"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ATTACK = 3", "no ATTACK"),
        ("1 / 0", "ZeroDivisionError"),
        (GOOD.replace('key="shouted"', 'key="role_play"'), "not a valid key"),
        (GOOD.replace('key="shouted"', 'key="a b"'), "not a valid key"),
        (GOOD.replace('"prompt box"', '"promt box"'), "Did you mean 'prompt box'?"),
        (GOOD.replace('modality="text"', 'modality="image"'), "is for image studies"),
        (GOOD.replace('modality="text",', 'modality="text", says=("key_fat",),'), "Did you mean 'key_fact'?"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        attacks_named([written(tmp_path, text)], "text")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_misspelt_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such file"):
        attacks_named([str(tmp_path / "none.py")], "text")
    with pytest.raises(StudyError, match="Did you mean 'role_play'"):
        attacks_named(["roleplay"], "text")


def test_two_files_with_one_key_are_refused(tmp_path: Path) -> None:
    files = [written(tmp_path, GOOD), written(tmp_path, GOOD, "other.py")]
    with pytest.raises(StudyError, match="two files have the key 'shouted'"):
        attacks_named(files, "text")
