"""Evidence of one language model, gathered cell by cell: token scores and answers. Knows no studies, only probes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from backends.errors import Cancelled, ModelError
from backends.evidence import ANSWER, PARAPHRASE, TextEvidence, TokenScores, option, perturbed
from backends.interfaces import GenerationRequest, ScoreItem, Stop, TextModels
from backends.study import Decoding, Probe, ProtocolName, Turns
from cache.store import Store

CELL = 16
"""Probes in one cell: what a kill can lose, and the unit of reading."""

WRITTEN_AT_ONCE = 32
"""Answers that a model writes in one batch: each step of a small batch costs as much as one of a larger."""

MORE_LIKELY_THAN_NOT = math.log(0.5)

OnDone = Callable[[int], None]
"""Called with the number of new pieces of evidence."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Rows = list[tuple[str, TextEvidence]]


def score_items(probe: Probe, date: str = "") -> dict[str, ScoreItem]:
    """The answers of a probe that are teacher-forced after its prompt, by the name their scores are kept under."""
    answers = {ANSWER: probe.answer, PARAPHRASE: probe.paraphrased_answer}
    answers |= {perturbed(i): text for i, text in enumerate(probe.perturbed_answers)}
    answers |= {option(i): text for i, text in enumerate(probe.options)}
    return {
        name: ScoreItem(probe.prompt, text, name == ANSWER, probe.format, probe.turns, date)
        for name, text in answers.items()
        if text.strip()
    }


class TextGatherer:
    """Asks one model for evidence and stores it, each (prompt, answer) through the model once in its lifetime.

    Attributes:
        refused: probes that the model cannot serve (too long), with the reason; all others are evaluated.

    Args:
        store: where evidence goes.
        models: has the model loaded.
        model: its name.
        stop: checked between steps.
        protocol: how it is asked.
        date: that its chat template is told, see `Study`.
    """

    def __init__(
        self,
        store: Store,
        models: TextModels,
        model: str,
        stop: Stop,
        protocol: ProtocolName = "corrected",
        date: str = "",
    ) -> None:
        self._store = store
        self._models = models
        self._model = model
        self._stop = stop
        self._protocol = protocol
        self._date = date
        self._scored: dict[tuple[str, str, str, Turns], TokenScores] = {}
        self.refused: list[tuple[Probe, ModelError]] = []

    def scores(self, context: str, probes: Sequence[Probe], on_done: OnDone) -> None:
        """Score the answers of probes and store them, a cell at a time.

        Raises:
            Cancelled: stopped; whole cells before that are stored.
        """
        for cell, known in self._cells(context, probes):
            rows = work_on_cell(cell, self._score_probes, self._refuse)
            self._store.put_text(context, rows)
            on_done(known + len(rows))

    def gradients(self, context: str, probes: Sequence[Probe], on_done: OnDone) -> None:
        """Gradient norms of the true answers, stored a cell at a time.

        Raises:
            Cancelled: stopped; whole cells before that are stored.
        """

        def work(part: Sequence[Probe]) -> Rows:
            items = [
                ScoreItem(probe.prompt, probe.answer, False, probe.format, probe.turns, self._date)
                for probe in part
            ]
            norms = dict(self._models.gradient_norms(self._model, items, self._stop, self._protocol))
            if len(norms) < len(part):
                raise Cancelled
            return [(part[i].digest(), TextEvidence(gradient_norm=norm)) for i, norm in norms.items()]

        for cell, known in self._cells(context, probes):
            rows = work_on_cell(cell, work, self._refuse)
            self._store.put_text(context, rows)
            on_done(known + len(rows))

    def answers(
        self,
        contexts: Mapping[int, str],
        probes: Mapping[int, Sequence[Probe]],
        decoding: Decoding,
        on_done: OnDone,
        scored: str = "",
    ) -> None:
        """Write answers to probes and store them, a cell at a time.

        Args:
            contexts: seed -> context.
            probes: seed -> probes that have no answer of that seed yet.
            decoding: settings; its seeds are not used.
            on_done: called after every cell.
            scored: context of the token scores, which tell how a greedy answer begins; "" does without.

        Raises:
            Cancelled: stopped; answers that had ended are stored.
        """
        # Token scores tell how a greedy answer begins only where answer and prompt are tokenised apart; open-unlearning
        # tokenises them as one text, so its scores may be after other ids than generation sees.
        source = scored if decoding.temperature == 0 and self._protocol != "open-unlearning" else ""
        for seed, context in contexts.items():
            for waiting, known in self._cells(context, probes[seed], WRITTEN_AT_ONCE):
                on_done(known + len(waiting) - len({probe.digest() for probe in waiting}))
                self._write_and_keep(context, waiting, seed, decoding, source, on_done)

    def _write_and_keep(
        self,
        context: str,
        probes: Sequence[Probe],
        seed: int,
        decoding: Decoding,
        scored: str,
        on_done: OnDone,
    ) -> None:
        """Answers of one batch; a cell is stored as soon as so many have ended, so that a kill loses no more."""
        waiting = {probe.digest(): probe for probe in probes}
        begun = self._begun(scored, list(waiting.values()))
        left = dict(waiting)
        ready: Rows = []

        def keep(least: int) -> None:
            if len(ready) >= least:
                self._store.put_text(context, ready)
                on_done(len(ready))
                ready.clear()

        def write(part: Sequence[str]) -> list[str]:
            # After a refusal this is called again for single probes; answers that have ended are not written twice.
            asked = [waiting[digest] for digest in part if digest in left]
            requests = [
                GenerationRequest(
                    *(self._model, each.prompt, seed, each.format),
                    *begun.get(each.digest(), ((), False)),
                    turns=each.turns,
                    date=self._date,
                )
                for each in asked
            ]
            for partial in self._models.generate(requests, decoding, self._stop, self._protocol):
                if partial.done and partial.answer.finish != "cancelled":
                    digest = asked[partial.index].digest()
                    ready.append((digest, TextEvidence({}, (partial.answer,))))
                    del left[digest]
                    keep(CELL)
            return list(part)

        def refuse(digest: str, error: ModelError) -> None:
            self._refuse(left.pop(digest), error)

        work_on_cell(list(waiting), write, refuse)
        keep(1)
        if left:
            raise Cancelled

    def _cells(
        self, context: str, probes: Sequence[Probe], size: int = CELL
    ) -> Iterator[tuple[Sequence[Probe], int]]:
        """Cells without what another process has stored by now, and how many probes that was."""
        for cell in in_cells(probes, size):
            missing = set(self._store.missing(context, [probe.digest() for probe in cell]))
            todo = [probe for probe in cell if probe.digest() in missing]
            yield todo, len(cell) - len(todo)

    def _begun(self, context: str, probes: Sequence[Probe]) -> dict[str, tuple[tuple[int, ...], bool]]:
        """How greedy answers begin, and whether they end there, by probe digest; from stored token scores."""
        if not context:
            return {}
        ends = self._models.end_ids(self._model, self._protocol)
        stored = self._store.text(context, [probe.digest() for probe in probes], pieces=False)
        return {
            digest: greedy_beginning(evidence.scores[ANSWER], ends)
            for digest, evidence in stored.items()
            if ANSWER in evidence.scores
        }

    def _refuse(self, probe: Probe, error: ModelError) -> None:
        self.refused.append((probe, error))

    def _score_probes(self, probes: Sequence[Probe]) -> Rows:
        found = self._score({probe.digest(): score_items(probe, self._date) for probe in probes})
        return [(digest, TextEvidence(scores)) for digest, scores in found.items()]

    def _score(self, wanted: Mapping[str, Mapping[str, ScoreItem]]) -> dict[str, dict[str, TokenScores]]:
        """Digest -> name -> item to digest -> name -> scores; what was scored before is not scored again."""
        items = [item for named in wanted.values() for item in named.values()]
        # Items with rivals come last here, so that they replace equal ones without.
        todo = {_asked(item): item for item in sorted(items, key=lambda item: item.alternatives)}
        todo = {key: item for key, item in todo.items() if self._is_new(item)}
        keys = list(todo)
        wanted_items = list(todo.values())
        for scored in (
            self._models.score(self._model, wanted_items, self._stop, self._protocol) if todo else ()
        ):
            self._scored[keys[scored.index]] = scored.scores
        if any(key not in self._scored for key in keys):
            raise Cancelled
        return {
            digest: {name: self._scored[_asked(item)] for name, item in named.items()}
            for digest, named in wanted.items()
        }

    def _is_new(self, item: ScoreItem) -> bool:
        known = self._scored.get(_asked(item))
        return known is None or (item.alternatives and known.top_logprobs.shape[1] == 0)


