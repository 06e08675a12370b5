"""The checks for a card run on the CPU as well, see what is broken, and never stop each other."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.image.pipelines import DiffusionModels
from backends.pool import ModelPool
from backends.text.models import LanguageModels
from backends.unlearning import text_training
from tests.gpu import image_checks, memory_checks, text_checks, unlearning_checks
from tests.gpu.__main__ import NO_CARD, checks, main
from tests.gpu.materials import Materials
from tests.gpu.rows import Check, Outcome, Skipped, as_table, run_check, within

NEEDS_A_CARD = {"memory of the weights", "memory while scoring", "out of memory, real", "attention: flash"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    return Materials("cpu", tmp_path_factory.mktemp("gpu"), tiny=True)


def test_every_check_runs_on_the_cpu_and_the_table_has_them_all(
    tmp_path: Path, given: Materials, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "new" / "table.md"
    code = main(["--device", "cpu", "--models", "tiny", "--seconds", "3600", "--to", str(table)])
    written = table.read_text()
    assert written in capsys.readouterr().out
    lines = [line.split(" | ") for line in written.splitlines() if line.startswith("| ")][1:]
    verdicts = {cells[0].removeprefix("| "): cells[3] for cells in lines}
    assert list(verdicts) == [check.name for check in checks(given)]
    assert {name for name, verdict in verdicts.items() if verdict == "skipped"} == NEEDS_A_CARD
    assert [name for name, verdict in verdicts.items() if verdict == "FAIL"] == []
    assert code == 0


def test_without_a_card_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert main([]) == 0
    assert capsys.readouterr().out == f"{NO_CARD}\n"
    assert main(["--device", "cuda"]) == 2
    assert "the device cuda is not available here" in capsys.readouterr().err


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of a model says something else than the one before."""
    calls = itertools.count()
    score, generate, sample = LanguageModels.score, LanguageModels.generate, DiffusionModels.sample
    norms = LanguageModels.gradient_norms

    def scored(self: Any, *given: Any, **more: Any) -> Iterator[Any]:
        by = np.float32(0.01 * next(calls))
        for each in score(self, *given, **more):
            yield replace(each, scores=replace(each.scores, logprobs=each.scores.logprobs - by))

    def generated(self: Any, *given: Any, **more: Any) -> Iterator[Any]:
        by = str(next(calls))
        for each in generate(self, *given, **more):
            yield replace(each, answer=replace(each.answer, text=each.answer.text + by))

    def sampled(self: Any, *given: Any, **more: Any) -> Iterator[Any]:
        by = 3 * next(calls)
        for each in sample(self, *given, **more):
            yield replace(each, pixels=np.clip(each.pixels.astype(int) // 2 + by, 0, 255).astype(np.uint8))

    def normed(self: Any, *given: Any, **more: Any) -> Iterator[Any]:
        by = 1 + 0.01 * next(calls)
        yield from ((index, norm * by) for index, norm in norms(self, *given, **more))

    for kind, name, other in (
        (LanguageModels, "score", scored),
        (LanguageModels, "generate", generated),
        (LanguageModels, "gradient_norms", normed),
        (DiffusionModels, "sample", sampled),
    ):
        monkeypatch.setattr(kind, name, other)


@pytest.mark.parametrize(
    "check",
    [
        text_checks.scores_agree,
        text_checks.gradients_agree,
        text_checks.greedy_text_agrees,
        text_checks.sampled_text_agrees,
        text_checks.batches_do_not_matter,
        text_checks.company_does_not_matter,
        text_checks.adapters_share_a_batch,
        image_checks.pictures_agree,
        image_checks.stable_diffusion_agrees,
        image_checks.batches_do_not_matter,
        memory_checks.staged_out_of_memory,
    ],
)
def test_a_check_fails_where_the_device_says_something_else(
    given: Materials, check: Callable[[Materials], Outcome], noisy: None
) -> None:
    assert check(given).verdict == "FAIL"


def test_other_attention_and_formats_fail_where_they_give_another_model(
    given: Materials, noisy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert text_checks.attention(given, "eager").verdict == "FAIL"
    monkeypatch.setattr(text_checks, "HALF", 0.0)
    assert text_checks.half_precision(given).verdict == "FAIL"
    monkeypatch.setattr(text_checks, "PACKED", {"tiny": 1.1})
    assert text_checks.quantised(given, "int8").verdict == "FAIL"


def test_a_budget_that_is_not_kept_fails(given: Materials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelPool, "_keep_budget", lambda *_: None)
    assert memory_checks.budget_is_kept(given).verdict == "FAIL"


def test_a_run_that_forgets_what_dropout_draws_fails(
    given: Materials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_training, "restore_random", lambda *_: torch.manual_seed(7))
    assert unlearning_checks.text_run_resumes(Materials("cpu", tmp_path, tiny=True)).verdict == "FAIL"


def test_losses_that_differ_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlearning_checks, "LOSSES", -1.0)
    assert unlearning_checks.losses_agree(Materials("cpu", tmp_path, tiny=True)).verdict == "FAIL"


def test_whatever_happens_in_a_check_is_its_row() -> None:
    def missing() -> Outcome:
        import no_such_package_at_all  # type: ignore[import-not-found]  # noqa: F401

        raise AssertionError

    def renamed() -> Outcome:
        from backends.no_such_module import nothing  # type: ignore[import-not-found]  # noqa: F401

        raise AssertionError

    def unfit() -> Outcome:
        raise Skipped("no such thing here")

    def broken() -> Outcome:
        raise RuntimeError("it broke\nand more")

    def endless() -> Outcome:
        while True:
            time.sleep(0.01)

    works = {"missing": missing, "renamed": renamed, "unfit": unfit, "broken": broken, "endless": endless}
    rows = {name: run_check(Check(name, work, 0.2), 60.0).outcome for name, work in works.items()}
    assert rows["missing"] == Outcome(
        "the package no_such_package_at_all is not installed", verdict="skipped"
    )
    assert rows["renamed"] == Outcome("there is no module backends.no_such_module", verdict="FAIL")
    assert rows["unfit"] == Outcome("no such thing here", verdict="skipped")
    assert rows["broken"] == Outcome("RuntimeError: it broke", verdict="FAIL")
    assert (rows["endless"].verdict, rows["endless"].result) == ("FAIL", "not done after 0 s")
    assert run_check(Check("late", broken), 0.0).outcome.verdict == "skipped"


def test_a_number_that_is_none_is_no_pass() -> None:
    assert within(float("nan"), 1.0).verdict == "FAIL"
    assert within(1.0, 1.0).verdict == "pass"


def test_the_table_is_markdown_whatever_is_said() -> None:
    row = run_check(Check("a | b", lambda: Outcome("x|y\nz")), 1.0)
    assert as_table([row]).splitlines()[2].startswith("| a \\| b | x\\|y z |  | measured |")
