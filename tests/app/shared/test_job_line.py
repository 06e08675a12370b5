"""The line of a job in every state, as each page words it."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.shared.evaluation_line import EVALUATION
from app.shared.job_line import plain_progress
from app.shared.jobs import Job, State

TIMEOUT = 60


def job(state: State = "running", **facts: object) -> Job:
    made = Job("Answering", "compare", ("topic",), state=state)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(("ahead", "runs"), [(1, "1 other job"), (3, "3 other jobs")])
def test_a_waiting_job_counts_those_before_it(ahead: int, runs: str) -> None:
    assert f"{runs} …" in plain_progress(job("queued"), ahead)
    assert f"{runs};" in EVALUATION.progress(job("queued"), ahead)


def test_a_running_job_tells_how_far_it_is_and_what_it_is_at() -> None:
    assert plain_progress(job(done=2, total=5, note="loading"), 0) == "Answering · 2 of 5 · loading"
    assert plain_progress(job(), 0) == "Answering"
    assert EVALUATION.progress(job(done=2, total=5, note="NPO"), 0) == "Answering: 2 of 5 · NPO"
    assert EVALUATION.progress(job(), 0) == "Answering: starting"


def drawn(state: str, words: str) -> AppTest:
    def page(state: str, words: str) -> None:
        from app.shared.evaluation_line import EVALUATION
        from app.shared.job_line import COMPARE, job_line
        from app.shared.jobs import Job

        job = Job("Work", "kind", ("key",), state=state)  # type: ignore[arg-type]
        job.error = "It *broke*."
        job.remark("One was left out.")
        job_line(job, EVALUATION if words == "evaluation" else COMPARE)

    app = AppTest.from_function(page, default_timeout=TIMEOUT, args=(state, words)).run()
    assert not app.exception
    return app


def test_a_job_that_is_on_can_be_stopped() -> None:
    assert [button.label for button in drawn("running", "compare").button] == ["Stop"]
    assert [button.label for button in drawn("running", "evaluation").button] == ["Cancel"]


def test_a_failure_is_one_error_with_its_remarks_where_they_are_told() -> None:
    assert [error.value for error in drawn("failed", "compare").error] == ["It \\*broke\\*\\."]
    (error,) = drawn("failed", "evaluation").error
    assert error.value.splitlines() == ["It \\*broke\\*\\.", "- One was left out\\."]


def test_stopped_and_done_say_what_is_kept() -> None:
    assert [each.value for each in drawn("stopped", "compare").caption] == [
        "Stopped. Answers that were finished are kept."
    ]
    assert "press Start to resume" in drawn("stopped", "evaluation").info[0].value
    assert not drawn("done", "compare").caption
    done = [each.value for each in drawn("done", "evaluation").caption]
    assert done == ["Work\\: done\\.", "One was left out\\."]
