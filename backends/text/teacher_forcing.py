"""Answers of some prompts through a model, each token once: neither what prompts nor what answers begin with alike is
computed again.

Answers go on from the key/value cache of their prompt. Where several answers of a prompt begin alike, as a true answer
and wrong ones of the same form do, one of them, the trunk, runs first; the others, its branches, go on from where they
diverge from it. Knows nothing about where models come from; `scoring.py` makes the statistics.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import DynamicCache

from backends.text.padding import in_common, left_padded_after, right_padded, without
from backends.text.prompt_pass import counts_by_position, prompt_pass, shared_beginning
from backends.text.scoring import TokenStatistics, beginning_of, joined, token_statistics
from backends.text.tokens import EncodedAnswer

SEGMENT = 256
"""Answer positions that go through the model at once: the logits of a long text would not fit into memory."""
SHARE_OF_TRUNK = 1 / 16
"""Of a trunk's tokens: an answer that has less in common with it pays more for skipping the rest than it gains."""
BUSY = 192
"""Tokens in a batch beyond which more of them cost as much each."""
MOST_PADDED = 1.15
"""Places in such a batch for each token in it."""
MOST_ALIKE = 32
"""Answers of one prompt among which a trunk is looked for: each is compared with each."""


@dataclass(frozen=True, slots=True)
class PrefixCache:
    """What has gone through the model, a row for each answer that resumes from there.

    Attributes:
        cache: keys and values; grows as the answers run.
        seen: attention mask over them, shape (rows, width).
        following: logits of each answer's first token, shape (rows, vocabulary).
        start: position of that token, shape (rows, 1).
    """

    cache: DynamicCache
    seen: torch.Tensor
    following: torch.Tensor
    start: torch.Tensor

    def rows(self, places: Sequence[int], *, last: bool) -> PrefixCache:
        """Some of the rows, each as often as it is named; `last` says that nobody needs this one any more."""
        index = torch.tensor(places, device=self.seen.device)
        # Selecting rows changes a cache in place, so a cache that later parts need must be copied.
        cache = self.cache if last else copy.deepcopy(self.cache)
        cache.batch_select_indices(index)
        return PrefixCache(cache, self.seen[index], self.following[index], self.start[index])


@dataclass(frozen=True, slots=True)
class AnswerPass:
    """What a model thought of some answers, and what it held then.

    Attributes:
        found: statistics of each answer.
        forks: (row, tokens) to the logits of what follows so many tokens of that row's answer.
        held: with the answers in the cache; `following` and `start` are still those of before.
        before: width of what was held before the answers.
    """

    found: list[TokenStatistics]
    forks: dict[tuple[int, int], torch.Tensor]
    held: PrefixCache
    before: int

    def after(self, places: Sequence[int], counts: Sequence[int], *, last: bool) -> PrefixCache:
        """Where some rows are after so many tokens of their answer; the tokens behind stay in the cache, unseen."""
        held = self.held.rows(places, last=last)
        count = torch.tensor([[each] for each in counts], device=held.seen.device)
        column = torch.arange(held.seen.shape[1], device=held.seen.device) - self.before
        following = torch.stack([self.forks[fork] for fork in zip(places, counts, strict=True)])
        # Keys and values cannot be cut at a different place in each row, so later tokens are masked instead;
        # positions count real tokens only, which is why `counts_by_position` must allow such gaps.
        return PrefixCache(held.cache, held.seen * (column < count), following, held.start + count)


def score_answers(
    module: Any,
    group: Sequence[Sequence[int]],
    encoded: Sequence[EncodedAnswer],
    *,
    pad_id: int,
    unseen: frozenset[int],
    device: str,
    most_rows: int,
) -> Iterator[tuple[int, TokenStatistics]]:
    """Statistics of every answer of a group of prompts, in no certain order.

    Args:
        module: the language model.
        group: for every prompt the indices of its answers in `encoded`.
        encoded: prompts and answers.
        pad_id: any id; padding is masked.
        unseen: ids that attention skips.
        device: of the model.
        most_rows: answers that run at once where all are as long as the longest.
    """
    owner = {index: place for place, indices in enumerate(group) for index in indices}
    longest = max(len(encoded[index].answer_ids) for index in owner)
    room = most_rows * (longest + 1)
    prompts = [encoded[indices[0]].prompt_ids for indices in group]
    # A branch leaves the rest of its trunk masked in the cache, so a row may be up to twice as wide as its tokens.
    width = 2 * (max(map(len, prompts)) + longest)
    shares = counts_by_position(module, width)
    branches: dict[int, dict[int, int]] = {}
    for indices in group if shares else ():
        branches |= _branches(indices, encoded)
    apart = {index for found in branches.values() for index in found}
    with torch.inference_mode():
        begin = shared_beginning(module, prompts, 1, width)
        ids, padding, positions = left_padded_after(prompts, begin, pad_id, device)
        seen, cache = without(ids, padding, unseen), DynamicCache()
        following = prompt_pass(module, ids, seen, positions, begin, cache)[:, -1]
        asked = PrefixCache(cache, seen, following, positions[:, -1:] + 1)
        parts = _parts({index: len(encoded[index].answer_ids) for index in owner if index not in apart}, room)
        for part in parts:
            held = asked.rows([owner[index] for index in part], last=part is parts[-1])
            answers = [encoded[index] for index in part]
            points = [sorted(set(branches.get(index, {}).values())) for index in part]
            ran = _run(module, held, answers, points, pad_id, unseen)
            yield from zip(part, ran.found, strict=True)
            grown = [(place, branches[index]) for place, index in enumerate(part) if index in branches]
            yield from _score_branches(module, ran, grown, encoded, room, pad_id, unseen)


