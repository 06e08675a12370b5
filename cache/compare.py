"""One prompt through several models at once, for Compare: what is stored is shown, the rest is computed and stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backends.checkpoints import identity
from backends.errors import Cancelled
from backends.evidence import Answer, TextEvidence
from backends.interfaces import GenerationRequest, PartialImage, Stop
from backends.pool import ModelPool
from backends.precision import dtype_for
from backends.study import Decoding, ModelSpec, Probe, Sampling, Study
from cache import keys
from cache.gather_images import ImageGatherer, Wanted
from cache.gather_text import TextGatherer, score_items
from cache.identities import identity_in
from cache.judging_again import judged_again
from cache.model_checks import check_models
from cache.reading import judges_digest
from cache.store import Store


def compare_text(
    study: Study,
    store: Store,
    pool: ModelPool,
    models: Sequence[str],
    probe: Probe,
    decoding: Decoding,
    on_partial: Callable[[str, Answer], None] = lambda _model, _answer: None,
    stop: Stop = lambda: False,
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

    Raises:
        Cancelled: stopped; answers that had ended are stored.
        ModelError: the prompt is empty or too long.
    """
    specs = [study.model(name) for name in models]
    numerics = keys.numerics(pool.device, dtype_for(study, pool.device, pool.dtype))
    contexts: dict[GenerationRequest, str] = {}
    for spec in specs if probe.prompt or not probe.answer else ():  # a text by itself is scored, not answered
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
                request = GenerationRequest(spec.name, probe.prompt, seed, probe.format, date=study.date)
                contexts[request] = context.key
    _generate(study, store, pool, probe, decoding, contexts, on_partial, stop)
    if score_items(probe):
        _score(study, store, pool, specs, probe, numerics, stop)


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

    Raises:
        Cancelled: stopped; pictures that were done are stored.
        ModelError: the prompt is empty or too long.
    """
    sampling = sampling.of(probe)
    numerics = keys.numerics(pool.device, pool.dtype)
    judged_by = judges_digest(study.judges)
    wanted: list[Wanted] = []
    for name in models:
        found = identity(study.model(name))
        for seed in sampling.seeds:
            context = keys.images_context(found.fingerprint, sampling, seed, judged_by, numerics, probe.own)
            if store.missing(store.register(context), [probe.digest()]):
                wanted.append(Wanted(name, probe, seed, context.key))
    wanted = judged_again(study, store, pool, wanted, sampling, numerics, lambda _: None, stop)
    if not wanted:
        return
    specs = [study.model(name) for name in dict.fromkeys(each.model for each in wanted)]
    loaded = pool.image(specs)
    noted = len(loaded.notes)
    for sentence in check_models(study, store, pool, [study.original.name, *(spec.name for spec in specs)]):
        on_note(sentence)
    gatherer = ImageGatherer(store, loaded, pool.judges(study.judges), stop, sampling)
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
    contexts: dict[GenerationRequest, str],
    on_partial: Callable[[str, Answer], None],
    stop: Stop,
) -> None:
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
