"""A study of TOFU's real size with invented evidence, written straight into a store: no weights, no model runs.

400 forget, 400 retain and 400 holdout probes, two utility sets of 100 and 117; every answer scored with its paraphrase
and five perturbed ones, as the benchmark has them. Smaller studies have the same proportions. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from backends.evidence import ANSWER, PARAPHRASE, Answer, TextEvidence, TokenScores, perturbed
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Role, Study
from cache.store import Store
from cache.store.keys import answers_context, scores_context
from cache.store.reading import identity_to_read

SETS: Sequence[tuple[str, Role, int, int]] = (
    ("forget", "forget", 400, 30),
    ("retain", "retain", 400, 30),
    ("real-authors", "utility", 100, 6),
    ("world-facts", "utility", 117, 6),
    ("holdout", "holdout", 400, 30),
)
"""Name, role, probes and usual number of words of an answer."""
WHOLE = sum(count for _, _, count, _ in SETS)
METHODS = ("GradAscent", "GradDiff", "NPO", "SimNPO", "IdkNLL", "RMU")
CELL = 16
"""Probes in a cell, as an evaluation writes them."""
WORDS = 4000


def made_study(models: int, probes: int = WHOLE) -> Study:
    """An original, a retained model and the checkpoints of six methods, on about so many probes."""
    random = np.random.default_rng(0)
    specs = [ModelSpec("Original", "original", "recorded/original", fingerprint=_fingerprint(0))]
    specs += [ModelSpec("Retained", "retained", "recorded/retained", fingerprint=_fingerprint(1))]
    for number in range(2, models):
        method, step = METHODS[number % len(METHODS)], 10 * (1 + number // len(METHODS))
        name = f"{method} {step}"
        specs.append(
            ModelSpec(
                name,
                "unlearned",
                f"recorded/{name}",
                None,
                method=method,
                step=step,
                fingerprint=_fingerprint(number),
            )
        )
    sets = [
        ProbeSet(
            name, role, tuple(_probe(name, role, n, words, random) for n in range(count * probes // WHOLE))
        )
        for name, role, count, words in SETS
    ]
    return Study("Made", "text", tuple(specs), tuple(sets), decoding=Decoding(max_new_tokens=64))


def write_evidence(study: Study, store: Store, model: str) -> None:
    """Scores and answers of one model, cell by cell."""
    spec = study.model(model)
    known = identity_to_read(spec)
    scores = store.register(scores_context(known.fingerprint, known.tokenizer, "float32"))
    answers = store.register(
        answers_context(known.fingerprint, known.tokenizer, study.decoding, 0, "float32")
    )
    number = [each.name for each in study.models].index(model)
    random = np.random.default_rng([1, number])
    for probe_set in study.probe_sets:
        level = _level(spec, probe_set.role)
        for cell in _cells(probe_set.probes):
            rows = [(p.digest(), TextEvidence(_scores(p, level, random))) for p in cell]
            store.put_text(scores, rows)
            written = [(p.digest(), TextEvidence({}, (_answer(p, level, random),))) for p in cell]
            store.put_text(answers, written)


def _fingerprint(number: int) -> str:
    return f"{number:032x}:{'0' * 16}"


def _cells(probes: Sequence[Probe]) -> Iterator[Sequence[Probe]]:
    for start in range(0, len(probes), CELL):
        yield probes[start : start + CELL]


def _probe(name: str, role: Role, number: int, words: int, random: np.random.Generator) -> Probe:
    answer = _text(words, random)
    return Probe(
        id=f"{name}-{number}",
        role=role,
        prompt=_text(12, random).replace(".", "?"),
        answer=answer,
        paraphrased_answer=_text(words, random),
        perturbed_answers=tuple(_changed(answer, 0.8, random) for _ in range(5)),
        subject=f"Author {number // 20}",
    )


def _text(usual: int, random: np.random.Generator) -> str:
    count = max(1, int(random.normal(usual, usual / 5)))
    chosen = np.minimum(random.zipf(1.3, count), WORDS)  # few words are frequent, many are rare, as in prose
    ends = np.where(random.random(count) < 0.12, ",", "")
    return " ".join(f"w{word}{end}" for word, end in zip(chosen, ends, strict=True)).rstrip(",") + "."


def _changed(text: str, kept: float, random: np.random.Generator) -> str:
    words = text.split()
    keep = random.random(len(words)) < kept
    return " ".join(
        word if same else f"w{n}"
        for word, same, n in zip(words, keep, random.integers(WORDS, size=len(words)), strict=True)
    )


def _level(spec: ModelSpec, role: Role) -> float:
    """How well a model knows a role's probes, 0 to 1."""
    if spec.part != "unlearned":
        return 0.3 if spec.part == "retained" and role in ("forget", "holdout") else 0.9
    done = min(1.0, (spec.step or 0) / 100)
    return max(0.05, 0.9 - (0.8 if role == "forget" else 0.2) * done)


def _scores(probe: Probe, level: float, random: np.random.Generator) -> dict[str, TokenScores]:
    texts = {ANSWER: probe.answer, PARAPHRASE: probe.paraphrased_answer}
    texts |= {perturbed(n): text for n, text in enumerate(probe.perturbed_answers)}
    return {
        name: _token_scores(text, level if name in (ANSWER, PARAPHRASE) else level / 2, random)
        for name, text in texts.items()
    }


def _token_scores(text: str, level: float, random: np.random.Generator) -> TokenScores:
    words = text.split()
    n = len(words)
    ids: NDArray[np.int32] = np.array([int(word.strip("w,.")) for word in words], np.int32)
    drawn = random.random((4, n)).astype(np.float32)
    hits = drawn[0] < level
    entropy = 0.1 + 4 * (1 - level) * drawn[1]
    return TokenScores(
        token_ids=ids,
        pieces=tuple(f" {word}" for word in words),
        logprobs=np.where(hits, -0.05 - 0.3 * drawn[2], -2 - 4 * drawn[2]).astype(np.float32),
        ranks=np.where(hits, 0, 1 + 500 * drawn[3]).astype(np.int32),
        argmax_ids=np.where(hits, ids, ids + 1).astype(np.int32),
        mean=-entropy,
        variance=2 * drawn[3],
        entropy=entropy,
        top_pieces=(),
        top_logprobs=np.zeros((n, 0), np.float32),
        end_logprob=float(-drawn[3, 0]),
    )


def _answer(probe: Probe, level: float, random: np.random.Generator) -> Answer:
    text = _changed(probe.answer, level, random)
    return Answer(text, len(text.split()), "stop", 0, 0.5)
