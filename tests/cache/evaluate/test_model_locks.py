"""Two evaluations of one cache at the same time do every piece once; a lock outlives nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backends.errors import Cancelled, StoreError
from backends.study import Study
from cache.evaluate import model_locks
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate, plan
from cache.evaluate.model_locks import one_process_each
from cache.store import open_store
from tests.cache.evaluate.test_evaluation import CountingPool

HOLD = """
import sys, time
from pathlib import Path
from cache.evaluate.model_locks import one_process_each
def work(_):
    print("mine", flush=True)
    time.sleep(60)
one_process_each(Path(sys.argv[1]), ["a"], str, work, lambda: False)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_locks, "WAIT_SECONDS", 0.02)


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that is at item "a"."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "mine"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_two_evaluations_at_once_do_no_piece_twice(tiny_study: Study, tmp_path: Path) -> None:
    pools = [CountingPool(), CountingPool()]
    failed: list[BaseException] = []

    def run(pool: CountingPool) -> None:
        try:
            evaluate(EvaluationContext.of(tiny_study, open_store(tmp_path / "evidence.sqlite"), pool))
        except BaseException as error:
            failed.append(error)

    open_store(tmp_path / "evidence.sqlite").close()
    threads = [threading.Thread(target=run, args=(pool,)) for pool in pools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failed
    scored = [piece for pool in pools for piece in pool.scored]
    assert len(scored) == len(set(scored))
    written = [(each.model, each.prompt) for pool in pools for each in pool.generated]
    assert len(written) == len(set(written))
    assert plan(tiny_study, open_store(tmp_path / "evidence.sqlite"), "float32").missing == 0


def test_others_are_done_first_and_what_was_taken_is_waited_for(tmp_path: Path) -> None:
    other = hold(tmp_path)
    done: list[str] = []
    waited: list[str] = []

    def waiting(item: str) -> None:
        waited.append(item)
        end(other)  # a lock goes with its process

    one_process_each(tmp_path, ["a", "b", "c"], str, done.append, lambda: False, waiting)
    assert done == ["b", "c", "a"]
    assert waited == ["a"]


def test_waiting_can_be_stopped(tmp_path: Path) -> None:
    other = hold(tmp_path)
    try:
        began = time.monotonic()
        with pytest.raises(Cancelled):
            one_process_each(tmp_path, ["a"], str, lambda _: None, lambda: time.monotonic() - began > 0.1)
    finally:
        end(other)


def test_a_turn_is_given_back_when_the_work_fails(tmp_path: Path) -> None:
    def fail(_: str) -> None:
        raise ValueError

    with pytest.raises(ValueError):
        one_process_each(tmp_path, ["a"], str, fail, lambda: False)
    one_process_each(tmp_path, ["a"], str, lambda _: None, lambda: True)  # would wait and be stopped


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")
    with pytest.raises(StoreError, match="lock file cannot be written"):
        one_process_each(tmp_path / "locks", ["a"], str, lambda _: None, lambda: False)
