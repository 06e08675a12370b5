"""One prompt through several models at once, for Compare: what is stored is shown, the rest is computed and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from backends.checkpoints.identity import identity
from backends.checkpoints.usable import problems
from backends.errors import BoardError, Cancelled, CheckpointError, ModelError
from backends.evidence import Answer, TextEvidence
from backends.extras import check_extra
from backends.interfaces import GenerationRequest, Judge, PartialImage, Stop
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, Sampling, Study
from backends.text.precision import dtype_for
from cache.evaluate.gather_images import ImageGatherer, Wanted
from cache.evaluate.gather_text import TextGatherer, score_items
from cache.evaluate.judging_again import judged_again
from cache.store import Store, keys
from cache.store.identities import identity_in
from cache.store.model_checks import check_models
from cache.store.reading import judges_digest

OnProblem = Callable[[str, BoardError], None]
"""Told of a model that cannot answer, and why; the others do."""


def compare_text(
    study: Study,
    store: Store,
    pool: ModelPool,
    models: Sequence[str],
    probe: Probe,
    decoding: Decoding,
    on_partial: Callable[[str, Answer], None] = lambda _model, _answer: None,
    stop: Stop = lambda: False,
    on_problem: OnProblem = lambda _model, _error: None,
) -> None:
    """Answers of all models to one prompt, in one mixed batch; then the reference answers scored, where there are any.

    Args:
        study: the study.
        store: answers found here are not written again; new ones are stored as each ends.
        pool: loads and runs models.
        models: names in the study.
        probe: of the study, or a person's own with only a prompt.
        decoding: settings; one answer for each seed.
        on_partial: told model and answer so far (its `seed` and `finish` say which and whether it ended); answers that
            were stored come first.
        stop: asked between steps.
        on_problem: told of each model that cannot answer, where others can.

    Raises:
        Cancelled: stopped; answers that had ended are stored.
        CheckpointError, ModelError: no model can answer; a prompt that is empty or too long says so.
        MissingPackages: the packages that run such models are not installed.
    """
    check_extra("text")
    asked = _Asked(study, pool, models)
    numerics = keys.numerics(pool.device, dtype_for(study, pool.device, pool.dtype))
    contexts: dict[GenerationRequest, str] = {}
    for spec in asked.usable() if probe.prompt or not probe.answer else ():  # a text by itself is scored
        found = identity_in(study, spec)
        for seed in keys.decoding_seeds(decoding):
            context = keys.answers_context(
                *(found.fingerprint, found.tokenizer, decoding, seed, numerics),
                study.protocol,
                found.asked or "",
            )
            stored = store.text(store.register(context), [probe.digest()])
            for evidence in stored.values():
                for answer in evidence.answers:
                    on_partial(spec.name, answer)
            if not stored:
                request = GenerationRequest(
                    spec.name, probe.prompt, seed, probe.format, turns=probe.turns, date=study.date
                )
                contexts[request] = context.key

    def write(specs: Sequence[ModelSpec]) -> None:
        names = {spec.name for spec in specs}
        waiting = {request: key for request, key in contexts.items() if request.model in names}
        for request in _generate(study, store, pool, probe, decoding, waiting, on_partial, stop):
            del contexts[request]

    def score(specs: Sequence[ModelSpec]) -> None:
        _score(study, store, pool, specs, probe, numerics, stop)

    asked.load([request.model for request in contexts])
    asked.each_or_all(write)
    if score_items(probe):
        asked.each_or_all(score)
    asked.tell(on_problem)


class _Asked:
    """The models that are asked, and why some of them cannot answer: one bad model never stops the others."""

    def __init__(self, study: Study, pool: ModelPool, models: Sequence[str]) -> None:
        self._study = study
        self._pool = pool
        self._specs = [study.model(name) for name in models]
        self._wrong: dict[str, BoardError] = {**problems(study, self._specs)}

    def usable(self) -> list[ModelSpec]:
        """Models against which nothing is known."""
        return [spec for spec in self._specs if spec.name not in self._wrong]

    def load(self, names: Sequence[str]) -> None:
        """Load those of the language models that can be loaded."""
        wanted = [spec for spec in self.usable() if spec.name in set(names)]
        for spec in wanted:
            self._attempt([spec], self._loaded)
        good = [spec for spec in wanted if spec.name not in self._wrong]
        if len(good) < len(wanted):  # one that failed may have let go of a base that others share
            self._attempt(good, self._loaded)

    def each(self, work: Callable[[Sequence[ModelSpec]], None]) -> None:
        """Does the work for one usable model after another."""
        for spec in self.usable():
            self._attempt([spec], work)

    def each_or_all(self, work: Callable[[Sequence[ModelSpec]], None]) -> None:
        """Does the work for all usable models at once; where that fails, for each by itself."""
        specs = self.usable()
        if len(specs) < 2 or not self._done(specs, work):
            self.each(work)

    def tell(self, on_problem: OnProblem) -> None:
        """Of every model that could not answer, unless that is true of all."""
        if self._specs and not self.usable():
            raise next(iter(self._wrong.values()))
        for name, error in self._wrong.items():
            on_problem(name, error)

    def _loaded(self, specs: Sequence[ModelSpec]) -> None:
        self._pool.text(specs, dtype_for(self._study, self._pool.device, self._pool.dtype))

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
    study: Study,
    store: Store,
    pool: ModelPool,
    models: Sequence[str],
    probe: Probe,
    sampling: Sampling,
    on_partial: Callable[[str, int, PartialImage], None] = lambda _model, _seed, _image: None,
    stop: Stop = lambda: False,
    on_note: Callable[[str], None] = lambda _sentence: None,
    on_problem: OnProblem = lambda _model, _error: None,
) -> None:
    """Pictures of all models for one prompt and all seeds, from the same noise; stored ones are not made again.

    Args:
        study: the study.
        store: new pictures are judged and stored as each is done.
        pool: loads and runs models and judges.
        models: names in the study.
        probe: of the study, or a person's own with only a prompt.
        sampling: settings and seeds, but for those that the probe brings along.
        on_partial: told model, seed and the picture so far; not called for pictures that were stored.
        stop: asked between steps.
        on_note: told what a person should know of the models and the prompt, in sentences.
        on_problem: told of each model that cannot draw, where others can.

    Raises:
        Cancelled: stopped; pictures that were done are stored.
        CheckpointError, ModelError: no model can draw; a prompt that is empty says so.
        MissingPackages: the packages that run such models are not installed.
    """
    check_extra("image")
    asked = _Asked(study, pool, models)
    sampling = sampling.of(probe)
    numerics = keys.numerics(pool.device, pool.dtype)
    judged_by = judges_digest(study.judges)
    wanted: list[Wanted] = []
    for spec in asked.usable():
        found = identity(spec)
        for seed in sampling.seeds:
            context = keys.images_context(found.fingerprint, sampling, seed, judged_by, numerics, probe.own)
            if store.missing(store.register(context), [probe.digest()]):
                wanted.append(Wanted(spec.name, probe, seed, context.key))
    wanted = judged_again(study, store, pool, wanted, sampling, numerics, lambda _: None, stop)
    judges = pool.judges(study.judges) if wanted else []

    def draw(specs: Sequence[ModelSpec]) -> None:
        mine = [each for each in wanted if each.model in {spec.name for spec in specs}]
        if mine:
            _draw(study, store, pool, mine, sampling, judges, on_partial, stop, on_note)

    asked.each(draw)  # one model after another draws its own pictures anyway
    asked.tell(on_problem)


def _draw(
    study: Study,
    store: Store,
    pool: ModelPool,
    wanted: Sequence[Wanted],
    sampling: Sampling,
    judges: Sequence[Judge],
    on_partial: Callable[[str, int, PartialImage], None],
    stop: Stop,
    on_note: Callable[[str], None],
) -> None:
    """Pictures of one model."""
    spec = study.model(wanted[0].model)
    loaded = pool.image([spec])
    noted = len(loaded.notes)
    for sentence in check_models(study, store, pool, [study.original.name, spec.name]):
        on_note(sentence)
    gatherer = ImageGatherer(store, loaded, judges, stop, sampling)
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
    study: Study,
    store: Store,
    pool: ModelPool,
    probe: Probe,
    decoding: Decoding,
    contexts: Mapping[GenerationRequest, str],
    on_partial: Callable[[str, Answer], None],
    stop: Stop,
) -> Iterator[GenerationRequest]:
    """Writes the answers and stores them; gives each request whose answer is stored."""
    if not contexts:
        return
    requests = list(contexts)
    specs = [study.model(name) for name in dict.fromkeys(each.model for each in requests)]
    loaded = pool.text(specs, dtype_for(study, pool.device, pool.dtype))
    ended = 0
    for partial in loaded.generate(requests, decoding, stop, study.protocol):
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
    study: Study,
    store: Store,
    pool: ModelPool,
    specs: Sequence[ModelSpec],
    probe: Probe,
    numerics: str,
    stop: Stop,
) -> None:
    for spec in specs:
        found = identity_in(study, spec)
        context = keys.scores_context(
            found.fingerprint, found.tokenizer, numerics, study.protocol, found.asked or ""
        )
        if store.missing(store.register(context), [probe.digest()]):
            loaded = pool.text([spec], dtype_for(study, pool.device, pool.dtype))
            gatherer = TextGatherer(store, loaded, spec.name, stop, study.protocol, study.date)
            gatherer.scores(context.key, [probe], lambda _: None)
            if gatherer.refused:
                raise gatherer.refused[0][1]
