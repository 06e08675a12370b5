"""Language models of a study, loaded once per base: adapters share the base, full models stand alone.

`LanguageModels` implements `interfaces.TextModels`. It knows nothing about stores or studies' probe sets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from transformers.utils import logging

from backends.checkpoints.loader_report import LoaderReport, LoadResult
from backends.device import device_kind
from backends.errors import ModelError
from backends.evidence import Answer
from backends.interfaces import GenerationRequest, PartialAnswer, Refuse, ScoredItem, ScoreItem, Stop
from backends.study import Decoding, ModelSpec, ProtocolName
from backends.text.comparison import loader_report, loads_of
from backends.text.decoding import BatchLimits, PrefixedPrompt, decode
from backends.text.families import Family
from backends.text.gradients import gradient_norm, weights_of, without_last_label
from backends.text.loaded_families import HIDDEN, LoadedFamilies
from backends.text.memory import halves, out_of_memory
from backends.text.scoring import TokenStatistics, prompt_groups
from backends.text.teacher_forcing import SEGMENT, score_answers
from backends.text.token_scores import check_finite, token_scores
from backends.text.tokens import EncodedAnswer
from backends.text.vocabulary_share import share_beyond

NO_ADAPTER = "__base__"
BATCH_ROWS = 64
LOGIT_BYTES = {"cpu": 128 << 20, "cuda": 2 << 30, "mps": 512 << 20}
GROUPED = 3
"""Times as many answers wait together as run at once, so that those that run together are of one length."""
MOST_TOKENS = 16_384
"""Of prompts and answers whose keys and values are held at once."""


class LanguageModels:
    """All loaded language models; `add` loads what is missing, everything else serves them by name.

    Args:
        device: "cpu", "cuda" or "mps".
        dtype: torch's name of the number format of the weights, "float32" by default.
    """

    def __init__(self, device: str, dtype: str = "float32") -> None:
        logging.disable_progress_bar()  # the caller shows progress
        self.device = device
        self.dtype = dtype
        self._loaded = LoadedFamilies(device, getattr(torch, dtype))
        self._families = self._loaded.families
        self._family_of = self._loaded.family_of
        self.notes: list[str] = []
        """What happened on the way that a person should know, in sentences."""

    @property
    def names(self) -> list[str]:
        """Names of the loaded models."""
        return [name for name in self._family_of if not name.startswith(HIDDEN)]

    def bytes(self) -> int:
        """Memory of all loaded parameters; shared ones count once."""
        return self._loaded.bytes()

    def add(self, spec: ModelSpec) -> None:
        """Loads one model; its base only if no loaded model has it. See `LoadedFamilies.add`."""
        self._loaded.add(spec)

    def loads(self, model: str) -> tuple[LoadResult, ...]:
        """What reading a model's weights did: its base, then its adapter or changed tensors where it has some."""
        return loads_of(self._families[self._family_of[model]], model)

    def report(self, name: str, original: str) -> LoaderReport:
        """What of a loaded model differs from the original, which is loaded too."""
        families = [self._families[self._family_of[each]] for each in (original, name)]
        return loader_report(families[0], original, families[1], name)

    def remove(self, name: str) -> None:
        """Lets go of a model, and of its weights where no other loaded model is on them."""
        self._loaded.remove(name)

    def share_beyond(self, name: str, size: int) -> float:
        """Share of a model's probability, 0 to 1, that tokens from the number `size` on have. See `interfaces`."""
        family = self._families[self._family_of[name]]
        with self._only(family, name):
            return share_beyond(family, size, self.device)

    def end_ids(self, model: str, protocol: ProtocolName = "corrected") -> frozenset[int]:
        """Ids that end a model's answer."""
        return self._families[self._family_of[model]].tokenizer.ends(protocol)

    def asking_notes(
        self, model: str, formats: Sequence[str], protocol: ProtocolName = "corrected", date: str = ""
    ) -> list[str]:
        """What a person should know of how prompts with these formats are asked. See `interfaces.TextModels`."""
        tokenizer = self._families[self._family_of[model]].tokenizer
        return list(
            dict.fromkeys(
                said for format in dict.fromkeys(formats) for said in tokenizer.notes(protocol, date, format)
            )
        )

    def knows_beginning(self, model: str, item: ScoreItem, protocol: ProtocolName = "corrected") -> bool:
        """Whether a given answer's scores tell how a greedy one begins. See `interfaces.TextModels`."""
        if protocol != "open-unlearning" and not item.answer_prefix:
            return True  # prompts are tokenised apart, and nothing is hidden
        tokenizer = self._families[self._family_of[model]].tokenizer
        prompt = tokenizer.begun_ids(
            *(item.prompt, item.answer_prefix, item.format, protocol, item.turns, item.date)
        )
        scored = tokenizer.encode(
            *(item.prompt, item.answer, item.format, protocol),
            turns=item.turns,
            date=item.date,
            prefix=item.answer_prefix,
        )
        hidden = tokenizer.unseen(protocol)
        inside = hidden - tokenizer.ends(protocol)  # what ends an answer has nothing after it
        return (
            scored.prompt_ids == prompt and hidden.isdisjoint(prompt) and inside.isdisjoint(scored.answer_ids)
        )

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        stop: Stop,
        protocol: ProtocolName = "corrected",
        refuse: Refuse | None = None,
    ) -> Iterator[PartialAnswer]:
        """Answers as they grow; all models of one base in mixed batches. See `interfaces.TextModels.generate`."""
        refused = refuse or _raise
        for family_key, indices in self._by_family([request.model for request in requests]).items():
            family = self._families[family_key]
            prompts: dict[int, list[int]] = {}
            for i in indices:
                try:
                    prompts[i] = self._prompt(family, requests[i], decoding.max_new_tokens, protocol)
                except ModelError as error:
                    refused(i, error)
            yield from self._generate(family, prompts, requests, decoding, stop, protocol, refused)
            if stop():
                return

    def score(
        self, model: str, items: Sequence[ScoreItem], stop: Stop, protocol: ProtocolName = "corrected"
    ) -> Iterator[ScoredItem]:
        """Token scores, each item through the model once and each prompt once. See `interfaces.TextModels.score`."""
        family = self._families[self._family_of[model]]
        encoded = [self._encoded(family, item, protocol) for item in items]
        widest = min(max((len(row.answer_ids) for row in encoded), default=1), SEGMENT) + 1
        room = max(1, self._logit_bytes() // (widest * family.module.config.vocab_size * 4))
        with self._only(family, model):
            for group in prompt_groups(encoded, GROUPED * room, MOST_TOKENS):
                if stop():
                    return
                for index, statistics in self._score(family, group, encoded, protocol, room):
                    where = items[index].prompt or items[index].answer
                    check_finite(statistics, where)
                    scores = token_scores(
                        family.tokenizer, encoded[index], statistics, items[index].alternatives
                    )
                    yield ScoredItem(index, scores)

    def gradient_norms(
        self, model: str, items: Sequence[ScoreItem], stop: Stop, protocol: ProtocolName = "corrected"
    ) -> Iterator[tuple[int, float]]:
        """Mean gradient norm of each given answer. See `interfaces.TextModels.gradient_norms`."""
        family = self._families[self._family_of[model]]
        weights = weights_of(family.module)
        unseen = family.tokenizer.unseen(protocol)
        with self._only(family, model):
            for index, item in enumerate(items):
                if stop():
                    return
                row = self._encoded(family, item, protocol)
                where = item.prompt or item.answer
                told = f"“{where[:40]}…”"
                if protocol == "open-unlearning":
                    row = without_last_label(row, told)
                norm = gradient_norm(family.module, weights, row, unseen, self.device)
                if not math.isfinite(norm):
                    raise ModelError("the gradients for this answer are not finite", where=told)
                yield index, norm

    def _score(
        self,
        family: Family,
        group: list[list[int]],
        encoded: Sequence[EncodedAnswer],
        protocol: ProtocolName,
        room: int,
    ) -> list[tuple[int, TokenStatistics]]:
        """Scores of a group of prompts; where memory does not suffice, of its halves one after the other.

        Raises:
            ModelError: memory does not suffice for a single answer.
        """
        tokenizer = family.tokenizer
        count = sum(map(len, group))
        try:
            return list(
                score_answers(
                    family.module,
                    group,
                    encoded,
                    pad_id=tokenizer.pad_id,
                    unseen=tokenizer.unseen(protocol),
                    device=self.device,
                    most_rows=room,
                )
            )
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if count == 1:
                raise ModelError(
                    "there is not enough memory for this answer",
                    where=f"“{family.tokenizer.text(encoded[group[0][0]].prompt_ids)[:40]}…”",
                    how="Close other programs, or use another --device",
                ) from error
        self.notes.append(f"Not enough memory for {count} answers at once; continued with half as many.")
        first, second = halves(group)
        half = max(1, room // 2)
        return [
            *self._score(family, first, encoded, protocol, half),
            *self._score(family, second, encoded, protocol, half),
        ]

    def _generate(
        self,
        family: Family,
        prompts: Mapping[int, list[int]],
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        stop: Stop,
        protocol: ProtocolName,
        refuse: Refuse,
    ) -> Iterator[PartialAnswer]:
        indices = list(prompts)
        models = {requests[i].model for i in indices}
        mixed = family.adapters and len(models) > 1
        started = time.perf_counter()
        # An adapter alone is switched on; named for every row it would be looked for in every layer at every step.
        with nullcontext() if mixed or not models else self._only(family, *models):
            for step in decode(
                family.module,
                [
                    PrefixedPrompt(prompts[i], list(requests[i].begun), requests[i].ended, requests[i].guess)
                    for i in indices
                ],
                [requests[i].seed for i in indices],
                decoding,
                end_ids=family.tokenizer.ends(protocol),
                pad_id=family.tokenizer.pad_id,
                device=self.device,
                adapters=[family.adapters.get(requests[i].model, NO_ADAPTER) for i in indices]
                if mixed
                else None,
                stop=stop,
                limits=BatchLimits(
                    BATCH_ROWS, MOST_TOKENS, self._logit_bytes() // (4 * family.module.config.vocab_size)
                ),
                refuse=lambda row, error: refuse(indices[row], _asked(requests[indices[row]], error)),
                note=self.notes.append,
                unseen=family.tokenizer.unseen(protocol),
            ):
                index = indices[step.row]
                seconds = time.perf_counter() - started
                text = family.tokenizer.text(step.ids)
                answer = Answer(text, len(step.ids), step.finish, requests[index].seed, seconds)
                yield PartialAnswer(index, answer, bool(step.finish))

    def _only(self, family: Family, model: str) -> Any:
        """Scoring runs adapter by adapter: mixed batches gain nothing there (0.84 x measured)."""
        if not family.adapters:
            return nullcontext()
        if model not in family.adapters:
            return family.module.disable_adapter()
        family.module.set_adapter(family.adapters[model])
        family.module.requires_grad_(False)
        return nullcontext()

    def _by_family(self, models: Sequence[str]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for index, name in enumerate(models):
            groups.setdefault(self._family_of[name], []).append(index)
        return groups

    def _prompt(
        self, family: Family, request: GenerationRequest, room: int, protocol: ProtocolName
    ) -> list[int]:
        prompt = request.prompt
        if not prompt.strip():
            raise ModelError("the prompt is empty", how="Write a question or pick a probe")
        ids = family.tokenizer.begun_ids(
            *(prompt, request.answer_prefix, request.format, protocol, request.turns, request.date)
        )
        if len(ids) + room > family.context:
            raise ModelError(
                f"the prompt's {len(ids):,} tokens and max_new_tokens = {room:,} for the answer are more than the "
                f"model's context of {family.context:,}",
                where=f"“{prompt[:40]}…”",
                how="Shorten the prompt or lower max_new_tokens",
            )
        self._check_ids(family, ids)
        return ids

    def _logit_bytes(self) -> int:
        return LOGIT_BYTES.get(device_kind(self.device), LOGIT_BYTES["cpu"])

    def _encoded(self, family: Family, item: ScoreItem, protocol: ProtocolName) -> EncodedAnswer:
        """A given answer as ids that the model can take.

        Raises:
            ModelError: it is too long, makes no token, or has one that the model does not know.
        """
        row = family.tokenizer.encode(
            *(item.prompt, item.answer, item.format, protocol),
            *(family.context, item.turns, item.date, item.answer_prefix),
        )
        ids = [*row.prompt_ids, *row.answer_ids, *row.end_ids]
        self._check_length(family, len(ids), item.prompt or item.answer)
        if not row.answer_ids:
            raise ModelError("the answer to score is empty or has no tokens", where=item.prompt[:60])
        self._check_ids(family, ids)
        return row

    def _check_ids(self, family: Family, ids: Sequence[int]) -> None:
        size = family.module.get_input_embeddings().weight.shape[0]
        ids = ids[len(family.tokenizer.before) :]  # a soft prompt is beyond the vocabulary
        if ids and max(ids) >= size:
            raise ModelError(
                f"the tokenizer's token {family.tokenizer.piece(max(ids))!r} has the number {max(ids):,}, but the "
                f"model's vocabulary has {size:,}",
                how="Put the tokenizer that the model was trained with into its folder",
            )

    def _check_length(self, family: Family, needed: int, prompt: str) -> None:
        if needed > family.context:
            raise ModelError(
                f"prompt and answer need {needed:,} tokens, the model's context holds {family.context:,}",
                where=f"“{prompt[:40]}…”",
                how="Shorten the prompt or the reference answer",
            )


def _raise(_index: int, error: ModelError) -> None:
    raise error


def _asked(request: GenerationRequest, error: ModelError) -> ModelError:
    """The error, with the beginning of the prompt that it is about."""
    return ModelError(error.what, where=f"“{request.prompt[:40]}…”", how=error.how)
