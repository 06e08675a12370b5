"""`unlearnboard cache`: what it says, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.main import run
from cache.analysis.scoreboard import scoreboard
from cache.store import open_store, recorded_pack
from tests.cache.store.test_merge import state
from tests.cache.store.test_store import corrupt_cell
from tests.filled_store import fill_images, fill_text, image_study, text_study


@pytest.fixture(autouse=True)
def no_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Caches without the demo's evidence, which would hide what came."""
    monkeypatch.setattr(recorded_pack, "RECORDED", "none")
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "unused"))


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "theirs" / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    store.close()
    return tmp_path / "theirs"


def test_merging_says_what_came_and_the_second_time_that_nothing_did(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(theirs)
    arguments = ["cache", "merge", str(theirs), "--cache", str(tmp_path / "mine")]
    assert run(arguments) == 0
    (said,) = capsys.readouterr().out.splitlines()
    study = image_study()
    pictures = len(study.models) * 12 * len(study.sampling.seeds)
    assert f" {pictures:,} pictures came from {theirs}." in said
    assert " runs, " in said and " pieces of evidence" in said
    assert run(arguments) == 0
    assert capsys.readouterr().out == f"{theirs} has nothing new.\n"
    assert state(theirs) == before
    mine = open_store(tmp_path / "mine" / "evidence.sqlite")
    assert len(scoreboard(text_study(), mine).frame)
    assert run(["cache", "check", "--cache", str(tmp_path / "mine")]) == 0
    assert f"pictures: {pictures:,} whole\n" in capsys.readouterr().out


def test_damage_in_the_other_cache_is_said_and_the_rest_comes(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corrupt_cell(theirs / "evidence.sqlite", 1)
    assert run(["cache", "merge", str(theirs), "--cache", str(tmp_path / "mine")]) == 2
    told = capsys.readouterr().out.splitlines()
    assert " came from " in told[0]
    assert told[-1].startswith("Damaged in the other cache, and left out: ") and "of evidence" in told[-1]


def test_a_cache_is_not_merged_with_itself(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "merge", str(theirs), "--cache", str(theirs)]) == 2
    assert "this is the cache itself" in capsys.readouterr().err


def test_checking_says_what_is_damaged_and_how_it_is_mended(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cache", "check", "--cache", str(theirs)]) == 0
    corrupt_cell(theirs / "evidence.sqlite", 1)
    next((theirs / "images").glob("??/*.png")).unlink()
    assert run(["cache", "check", "--cache", str(theirs)]) == 1
    told = capsys.readouterr().out
    assert " damaged\n" in told and ", 1 missing\n" in told
    assert "To restore pieces of evidence: `unlearnboard evaluate STUDY.toml` computes it again." in told


def test_a_folder_without_a_cache_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "check", "--cache", str(tmp_path / "nowhere")]) == 2
    assert f"{tmp_path / 'nowhere'}: there is no such cache" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()
