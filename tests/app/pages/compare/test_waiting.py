"""While answers are awaited, every card says what it waits for and how long that usually takes."""

from __future__ import annotations

from app.pages.compare.waiting import LOADED, waiting_words
from app.shared.jobs import Job

MODELS = ("Original", "NPO", "WGA")


def job(note: str = "", state: str = "running", **loaded: float) -> Job:
    made = Job("Answering", "compare", ("x",))
    made.state, made.note = state, note  # type: ignore[assignment]
    for name, seconds in loaded.items():
        made.publish((LOADED, name), seconds)
    return made


def test_the_model_that_loads_is_named_with_its_usual_time() -> None:
    earlier = [job(NPO=4.0), job(NPO=6.4), job(NPO=9.0)]
    words = waiting_words(job("loading NPO", Original=1.0), MODELS, earlier)
    assert words == {
        "Original": "Ready; NPO is still being loaded, usually 6 s …",
        "NPO": "Loading, usually 6 s …",
        "WGA": "Waiting: NPO is being loaded first, usually 6 s …",
    }


def test_nothing_is_said_of_a_time_that_is_not_known() -> None:
    assert waiting_words(job("loading NPO"), MODELS, [])["NPO"] == "Loading …"


def test_other_work_and_writing_are_waited_for_too() -> None:
    assert "other work" in waiting_words(job(state="queued"), MODELS, [])["WGA"]
    assert "being written" in waiting_words(job(), MODELS, [])["WGA"]
