"""One prompt through several models at once, for Compare: what is stored is shown, the rest is computed and stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from backends.errors import BoardError, Cancelled, CheckpointError, ModelError
from backends.evidence import Answer, TextEvidence
from backends.extras import check_extra
from backends.interfaces import GenerationRequest, Judge, PartialImage
from backends.study import Decoding, ModelSpec, Probe, Sampling
from cache.evaluate.context import EvaluationContext
from cache.evaluate.gather_images import ImageGatherer, ImageTask
from cache.evaluate.gather_text import TextGatherer, score_items
from cache.evaluate.rejudging import rejudged
from cache.store import keys
from cache.store.model_checks import check_models
from cache.store.reading import judges_digest

OnProblem = Callable[[str, BoardError], None]
"""Called for a model that cannot answer, with the reason; the others do."""


OnLoad = Callable[[str, float | None], None]
"""Called with a model's name and None before it is loaded, and with the seconds that it took after."""


def compare_text(
    context: EvaluationContext,
    models: Sequence[str],
    probe: Probe,
    decoding: Decoding,
    on_partial: Callable[[str, Answer], None] = lambda _model, _answer: None,
    on_problem: OnProblem = lambda _model, _error: None,
    on_load: OnLoad = lambda _model, _seconds: None,
) -> None:
    """Answers of all models to one prompt; then the reference answers scored, if there are any.

    Models of one base answer in one mixed batch, base after base: the first answers are there before the last base is
    loaded.

    Args:
        context: of the work; answers that are stored are not written again, new ones are stored as each ends.
        models: names in the study.
        probe: of the study, or a typed prompt without reference answers.
        decoding: settings; one answer for each seed.
        on_partial: called with model and answer so far (its `seed` and `finish` say which and whether it ended);
            answers that were stored come first.
        on_problem: called for each model that cannot answer, where others can.
        on_load: called before and after each model is loaded.

    Raises:
        Cancelled: stopped; answers that had ended are stored.
        CheckpointError, ModelError: no model can answer; a prompt that is empty or too long says so.
        MissingPackages: the packages that run such models are not installed.
    """
    check_extra("text")
    study, store = context.study, context.store
    asked = _ComparedModels(context, models)
    numerics = context.numerics
    contexts: dict[GenerationRequest, str] = {}
    for spec in (
        asked.usable() if probe.prompt or not probe.answer else ()
    ):  # a text without a prompt is scored
        found = context.identity(spec.name)
        for seed in keys.decoding_seeds(decoding):
            row = keys.answers_context(
                *(found.fingerprint, found.tokenizer, decoding, seed, numerics),
                study.protocol,
                found.asked or "",
            )
            stored = store.text(store.register(row), [probe.digest()])
            for evidence in stored.values():
                for answer in evidence.answers:
                    on_partial(spec.name, answer)
            if not stored:
                request = GenerationRequest(
                    *(spec.name, probe.prompt, seed, probe.format),
                    turns=probe.turns,
                    date=study.date,
                    answer_prefix=probe.answer_prefix,
                )
                contexts[request] = row.key

    def write(specs: Sequence[ModelSpec]) -> None:
        names = {spec.name for spec in specs}
        waiting = {request: key for request, key in contexts.items() if request.model in names}
        for request in _generate(context, probe, decoding, waiting, on_partial):
            del contexts[request]

    def score(specs: Sequence[ModelSpec]) -> None:
        _score(context, specs, probe)

    bases: dict[str, list[str]] = {}
    for spec in asked.usable():
        bases.setdefault(spec.source, []).append(spec.name)
    missing = {request.model for request in contexts}
    for names in bases.values():
        asked.load(missing.intersection(names), on_load)
        asked.each_or_all(write, names)
    if score_items(probe):
        asked.each_or_all(score)
    asked.tell(on_problem)


class _ComparedModels:
    """The models that are asked, and why some of them cannot answer: one bad model never stops the others."""

    def __init__(self, context: EvaluationContext, models: Sequence[str]) -> None:
        self._context = context
        self._specs = [context.study.model(name) for name in models]
        self._wrong: dict[str, BoardError] = {**context.models.problems(models)}

    def usable(self) -> list[ModelSpec]:
        """Models against which nothing is known."""
        return [spec for spec in self._specs if spec.name not in self._wrong]

    def load(self, names: Collection[str], on_load: OnLoad) -> None:
        """Load those of the language models that can be loaded."""
        wanted = [spec for spec in self.usable() if spec.name in names]
        for spec in wanted:
            on_load(spec.name, None)
            began = time.monotonic()
            self._attempt([spec], self._loaded)
            on_load(spec.name, time.monotonic() - began)
        good = [spec for spec in wanted if spec.name not in self._wrong]
        if len(good) < len(wanted):  # one that failed may have let go of a base that others share
            self._attempt(good, self._loaded)

    def each(self, work: Callable[[Sequence[ModelSpec]], None]) -> None:
        """Does the work for one usable model after another."""
        for spec in self.usable():
            self._attempt([spec], work)

    def each_or_all(
        self, work: Callable[[Sequence[ModelSpec]], None], names: Collection[str] | None = None
    ) -> None:
        """Does the work for all usable models (of these) at once; where that fails, for each by itself."""
        specs = [spec for spec in self.usable() if names is None or spec.name in names]
        if len(specs) < 2 or not self._done(specs, work):
            for spec in specs:
                self._attempt([spec], work)

    def tell(self, on_problem: OnProblem) -> None:
        """Of every model that could not answer, unless that is true of all."""
        if self._specs and not self.usable():
            raise next(iter(self._wrong.values()))
        for name, error in self._wrong.items():
            on_problem(name, error)

    def _loaded(self, specs: Sequence[ModelSpec]) -> None:
        self._context.text(specs)

    def _done(self, specs: Sequence[ModelSpec], work: Callable[[Sequence[ModelSpec]], None]) -> bool:
        try:
            work(specs)
        except (CheckpointError, ModelError):
            return False
        return True

    def _attempt(self, specs: Sequence[ModelSpec], work: Callable[[Sequence[ModelSpec]], None]) -> None:
        try:
            work(specs)
        except (CheckpointError, ModelError) as error:
            self._wrong |= {spec.name: error for spec in specs}


