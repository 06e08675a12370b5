"""Answers to all probe sets of a model, of all seeds: those that run together share every step of the model.

Each set's run is recorded when its last answer is stored, and has its share of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from backends.errors import ModelError
from backends.study import Decoding, Probe, ProbeSet
from cache.evaluate.gather_text import AskedAnswer, TextGatherer
from cache.evaluate.progress import Counter, SetWork


@dataclass(frozen=True, slots=True)
class SetAnswers:
    """Answers to one probe set.

    Attributes:
        probe_set: the set.
        work: what was done of it; grows.
        counter: of its answers, those that are stored counted.
        missing: context, seed and probe of those that are not.
    """

    probe_set: ProbeSet
    work: SetWork
    counter: Counter
    missing: list[tuple[str, int, Probe]]


def write_answers(
    sets: Sequence[SetAnswers],
    load: Callable[[Counter], TextGatherer],
    decoding: Decoding,
    scored: str,
    record: Callable[[ProbeSet], None],
    refuse: Callable[[ProbeSet, Probe, ModelError], None],
) -> None:
    """Writes what is missing.

    Args:
        sets: some answer is missing of one of them at least.
        load: the gatherer with its model; a counter says so meanwhile.
        decoding: settings.
        scored: context of the model's token scores.
        record: keeps the run of a set, as soon as the set is complete.
        refuse: told what the model cannot serve.

    Raises:
        Cancelled: stopped; answers that had ended are stored.
    """
    started = time.perf_counter()
    tokens = {each.probe_set.name: 0 for each in sets}

    def done(answers: SetAnswers, count: int) -> None:
        answers.counter.add(1)
        answers.work.gathered += 1
        tokens[answers.probe_set.name] += count
        if answers.counter.complete:
            finish(answers)
            record(answers.probe_set)

    def finish(answers: SetAnswers) -> None:
        """Sets share the time as they share the tokens."""
        share = tokens[answers.probe_set.name] / max(1, sum(tokens.values()))
        answers.work.seconds += share * (time.perf_counter() - started)
        answers.work.notes += text.notes[noted:]

    text = load(next(each.counter for each in sets if each.missing))
    text.refused.clear()
    noted = len(text.notes)
    wanted = [
        AskedAnswer(context, seed, probe, partial(done, each))
        for each in sets
        for context, seed, probe in each.missing
    ]
    try:
        text.answers(wanted, decoding, scored)
    finally:
        for probe, error in text.refused:
            refuse(next(each.probe_set for each in sets if probe in each.probe_set.probes), probe, error)
        for each in sets:
            if not each.work.recorded:
                finish(each)
