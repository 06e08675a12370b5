"""What an evaluation found is numbers by the time a page asks, also of an evaluation that is still on."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.errors import Cancelled
from backends.pool import ModelPool
from backends.study import Study
from cache.analysis import derive
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import Progress, evaluate
from cache.store import open_store


def test_models_that_are_done_are_numbers_before_the_last_one_is(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    at: list[str] = []

    def tell(progress: Progress) -> None:
        at.append(progress.model)

    context = EvaluationContext.of(tiny_study, store, ModelPool(device="cpu"), lambda: "NPO 2" in at)
    with pytest.raises(Cancelled):
        evaluate(context, on_progress=tell)
    monkeypatch.setattr(derive, "_text_values", lambda *_: pytest.fail("a page derives what was evaluated"))
    page = open_store(store.path)
    shown = scoreboard(tiny_study, page).frame
    assert set(shown["model"]) == {"Original"}
    assert "forget/probability" in set(shown["key"])
