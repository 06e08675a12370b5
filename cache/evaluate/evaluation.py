"""Evaluating a study: what is missing is computed, cell by cell, and stored; what is stored is never computed again.

After a kill or a cancellation the next call resumes after the last complete cell. Works through the model pool only
and knows nothing of how models run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from backends.checkpoints.identity import ModelIdentity
from backends.errors import Cancelled, CheckpointError, ModelError, StudyError
from backends.extras import check_extra
from backends.interfaces import ImageModels, TextModels
from backends.study import ModelSpec, Probe, ProbeSet
from cache.analysis.scoreboard import keep_numbers, scoreboard
from cache.evaluate.compare import compare_images, compare_text
from cache.evaluate.context import EvaluationContext, numerics_of
from cache.evaluate.gather_features import check_networks, gather_features
from cache.evaluate.gather_images import ImageGatherer, ImageTask
from cache.evaluate.gather_text import TextGatherer
from cache.evaluate.incomplete import (
    MissingLosses,
    RefusedProbe,
    UnusableModel,
    left_out,
    weights_missing,
    with_losses_noted,
)
from cache.evaluate.load_notes import load_notes
from cache.evaluate.model_locks import one_process_each
from cache.evaluate.plan import EvaluationPlan, PlanItem, chosen, contexts, plan, probes_for_kind
from cache.evaluate.progress import Counter, OnProgress, Progress, SetWork
from cache.evaluate.rejudging import rejudged
from cache.evaluate.run_records import run_key, run_record
from cache.evaluate.written_together import SetAnswers, write_answers
from cache.store.costs import keep_costs
from cache.store.denoising import gather_denoising
from cache.store.judge_checks import check_judge_files, judge_notes
from cache.store.keys import Context, Kind, SeedSetting
from cache.store.model_checks import check_models, keep_report
from cache.store.runs import RunStatus


def evaluate(
    context: EvaluationContext,
    models: Sequence[str] | None = None,
    on_progress: OnProgress = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    *,
    numbers: bool = True,
) -> None:
    """Gather all evidence that is missing of these models (None: all whose weights are here), then derive the metrics.

    Args:
        context: of the work.
        models: names in the study.
        on_progress: called at the start of every model x probe set x kind, and after every cell.
        on_note: called with what loading judges and networks did and left out, in sentences.
        numbers: derive the metrics at the end; False leaves that to who asks for them.

    Raises:
        Cancelled: stopped. What was done is stored, the run at hand as "partial".
        CheckpointError: a judge or a network that looks at pictures is not usable.
        LeftOut: a model cannot be used, some probes are too long for one, or its denoising losses are not available;
            everything else was evaluated and stored.
        MissingPackages: the packages that run such models are not installed.
        StoreError: the store cannot be written.
    """
    study, store, pool = context.study, context.store, context.pool
    if any(context.models[spec.name].can_be_evaluated for spec in chosen(study, models)):
        check_extra(study.modality)
    check_judge_files(study)
    check_networks(context)
    last: ModelSpec | None = None
    refused: list[RefusedProbe] = []
    losses: list[MissingLosses] = []
    unusable: list[UnusableModel] = []
    specs: list[ModelSpec] = []
    wrong = context.models.problems(spec.name for spec in chosen(study, models))
    for spec in chosen(study, models):
        if spec.fingerprint and not context.models[spec.name].can_be_evaluated:
            unusable += [weights_missing(spec.name)] if models is not None else []
        elif spec.name in wrong:
            unusable.append(UnusableModel(spec.name, wrong[spec.name]))
        else:
            specs.append(spec)

    def work(spec: ModelSpec) -> None:
        try:
            evaluate_one(spec)
        except (CheckpointError, ModelError) as error:
            unusable.append(UnusableModel(spec.name, error))  # the others do not need it

    def evaluate_one(spec: ModelSpec) -> None:
        nonlocal last
        if last is not None and last.source != spec.source:
            pool.release()  # models of another base share nothing with those loaded
        last = spec
        if specs.index(spec):
            context.again(spec.name)  # those before it may have taken hours
        keep_costs(study, store, [spec.name], context.models)
        evaluation = _Evaluation(context, spec, on_progress)
        refused.extend(evaluation.run())
        losses.extend(evaluation.losses())
        for sentence in evaluation.judged_by:
            on_note(sentence)
        if numbers and not study.features.named():  # with them, numbers follow when all pictures are there
            keep_numbers(study, store, spec.name, context.models)

    def follow(spec: ModelSpec) -> None:
        """Another process is at this model: tell how far it is."""
        for item in plan(study, store, context.numerics, [spec.name], context.models).items:
            if item.missing:
                on_progress(Progress(spec.name, item.probe_set, item.kind, item.cached, item.total))
                return

    one_process_each(
        store.path.parent / "locks",
        specs,
        lambda spec: f"{context.models[spec.name].identity.fingerprint}-{study.protocol}",
        work,
        context.stop,
        follow,
    )
    gather_features(
        context,
        [name for name, model in context.models.items() if model.spec in specs or not model.can_be_evaluated],
        lambda model, title, done, total: on_progress(Progress(model, title, "images", done, total)),
        on_note,
    )
    if numbers:
        scoreboard(study, store, context.models)
    if refused or losses or unusable:
        order = [spec.name for spec in study.models]
        raise left_out(refused, losses, sorted(unusable, key=lambda each: order.index(each.model)))


class _Evaluation:
    """One model of a study on all probe sets."""

    def __init__(
        self,
        context: EvaluationContext,
        spec: ModelSpec,
        on_progress: OnProgress,
    ) -> None:
        self._context = context
        self._study = context.study
        self._store = context.store
        self._spec = spec
        self._on_progress = on_progress
        self._identity: ModelIdentity = context.identity(spec.name)
        self._text: TextGatherer | None = None
        self._models: TextModels | ImageModels | None = None
        self.judged_by: list[str] = []  # what loading the judges did
        self._found: list[str] = []  # what checking or loading the model found
        self._loaded: list[dict[str, Any]] = []  # what reading the weights of a language model did
        self._noted = 0  # notes of the models that are of earlier probe sets
        self._refused: dict[str, RefusedProbe] = {}
        self._work = {each.name: SetWork() for each in self._study.probe_sets}

    def run(self) -> list[RefusedProbe]:
        """Evaluates what is missing; returns what the model cannot serve."""
        for probe_set in self._study.probe_sets:
            for ways in self._contexts(probe_set).values():
                for context in ways.values():
                    self._store.register(context)
        begun: list[ProbeSet] = []
        try:
            for probe_set in self._study.probe_sets:
                begun.append(probe_set)
                started = time.perf_counter()
                self._noted = len(self._models.notes) if self._models is not None else 0
                try:
                    self._gather(probe_set)
                finally:
                    work = self._work[probe_set.name]
                    work.seconds += time.perf_counter() - started
                    work.notes += self._models.notes[self._noted :] if self._models is not None else []
                if not self._answers_to_write(probe_set):
                    self._record(probe_set)
            self._write_answers()
        finally:
            # Written also when the work was cancelled or failed: a run says truthfully how far it came.
            for probe_set in begun:
                if not self._work[probe_set.name].recorded:
                    self._record(probe_set)
        return list(self._refused.values())

    def losses(self) -> list[MissingLosses]:
        """Gathers denoising losses, if there are any to have; of what are not available, the model's runs tell why."""

        def tell(role: str, done: int, total: int) -> None:
            self._on_progress(Progress(self._spec.name, f"losses on {role}", "images", done, total))

        result: list[MissingLosses] = []
        try:
            gather_denoising(
                *(self._study, self._store, self._context.pool, self._spec, tell),
                self._context.stop,
                self._context.models,
            )
        except (ModelError, CheckpointError, StudyError) as error:
            result.append(MissingLosses(self._spec.name, error))
        mine = {self._run_key(probe_set) for probe_set in self._study.probe_sets}
        for run in self._store.runs(self._study.name) if self._study.denoising is not None else ():
            noted = with_losses_noted(run, result[0].why if result else "")
            if run.key in mine and noted != run:
                self._store.put_run(noted)
        return result

    def _gather(self, probe_set: ProbeSet) -> None:
        """All evidence of one probe set but for answers, which are written to all sets at once."""
        for kind, ways in self._contexts(probe_set).items():
            asked = {way: self._asked(kind, probe_set, way) for way in ways} if kind != "answers" else {}
            total = sum(map(len, asked.values()))
            if not total:
                continue
            todo = {way: self._todo(ways[way], probes) for way, probes in asked.items()}
            counter = Counter(total - sum(map(len, todo.values())), total, self._report(probe_set, kind))
            if any(todo.values()):
                if self._context.stop():
                    raise Cancelled
                try:
                    refused = self._compute(
                        kind, {way: context.key for way, context in ways.items()}, todo, counter
                    )
                    for probe, error in refused:
                        self._refuse(probe_set, probe, error)
                finally:
                    self._work[probe_set.name].gathered += counter.added

    def _compute(
        self,
        kind: Kind,
        found: dict[SeedSetting, str],
        todo: dict[SeedSetting, list[Probe]],
        counter: Counter,
    ) -> list[tuple[Probe, ModelError]]:
        """Gathers one kind of evidence; returns the probes that the model cannot serve, and why."""
        on_done = counter.add
        if kind == "images":
            wanted = [
                ImageTask(self._spec.name, p, way.seed if p.seed is None else p.seed, found[way])
                for way, probes in todo.items()
                for p in probes
            ]
            if not self._context.models[self._spec.name].kind.has_weights:
                return self._import(wanted, on_done)
            # Pictures are costly and judgements are not: what other judges have seen is judged here, not drawn again.
            wanted = rejudged(self._context, wanted, self._study.sampling, self._context.numerics, on_done)
            pool = self._context.pool
            self.judged_by = judge_notes(pool.judges(self._study.judges))
            self._found = list(self.judged_by)
            if not wanted:
                return []
            names = [self._study.original.name, self._spec.name]
            self._found += check_models(self._study, self._store, pool, names, self._context.models)
            judges = pool.judges(self._study.judges)
            self._models = self._context.image([self._spec])
            pictures = ImageGatherer(
                self._store, self._models, judges, self._context.stop, self._study.sampling
            )
            pictures.gather(wanted, on_done)
            return pictures.refused
        text = self._loaded_text(counter)
        text.refused.clear()
        if kind == "scores":
            text.scores(found[SeedSetting(0)], todo[SeedSetting(0)], on_done)
        else:
            text.gradients(found[SeedSetting(0)], todo[SeedSetting(0)], on_done)
        return text.refused

    def _loaded_text(self, counter: Counter) -> TextGatherer:
        """The language model, loaded when it is asked for first; says so in the place of what is counted."""
        if self._text is None:
            counter.loading()
            models = self._context.text([self._spec])
            self._models, self._noted = models, len(models.notes)
            self._found, self._loaded = load_notes(self._study, models, self._spec)
            keep_report(
                *(self._study, self._store, self._context.pool, models, self._spec.name), self._context.models
            )
            way = self._study.protocol, self._study.date
            self._text = TextGatherer(self._store, models, self._spec.name, self._context.stop, *way)
            counter.tell()
        return self._text

    def _write_answers(self) -> None:
        """Answers to all probe sets at once."""
        sets: list[SetAnswers] = []
        for probe_set in self._study.probe_sets:
            ways = self._contexts(probe_set).get("answers", {})
            asked = {way: self._asked("answers", probe_set, way) for way in ways}
            missing = [
                (ways[way].key, way.seed, probe)
                for way, probes in asked.items()
                for probe in self._todo(ways[way], probes)
            ]
            if total := sum(map(len, asked.values())):
                counter = Counter(total - len(missing), total, self._report(probe_set, "answers"))
                sets.append(SetAnswers(probe_set, self._work[probe_set.name], counter, missing))
        if not any(each.missing for each in sets):
            return
        if self._context.stop():
            raise Cancelled
        scored = self._contexts(self._study.probe_sets[0])["scores"][SeedSetting(0)].key
        write_answers(
            *(sets, self._loaded_text, self._study.decoding, scored), record=self._record, refuse=self._refuse
        )

    def _refuse(self, probe_set: ProbeSet, probe: Probe, error: ModelError) -> None:
        self._refused[probe.digest()] = RefusedProbe(self._spec.name, probe_set.name, probe, error)

    def _import(
        self, wanted: list[ImageTask], on_done: Callable[[int], None]
    ) -> list[tuple[Probe, ModelError]]:
        from cache.evaluate.imported_pictures import import_pictures

        refused, self._found = import_pictures(self._context, self._spec, wanted, on_done)
        return refused

    def _contexts(self, probe_set: ProbeSet) -> dict[Kind, dict[SeedSetting, Context]]:
        return contexts(self._study, self._identity, self._context.numerics, probe_set.probes)

    def _asked(self, kind: Kind, probe_set: ProbeSet, way: SeedSetting) -> list[Probe]:
        return probes_for_kind(kind, probe_set, way, self._study)

    def _answers_to_write(self, probe_set: ProbeSet) -> bool:
        ways = self._contexts(probe_set).get("answers", {})
        return any(self._todo(ways[way], self._asked("answers", probe_set, way)) for way in ways)

    def _todo(self, context: Context, probes: list[Probe]) -> list[Probe]:
        missing = set(self._store.missing(context.key, [probe.digest() for probe in probes]))
        return [probe for probe in probes if probe.digest() in missing]

    def _missing(self, probe_set: ProbeSet) -> set[str]:
        """Digests of the set's probes that lack any evidence."""
        missing: set[str] = set()
        for kind, ways in self._contexts(probe_set).items():
            for way, context in ways.items():
                digests = [probe.digest() for probe in self._asked(kind, probe_set, way)]
                missing |= set(self._store.missing(context.key, digests))
        return missing

    def _notes(self, probe_set: ProbeSet) -> list[str]:
        """What a person should know of this run beside its numbers."""
        refused = [each for each in self._refused.values() if each.probe_set == probe_set.name]
        asked: list[str] = []
        if self._text is not None:
            asked = self._text.asking_notes([probe.format for probe in probe_set.probes if probe.prompt])
        return [
            *(f"Row left out: {row}" for row in probe_set.left_out),
            *(f"Probe {each.probe.id} left out: {each.error.what}" for each in refused),
            *self._found,
            *dict.fromkeys([*asked, *self._work[probe_set.name].notes]),
        ]

    def _report(self, probe_set: ProbeSet, kind: Kind) -> Callable[[int, int, bool], None]:
        return lambda done, total, loading: self._on_progress(
            Progress(self._spec.name, probe_set.name, kind, done, total, loading)
        )

    def _record(self, probe_set: ProbeSet) -> None:
        work = self._work[probe_set.name]
        work.recorded = True
        missing = len(self._missing(probe_set))
        status: RunStatus = "partial" if missing else "complete"
        key = self._run_key(probe_set)
        known = next((run for run in self._store.runs(self._study.name) if run.key == key), None)
        if not work.gathered and (missing if known is None else known.status == status):
            return  # nothing was done, and what is there is known or no whole run
        notes = self._notes(probe_set)
        told = ({"notes": notes} if notes else {}) | ({"loaded": self._loaded} if self._loaded else {})
        record = run_record(
            *(self._context, self._spec, self._identity, probe_set, self._contexts(probe_set)),
            *(work, known, missing, told),
        )
        self._store.put_run(record)

    def _run_key(self, probe_set: ProbeSet) -> str:
        return run_key(self._study.name, self._spec.name, probe_set, self._contexts(probe_set))


__all__ = [
    "EvaluationContext",
    "EvaluationPlan",
    "PlanItem",
    "Progress",
    "compare_images",
    "compare_text",
    "evaluate",
    "numerics_of",
    "plan",
]
