"""Until somebody ticks models, pages show those that Overview judges, and nothing changes them in a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.shared.chosen_models import standing
from app.shared.resources import store
from backends.checkpoints.identity import available
from backends.study import Study
from backends.study.file import read_study
from backends.study.strength import dialled
from cache.analysis.scoreboard import scoreboard
from cache.analysis.verdict.findings import Outcome, missing
from cache.analysis.verdict.kept import kept_verdicts
from cache.analysis.verdict.methods import study_methods
from cache.analysis.verdict.rules import Verdict
from tests.filled_store import fill_text, text_study, write_study

TIMEOUT = 120


def page() -> None:
    import streamlit as st

    from app.shared import state
    from app.shared.chosen_models import chosen_models

    ticked = st.session_state.pop("tick", None)
    if ticked is not None:
        state.choose_models(ticked)
    st.session_state["shown"] = chosen_models()


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Study, AppTest]]:
    """A session on a study of which nothing is evaluated yet."""
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    path = write_study(text_study(), tmp_path / "study")
    monkeypatch.setattr("app.shared.resources.study_paths", lambda: [path])
    st.cache_resource.clear()
    yield read_study(path), AppTest.from_function(page, default_timeout=TIMEOUT)
    st.cache_resource.clear()


def judged(model: str, says: Outcome) -> Verdict:
    return Verdict(model, (replace(missing("says"), outcome=says), missing("utility"), missing("refuses")))


def overview_shows(study: Study) -> set[str]:
    found = kept_verdicts(study, scoreboard(study, store()), store())
    return {method.best.model for method in study_methods(study, found)}


LAST = {"GradAscent": "GradAscent 10", "NPO": "NPO 10", "IdkDPO": "IdkDPO 10"}


def test_a_method_stands_for_its_best_by_verdict_and_one_without_verdicts_for_its_last() -> None:
    study = text_study()
    assert standing(study, {}) == LAST
    found = {"NPO 4": judged("NPO 4", "no"), "NPO 10": judged("NPO 10", "yes")}
    assert standing(study, found) == LAST | {"NPO": "NPO 4"}
    backwards = replace(study, models=(*study.models[:2], *reversed(study.models[2:])))
    assert standing(backwards, {}) == LAST, "the last by step, whatever the order of the file"


def test_a_model_between_the_original_and_another_stands_for_no_method() -> None:
    study = text_study()
    between = dialled(study.original, study.model("NPO 10"), 0.5)
    more = replace(study, models=(*study.models, replace(between, step=99)))
    assert standing(more, {between.name: judged(between.name, "no")}) == LAST


def test_the_default_is_what_overview_shows(opened: tuple[Study, AppTest]) -> None:
    study, app = opened
    fill_text(study, store())
    app.run()
    assert not app.exception
    best = overview_shows(study)
    assert best != set(LAST.values()), "else this shows nothing"
    assert app.session_state["shown"] == [spec.name for spec in study.models if spec.name in {
        "Original", "Retained", *best
    }]  # fmt: skip


def test_what_is_evaluated_meanwhile_changes_no_tick_before_the_next_session(
    opened: tuple[Study, AppTest],
) -> None:
    study, app = opened
    app.run()
    before = app.session_state["shown"]
    assert set(LAST.values()) < set(before)
    fill_text(study, store())
    app.run()
    assert app.session_state["shown"] == before
    later = AppTest.from_function(page, default_timeout=TIMEOUT).run()
    assert overview_shows(study) < set(later.session_state["shown"])


def test_what_was_ticked_stays(opened: tuple[Study, AppTest]) -> None:
    study, app = opened
    app.session_state["tick"] = ["NPO 2"]
    app.run()
    fill_text(study, store())
    app.run()
    assert app.session_state["shown"] == ["Original", "NPO 2"]


@pytest.mark.demo
def test_the_demo_ships_the_weights_of_what_it_shows_first() -> None:
    """Else a typed prompt would get no answer of them."""
    from app.shared.settings import PACK, open_cache

    study, cache = read_study(PACK / "text" / "study.toml"), open_cache()
    shown = standing(study, kept_verdicts(study, scoreboard(study, cache), cache))
    assert [name for name in shown.values() if not available(study.model(name))] == []
