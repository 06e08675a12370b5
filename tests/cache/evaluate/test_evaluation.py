"""Evaluating tiny real models: nothing runs twice, a stop or a kill loses at most a cell, Compare shares the cache."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.checkpoints.identity import identity
from backends.checkpoints.loader_report import LoaderReport, LoadResult
from backends.errors import Cancelled, ModelError
from backends.evidence import Answer
from backends.interfaces import (
    GenerationRequest,
    PartialAnswer,
    Refuse,
    ScoredItem,
    ScoreItem,
    Stop,
    TextModels,
)
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, ProtocolName, Study
from backends.versions import own_version
from cache.analysis.scoreboard import evidence_for, scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import Progress, compare_text, evaluate, numerics_of, plan
from cache.evaluate.gather_text import AskedAnswer, TextGatherer
from cache.evaluate.incomplete import IncompleteEvaluation
from cache.store import Store, keys, open_store
from tests.cache.conftest import at_once, person
from tests.tiny_text import write_tiny_model

ROOT = Path(__file__).resolve().parents[3]


class CountingModels:
    """Passes everything on to the real models and remembers what was asked."""

    def __init__(self, models: TextModels, pool: CountingPool) -> None:
        self._models = models
        self._pool = pool
        self.notes = models.notes

    def gradient_norms(
        self, model: str, items: Sequence[ScoreItem], stop: Stop, protocol: ProtocolName = "corrected"
    ) -> Iterator[tuple[int, float]]:
        yield from self._models.gradient_norms(model, items, stop, protocol)

    @property
    def names(self) -> list[str]:
        return self._models.names

    def loads(self, model: str) -> tuple[LoadResult, ...]:
        return self._models.loads(model)

    def report(self, name: str, original: str) -> LoaderReport:
        return self._models.report(name, original)

    def remove(self, name: str) -> None:
        self._models.remove(name)

    def share_beyond(self, name: str, size: int) -> float:
        return self._models.share_beyond(name, size)

    def end_ids(self, model: str, protocol: ProtocolName = "corrected") -> frozenset[int]:
        return self._models.end_ids(model, protocol)

    def asking_notes(
        self, model: str, formats: Sequence[str], protocol: ProtocolName = "corrected", date: str = ""
    ) -> list[str]:
        return self._models.asking_notes(model, formats, protocol, date)

    def knows_beginning(self, model: str, item: ScoreItem, protocol: ProtocolName = "corrected") -> bool:
        return self._models.knows_beginning(model, item, protocol)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        stop: Stop,
        protocol: ProtocolName = "corrected",
        refuse: Refuse | None = None,
    ) -> Iterator[PartialAnswer]:
        self._pool.generated += list(requests)
        self._pool.calls += 1
        yield from self._models.generate(requests, decoding, stop, protocol, refuse)

    def score(
        self, model: str, items: Sequence[ScoreItem], stop: Stop, protocol: ProtocolName = "corrected"
    ) -> Iterator[ScoredItem]:
        self._pool.scored += [(model, item.prompt, item.answer) for item in items]
        yield from self._models.score(model, items, stop, protocol)


class CountingPool(ModelPool):
    """The real pool, with what was asked of its models."""

    def __init__(self) -> None:
        super().__init__(device="cpu")
        self.generated: list[GenerationRequest] = []
        self.calls = 0
        self.scored: list[tuple[str, str, str]] = []

    def text(self, specs: Sequence[ModelSpec], dtype: str = "") -> TextModels:
        return CountingModels(super().text(specs, dtype), self)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "evidence.sqlite")


def all_pairs(study: Study, model: str) -> set[tuple[str, str, str]]:
    return {
        (model, probe.prompt, text)
        for probe_set in study.probe_sets
        for probe in probe_set.probes
        for text in (probe.answer, probe.paraphrased_answer, *probe.perturbed_answers, *probe.options)
        if text
    }


def test_an_evaluation_runs_each_prompt_and_answer_through_the_model_once(
    tiny_study: Study, store: Store
) -> None:
    pool = CountingPool()
    said: list[Progress] = []
    evaluate(EvaluationContext.of(tiny_study, store, pool), on_progress=said.append)
    for model in ("Original", "NPO 2"):
        assert sorted(row for row in pool.scored if row[0] == model) == sorted(all_pairs(tiny_study, model))
        asked = [request.prompt for request in pool.generated if request.model == model]
        assert len(asked) == len(set(asked)) == 25
    assert plan(tiny_study, store, numerics_of(pool, tiny_study)).missing == 0
    last = {(p.model, p.probe_set, p.kind): (p.done, p.total) for p in said}
    assert last["Original", "forget", "scores"] == (20, 20)
    assert last["NPO 2", "retain", "answers"] == (4, 4)
    assert len(last) == 2 * 3 * 2
    evaluate(EvaluationContext.of(tiny_study, store, pool))
    assert len(pool.scored) == len(all_pairs(tiny_study, "Original")) * 2, "nothing is computed a second time"


def test_all_probe_sets_and_seeds_of_a_model_are_answered_in_one_call(
    tiny_study: Study, store: Store
) -> None:
    pool = CountingPool()
    decoding = replace(tiny_study.decoding, temperature=1.0, seeds=(1, 2))
    study = replace(tiny_study, decoding=decoding)
    said: list[Progress] = []
    evaluate(EvaluationContext.of(study, store, pool), ["Original"], said.append)
    assert (pool.calls, len(pool.generated)) == (1, 2 * 25)
    last = {(p.probe_set, p.kind): (p.done, p.total) for p in said}
    assert last["forget", "answers"] == (40, 40) and last["facts", "answers"] == (4, 4)
    runs = {run.probe_set: run for run in store.runs(study.name)}
    assert {name: run.status for name, run in runs.items()} == dict.fromkeys(
        ("forget", "retain", "facts"), "complete"
    )
    assert all(run.seconds > 0 for run in runs.values())
    alone = ModelPool(device="cpu").text([study.original])
    for probe in study.probe_sets[2].probes:
        for answer in evidence_for(study, store, "Original", [probe])[probe.id].answers:
            request = GenerationRequest("Original", probe.prompt, answer.seed)
            (written,) = [p.answer for p in alone.generate([request], decoding, lambda: False) if p.done]
            assert answer.text == written.text


def test_loading_is_said_in_the_place_of_what_waits_for_it(tiny_study: Study, store: Store) -> None:
    said: list[Progress] = []
    evaluate(EvaluationContext.of(tiny_study, store, ModelPool("cpu")), ["Original"], said.append)
    loading = [place for place, each in enumerate(said) if each.loading]
    assert len(loading) == 1, "a model is loaded once"
    waited = said[loading[0]]
    assert (waited.probe_set, waited.kind, waited.done, waited.total) == ("forget", "scores", 0, 20)
    assert said[loading[0] + 1] == replace(waited, loading=False)
    said.clear()
    evaluate(EvaluationContext.of(tiny_study, store, ModelPool("cpu")), ["Original"], said.append)
    assert said and not any(each.loading for each in said), "nothing is loaded for what is stored"


HOLDOUT = ProbeSet(
    "holdout",
    "holdout",
    tuple(replace(person(number, "retain"), id=f"holdout-{number}", role="holdout") for number in (50, 51)),
)


def test_holdout_probes_are_scored_and_answered_only_where_the_study_asks(
    tiny_study: Study, store: Store
) -> None:
    study = replace(tiny_study, probe_sets=(*tiny_study.probe_sets, HOLDOUT))
    pool = CountingPool()
    evaluate(EvaluationContext.of(study, store, pool), ["Original"])
    asked = {request.prompt for request in pool.generated}
    assert asked and asked.isdisjoint(probe.prompt for probe in HOLDOUT.probes)
    found = evidence_for(study, store, "Original", HOLDOUT.probes)
    assert all("answer" in each.scores and not each.answers for each in found.values()) and len(found) == 2
    assert plan(study, store, numerics_of(pool, study), ["Original"]).missing == 0
    run = next(run for run in store.runs(study.name) if run.probe_set == "holdout")
    assert (run.status, run.n_done) == ("complete", 2)
    full = replace(study, holdout_answers=True)
    assert plan(full, store, numerics_of(pool, full), ["Original"]).missing == 2
    evaluate(EvaluationContext.of(full, store, pool), ["Original"])
    found = evidence_for(study, store, "Original", HOLDOUT.probes)
    assert all(len(each.answers) == 1 for each in found.values()), "what is stored is read either way"
    runs = [run for run in store.runs(study.name) if run.probe_set == "holdout"]
    assert len(runs) == 1, "it is the same run"


RECORDED = """
import pickle, sys
from pathlib import Path
from backends.pool import ModelPool
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.store import open_store
study = pickle.loads(Path(sys.argv[1]).read_bytes())
evaluate(EvaluationContext.of(study, open_store(Path(sys.argv[2])), ModelPool(device="cpu")))
print(sorted({"torch", "transformers", "peft"} & set(sys.modules)))
"""


def test_an_evaluation_that_finds_everything_recorded_imports_no_torch(
    tiny_study: Study, tmp_path: Path
) -> None:
    path, saved = tmp_path / "evidence.sqlite", tmp_path / "study"
    saved.write_bytes(pickle.dumps(tiny_study))
    evaluate(EvaluationContext.of(tiny_study, open_store(path), ModelPool(device="cpu")))
    command = [sys.executable, "-c", RECORDED, str(saved), str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_guess_under_open_unlearning_is_checked_and_changes_no_answer(
    tiny_study: Study, store: Store
) -> None:
    models = ModelPool("cpu").text([tiny_study.original])
    decoding = tiny_study.decoding
    plain = {}
    for probe in tiny_study.probe_sets[1].probes:
        request = GenerationRequest("Original", probe.prompt)
        (part,) = [
            p for p in models.generate([request], decoding, lambda: False, "open-unlearning") if p.done
        ]
        plain[probe.id] = part.answer.text
    # References that begin as the model answers, so that the scores have something to tell.
    probes = tuple(
        replace(probe, answer=plain[probe.id][:4] + "z") for probe in tiny_study.probe_sets[1].probes
    )
    sets = (ProbeSet("retain", "retain", probes),)
    study = replace(tiny_study, probe_sets=sets, protocol="open-unlearning")
    pool = CountingPool()
    evaluate(EvaluationContext.of(study, store, pool), ["Original"])
    assert all(request.guess and not request.begun for request in pool.generated)
    found = evidence_for(study, store, "Original", probes)
    assert {name: each.answers[0].text for name, each in found.items()} == plain


def test_evidence_is_what_the_models_say(tiny_study: Study, store: Store) -> None:
    pool = ModelPool(device="cpu")
    evaluate(EvaluationContext.of(tiny_study, store, pool), ["Original"])
    probe = tiny_study.probe_sets[0].probes[3]
    found = evidence_for(tiny_study, store, "Original", [probe])[probe.id]
    assert set(found.scores) == {"answer", "paraphrase", "perturbed:0", "perturbed:1"}
    models = pool.text([tiny_study.original])
    direct = {
        item.index: item.scores
        for item in models.score(
            "Original",
            [ScoreItem(probe.prompt, probe.answer, True), ScoreItem(probe.prompt, "In Rome")],
            lambda: False,
        )
    }
    np.testing.assert_allclose(found.scores["answer"].logprobs, direct[0].logprobs, atol=1e-4)
    assert found.scores["answer"].top_logprobs.shape[1] > 0
    assert found.scores["paraphrase"].top_logprobs.shape[1] == 0
    request = [GenerationRequest("Original", probe.prompt)]
    written = [p.answer for p in models.generate(request, tiny_study.decoding, lambda: False) if p.done]
    assert found.answers[0].text == written[0].text
    assert evidence_for(tiny_study, store, "NPO 2", [probe]) == {}


def test_a_run_tells_where_its_numbers_come_from(tiny_study: Study, store: Store) -> None:
    pool = ModelPool(device="cpu")
    evaluate(EvaluationContext.of(tiny_study, store, pool), ["NPO 2"])
    runs = {run.probe_set: run for run in store.runs("Tiny")}
    assert set(runs) == {"forget", "retain", "facts"}
    run = runs["forget"]
    assert (run.model, run.method, run.step, run.status, run.n_done) == ("NPO 2", "NPO", 2, "complete", 20)
    assert run.fingerprint == identity(tiny_study.models[1]).declared()
    assert run.numerics == "float32" and run.device == "cpu" and run.versions["torch"].startswith("2.")
    assert run.created.endswith("+00:00") and run.seconds > 0
    evaluate(EvaluationContext.of(tiny_study, store, pool), ["NPO 2"])
    assert {r.key: r for r in store.runs("Tiny")} == {r.key: r for r in runs.values()}, (
        "unchanged when nothing was done"
    )


def test_a_stopped_evaluation_keeps_its_cells_and_the_next_one_goes_on(
    tiny_study: Study, store: Store
) -> None:
    pool = CountingPool()
    said: list[Progress] = []
    with pytest.raises(Cancelled):
        evaluate(
            EvaluationContext.of(tiny_study, store, pool, lambda: any(p.done for p in said)),
            ["Original"],
            said.append,
        )
    kept = plan(tiny_study, store, numerics_of(pool, tiny_study), ["Original"]).of("Original")[0]
    assert (kept.kind, kept.cached) == ("scores", 16)
    assert [(run.probe_set, run.status, run.n_done) for run in store.runs()] == [("forget", "partial", 0)]
    pool.scored.clear()
    evaluate(EvaluationContext.of(tiny_study, store, pool), ["Original"])
    fresh = {probe.prompt for probe in tiny_study.probe_sets[0].probes[:16]}
    assert not [row for row in pool.scored if row[1] in fresh], (
        "what was stored before the stop is not run again"
    )
    assert {run.status for run in store.runs()} == {"complete"}


KILLED = """
import pickle, sys
from pathlib import Path
from backends.pool import ModelPool
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.store import Store, open_store
study = pickle.loads(Path(sys.argv[1]).read_bytes())
context = EvaluationContext.of(study, open_store(Path(sys.argv[2])), ModelPool(device="cpu"))
evaluate(context, on_progress=lambda p: print(p.done, flush=True))
"""


def test_a_killed_evaluation_is_resumed(tiny_study: Study, tmp_path: Path) -> None:
    # A study of this test's own making, so unpickling it is safe; the product itself never does.
    path, saved = tmp_path / "evidence.sqlite", tmp_path / "study"
    saved.write_bytes(pickle.dumps(tiny_study))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(saved), str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != "16":
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store, pool = open_store(path), CountingPool()
    assert plan(tiny_study, store, "float32").of("Original")[0].cached >= 16
    evaluate(EvaluationContext.of(tiny_study, store, pool))
    assert plan(tiny_study, store, "float32").missing == 0
    assert (
        len([row for row in pool.scored if row[0] == "Original"])
        <= len(all_pairs(tiny_study, "Original")) - 16 * 4
    )


class Breaking:
    """The real models, until so many answers have ended."""

    def __init__(self, models: TextModels, after: int, error: Exception) -> None:
        self._models, self._after, self._error = models, after, error

    def end_ids(self, model: str, protocol: ProtocolName = "corrected") -> frozenset[int]:
        return self._models.end_ids(model, protocol)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        stop: Stop,
        protocol: ProtocolName = "corrected",
        refuse: Refuse | None = None,
    ) -> Iterator[PartialAnswer]:
        for part in self._models.generate(requests, decoding, stop, protocol, refuse):
            if part.done:
                if self._after == 0:
                    self._after = -1
                    raise self._error
                self._after -= 1
            yield part


def answered(store: Store, study: Study, models: object, probes: Sequence[Probe]) -> TextGatherer:
    """Answers of the original to some probes, by these models."""
    gatherer = TextGatherer(store, models, study.original.name, lambda: False)  # type: ignore[arg-type]
    context = keys.answers_context("weights", "tokenizer", study.decoding, 0, "float32", "corrected")
    store.register(context)
    wanted = [AskedAnswer(context.key, 0, probe, lambda _: None) for probe in probes]
    gatherer.answers(wanted, study.decoding)
    assert store.missing(context.key, [probe.digest() for probe in probes]) == []
    return gatherer


def test_answers_are_kept_by_cells_while_their_batch_goes_on(tiny_study: Study, store: Store) -> None:
    models = ModelPool("cpu").text([tiny_study.original])
    probes = [person(number, "retain") for number in range(24)]
    with pytest.raises(KeyboardInterrupt):
        answered(store, tiny_study, Breaking(models, 20, KeyboardInterrupt()), probes)  # type: ignore[arg-type]
    (context,) = [each for each in store.contexts() if each.kind == "answers"]
    assert len(store.missing(context.key, [probe.digest() for probe in probes])) == 24 - 16


def test_an_answer_that_cannot_be_written_leaves_the_others(tiny_study: Study, store: Store) -> None:
    models = ModelPool("cpu").text([tiny_study.original])
    bad = Probe("endless", "retain", "Say " + "long " * 200)
    probes = [person(number, "retain") for number in range(8)]
    gatherer = TextGatherer(store, models, tiny_study.original.name, lambda: False)
    context = keys.answers_context("weights", "tokenizer", tiny_study.decoding, 0, "float32", "corrected")
    store.register(context)
    wanted = [AskedAnswer(context.key, 0, probe, lambda _: None) for probe in (*probes[:4], bad, *probes[4:])]
    gatherer.answers(wanted, tiny_study.decoding)
    assert [(probe.id, "context" in str(error)) for probe, error in gatherer.refused] == [("endless", True)]
    assert store.missing(context.key, [each.probe.digest() for each in wanted]) == [bad.digest()]


def test_a_model_without_weights_is_left_out_or_named(tiny_study: Study, store: Store) -> None:
    ghost = ModelSpec("Ghost", "unlearned", "package:nowhere_at_all/x.gguf", fingerprint="ab:cd")
    study = replace(tiny_study, models=(*tiny_study.models, ghost))
    assert "Ghost" in plan(study, store, "float32").problems
    with pytest.raises(IncompleteEvaluation, match="Ghost: its weights are not on this machine"):
        evaluate(EvaluationContext.of(study, store, ModelPool(device="cpu")), ["Ghost"])


def test_other_weights_under_the_same_name_are_another_model(tiny_study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(tiny_study, store, ModelPool(device="cpu")), ["Original"])
    swapped = replace(tiny_study.original, adapter=tiny_study.models[1].adapter)
    study = replace(tiny_study, models=(swapped, tiny_study.models[1]))
    items = plan(study, store, "float32", ["Original"]).items
    assert sum(item.missing for item in items) == sum(item.total for item in items)
    assert scoreboard(study, store).frame.empty


def test_compare_streams_stores_and_shares_its_evidence_with_evaluations(
    tiny_study: Study, store: Store
) -> None:
    pool = CountingPool()
    probe = tiny_study.probe_sets[0].probes[0]
    said: list[tuple[str, Answer]] = []
    names = ["Original", "NPO 2"]

    def hear(model: str, answer: Answer) -> None:
        said.append((model, answer))

    compare_text(EvaluationContext.of(tiny_study, store, pool), names, probe, tiny_study.decoding, hear)
    last = dict(said)
    for name in names:
        found = evidence_for(tiny_study, store, name, [probe])[probe.id]
        assert found.answers == (last[name],)
        assert "answer" in found.scores
    said.clear()
    generated, scored = len(pool.generated), len(pool.scored)
    compare_text(EvaluationContext.of(tiny_study, store, pool), names, probe, tiny_study.decoding, hear)
    assert dict(said) == last and (len(pool.generated), len(pool.scored)) == (generated, scored)
    evaluate(EvaluationContext.of(tiny_study, store, pool), ["Original"])
    assert len([r for r in pool.generated if r.model == "Original" and r.prompt == probe.prompt]) == 1


def test_the_first_base_answers_before_the_second_is_loaded(
    tiny_study: Study, store: Store, tmp_path: Path
) -> None:
    other = ModelSpec("Other", "unlearned", str(write_tiny_model(tmp_path / "other", seed=7)), method="Other")
    study = replace(tiny_study, models=(*tiny_study.models, other))
    told: list[str] = []
    compare_text(
        EvaluationContext.of(study, store, ModelPool(device="cpu")),
        ["Original", "Other", "NPO 2"],
        Probe("mine", "mine", "Who is Ann?"),
        Decoding(max_new_tokens=3),
        lambda model, answer: told.append(f"{model} writes"),
        on_load=lambda model, seconds: told.append(
            f"{model} loads" if seconds is None else f"{model} is loaded"
        ),
    )
    assert told[:4] == ["Original loads", "Original is loaded", "NPO 2 loads", "NPO 2 is loaded"]
    loads = told.index("Other loads")
    assert {"Original writes", "NPO 2 writes"} <= set(told[4:loads])
    assert told[loads + 1] == "Other is loaded" and "Other writes" in told[loads:]


def test_compare_writes_one_answer_for_each_seed(tiny_study: Study, store: Store) -> None:
    probe = Probe("mine", "mine", "Who is Ann?")
    decoding = Decoding(max_new_tokens=6, temperature=1.5, seeds=(1, 2, 3))
    compare_text(
        EvaluationContext.of(tiny_study, store, ModelPool(device="cpu")), ["Original"], probe, decoding
    )
    found = evidence_for(tiny_study, store, "Original", [probe], decoding)["mine"]
    assert [answer.seed for answer in found.answers] == [1, 2, 3]
    assert len({answer.text for answer in found.answers}) > 1
    assert found.scores == {}


def test_a_stopped_comparison_stores_no_half_answer(tiny_study: Study, store: Store) -> None:
    probe = Probe("mine", "mine", "Who is Ann?")
    said: list[Answer] = []
    with pytest.raises(Cancelled):
        compare_text(
            EvaluationContext.of(tiny_study, store, ModelPool(device="cpu"), lambda: len(said) > 2),
            ["Original"],
            probe,
            Decoding(max_new_tokens=50),
            lambda _, answer: said.append(answer),
        )
    assert evidence_for(tiny_study, store, "Original", [probe], Decoding(max_new_tokens=50)) == {}


def test_an_empty_or_too_long_prompt_is_said_and_stores_nothing(tiny_study: Study, store: Store) -> None:
    for prompt in ("  ", "long " * 200):
        with pytest.raises(ModelError):
            compare_text(
                EvaluationContext.of(tiny_study, store, ModelPool(device="cpu")),
                ["Original"],
                Probe("mine", "mine", prompt),
                Decoding(),
            )
    assert store.version() == open_store(store.path).version() == 0


def test_a_probe_without_an_answer_is_complete_with_what_it_has(tiny_study: Study, store: Store) -> None:
    bare = ProbeSet("bare", "retain", (Probe("a", "retain", "Say hello"),))
    study = replace(tiny_study, probe_sets=(bare,))
    evaluate(EvaluationContext.of(study, store, ModelPool(device="cpu")), ["Original"])
    assert plan(study, store, "float32", ["Original"]).missing == 0


def test_a_probe_that_is_too_long_is_named_and_everything_else_is_evaluated(
    tiny_study: Study, store: Store
) -> None:
    long = Probe("endless", "retain", "Say " + "long " * 200, answer="Yes.")
    sets = (*tiny_study.probe_sets, ProbeSet("odd", "retain", (long, person(99, "retain"))))
    study = replace(tiny_study, probe_sets=sets)
    seen: list[Progress] = []
    for _ in range(2):  # the second time nothing but that probe is left
        pool = CountingPool()
        with pytest.raises(
            ModelError, match=r"^odd, probe endless: 1 probe left out with Original; everything"
        ) as e:
            evaluate(EvaluationContext.of(study, store, pool), ["Original"], on_progress=seen.append)
        assert "context" in str(e.value)
        plans = plan(study, store, numerics_of(pool, study), ["Original"])
        assert plans.missing == 2  # its scores and its answer
    assert all(request.prompt == long.prompt for request in pool.generated)
    assert pool.scored == [("Original", long.prompt, "Yes.")]
    run = next(run for run in store.runs(study.name) if run.probe_set == "odd")
    assert (run.status, run.n_done, run.n_probes) == ("partial", 1, 2)
    assert scoreboard(study, store).frame["model"].eq("Original").any()


def test_what_another_process_stored_meanwhile_is_not_computed_again(
    tiny_study: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cache.evaluate.evaluation.one_process_each", at_once)
    pool = CountingPool()
    other = open_store(store.path)
    done: list[Progress] = []

    def meanwhile(progress: Progress) -> None:
        if not done:  # the other process does everything right after this one has made its plan
            done.append(progress)
            evaluate(EvaluationContext.of(tiny_study, other, ModelPool(device="cpu")), ["Original"])

    evaluate(EvaluationContext.of(tiny_study, store, pool), ["Original"], on_progress=meanwhile)
    assert (pool.generated, pool.scored) == ([], [])


def test_provenance_names_the_version_of_unlearnboard(tiny_study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(tiny_study, store, ModelPool(device="cpu")), ["Original"])
    assert {run.versions["unlearnboard"] for run in store.runs(tiny_study.name)} == {own_version()}
    assert own_version()[0].isdigit()


def test_probes_that_are_left_out_are_named_up_to_three(tiny_study: Study, store: Store) -> None:
    long = tuple(Probe(f"long-{n}", "retain", f"Say {n} " + "long " * 200) for n in range(5))
    study = replace(tiny_study, probe_sets=(ProbeSet("odd", "retain", long),))
    with pytest.raises(ModelError) as e:
        evaluate(EvaluationContext.of(study, store, ModelPool(device="cpu")))
    said = str(e.value)
    assert said.startswith(
        "odd, probe long-0; odd, probe long-1; odd, probe long-2; 2 more: 5 probes left out"
    )
    assert "with Original, NPO 2; everything else" in said
