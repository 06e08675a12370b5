"""Greedy and sampled decoding, token by token, of rows that may belong to different adapters of one base.

transformers' `generate` streams a single row and gives no per-row seeds, so the loop is here; logit filters and masks
are transformers' own. One CPU generator a row: the same seed draws the same noise for every model. Rows that end are
replaced by waiting ones, so that a step is always shared by as many as may run at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from backends.errors import ModelError
from backends.interfaces import Stop
from backends.study import Decoding
from backends.text.memory import out_of_memory
from backends.text.running_batch import RunningBatch, RunningRow

FORESEEN = 512
"""New tokens for which room is kept in memory: few answers are longer, however long they may be."""
JOIN_AT = 8
"""One place in so many must be free before waiting rows join: every joining is a pass of its own."""


@dataclass(frozen=True, slots=True)
class DecodingStep:
    """Row `row` has got these tokens so far; `finish` is "" while it goes on, else "stop" or "length"."""

    row: int
    ids: list[int]
    finish: str


@dataclass(frozen=True, slots=True)
class PrefixedPrompt:
    """A prompt, what is known to be written first after it, and whether nothing comes after that.

    `guess` is what may come next: it is written as far as it is what the model would choose, whoever guessed it. Only
    for greedy decoding.
    """

    prompt: list[int]
    ids: list[int]
    ended: bool = False
    guess: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much may run at a time.

    Attributes:
        rows: answers.
        tokens: of prompts and answers whose keys and values are held, answers counted as `FORESEEN`.
        logits: numbers in the predictions of one pass.
    """

    rows: int
    tokens: int
    logits: int


def decode(
    model: Any,
    asked: Sequence[PrefixedPrompt],
    seeds: Sequence[int],
    decoding: Decoding,
    *,
    end_ids: frozenset[int],
    pad_id: int,
    device: str,
    adapters: Sequence[str] | None,
    stop: Stop,
    limits: BatchLimits,
    refuse: Callable[[int, ModelError], None],
    note: Callable[[str], None],
    unseen: frozenset[int] = frozenset(),
) -> Iterator[DecodingStep]:
    """Yields every row after every token, those with the shortest prompts first.

    Args:
        asked: token ids of each row.
        seeds: one for each row; unused when greedy.
        adapters: PEFT adapter name of each row ("__base__" for none), or None for a model without adapters.
        stop: checked before every pass; when it says True the iterator ends.
        limits: of what runs at a time. Where memory does not suffice, half as many rows go on.
        refuse: told which row cannot be answered, and why; the others can.
        note: told what a person should know.
        unseen: ids of prompt tokens that attention skips; positions count the others, as in transformers' `generate`.
    """
    most_new = decoding.max_new_tokens
    waiting: deque[RunningRow] = deque()
    for number in sorted(range(len(asked)), key=lambda each: (len(asked[each].prompt), each)):
        row = _row(number, asked[number], seeds[number], adapters, decoding)
        if asked[number].ended and len(asked[number].ids) <= most_new:
            yield DecodingStep(number, row.written, "stop")
        elif len(row.written) >= most_new:
            yield DecodingStep(number, row.written, "length")
        else:
            waiting.append(row)
    batch = RunningBatch(model, most_new=most_new, pad_id=pad_id, device=device, unseen=unseen)
    room = _Room(limits, most_new, len(asked))
    while waiting or batch.rows:
        if stop():
            return
        joining = room.who_joins(batch.rows, waiting)
        if joining:
            if not _fits_memory(partial(batch.join, joining)):
                _again(joining, batch, waiting, room, refuse, note)
                continue
            full = [place for place, row in enumerate(batch.rows) if len(row.written) >= most_new]
            yield from (_step(batch.rows[place], "length") for place in full)
            _without(full, batch)
        _without(_refused(batch, refuse), batch)
        if not batch.rows:
            continue
        chosen = _choose(batch.following, decoding, [row.generator for row in batch.rows])
        ended: list[int] = []
        for place, (row, token) in enumerate(zip(batch.rows, chosen.tolist(), strict=True)):
            if token not in end_ids:
                row.written.append(token)
            finish = "stop" if token in end_ids else "length" if len(row.written) >= most_new else ""
            ended += [place] if finish else []
            yield _step(row, finish)
        chosen = chosen[_without(ended, batch)]
        if batch.rows:
            if stop():
                return
            if not _fits_memory(partial(batch.step, chosen)):
                _again((), batch, waiting, room, refuse, note)


