"""One worker: one job at a time, in order; stopping, failing and finding again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from app.shared.jobs import Job, Runner
from backends.errors import Cancelled, ModelError


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def ended(job: Job) -> Callable[[], bool]:
    return lambda: not job.active


def test_jobs_run_one_after_another_and_never_at_once() -> None:
    runner, at_once, log = Runner(), [], []
    busy = threading.Lock()

    def work(job: Job) -> None:
        at_once.append(busy.acquire(blocking=False))
        time.sleep(0.02)
        log.append(job.title)
        busy.release()

    jobs = [runner.submit(f"job {i}", "compare", (i,), work) for i in range(5)]
    wait_until(ended(jobs[-1]))
    assert log == [f"job {i}" for i in range(5)]
    assert all(at_once)
    assert [job.state for job in jobs] == ["done"] * 5


def test_a_second_job_waits_and_knows_how_many_are_ahead() -> None:
    runner, go = Runner(), threading.Event()
    first = runner.submit("first", "compare", ("a",), lambda _: assert_set(go))
    second = runner.submit("second", "compare", ("b",), lambda _: None)
    wait_until(lambda: first.state == "running")
    assert (second.state, runner.ahead_of(second)) == ("queued", 1)
    go.set()
    wait_until(ended(second))
    assert runner.ahead_of(second) == 0


def assert_set(event: threading.Event) -> None:
    assert event.wait(10)


def test_the_same_work_is_not_queued_twice_but_may_be_done_again() -> None:
    runner, go = Runner(), threading.Event()
    first = runner.submit("x", "compare", ("a",), lambda _: assert_set(go))
    assert runner.submit("x", "compare", ("a",), lambda _: None) is first
    assert runner.submit("x", "evaluate", ("a",), lambda _: None) is not first
    go.set()
    wait_until(ended(first))
    assert runner.submit("x", "compare", ("a",), lambda _: None) is not first


def test_a_running_job_sees_that_it_is_to_stop() -> None:
    runner = Runner()

    def work(job: Job) -> None:
        wait_until(job.stopping)
        raise Cancelled

    job = runner.submit("x", "compare", ("a",), work)
    wait_until(lambda: job.state == "running")
    job.cancel()
    wait_until(ended(job))
    assert (job.state, job.error) == ("stopped", "")


def test_a_waiting_job_that_is_stopped_never_starts_and_may_be_asked_for_again() -> None:
    runner, go, started = Runner(), threading.Event(), []
    runner.submit("first", "compare", ("a",), lambda _: assert_set(go))
    waiting = runner.submit("second", "compare", ("b",), lambda _: started.append(1))
    waiting.cancel()
    again = runner.submit("second", "compare", ("b",), lambda _: started.append(2))
    assert again is not waiting
    go.set()
    wait_until(ended(again))
    assert (waiting.state, started) == ("stopped", [2])


def test_an_error_for_people_is_shown_as_it_is() -> None:
    runner = Runner()

    def work(job: Job) -> None:
        raise ModelError("the prompt is empty", how="Type one")

    job = runner.submit("x", "compare", ("a",), work)
    wait_until(ended(job))
    assert (job.state, job.error) == ("failed", "The prompt is empty. Type one")


def test_a_defect_is_logged_told_in_one_sentence_and_outlived(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner()
    job = runner.submit("Sampling", "compare", ("a",), lambda _: [][0])
    wait_until(ended(job))
    assert (job.state, job.error) == (
        "failed",
        "Sampling failed (IndexError). See the server's log for details.",
    )
    assert "Traceback" in caplog.text
    after = runner.submit("x", "compare", ("b",), lambda _: None)
    wait_until(ended(after))
    assert after.state == "done"


def test_partial_results_are_seen_while_the_job_runs_and_kept_afterwards() -> None:
    runner, go = Runner(), threading.Event()

    def work(job: Job) -> None:
        job.publish(("NPO", 0), "Ada")
        job.report(1, 2, "writing")
        assert_set(go)
        job.publish(("NPO", 0), "Ada Quill")

    job = runner.submit("x", "compare", ("a",), work)
    wait_until(lambda: job.done == 1)
    assert (job.partial(), job.total, job.note) == ({("NPO", 0): "Ada"}, 2, "writing")
    go.set()
    wait_until(ended(job))
    assert job.partial() == {("NPO", 0): "Ada Quill"}
    assert runner.find("compare", ("a",)) is job


def test_ended_jobs_are_forgotten_after_a_while_but_active_ones_never() -> None:
    runner, go = Runner(), threading.Event()
    jobs = [runner.submit("x", "compare", (i,), lambda _: None) for i in range(60)]
    wait_until(ended(jobs[-1]))
    held = runner.submit("held", "compare", ("held",), lambda _: assert_set(go))
    assert len(runner.jobs()) == 51
    assert runner.active() == [held]
    go.set()


def test_long_work_lets_quick_work_pass_and_goes_on() -> None:
    runner, go = Runner(), threading.Event()
    log: list[str] = []

    def long(job: Job) -> None:
        log.append("long")
        if log.count("long") == 1:
            wait_until(job.interrupted)
            assert not job.stopping()
            raise Cancelled
        assert not job.interrupted()

    def quick(_: Job) -> None:
        log.append("quick")
        assert_set(go)

    first = runner.submit("long", "evaluate", ("a",), long, preemptible=True)
    other = runner.submit("longer", "evaluate", ("b",), lambda _: log.append("other"), preemptible=True)
    wait_until(lambda: first.state == "running")
    asked = runner.submit("quick", "compare", ("a",), quick)
    wait_until(lambda: log == ["long", "quick"])
    assert (first.state, runner.ahead_of(asked)) == ("queued", 0)
    assert runner.ahead_of(first) > 0
    go.set()
    wait_until(ended(first))
    wait_until(ended(other))
    assert sorted(log[2:]) == ["long", "other"]
    assert {job.state for job in (first, other, asked)} == {"done"}


def test_long_work_that_is_stopped_while_it_waits_does_not_come_back() -> None:
    runner, go = Runner(), threading.Event()

    def long(job: Job) -> None:
        wait_until(job.interrupted)
        raise Cancelled

    first = runner.submit("long", "evaluate", ("a",), long, preemptible=True)
    wait_until(lambda: first.state == "running")
    asked = runner.submit("quick", "compare", ("a",), lambda _: assert_set(go))
    wait_until(lambda: asked.state == "running")
    first.cancel()
    go.set()
    wait_until(ended(first))
    assert first.state == "stopped"


def test_what_a_defect_leaves_behind_is_cleared_before_the_next_job() -> None:
    cleared: list[str] = []
    runner = Runner(after_defect=lambda: cleared.append("models"))
    job = runner.submit("Sampling", "compare", ("a",), lambda _: [][0])
    seen = runner.submit("next", "compare", ("b",), lambda after: after.publish("seen", list(cleared)))
    wait_until(ended(seen))
    assert (job.state, seen.partial()) == ("failed", {"seen": ["models"]})
