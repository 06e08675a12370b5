"""What the Compare page shows of one prompt: one column per model, out of the study and the store.

Pure: reads the store, runs no model, imports neither Streamlit nor torch. What is drawn from a column is decided in
`app/pages/compare/cards.py` and `app/pages/compare/pictures.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.checkpoints.resolved import ResolvedModels
from backends.errors import CheckpointError
from backends.evidence import ANSWER, Answer, ImageEvidence, TextEvidence, TokenScores
from backends.metrics.memorisation import probability
from backends.metrics.similarity import contains_fact, rouge_l_recall
from backends.study import Decoding, ModelSpec, Probe, Sampling, Study
from cache.evaluate.incomplete import with_model_name
from cache.store import Store
from cache.store.reading import evidence_for, images_for


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One language model's answers to the prompt.

    Attributes:
        spec: the model.
        answers: one a seed; unfinished ones while a run is on.
        scores: the reference answer, teacher-forced; None where there is no reference or no score yet.
        growing: seeds whose answers are still being written.
        awaited: a run that is on will answer or score with it.
        waits: what it waits for meanwhile, one sentence, or "".
        fresh: answered in this visit rather than read from the cache.
        replay: the weights are not on this machine; only what was recorded can be shown.
        problem: why nothing can be read of this model, one sentence, or "".
    """

    spec: ModelSpec
    answers: tuple[Answer, ...] = ()
    scores: TokenScores | None = None
    growing: frozenset[int] = frozenset()
    fresh: bool = False
    awaited: bool = False
    waits: str = ""
    replay: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """One image model's pictures of the prompt by seed; attributes as in TextColumn."""

    spec: ModelSpec
    pictures: Mapping[int, ImageEvidence]
    replay: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Measures:
    """Numbers of one column; None where a number does not exist.

    Attributes:
        rouge_l: ROUGE-L recall of the reference in the answer, mean over seeds, 0 to 1.
        probability: p(reference | prompt) to the power 1 / tokens, 0 to 1 (Maini et al. 2024).
        key_fact: whether the answers say the key fact: share of seeds.
    """

    rouge_l: float | None = None
    probability: float | None = None
    key_fact: float | None = None


def text_columns(
    study: Study,
    store: Store,
    probe: Probe,
    names: Sequence[str],
    decoding: Decoding,
    partial: Mapping[tuple[str, int], tuple[Answer, bool]] | None = None,
    awaited: Collection[str] = (),
    problems: Mapping[str, str] | None = None,
) -> list[TextColumn]:
    """Columns for these models, from the store and from the answers that a run has written so far.

    Args:
        study: the study.
        store: the cache.
        probe: what is asked.
        names: models, in the order they are shown.
        decoding: settings of the answers.
        partial: (model, seed) -> (answer so far, done) of the run that is on or has just ended.
        awaited: models that the run that is on works for.
        problems: why a model cannot answer, by its name; said where it has no answer.
    """
    models = ResolvedModels(study)
    columns = [_text_column(study, store, models, probe, name, decoding, partial or {}) for name in names]
    known = problems or {}
    return [
        replace(
            column,
            awaited=column.spec.name in awaited and column.spec.name not in known,
            problem=column.problem or ("" if column.answers else known.get(column.spec.name, "")),
        )
        for column in columns
    ]


def _text_column(
    study: Study,
    store: Store,
    models: ResolvedModels,
    probe: Probe,
    name: str,
    decoding: Decoding,
    partial: Mapping[tuple[str, int], tuple[Answer, bool]],
) -> TextColumn:
    spec = study.model(name)
    try:
        evidence = evidence_for(study, store, name, [probe], decoding, resolved=models).get(
            probe.id, TextEvidence()
        )
    except CheckpointError as error:
        return TextColumn(spec, replay=True, problem=with_model_name(name, error))
    answers = {answer.seed: answer for answer in evidence.answers}
    written = {seed: state for (model, seed), state in partial.items() if model == name}
    answers |= {seed: answer for seed, (answer, _) in written.items() if seed not in answers}
    return TextColumn(
        spec=spec,
        answers=tuple(answers[seed] for seed in sorted(answers)),
        scores=evidence.scores.get(ANSWER),
        growing=frozenset(
            seed for seed, (answer, done) in written.items() if not done and answers[seed] is answer
        ),
        fresh=bool(written),
        replay=not models[name].here,
    )


def image_columns(
    study: Study,
    store: Store,
    probe: Probe,
    names: Sequence[str],
    sampling: Sampling,
    problems: Mapping[str, str] | None = None,
) -> list[ImageColumn]:
    """Columns for these image models, from the store; `problems` as for `text_columns`."""
    models = ResolvedModels(study)
    columns = [_image_column(study, store, models, probe, name, sampling) for name in names]
    known = problems or {}
    return [
        replace(
            column,
            problem=column.problem or ("" if column.pictures else known.get(column.spec.name, "")),
        )
        for column in columns
    ]


def _image_column(
    study: Study, store: Store, models: ResolvedModels, probe: Probe, name: str, sampling: Sampling
) -> ImageColumn:
    spec = study.model(name)
    try:
        image = images_for(study, store, name, [probe], sampling, resolved=models).get(probe.id, {})
    except CheckpointError as error:
        return ImageColumn(spec, {}, replay=True, problem=with_model_name(name, error))
    return ImageColumn(spec, image, replay=not models[name].here)


def measures(column: TextColumn, probe: Probe) -> Measures:
    """Numbers of a column against the probe's reference."""
    texts = [answer.text for answer in column.answers]
    finished = texts if not column.growing else []
    return Measures(
        rouge_l=_mean(
            [
                max(rouge_l_recall(true, text) for true in probe.references)
                for text in finished
                if probe.answer
            ]
        ),
        probability=None if column.scores is None else probability(column.scores.logprobs),
        key_fact=_mean([float(contains_fact(probe.key_fact, text)) for text in finished if probe.key_fact]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def found_probes(probes: Sequence[Probe], search: str) -> list[Probe]:
    """Probes whose prompt, answer, subject or id contain every word of the search, letter case aside."""
    words = search.casefold().split()
    return [probe for probe in probes if all(word in _haystack(probe) for word in words)]


def _haystack(probe: Probe) -> str:
    parts = (probe.id, probe.prompt, probe.answer, probe.subject, *probe.tags, *probe.concepts.values())
    return " ".join(parts).casefold()