def greedy_beginning(scores: TokenScores, ends: frozenset[int]) -> tuple[tuple[int, ...], bool]:
    """What a given answer's token scores tell about the answer that greedy decoding writes to the same prompt.

    As long as the first choices are the answer's tokens, greedy decoding writes it; the first other choice is its next
    token. Nothing here is a guess: every id is the model's own first choice after the ids before it.

    Args:
        scores: of an answer after the prompt.
        ends: ids that end an answer.

    Returns:
        The ids, without an ending one, and whether the answer ends there: an ending id is the first choice, or comes
        after the whole answer with a probability above one half.
    """
    misses = np.flatnonzero(~scores.hits)
    known = len(scores.token_ids) if not len(misses) else int(misses[0]) + 1
    ids = tuple(scores.argmax_ids[:known].tolist())
    for place, token in enumerate(ids):
        if token in ends:
            return ids[:place], True
    return ids, not len(misses) and scores.end_logprob > MORE_LIKELY_THAN_NOT


def _asked(item: ScoreItem) -> tuple[str, str, str, Turns]:
    return item.prompt, item.answer, item.format, item.turns


def work_on_cell(
    cell: Sequence[Item],
    work: Callable[[Sequence[Item]], list[Result]],
    refuse: Callable[[Item, ModelError], None],
) -> list[Result]:
    """What work makes of a cell; where that is refused, of each item alone, and `refuse` is told which ones failed."""
    try:
        return work(cell) if cell else []
    except ModelError as error:
        if len(cell) == 1:
            refuse(cell[0], error)
            return []
    return [result for item in cell for result in work_on_cell([item], work, refuse)]


def in_cells(probes: Sequence[Item], size: int = CELL) -> Iterator[Sequence[Item]]:
    """The probes in batches of a cell."""
    for start in range(0, len(probes), size):
        yield probes[start : start + size]
