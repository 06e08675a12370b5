"""Evidence of one language model, gathered cell by cell: token scores and answers. Knows no studies, only probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from backends.errors import Cancelled
from backends.evidence import ANSWER, PARAPHRASE, Answer, TextEvidence, TokenScores, option, perturbed
from backends.interfaces import GenerationRequest, ScoreItem, Stop, TextModels
from backends.study import Decoding, Probe
from cache.store import Store

CELL = 16
"""Probes in one cell: what a kill can lose, and the unit of reading."""

OnDone = Callable[[int], None]
"""Told how many more pieces of evidence are ready."""

Item = TypeVar("Item")


def score_items(probe: Probe) -> dict[str, ScoreItem]:
    """The answers of a probe that are teacher-forced after its prompt, by the name their scores are kept under."""
    answers = {ANSWER: probe.answer, PARAPHRASE: probe.paraphrased_answer}
    answers |= {perturbed(i): text for i, text in enumerate(probe.perturbed_answers)}
    answers |= {option(i): text for i, text in enumerate(probe.options)}
    return {
        name: ScoreItem(probe.prompt, text, rivals=name == ANSWER)
        for name, text in answers.items()
        if text.strip()
    }


class TextGatherer:
    """Asks one model for evidence and stores it, each (prompt, answer) through the model once in its lifetime.

    Args:
        store: where evidence goes.
        models: has the model loaded.
        model: its name.
        stop: asked between steps.
    """

    def __init__(self, store: Store, models: TextModels, model: str, stop: Stop) -> None:
        self._store = store
        self._models = models
        self._model = model
        self._stop = stop
        self._scored: dict[tuple[str, str], TokenScores] = {}

    def scores(self, context: str, probes: Sequence[Probe], on_done: OnDone) -> None:
        """Score the answers of probes and store them, a cell at a time.

        Raises:
            Cancelled: stopped; whole cells before that are stored.
        """
        for cell in in_cells(probes):
            found = self._score({probe.digest(): score_items(probe) for probe in cell})
            self._store.put_text(
                context, [(digest, TextEvidence(scores)) for digest, scores in found.items()]
            )
            on_done(len(found))

    def answers(
        self,
        contexts: Mapping[int, str],
        probes: Mapping[int, Sequence[Probe]],
        decoding: Decoding,
        on_done: OnDone,
    ) -> None:
        """Write answers to probes and store them, a cell at a time.

        Args:
            contexts: seed -> context.
            probes: seed -> probes that have no answer of that seed yet.
            decoding: settings; its seeds are not used.
            on_done: told after every cell.

        Raises:
            Cancelled: stopped; answers that had ended are stored.
        """
        for seed, context in contexts.items():
            for cell in in_cells(probes[seed]):
                requests = [GenerationRequest(self._model, probe.prompt, seed) for probe in cell]
                written = self._write(requests, decoding)
                rows = [(cell[i].digest(), TextEvidence({}, (answer,))) for i, answer in written.items()]
                self._store.put_text(context, rows)
                on_done(len(rows))
                if len(rows) < len(cell):
                    raise Cancelled

    def _score(self, wanted: Mapping[str, Mapping[str, ScoreItem]]) -> dict[str, dict[str, TokenScores]]:
        """Digest -> name -> item to digest -> name -> scores; what was scored before is not scored again."""
        items = [item for named in wanted.values() for item in named.values()]
        # Items with rivals come last here, so that they replace equal ones without.
        todo = {(item.prompt, item.answer): item for item in sorted(items, key=lambda item: item.rivals)}
        todo = {key: item for key, item in todo.items() if self._is_new(item)}
        keys = list(todo)
        for scored in self._models.score(self._model, list(todo.values()), self._stop) if todo else ():
            self._scored[keys[scored.index]] = scored.scores
        if any(key not in self._scored for key in keys):
            raise Cancelled
        return {
            digest: {name: self._scored[item.prompt, item.answer] for name, item in named.items()}
            for digest, named in wanted.items()
        }

    def _is_new(self, item: ScoreItem) -> bool:
        known = self._scored.get((item.prompt, item.answer))
        return known is None or (item.rivals and known.top_logprobs.shape[1] == 0)

    def _write(self, requests: Sequence[GenerationRequest], decoding: Decoding) -> dict[int, Answer]:
        return {
            partial.index: partial.answer
            for partial in self._models.generate(requests, decoding, self._stop)
            if partial.done and partial.answer.finish != "cancelled"
        }


def in_cells(probes: Sequence[Item], size: int = CELL) -> Iterator[Sequence[Item]]:
    """The probes in batches of a cell."""
    for start in range(0, len(probes), size):
        yield probes[start : start + size]
