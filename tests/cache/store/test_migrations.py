"""A cache that the last landing made opens with everything it held, once, whatever happens meanwhile.

`version_1.tar.xz` holds such a cache, with files beside the database, what the code of that time read from it, and the
script that made both.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import asdict, replace
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Column, MetaData, String, Table, create_engine, select, text

from backends.errors import StoreError
from backends.study import (
    Decoding,
    Denoising,
    JudgeSpec,
    ModelSpec,
    Probe,
    ProbeSet,
    Role,
    Sampling,
    Study,
)
from cache.analysis.scoreboard import scoreboard
from cache.store import Store, open_store, values
from cache.store.costs import costs
from cache.store.denoising import denoising_of
from cache.store.denoising_trajectories import stored_trajectory
from cache.store.judge_checks import judge_accuracy
from cache.store.merge import merge
from cache.store.migrations import add_column
from cache.store.model_checks import model_check
from cache.store.other import opened
from cache.store.schema import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parents[3]
SIDE_FOLDERS = {"checks", "costs", "denoising", "films", "judges"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The database of an old cache."""
    with tarfile.open(Path(__file__).with_name("version_1.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "cache" / "evidence.sqlite"


def expected(old: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((old.parents[1] / "expected.json").read_text())
    return found


def image_study(fingerprints: dict[str, str]) -> Study:
    """The study of make.py as somebody has it who has only the cache."""
    roles: tuple[Role, ...] = ("forget", "retain")
    sets = [
        ProbeSet(
            role, role, tuple(Probe(f"{role}-{o}", role, f"a {o}", concepts={"object": o}) for o in things)
        )
        for things in [("cat", "rocket")]
        for role in roles
    ]
    models = (
        ModelSpec("Original", "original", "gone", fingerprint=fingerprints["Original"]),
        ModelSpec(
            "ESD", "unlearned", "gone", weights="gone/esd", method="ESD", fingerprint=fingerprints["ESD"]
        ),
    )
    return Study(
        "Images",
        "image",
        models,
        tuple(sets),
        sampling=Sampling(steps=3, guidance=2.0, seeds=(1, 2)),
        denoising=Denoising(forget="gone/forget", holdout="gone/holdout", timesteps=(5, 500)),
        judges=(JudgeSpec("object", "gone/judge", real="gone/real"),),
    )


def text_study(fingerprints: dict[str, str]) -> Study:
    roles: tuple[Role, ...] = ("forget", "retain")
    models = (
        ModelSpec("Original", "original", "gone", fingerprint=fingerprints["Original"]),
        ModelSpec("NPO", "unlearned", "gone", adapter="gone", method="NPO", fingerprint=fingerprints["NPO"]),
    )
    sets = tuple(
        ProbeSet(
            role, role, tuple(Probe(f"{role}{n}", role, f"Who is {role} {n}?", f"Bo {n}") for n in range(3))
        )
        for role in roles
    )
    return Study("Texts", "text", models, sets, decoding=Decoding(max_new_tokens=6))


def assert_holds_what_it_held(store: Store, told: dict[str, dict[str, Any]]) -> None:
    for study in (image_study(told["Images"]["fingerprints"]), text_study(told["Texts"]["fingerprints"])):
        wanted = told[study.name]
        assert costs(study, store) == wanted["costs"] != {}
        for name, check in wanted["checks"].items():
            found = model_check(study, store, name)
            assert found is not None and json.loads(json.dumps(found.as_json())) == check
        frame = scoreboard(study, store).frame
        at = wanted["scoreboard"]["columns"].index("metric")  # a metric that came later is no loss
        frame = frame[frame["metric"].isin({row[at] for row in wanted["scoreboard"]["data"]})]
        # Intervals are made otherwise since, and the values of whole models by other sums.
        frame = frame.drop(columns=["low", "high"]).reset_index(drop=True)
        before = pd.DataFrame(**wanted["scoreboard"]).drop(columns=["low", "high"])
        before["value"] = [nan if v is None else float.fromhex(v) for v in wanted["values"]]
        pd.testing.assert_frame_equal(
            frame.astype(object).fillna(nan), before.astype(object).fillna(nan), rtol=1e-12, atol=1e-15
        )
    images = image_study(told["Images"]["fingerprints"])
    for name in ("Original", "ESD"):
        assert denoising_of(images, store, name) == told["Images"]["denoising"][name] != {}
    probe = images.probe_sets[0].probes[0]
    for name, (steps, frames) in told["Images"]["films"].items():
        own = replace(probe, seed=9) if name == "own" else probe
        kept = stored_trajectory(images, store, "ESD" if name == "own" else name, own, images.sampling)
        assert kept is not None and list(kept.steps) == steps
        assert [hashlib.sha256(each.tobytes()).hexdigest() for each in kept.frames] == frames
    assert len(judged(store)) == 1 and store.damaged() == 0


def judged(store: Store) -> list[object]:
    made = [context.key for context in store.contexts() if context.kind == "judges"]
    return [said for held in store.values(made).values() for said in held.values()]


def side_folders(old: Path) -> set[str]:
    return {path.name for path in old.parent.iterdir()} & SIDE_FOLDERS


def schema_version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_everything_that_an_old_cache_held_is_in_its_database_and_nothing_stands_beside(old: Path) -> None:
    assert schema_version(old) == 1 and side_folders(old) == SIDE_FOLDERS
    said: list[str] = []
    store = open_store(old, said.append)
    assert_holds_what_it_held(store, expected(old))
    assert side_folders(old) == set()
    told = "The cache was made by an older UnlearnBoard: 12 files beside it are imported into it once"
    assert said == [f"{told}: {old.parent}"]
    assert schema_version(old) == SCHEMA_VERSION
    store.close()
    said.clear()
    assert_holds_what_it_held(open_store(old, said.append), expected(old))
    assert said == [], "it is done once"


def test_what_follows_from_the_files_follows_from_the_database(old: Path) -> None:
    """Kept scoreboards are forgotten first, so that every number is recomputed."""
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("DELETE FROM memos")
    assert_holds_what_it_held(open_store(old), expected(old))


def test_what_a_judge_said_is_found_for_the_same_judge_and_pictures(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cache.store import keys, open_store, reading

    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.png").write_bytes(b"picture")
    (tmp_path / "judge").write_bytes(b"weights")
    spec = JudgeSpec("object", "judge", real="real")
    state = Path("real/1.png").stat()
    asked = keys.digest(
        [reading.judges_digest([spec]), [["real/1.png", state.st_size, state.st_mtime_ns]]]
    )  # the name that the last landing gave the file
    (theirs,) = (old.parent / "judges").glob("*.json")
    theirs.rename(theirs.with_name(f"{asked}.json"))
    store = open_store(old)
    found = judge_accuracy(store, spec)
    assert found is not None
    kept = expected(old)["Images"]["judge"]
    assert asdict(replace(found, per_class={})) == {**kept, "unreadable": tuple(kept["unreadable"])}


def test_files_that_cannot_be_read_are_named_and_stay(old: Path) -> None:
    folder = old.parent
    broken = folder / "checks" / "1-a-b-float32.json"
    broken.write_text("{")
    strange = folder / "films" / "holiday.png"
    strange.write_bytes(b"no picture of ours")
    if hasattr(os, "mkfifo"):  # opening it would wait for ever
        os.mkfifo(folder / "judges" / "pipe.json")
    losses = folder / "denoising" / "model-0123456789abcdef-float32.jsonl"
    losses.write_text('["forget", "a", [0.5, 0.25]]\n["forget", "b", [0.5,\n["forget", "c", [0.125, 1.0]]\n')
    said: list[str] = []
    store = open_store(old, said.append)
    assert_holds_what_it_held(store, expected(old))
    (sentence,) = (each for each in said if "cannot be read" in each)
    assert sentence.startswith("3 files beside the cache cannot be read and are left in place")
    assert all(f"{path.parent.name}/{path.name}" in sentence for path in (broken, strange, losses))
    assert broken.is_file() and strange.is_file() and losses.is_file()
    assert {"checks", "films", "denoising"} <= side_folders(old) <= {"checks", "films", "denoising", "judges"}
    context = values.losses_context("model", "0123456789abcdef", "float32").key
    assert sorted(map(str, store.values([context])[context].values())) == [
        "['forget', 'a', [0.5, 0.25]]",
        "['forget', 'c', [0.125, 1.0]]",
    ]
    store.close()
    said.clear()
    open_store(old, said.append)
    assert said == []


def test_half_a_line_at_the_end_is_what_a_kill_left_and_nothing_is_lost_with_it(old: Path) -> None:
    paths = list((old.parent / "denoising").glob("*.jsonl"))
    for path in paths:
        path.write_text(path.read_text() + '["forget", "half a li')
    said: list[str] = []
    assert_holds_what_it_held(open_store(old, said.append), expected(old))
    assert len(said) == 1 and side_folders(old) == set()


OPEN = """
import sys
from pathlib import Path
from cache.store import Store, open_store
open_store(Path(sys.argv[1]), print)
"""


def test_two_processes_open_an_old_cache_at_once_and_one_brings_it_up_to_date(old: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(old)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "".join(out for out, _ in said).count("are imported into it once") == 1
    assert_holds_what_it_held(open_store(old), expected(old))
    assert side_folders(old) == set()


KILLED_BEFORE = """
import os, signal
from cache.store import migrations, open_store
migrations.replace_rows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_AFTER = """
import os, signal
from cache.store import migrations, open_store
migrations._tidy_up = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("kill", "version"), [(KILLED_BEFORE, 2), (KILLED_AFTER, SCHEMA_VERSION)])
def test_a_kill_at_any_moment_loses_nothing(old: Path, kill: str, version: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", kill + OPEN, str(old)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert schema_version(old) == version and side_folders(old) == SIDE_FOLDERS
    assert_holds_what_it_held(open_store(old), expected(old))
    assert side_folders(old) == set()


def test_a_file_that_grew_after_it_was_taken_in_is_left(old: Path) -> None:
    """A process of the last landing may still be writing."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER + OPEN, str(old)], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    path = next((old.parent / "denoising").glob("*.jsonl"))
    path.write_text(path.read_text() + '["forget", "new", [0.5, 0.5]]\n')
    said: list[str] = []
    open_store(old, said.append)
    assert len(said) == 1 and path.name in said[0] and path.is_file()
    assert side_folders(old) == {"denoising"}


def test_a_cache_that_lacks_later_tables_gets_them(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        for table in ("features", "networks", "result_examples", "results", "result_metrics"):
            connection.execute(f"DROP TABLE {table}")
    store = open_store(old)
    assert_holds_what_it_held(store, expected(old))
    with store.reading() as now:
        assert now.exec_driver_sql("SELECT count(*) FROM features").scalar_one() == 0


def test_an_old_cache_whose_database_cannot_be_written_says_so_and_keeps_its_files(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cache.store import open_store, sqlite

    prepare = sqlite._prepare_connection

    def read_only(connection: sqlite3.Connection, record: Any) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA query_only=1")

    monkeypatch.setattr(sqlite, "_prepare_connection", read_only)
    with pytest.raises(StoreError, match="the cache cannot be written"):
        open_store(old)
    assert schema_version(old) == 1 and side_folders(old) == SIDE_FOLDERS


def test_an_old_cache_on_a_full_disk_says_so_and_stays_as_it_is(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cache.store import image_files, open_store

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(image_files, "write_whole", full)
    with pytest.raises(StoreError, match="the disk is full"):
        open_store(old)
    assert schema_version(old) < SCHEMA_VERSION and side_folders(old) == SIDE_FOLDERS
    monkeypatch.undo()
    assert_holds_what_it_held(open_store(old), expected(old))


def test_a_cache_without_its_side_files_is_brought_up_to_date_in_silence(old: Path) -> None:
    for name in SIDE_FOLDERS:
        shutil.rmtree(old.parent / name)
    said: list[str] = []
    store = open_store(old, said.append)
    assert said == [] and schema_version(old) == SCHEMA_VERSION
    assert {context.kind for context in store.contexts()} == {"images", "scores", "answers"}


def test_another_persons_old_cache_is_taken_over_with_all_that_it_held(old: Path, tmp_path: Path) -> None:
    mine = open_store(tmp_path / "mine" / "evidence.sqlite")
    with opened(old, tmp_path / "mine") as theirs:
        merged = merge(mine, theirs.store, old.parent / "images")
    assert sum(each.damaged for each in merged.tables.values()) == 0
    assert_holds_what_it_held(mine, expected(old))
    assert schema_version(old) == 1 and side_folders(old) == SIDE_FOLDERS, "it is only read"


def test_what_was_in_files_comes_along_when_caches_are_merged(old: Path, tmp_path: Path) -> None:
    mine, theirs = open_store(tmp_path / "mine" / "evidence.sqlite"), open_store(old)
    merge(mine, theirs)
    assert_holds_what_it_held(mine, expected(old))
    assert merge(mine, theirs).taken == 0


def test_a_column_is_added_once_and_rows_stay() -> None:
    engine = create_engine("sqlite://")
    now = Table("things", MetaData(), Column("name", String), Column("remark", String))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (name VARCHAR)"))
        connection.execute(text("INSERT INTO things VALUES ('a')"))
        for _ in range(2):  # as where an earlier step made the whole table already
            add_column(connection, now, "remark")
        assert connection.execute(select(now)).one() == ("a", None)
    engine.dispose()