def compare_images(
    context: EvaluationContext,
    models: Sequence[str],
    probe: Probe,
    sampling: Sampling,
    on_partial: Callable[[str, int, PartialImage], None] = lambda _model, _seed, _image: None,
    on_note: Callable[[str], None] = lambda _sentence: None,
    on_problem: OnProblem = lambda _model, _error: None,
) -> None:
    """Pictures of all models for one prompt and all seeds, from the same noise; stored ones are not made again.

    Args:
        context: of the work; new pictures are judged and stored as each is done.
        models: names in the study.
        probe: of the study, or a typed prompt without reference answers.
        sampling: settings and seeds, but for those that the probe brings along.
        on_partial: called with model, seed and the picture so far; not called for pictures that were stored.
        on_note: called with what a person should know of the models and the prompt, in sentences.
        on_problem: called for each model that cannot draw, where others can.

    Raises:
        Cancelled: stopped; pictures that were done are stored.
        CheckpointError, ModelError: no model can draw; a prompt that is empty says so.
        MissingPackages: the packages that run such models are not installed.
    """
    check_extra("image")
    study, store, pool = context.study, context.store, context.pool
    asked = _ComparedModels(context, models)
    sampling = sampling.of(probe)
    numerics = keys.numerics(pool.device, pool.dtype)
    judged_by = judges_digest(study.judges)
    wanted: list[ImageTask] = []
    for spec in asked.usable():
        found = context.models[spec.name].identity
        for seed in sampling.seeds:
            row = keys.images_context(found.fingerprint, sampling, seed, judged_by, numerics, probe.own)
            if store.missing(store.register(row), [probe.digest()]):
                wanted.append(ImageTask(spec.name, probe, seed, row.key))
    wanted = rejudged(context, wanted, sampling, numerics, lambda _: None)
    judges = pool.judges(study.judges) if wanted else []

    def draw(specs: Sequence[ModelSpec]) -> None:
        mine = [each for each in wanted if each.model in {spec.name for spec in specs}]
        if mine:
            _draw(context, mine, sampling, judges, on_partial, on_note)

    asked.each(draw)  # one model after another draws its own pictures anyway
    asked.tell(on_problem)


def _draw(
    context: EvaluationContext,
    wanted: Sequence[ImageTask],
    sampling: Sampling,
    judges: Sequence[Judge],
    on_partial: Callable[[str, int, PartialImage], None],
    on_note: Callable[[str], None],
) -> None:
    """Pictures of one model."""
    study, store, pool = context.study, context.store, context.pool
    spec = study.model(wanted[0].model)
    loaded = context.image([spec])
    noted = len(loaded.notes)
    for sentence in check_models(study, store, pool, [study.original.name, spec.name], context.models):
        on_note(sentence)
    gatherer = ImageGatherer(store, loaded, judges, context.stop, sampling)
    done = 0
    for partial in gatherer.sample(wanted):
        each = wanted[partial.index]
        if partial.done:
            gatherer.keep([(each, partial)])
            done += 1
        on_partial(each.model, each.seed, partial)
        for sentence in loaded.notes[noted:]:
            on_note(sentence)
        noted = len(loaded.notes)
    if done < len(wanted):
        raise Cancelled


def _generate(
    context: EvaluationContext,
    probe: Probe,
    decoding: Decoding,
    contexts: Mapping[GenerationRequest, str],
    on_partial: Callable[[str, Answer], None],
) -> Iterator[GenerationRequest]:
    """Writes the answers and stores them; gives each request whose answer is stored."""
    if not contexts:
        return
    study, store = context.study, context.store
    requests = list(contexts)
    specs = [study.model(name) for name in dict.fromkeys(each.model for each in requests)]
    loaded = context.text(specs)
    ended = 0
    for partial in loaded.generate(requests, decoding, context.stop, study.protocol):
        request = requests[partial.index]
        if partial.done and partial.answer.finish != "cancelled":
            # Stored before it is shown as ended, so that a page that reloads finds it.
            store.put_text(contexts[request], [(probe.digest(), TextEvidence({}, (partial.answer,)))])
            ended += 1
            yield request
        on_partial(request.model, partial.answer)
    if ended < len(requests):
        raise Cancelled


def _score(
    context: EvaluationContext,
    specs: Sequence[ModelSpec],
    probe: Probe,
) -> None:
    study, store = context.study, context.store
    for spec in specs:
        found = context.identity(spec.name)
        row = keys.scores_context(
            found.fingerprint, found.tokenizer, context.numerics, study.protocol, found.asked or ""
        )
        if store.missing(store.register(row), [probe.digest()]):
            loaded = context.text(specs)  # all of them: one that is not asked for may be let go of
            gatherer = TextGatherer(store, loaded, spec.name, context.stop, study.protocol, study.date)
            gatherer.scores(row.key, [probe], lambda _: None)
            if gatherer.refused:
                raise gatherer.refused[0][1]
