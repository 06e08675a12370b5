"""Language models on a device against the CPU, other number formats, attention kernels, and batches."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backends.evidence import TokenScores
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec, Quantization
from backends.text.models import LanguageModels
from tests.gpu.materials import Materials
from tests.gpu.rows import Outcome, Skipped, same, within

AGREE = 1e-4
"""Nats between the log-probabilities of one token, in float32."""
HALF = 0.1
"""Mean nats between bfloat16 and float32: above it, something else is wrong."""
PACKED = {"demo": 0.9, "tiny": 0.5}
"""Least correlation of a quantised model's log-probabilities with the whole model's, less where weights are random."""


def loaded(device: str, *specs: ModelSpec, dtype: str = "float32") -> LanguageModels:
    """The product's models on a device."""
    models = LanguageModels(device, dtype)
    for spec in specs:
        models.add(spec)
    return models


def scores(models: LanguageModels, name: str, pairs: Sequence[tuple[str, str]]) -> list[TokenScores]:
    """Token scores of all answers, in one call."""
    items = [ScoreItem(prompt, answer) for prompt, answer in pairs]
    scored = {each.index: each.scores for each in models.score(name, items, lambda: False)}
    return [scored[index] for index in range(len(items))]


def texts(
    models: LanguageModels, requests: Sequence[GenerationRequest], tokens: int, temperature: float = 0.0
) -> list[str]:
    """What is written to all requests, in one call."""
    decoding = Decoding(max_new_tokens=tokens, temperature=temperature)
    written = {
        part.index: part.answer.text
        for part in models.generate(requests, decoding, lambda: False)
        if part.done
    }
    return [written[index] for index in range(len(requests))]


def asked(given: Materials, name: str) -> list[GenerationRequest]:
    """Every question to one model, each with a seed of its own."""
    return [GenerationRequest(name, prompt, seed) for seed, (prompt, _) in enumerate(given.pairs)]