def _score_branches(
    module: Any,
    ran: AnswerPass,
    grown: Sequence[tuple[int, Mapping[int, int]]],
    encoded: Sequence[EncodedAnswer],
    room: int,
    pad_id: int,
    unseen: frozenset[int],
) -> Iterator[tuple[int, TokenStatistics]]:
    """Statistics of the branches of trunks that ran.

    Args:
        module: the language model.
        ran: with the trunks among its rows.
        grown: row of each trunk and its branches, index to tokens in common.
        encoded: prompts and answers.
        room: tokens at once.
        pad_id: any id.
        unseen: ids that attention skips.
    """
    trunk = {index: place for place, branches in grown for index in branches}
    common = {index: count for _, branches in grown for index, count in branches.items()}
    parts = _parts({index: len(encoded[index].answer_ids) - common[index] for index in common}, room)
    for part in parts:
        held = ran.after(
            [trunk[index] for index in part], [common[index] for index in part], last=part is parts[-1]
        )
        answers = [_without_first(encoded[index], common[index]) for index in part]
        ends = _run(module, held, answers, [()] * len(part), pad_id, unseen)
        for index, end in zip(part, ends.found, strict=True):
            yield index, joined([beginning_of(ran.found[trunk[index]], common[index]), end])


def _branches(indices: Sequence[int], encoded: Sequence[EncodedAnswer]) -> dict[int, dict[int, int]]:
    """The answer of a prompt with which the others have most in common, and how many tokens each of them has.

    Empty where no answer has enough in common with another one.
    """
    if not 1 < len(indices) <= MOST_ALIKE:
        return {}

    def of(trunk: int) -> dict[int, int]:
        ids = encoded[trunk].answer_ids
        shared = {i: in_common(ids, encoded[i].answer_ids) for i in indices if i != trunk}
        return {i: count for i, count in shared.items() if count and count >= SHARE_OF_TRUNK * len(ids)}

    best = max(((index, of(index)) for index in indices), key=lambda each: sum(each[1].values()))
    return {best[0]: best[1]} if best[1] else {}


def _without_first(answer: EncodedAnswer, count: int) -> EncodedAnswer:
    return replace(answer, answer_ids=answer.answer_ids[count:], pieces=answer.pieces[count:])


def _parts(lengths: Mapping[int, int], room: int) -> list[list[int]]:
    """Answers of similar length together, as many as `room` has places for with the token after each.

    A part that keeps the processor busy ends where going on would pad it by more than it gains.
    """
    parts: list[list[int]] = []
    tokens = 0  # of the last part, without padding
    # By length, so that padding is small; then by index, so that the same call always forms the same batches.
    for index in sorted(lengths, key=lambda index: (lengths[index], index)):
        length = lengths[index]
        places = (len(parts[-1]) + 1) * (length + 1) if parts else 0
        if not parts or places > room or (tokens >= BUSY and length * len(parts[-1]) > MOST_PADDED * tokens):
            parts.append([])
            tokens = 0
        parts[-1].append(index)
        tokens += length
    return parts


def _run(
    module: Any,
    held: PrefixCache,
    answers: Sequence[EncodedAnswer],
    points: Sequence[Sequence[int]],
    pad_id: int,
    unseen: frozenset[int],
) -> AnswerPass:
    """Answers through the model, after what is held.

    Args:
        module: the language model.
        held: its cache grows.
        answers: one a row.
        points: of each row, the numbers of tokens after which the prediction is kept; none of them is 0.
        pad_id: any id.
        unseen: ids that attention skips.
    """
    device, before = str(held.seen.device), held.seen.shape[1]
    ids, padding = right_padded([answer.answer_ids for answer in answers], pad_id, device)
    mask = torch.cat([held.seen, without(ids, padding, unseen)], dim=-1)
    targets = [torch.tensor([*answer.answer_ids, *answer.end_ids], device=device) for answer in answers]
    # An answer's first token is predicted by the prompt's last position, whose logits are already in `following`.
    result = [[token_statistics(held.following[row][None], target[:1])] for row, target in enumerate(targets)]
    forks: dict[tuple[int, int], torch.Tensor] = {}
    for begin in range(0, ids.shape[1], SEGMENT):
        end = min(begin + SEGMENT, ids.shape[1])
        logits = module(
            input_ids=ids[:, begin:end],
            attention_mask=mask[:, : before + end],
            position_ids=held.start + torch.arange(begin, end, device=device),
            past_key_values=held.cache,
            use_cache=True,
        ).logits
        for row, target in enumerate(targets):
            # Logits at position t predict token t + 1; the end token after the answer is the last target.
            wanted = target[begin + 1 : end + 1]
            if len(wanted):
                result[row].append(token_statistics(logits[row, : len(wanted)], wanted))
            for count in points[row]:
                if begin < count <= end:
                    forks[row, count] = logits[row, count - 1 - begin].clone()
    statistics = [joined(parts) for parts in result]
    return AnswerPass(statistics, forks, replace(held, seen=mask), before)
