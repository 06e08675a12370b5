"""Tokens and pictures a second here, against plain transformers and diffusers on the same device.

Only measured, as the same line is quick on one card and slow on the next. Each way runs once before it is timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import cast

import torch

from backends.checkpoints.identity import resolve
from backends.image.checkpoints.folders import load_pipeline
from backends.interfaces import GenerationRequest, ImageRequest
from backends.text.tokens import ChatTokenizer
from tests.gpu.image_checks import drawing, pictures
from tests.gpu.materials import WIDE_PROMPTS, Materials
from tests.gpu.rows import Outcome
from tests.gpu.text_checks import loaded, scores, texts

ROUNDS = 3


def tokens_written(given: Materials, rows: int) -> Outcome:
    """Tokens a second that are written to so many questions at once, greedily, each answer to its full length."""
    from transformers import AutoTokenizer

    models, name = loaded(given.device, given.language), given.language.name
    family = next(iter(models._families.values()))
    prompts = [given.pairs[n % len(given.pairs)][0] for n in range(rows)]
    requests = [GenerationRequest(name, prompt) for prompt in prompts]
    # No token ends an answer, here and there: both write as many.
    family.tokenizer = cast(ChatTokenizer, _Endless(family.tokenizer))
    plain = family.module
    tokenizer = AutoTokenizer.from_pretrained(resolve(given.language.source), padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    asked = tokenizer([_as_chat(tokenizer, prompt) for prompt in prompts], return_tensors="pt", padding=True)
    asked = asked.to(given.device)

    def theirs() -> None:
        with torch.inference_mode():
            plain.generate(
                **{key: asked[key] for key in ("input_ids", "attention_mask")},
                **{"min_new_tokens": given.tokens, "max_new_tokens": given.tokens},
                **{"do_sample": False, "pad_token_id": tokenizer.pad_token_id},
            )

    ours, other = (
        rows * given.tokens / _seconds(given, way)
        for way in (lambda: texts(models, requests, given.tokens), theirs)
    )
    return _beside(ours, other, "tokens", "transformers")


def tokens_scored(given: Materials) -> Outcome:
    """Tokens of given answers a second, against one pass with the logits of every position."""
    models, name = loaded(given.device, given.language), given.language.name
    family = next(iter(models._families.values()))
    pairs = list(given.pairs) * (1 if given.tiny else 4)
    rows = [family.tokenizer.encode(*pair) for pair in pairs]
    count = sum(len(row.answer_ids) for row in rows)

    def theirs() -> None:
        for start in range(0, len(rows), 32):
            part = [[*row.prompt_ids, *row.answer_ids] for row in rows[start : start + 32]]
            width = max(map(len, part))
            ids = torch.tensor([[*row, *[family.tokenizer.pad_id] * (width - len(row))] for row in part])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in part])
            with torch.inference_mode():
                logits = family.module(
                    input_ids=ids.to(given.device), attention_mask=mask.to(given.device)
                ).logits
                logits.float().log_softmax(-1).gather(-1, ids.to(given.device)[..., None]).cpu()

    ours, other = (count / _seconds(given, way) for way in (lambda: scores(models, name, pairs), theirs))
    return _beside(ours, other, "tokens", "transformers")


def pictures_drawn(given: Materials) -> Outcome:
    """Pictures a second of Stable Diffusion's shape, all prompts in one batch, previews and all."""
    prompts = WIDE_PROMPTS if given.kind == "cuda" else WIDE_PROMPTS[:2]
    sampling, dtype = given.wide_sampling, given.wide_dtype
    requests = [ImageRequest(given.wide.name, prompt, seed) for seed, prompt in enumerate(prompts)]
    ours = len(prompts) / _seconds_drawing(given, requests, dtype)
    pipe = load_pipeline(resolve(given.wide.source), getattr(torch, dtype)).to(given.device)

    def theirs() -> None:
        generators = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
        settings = {"num_inference_steps": sampling.steps, "guidance_scale": sampling.guidance}
        pipe(list(prompts), generator=generators, output_type="np", **settings)

    return _beside(ours, len(prompts) / _seconds(given, theirs), "pictures", f"diffusers, {dtype}")


def _seconds_drawing(given: Materials, requests: Sequence[ImageRequest], dtype: str) -> float:
    """Seconds of the product's way; its models are gone afterwards."""
    models = drawing(given.device, given.wide, dtype)
    return _seconds(given, lambda: pictures(models, requests, given.wide_sampling))


class _Endless:
    """A tokenizer for which nothing ends an answer."""

    def __init__(self, tokenizer: object) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> object:
        return getattr(self._tokenizer, name)

    def ends(self, *_: object) -> frozenset[int]:
        return frozenset()


def _as_chat(tokenizer: object, prompt: str) -> str:
    return str(
        tokenizer.apply_chat_template(  # type: ignore[attr-defined]
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
    )


def _beside(ours: float, theirs: float, what: str, whose: str) -> Outcome:
    return Outcome(f"{ours:.3g} {what} a second, {whose} {theirs:.3g}: {ours / theirs:.2f} x")


def _seconds(given: Materials, work: Callable[[], object]) -> float:
    """Median seconds of some rounds, after one that is not timed."""
    times = []
    for number in range(ROUNDS + 1):
        _wait(given)
        started = time.perf_counter()
        work()
        _wait(given)
        if number:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def _wait(given: Materials) -> None:
    """Until the device has done what it was given."""
    if given.kind == "cuda":
        torch.cuda.synchronize(given.device)
    elif given.kind == "mps":
        torch.mps.synchronize()