def _row(
    number: int, asked: PrefixedPrompt, seed: int, adapters: Sequence[str] | None, decoding: Decoding
) -> RunningRow:
    written = list(asked.ids[: decoding.max_new_tokens])
    guess = list(asked.guess[: decoding.max_new_tokens - len(written)]) if decoding.temperature == 0 else []
    adapter = None if adapters is None else adapters[number]
    return RunningRow(number, asked.prompt, written, guess, adapter, torch.Generator().manual_seed(seed))


class _Room:
    """How many rows may run at a time; fewer after memory ran out."""

    def __init__(self, limits: BatchLimits, most_new: int, count: int) -> None:
        self._limits = limits
        self._foreseen = min(most_new, FORESEEN)
        self.rows = min(limits.rows, count)

    def who_joins(self, running: Sequence[RunningRow], waiting: deque[RunningRow]) -> list[RunningRow]:
        """Takes those out of the queue that join now: none as long as only a few places are free."""
        longest = max((len(row.prompt) for row in running), default=0)
        free = self.rows - len(running)
        if running and free < max(1, self.rows // JOIN_AT):
            return []
        joining: list[RunningRow] = []
        guessed = 0
        while waiting and len(joining) < free:
            row = waiting[0]
            longest, guessed = max(longest, len(row.prompt)), max(guessed, len(row.guess))
            count = len(joining) + 1
            tokens = (len(running) + count) * (longest + self._foreseen)
            too_much = tokens > self._limits.tokens or count * (guessed + 1) > self._limits.logits
            if too_much and (joining or running):
                break
            joining.append(waiting.popleft())
        return joining

    def halve(self, count: int) -> None:
        """Memory did not suffice for so many rows."""
        self.rows = max(1, min(count, self.rows) // 2)


def _fits_memory(work: Callable[[], None]) -> bool:
    try:
        work()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return False
    return True


def _again(
    joining: Sequence[RunningRow],
    batch: RunningBatch,
    waiting: deque[RunningRow],
    room: _Room,
    refuse: Callable[[int, ModelError], None],
    note: Callable[[str], None],
) -> None:
    """Memory ran out: all rows wait again with what they have written, and fewer run at a time."""
    rows = [*batch.clear(), *(row for row in joining)]
    if len(rows) == 1:
        refuse(
            rows[0].number,
            ModelError(
                "there is not enough memory for this answer",
                how="Lower max_new_tokens, close other programs, or use another --device",
            ),
        )
        return
    note(f"Not enough memory to generate {len(rows)} answers at once; continued with half as many.")
    room.halve(len(rows))
    waiting.extendleft(reversed(rows))


def _refused(batch: RunningBatch, refuse: Callable[[int, ModelError], None]) -> list[int]:
    """Places of rows after which the model expects nothing that is a number."""
    if not batch.rows:
        return []
    finite = torch.isfinite(batch.following.amax(-1)).tolist()
    wrong = [place for place, good in enumerate(finite) if not good]
    for place in wrong:
        refuse(
            batch.rows[place].number,
            ModelError(
                "the model's output is not finite (NaN or infinite logits), so it cannot answer",
                how="Training may have diverged, or the checkpoint needs another dtype",
            ),
        )
    return wrong


def _without(places: Sequence[int], batch: RunningBatch) -> list[int]:
    """The batch without the rows of these places; returns where those that stay were, in their new order."""
    gone = set(places)
    stay = [place for place in range(len(batch.rows)) if place not in gone]
    if not gone:
        return stay
    if not stay:
        batch.clear()
        return []
    return batch.keep(stay)


def _step(row: RunningRow, finish: str) -> DecodingStep:
    return DecodingStep(row.number, list(row.written), finish)


def _choose(logits: torch.Tensor, decoding: Decoding, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Next token of each row, shape (rows,). Sampling is argmax of logits plus Gumbel noise (Gumbel-max trick)."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    unused = torch.empty(0, dtype=torch.long)
    logits = TemperatureLogitsWarper(decoding.temperature)(unused, logits)
    if decoding.top_p < 1:
        logits = TopPLogitsWarper(decoding.top_p)(unused, logits)
    # One CPU generator a row: a row's sample depends neither on the device nor on its neighbours in the batch,
    # and equal seeds give all models the same noise. Clamped, as log(0) would be infinite.
    uniform = torch.stack(
        [torch.rand(logits.shape[-1], generator=g, dtype=torch.float32) for g in generators]
    )
    noise = -torch.log(-torch.log(uniform.clamp_min(1e-20)))
    return (logits + noise.to(logits.device)).argmax(-1)