def logprobs(parts: Sequence[TokenScores]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Log-probabilities of all tokens of all answers, one after the other."""
    return np.concatenate([part.logprobs for part in parts]).astype(np.float64)


def apart(one: Sequence[TokenScores], other: Sequence[TokenScores]) -> float:
    """Largest difference of a token's log-probability, nats; infinite where the tokens are not the same."""
    if any(not np.array_equal(a.token_ids, b.token_ids) for a, b in zip(one, other, strict=True)):
        return float("inf")
    return float(np.abs(logprobs(one) - logprobs(other)).max())


def equal(one: Sequence[str], other: Sequence[str], what: str) -> Outcome:
    """How many of the texts are the same."""
    return same(sum(a == b for a, b in zip(one, other, strict=True)), len(one), what)


def scores_agree(given: Materials) -> Outcome:
    """The CPU and the device score given answers alike."""
    name = given.language.name
    found = [scores(loaded(device, given.language), name, given.pairs) for device in ("cpu", given.device)]
    return within(apart(*found), AGREE, " nats", f" over {len(logprobs(found[0]))} tokens")


def gradients_agree(given: Materials) -> Outcome:
    """The CPU and the device give the same gradient norms, for the attack that is made of them."""
    items = [ScoreItem(*pair) for pair in given.pairs[:4]]
    norms = [
        np.array(
            [
                norm
                for _, norm in loaded(device, given.language).gradient_norms(
                    given.language.name, items, lambda: False
                )
            ]
        )
        for device in ("cpu", given.device)
    ]
    return within(float((np.abs(norms[0] - norms[1]) / norms[0]).max()), 1e-3, "", " of the norm")


def greedy_text_agrees(given: Materials) -> Outcome:
    """The CPU and the device write the same."""
    requests = asked(given, given.language.name)
    one, other = (
        texts(loaded(device, given.language), requests, given.tokens) for device in ("cpu", given.device)
    )
    return equal(one, other, "answers the same")


def sampled_text_agrees(given: Materials) -> Outcome:
    """The CPU and the device draw the same from the same seeds, but for ties that rounding decides."""
    requests = asked(given, given.language.name)
    one, other = (
        texts(loaded(device, given.language), requests, given.tokens, 1.0) for device in ("cpu", given.device)
    )
    count, least = sum(a == b for a, b in zip(one, other, strict=True)), 0.9 * len(one)
    said = f"{count} of {len(one)} answers the same"
    return Outcome(said, "90 %", "pass" if count >= least else "FAIL")


def half_precision(given: Materials) -> Outcome:
    """What bfloat16 changes on the device."""
    name = given.language.name
    whole, half = (loaded(given.device, given.language, dtype=d) for d in ("float32", "bfloat16"))
    one, other = scores(whole, name, given.pairs), scores(half, name, given.pairs)
    differences = np.abs(logprobs(one) - logprobs(other))
    first = np.concatenate([a.argmax_ids != b.argmax_ids for a, b in zip(one, other, strict=True)])
    requests = asked(given, name)
    written = [texts(models, requests, given.tokens) for models in (whole, half)]
    count = sum(a == b for a, b in zip(*written, strict=True))
    return Outcome(
        f"mean {differences.mean():.2g}, largest {differences.max():.2g} nats; first choice differs at "
        f"{100 * first.mean():.1f} % of tokens; {count} of {len(requests)} greedy answers the same",
        f"mean {HALF:g} nats",
        "pass" if differences.mean() <= HALF else "FAIL",
    )


def quantised(given: Materials, kind: Quantization) -> Outcome:
    """A model loaded in 4 or 8 bits is nearly the whole one, and smaller.

    Raises:
        Skipped: bitsandbytes is missing, or does not run on this device.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise Skipped("the package bitsandbytes is not installed")
    if given.kind == "mps":
        raise Skipped("bitsandbytes does not run on MPS")
    name = given.language.name
    whole = loaded(given.device, given.language)
    small = loaded(given.device, replace(given.language, quantization=kind))
    one, other = (logprobs(scores(models, name, given.pairs)) for models in (whole, small))
    together = float(np.corrcoef(one, other)[0, 1])
    least = PACKED["tiny" if given.demo_text is None else "demo"]
    return Outcome(
        f"mean {np.abs(one - other).mean():.2g} nats, correlation {together:.3f}, weights "
        f"{small.bytes() / whole.bytes():.2f} of float32's",
        f"correlation {least:g} or more",
        "pass" if together >= least else "FAIL",
    )


def attention(given: Materials, kind: str) -> Outcome:
    """Another implementation of attention gives the same scores as the one that models are loaded with.

    Raises:
        Skipped: it does not run here.
    """
    flash = kind.startswith("flash")
    if flash and given.kind != "cuda":
        raise Skipped("flash attention runs on CUDA only")
    if flash and importlib.util.find_spec("flash_attn") is None:
        raise Skipped("the package flash_attn is not installed")
    name, dtype = given.language.name, "bfloat16" if flash else "float32"
    usual, other = (loaded(given.device, given.language, dtype=dtype) for _ in range(2))
    module = next(iter(other._families.values())).module
    before = module.config._attn_implementation
    module.set_attn_implementation(kind)
    found = [scores(models, name, given.pairs) for models in (usual, other)]
    if not flash:
        return within(apart(*found), AGREE, " nats", f" from {before}")
    mean = float(np.abs(logprobs(found[0]) - logprobs(found[1])).mean())
    return within(mean, HALF, " nats", f" in the mean from {before}, both in bfloat16")


def batches_do_not_matter(given: Materials) -> Outcome:
    """An answer has the same scores alone as among all others."""
    models, name = loaded(given.device, given.language), given.language.name
    together = scores(models, name, given.pairs)
    alone = [scores(models, name, [pair])[0] for pair in given.pairs]
    return within(apart(together, alone), AGREE, " nats")


def company_does_not_matter(given: Materials) -> Outcome:
    """A question is answered alike alone and among all others."""
    models, requests = loaded(given.device, given.language), asked(given, given.language.name)
    alone = [texts(models, [request], given.tokens)[0] for request in requests]
    return equal(texts(models, requests, given.tokens), alone, "answers the same")


def adapters_share_a_batch(given: Materials) -> Outcome:
    """A base and its adapters write alike in one batch and one after another."""
    models = loaded(given.device, *given.adapted)
    requests = [
        GenerationRequest(spec.name, prompt) for prompt, _ in given.pairs[:3] for spec in given.adapted
    ]
    alone = [texts(models, [request], given.tokens)[0] for request in requests]
    return equal(texts(models, requests, given.tokens), alone, "answers the same")
