"""Language models of a study, loaded once per base: adapters share the base, full models stand alone.

`LanguageModels` implements `interfaces.TextModels`. It knows nothing about stores or studies' probe sets.
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging

from backends.checkpoints import resolve
from backends.errors import CheckpointError, ModelError
from backends.evidence import Answer, TokenScores
from backends.interfaces import GenerationRequest, PartialAnswer, ScoredItem, ScoreItem, Stop
from backends.study import Decoding, ModelSpec, ProtocolName
from backends.tensors import adapter_file, read_header
from backends.text.adapters import check_adapter
from backends.text.decoding import Begun, decode
from backends.text.scoring import (
    TokenStatistics,
    batches_by_length,
    left_padded,
    prompt_groups,
    right_padded,
    token_statistics,
    without,
)
from backends.text.tokens import ChatTokenizer, EncodedAnswer

NO_ADAPTER = "__base__"
BATCH_ROWS = 64
_UNFIT = (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    TypeError,
    AttributeError,
    ImportError,
    SafetensorError,
)
"""What transformers and PEFT raise about files that they cannot make a model of."""
LOGIT_BYTES = {"cpu": 128 << 20, "cuda": 2 << 30, "mps": 512 << 20}


@dataclass(slots=True)
class _Family:
    """One loaded base with its adapters, and the tokenizer they share."""

    module: Any
    tokenizer: ChatTokenizer
    context: int
    adapters: dict[str, str] = field(default_factory=dict)  # model name -> PEFT adapter name


class LanguageModels:
    """All loaded language models; `add` loads what is missing, everything else serves them by name.

    Args:
        device: "cpu", "cuda" or "mps".
        dtype: torch's name of the number format of the weights, "float32" by default.
    """

    def __init__(self, device: str, dtype: str = "float32") -> None:
        logging.disable_progress_bar()  # whoever asked shows progress in a place of its own
        self.device = device
        self._dtype = getattr(torch, dtype)
        self._families: dict[str, _Family] = {}
        self._family_of: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """Names of the loaded models."""
        return list(self._family_of)

    def bytes(self) -> int:
        """Memory of all loaded parameters; shared ones count once."""
        return sum(
            p.numel() * p.element_size() for f in self._families.values() for p in f.module.parameters()
        )

    def add(self, spec: ModelSpec) -> None:
        """Loads one model; its base only if no loaded model has it.

        Raises:
            CheckpointError: the folder does not load. Models on the same base are let go of, and can be added again.
        """
        if spec.name in self._family_of:
            return
        folder = resolve(spec.source, revision=spec.revision) / spec.subfolder
        key = str(folder.resolve())
        if key not in self._families:
            self._families[key] = self._load(folder)
        if spec.adapter:
            try:
                self._attach(self._families[key], spec.name, resolve(spec.adapter))
            except CheckpointError:
                self._drop(key)
                raise
        self._family_of[spec.name] = key

    def end_ids(self, model: str) -> frozenset[int]:
        """Ids that end a model's answer."""
        return self._families[self._family_of[model]].tokenizer.end_ids

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        stop: Stop,
        protocol: ProtocolName = "corrected",
    ) -> Iterator[PartialAnswer]:
        """Answers as they grow; all models of one base in mixed batches. See `interfaces.TextModels.generate`."""
        for family_key, indices in self._by_family([request.model for request in requests]).items():
            family = self._families[family_key]
            room = decoding.max_new_tokens
            prompts = {i: self._prompt(family, requests[i], room, protocol) for i in indices}
            lengths = [len(prompts[i]) + len(requests[i].begun) for i in indices]
            for batch in batches_by_length(lengths, BATCH_ROWS, 16_384):
                yield from self._generate(
                    family, [indices[b] for b in batch], prompts, requests, decoding, stop, protocol
                )
                if stop():
                    return

    def score(
        self, model: str, items: Sequence[ScoreItem], stop: Stop, protocol: ProtocolName = "corrected"
    ) -> Iterator[ScoredItem]:
        """Token scores, each item through the model once and each prompt once. See `interfaces.TextModels.score`."""
        family = self._families[self._family_of[model]]
        encoded = [
            family.tokenizer.encode(item.prompt, item.answer, item.format, protocol, family.context)
            for item in items
        ]
        for item, row in zip(items, encoded, strict=True):
            needed = len(row.prompt_ids) + len(row.answer_ids) + len(row.end_ids)
            self._check_length(family, needed, item.prompt or item.answer)
            if not row.answer_ids:
                raise ModelError(
                    "the answer to score is empty, or makes no token of its own", where=item.prompt[:60]
                )
        widest = max((len(row.answer_ids) for row in encoded), default=1) + 1
        room = LOGIT_BYTES.get(self.device, LOGIT_BYTES["cpu"]) // (
            widest * family.module.config.vocab_size * 4
        )
        with self._only(family, model):
            for group in prompt_groups(encoded, max(1, room)):
                if stop():
                    return
                for index, statistics in self._score(family, group, encoded, protocol):
                    scores = _token_scores(family.tokenizer, encoded[index], statistics, items[index].rivals)
                    yield ScoredItem(index, scores)

    def _generate(
        self,
        family: _Family,
        indices: list[int],
        prompts: dict[int, list[int]],
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        stop: Stop,
        protocol: ProtocolName,
    ) -> Iterator[PartialAnswer]:
        adapters = (
            [family.adapters.get(requests[i].model, NO_ADAPTER) for i in indices] if family.adapters else None
        )
        started = time.perf_counter()
        for step in decode(
            family.module,
            [Begun(prompts[i], list(requests[i].begun), requests[i].ended) for i in indices],
            [requests[i].seed for i in indices],
            decoding,
            end_ids=family.tokenizer.end_ids,
            pad_id=family.tokenizer.pad_id,
            device=self.device,
            adapters=adapters,
            stop=stop,
            unseen=family.tokenizer.unseen(protocol),
        ):
            index = indices[step.row]
            seconds = time.perf_counter() - started
            text = family.tokenizer.text(step.ids)
            answer = Answer(text, len(step.ids), step.finish, requests[index].seed, seconds)
            yield PartialAnswer(index, answer, bool(step.finish))

    def _score(
        self,
        family: _Family,
        group: list[list[int]],
        encoded: Sequence[EncodedAnswer],
        protocol: ProtocolName,
    ) -> Iterator[tuple[int, TokenStatistics]]:
        """Scores the answers of some prompts: every prompt runs once, its answers go on from its key/value cache.

        Args:
            group: for every prompt the indices of its answers in `encoded`.
        """
        tokenizer = family.tokenizer
        prompts = [encoded[indices[0]].prompt_ids for indices in group]
        unseen = tokenizer.unseen(protocol)
        ids, prompt_mask, positions = left_padded(prompts, tokenizer.pad_id, self.device)
        prompt_mask = without(ids, prompt_mask, unseen)
        rows = [index for indices in group for index in indices]
        owner = torch.tensor(
            [place for place, indices in enumerate(group) for _ in indices], device=self.device
        )
        answers = [encoded[index].answer_ids for index in rows]
        with torch.inference_mode():
            cache = DynamicCache()
            first = family.module(
                input_ids=ids,
                attention_mask=prompt_mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            cache.batch_select_indices(owner)  # one row of the prompt's cache for each of its answers
            answer_ids, answer_mask = right_padded(answers, tokenizer.pad_id, self.device)
            answer_mask = without(answer_ids, answer_mask, unseen)
            starts = (positions[:, -1:] + 1)[owner]
            later = family.module(
                input_ids=answer_ids,
                attention_mask=torch.cat([prompt_mask[owner], answer_mask], dim=-1),
                position_ids=starts + torch.arange(answer_ids.shape[1], device=self.device),
                past_key_values=cache,
                use_cache=True,
            ).logits
            for place, index in enumerate(rows):
                targets = [*answers[place], *encoded[index].end_ids]
                logits = torch.cat([first[owner[place]][None], later[place, : len(targets) - 1]])
                yield index, token_statistics(logits, torch.tensor(targets, device=self.device))

    def _load(self, folder: Path) -> _Family:
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            module = AutoModelForCausalLM.from_pretrained(
                folder, dtype=self._dtype, use_safetensors=True, trust_remote_code=False
            )
        except _UNFIT as error:
            raise CheckpointError(
                f"transformers cannot load this model ({_first_line(error)})", where=str(folder)
            ) from error
        if "logits_to_keep" not in inspect.signature(module.forward).parameters:
            raise CheckpointError(
                f"{type(module).__name__} cannot restrict its output head to the answer (no logits_to_keep)",
                where=str(folder),
            )
        module.to(self.device).eval().requires_grad_(False)
        end = module.generation_config.eos_token_id if module.generation_config else None
        ends = frozenset(end if isinstance(end, list) else [end] if end is not None else [])
        context = int(getattr(module.config, "max_position_embeddings", 0) or 2**31)
        return _Family(module, ChatTokenizer(tokenizer, ends), context)

    def _attach(self, family: _Family, name: str, folder: Path) -> None:
        check_adapter(folder, {}, name)  # again: the files may have changed since the study was read
        adapter = f"a{len(family.adapters)}"  # PEFT forbids dots in adapter names; model names may hold them
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of missing tensors, which are refused below
                warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
                if not family.adapters:
                    family.module = PeftModel.from_pretrained(
                        family.module, str(folder), adapter_name=adapter, torch_device=self.device
                    )
                else:
                    family.module.load_adapter(str(folder), adapter_name=adapter, torch_device=self.device)
        except _UNFIT as error:
            raise CheckpointError(
                f"PEFT cannot put this adapter on the base ({_first_line(error)})",
                where=str(folder),
            ) from error
        _check_loaded(family.module, adapter, folder)
        family.module.eval().requires_grad_(False)
        family.adapters[name] = adapter

    def _drop(self, key: str) -> None:
        # PEFT changes the base in place: with half an adapter in it, it would no longer answer as the original.
        del self._families[key]
        self._family_of = {name: of for name, of in self._family_of.items() if of != key}

    def _only(self, family: _Family, model: str) -> Any:
        """Scoring runs adapter by adapter: mixed batches gain nothing there (0.84 x measured)."""
        if not family.adapters:
            return torch.inference_mode()
        if model not in family.adapters:
            return family.module.disable_adapter()
        family.module.set_adapter(family.adapters[model])
        family.module.requires_grad_(False)
        return torch.inference_mode()

    def _by_family(self, models: Sequence[str]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for index, name in enumerate(models):
            groups.setdefault(self._family_of[name], []).append(index)
        return groups

    def _prompt(
        self, family: _Family, request: GenerationRequest, room: int, protocol: ProtocolName
    ) -> list[int]:
        prompt = request.prompt
        if not prompt.strip():
            raise ModelError("the prompt is empty", how="Write a question or pick a probe")
        ids = family.tokenizer.prompt_ids(prompt, request.format, protocol)
        if len(ids) + room > family.context:
            raise ModelError(
                f"the prompt's {len(ids):,} tokens and max_new_tokens = {room:,} for the answer are more than the "
                f"model's context of {family.context:,}",
                where=f"“{prompt[:40]}…”",
                how="Shorten the prompt or lower max_new_tokens",
            )
        return ids

    def _check_length(self, family: _Family, needed: int, prompt: str) -> None:
        if needed > family.context:
            raise ModelError(
                f"prompt and answer need {needed:,} tokens, the model's context holds {family.context:,}",
                where=f"“{prompt[:40]}…”",
                how="Shorten the prompt or the reference answer",
            )


def _check_loaded(module: Any, adapter: str, folder: Path) -> None:
    """Raises CheckpointError where PEFT left out tensors of the file or made some up: it only warns of either."""
    loaded = set(get_peft_model_state_dict(module, adapter_name=adapter, save_embedding_layers=False))
    stored = set(read_header(adapter_file(folder)))
    for names, told in ((stored - loaded, "has no place on the base"), (loaded - stored, "is missing")):
        if names:
            raise CheckpointError(
                f"the adapter's tensor {min(names)[:120]} {told}",
                where=str(folder),
                how="Check target_modules and rank in adapter_config.json, or save the adapter again",
            )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _token_scores(
    tokenizer: ChatTokenizer, encoded: EncodedAnswer, statistics: TokenStatistics, rivals: bool
) -> TokenScores:
    n = len(encoded.answer_ids)
    top_ids = statistics.top_ids[:n].tolist() if rivals else []
    end = float(statistics.logprobs[n]) if len(statistics.logprobs) > n else float("nan")
    return TokenScores(
        token_ids=np.asarray(encoded.answer_ids, dtype=np.int32),
        pieces=encoded.pieces,
        logprobs=_floats(statistics.logprobs[:n]),
        ranks=statistics.ranks[:n].numpy().astype(np.int32),
        argmax_ids=statistics.argmax_ids[:n].numpy().astype(np.int32),
        mean=_floats(statistics.mean[:n]),
        variance=_floats(statistics.variance[:n]),
        entropy=_floats(statistics.entropy[:n]),
        top_pieces=tuple(tuple(tokenizer.piece(i) for i in row) for row in top_ids),
        top_logprobs=_floats(statistics.top_logprobs[:n]) if rivals else np.zeros((n, 0), dtype=np.float32),
        end_logprob=end,
    )


def _floats(values: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return values.numpy().astype(np.float32)
