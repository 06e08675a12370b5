"""Evidence of one language model, gathered cell by cell: token scores and answers. Knows no studies, only probes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from backends.errors import Cancelled, ModelError
from backends.evidence import ANSWER, PARAPHRASE, Answer, TextEvidence, TokenScores, option, perturbed
from backends.interfaces import GenerationRequest, ScoreItem, Stop, TextModels
from backends.study import Decoding, Probe, ProtocolName, Turns
from cache.store import Store

CELL = 16
"""Probes in one cell: what a kill can lose, and the unit of reading."""

MORE_LIKELY_THAN_NOT = math.log(0.5)

OnDone = Callable[[int], None]
"""Called with the number of new pieces of evidence."""
OnAnswer = Callable[[int], None]
"""Called when an answer is stored, with the number of its tokens; with 0 where another process has stored it."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Rows = list[tuple[str, TextEvidence]]
Asked = tuple[str, str, str, Turns, str]
"""What tells two items apart: prompt, answer, format, earlier turns, beginning of the answer."""


@dataclass(frozen=True, slots=True)
class AskedAnswer:
    """One answer to be written.

    Attributes:
        context: that it is stored under.
        seed: of its noise.
        probe: what is asked.
        on_done: told when it is stored.
    """

    context: str
    seed: int
    probe: Probe
    on_done: OnAnswer


def score_items(probe: Probe, date: str = "") -> dict[str, ScoreItem]:
    """The answers of a probe that are teacher-forced after its prompt, by the name their scores are kept under."""
    answers = {ANSWER: probe.answer, PARAPHRASE: probe.paraphrased_answer}
    answers |= {perturbed(i): text for i, text in enumerate(probe.perturbed_answers)}
    answers |= {option(i): text for i, text in enumerate(probe.options)}
    return {
        name: _given(probe, text, date, alternatives=name == ANSWER)
        for name, text in answers.items()
        if text.strip()
    }


def _given(probe: Probe, answer: str, date: str, *, alternatives: bool = False) -> ScoreItem:
    """An answer given to a probe, asked as the probe says."""
    return ScoreItem(probe.prompt, answer, alternatives, probe.format, probe.turns, date, probe.answer_prefix)


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
        self._scored: dict[Asked, TokenScores] = {}
        self.refused: list[tuple[Probe, ModelError]] = []

    @property
    def notes(self) -> list[str]:
        """What happened on the way that a person should know, in sentences; grows."""
        return self._models.notes

    def asking_notes(self, formats: Sequence[str]) -> list[str]:
        """What a person should know of how probes with these formats are asked, in sentences."""
        return self._models.asking_notes(self._model, formats, self._protocol, self._date)

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
            items = [_given(probe, probe.answer, self._date) for probe in part]
            norms = dict(self._models.gradient_norms(self._model, items, self._stop, self._protocol))
            if len(norms) < len(part):
                raise Cancelled
            return [(part[i].digest(), TextEvidence(gradient_norm=norm)) for i, norm in norms.items()]

        for cell, known in self._cells(context, probes):
            rows = work_on_cell(cell, work, self._refuse)
            self._store.put_text(context, rows)
            on_done(known + len(rows))

    def answers(self, wanted: Sequence[AskedAnswer], decoding: Decoding, scored: str = "") -> None:
        """Write answers to probes, as many at a time as memory takes, and store them a cell at a time.

        Args:
            wanted: all answers that are missing, whatever probe set or seed they are of.
            decoding: settings; its seeds are not used.
            scored: context of the token scores, which tell how a greedy answer begins; "" does without.

        Raises:
            Cancelled: stopped; answers that had ended are stored.
        """
        left = self._still_missing(wanted)
        begun = self._begun(scored if decoding.temperature == 0 else "", [each.probe for each in left])
        ready: dict[str, list[tuple[AskedAnswer, Answer]]] = {}

        def keep(context: str, least: int) -> None:
            rows = ready.get(context, [])
            if len(rows) >= least:
                self._store.put_text(
                    context, [(asked.probe.digest(), TextEvidence({}, (answer,))) for asked, answer in rows]
                )
                for asked, answer in rows:
                    asked.on_done(answer.n_tokens)
                rows.clear()

        refused: set[int] = set()

        def refuse(index: int, error: ModelError) -> None:
            refused.add(index)
            self._refuse(left[index].probe, error)

        requests = [
            replace(
                begun.get(each.probe.digest(), GenerationRequest("", "")),
                model=self._model,
                prompt=each.probe.prompt,
                seed=each.seed,
                format=each.probe.format,
                turns=each.probe.turns,
                date=self._date,
                answer_prefix=each.probe.answer_prefix,
            )
            for each in left
        ]
        ended = 0
        for partial in self._models.generate(requests, decoding, self._stop, self._protocol, refuse):
            if partial.done and partial.answer.finish != "cancelled":
                asked = left[partial.index]
                ready.setdefault(asked.context, []).append((asked, partial.answer))
                ended += 1
                keep(asked.context, CELL)
        for context in ready:
            keep(context, 1)
        if ended + len(refused) < len(left):
            raise Cancelled

    def _still_missing(self, wanted: Sequence[AskedAnswer]) -> list[AskedAnswer]:
        """Those that no other process has stored by now, each once; the others are told as done."""
        missing = {
            context: set(
                self._store.missing(
                    context, [each.probe.digest() for each in wanted if each.context == context]
                )
            )
            for context in {each.context for each in wanted}
        }
        result: dict[tuple[str, str], AskedAnswer] = {}
        for each in wanted:
            place = each.context, each.probe.digest()
            if place[1] not in missing[place[0]]:
                each.on_done(0)
            elif place in result:
                first = result[place]
                result[place] = replace(first, on_done=_both(first.on_done, each.on_done))
            else:
                result[place] = each
        return list(result.values())

    def _cells(self, context: str, probes: Sequence[Probe]) -> Iterator[tuple[Sequence[Probe], int]]:
        """Cells without what another process has stored by now, and how many probes that was."""
        for cell in in_cells(probes):
            missing = set(self._store.missing(context, [probe.digest() for probe in cell]))
            todo = [probe for probe in cell if probe.digest() in missing]
            yield todo, len(cell) - len(todo)

    def _begun(self, context: str, probes: Sequence[Probe]) -> dict[str, GenerationRequest]:
        """How greedy answers begin, and whether they end there, by probe digest; from stored token scores.

        Where scores are after other ids or positions than generation sees, it is a guess, which generation checks.
        """
        if not context:
            return {}
        ends = self._models.end_ids(self._model, self._protocol)
        unique = {probe.digest(): probe for probe in probes}
        stored = self._store.text(context, list(unique), pieces=False)
        result: dict[str, GenerationRequest] = {}
        for digest, evidence in stored.items():
            if ANSWER in evidence.scores:
                ids, ended = greedy_beginning(evidence.scores[ANSWER], ends)
                item = score_items(unique[digest], self._date)[ANSWER]
                known = self._models.knows_beginning(self._model, item, self._protocol)
                result[digest] = (
                    GenerationRequest("", "", begun=ids, ended=ended)
                    if known
                    else GenerationRequest("", "", guess=ids)
                )
        return result

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


def _asked(item: ScoreItem) -> Asked:
    return item.prompt, item.answer, item.format, item.turns, item.answer_prefix


def _both(first: OnAnswer, second: OnAnswer) -> OnAnswer:
    """Tells both; the tokens are the first's."""

    def tell(tokens: int) -> None:
        first(tokens)
        second(0)

    return tell


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
