"""Memory of a device: what models take, the budget that is kept, and work that is halved where memory runs out."""

from __future__ import annotations

import gc
from typing import Any

import torch

from backends.errors import ModelError
from backends.pool import ModelPool
from backends.text.models import LOGIT_BYTES, LanguageModels
from tests.gpu.materials import Materials
from tests.gpu.rows import Outcome, Skipped, within
from tests.gpu.text_checks import AGREE, apart, asked, loaded, scores, texts

MOST_ROWS = 2
"""Rows of a batch that fit where running out of memory is staged."""
SHARES = (0.5, 0.25, 0.1)
"""Of the memory that scoring took beside the weights, what is left to it until it runs out."""


def weights_take_what_is_said(given: Materials) -> Outcome:
    """The device holds as many bytes as the product counts, and none after the models are let go of.

    Raises:
        Skipped: the device does not tell.
    """
    before = _allocated(given)
    pool = ModelPool(given.device)
    pool.text([given.language])
    said, taken = pool.bytes(), _allocated(given) - before
    pool.release()
    left = _allocated(given) - before
    kept = abs(taken - said) <= 0.1 * said and left <= 0.01 * said
    return Outcome(
        f"{taken / 2**20:.0f} MB taken, {said / 2**20:.0f} MB said, {left / 2**20:.1f} MB left after release",
        "10 % apart, 1 % left",
        "pass" if kept else "FAIL",
    )


def budget_is_kept(given: Materials) -> Outcome:
    """A budget of what the model takes loads it; a byte less refuses it and holds nothing."""
    pool = ModelPool(given.device)
    pool.text([given.language])
    size = pool.bytes()
    pool.release()
    enough, short = (ModelPool(given.device, memory_budget=bytes_) for bytes_ in (size, size - 1))
    enough.text([given.language])
    fits = enough.loaded() == [given.language.name]
    enough.release()
    try:
        short.text([given.language])
        refused = "loaded all the same"
    except ModelError as error:
        refused = "refused" if "budget" in str(error) and not short.loaded() else f"said: {error}"
    return Outcome(
        f"{size / 2**20:.0f} MB {'loaded' if fits else 'not loaded'}, a byte less {refused}",
        "loaded, refused",
        "pass" if fits and refused == "refused" else "FAIL",
    )


def scoring_keeps_its_share(given: Materials) -> Outcome:
    """Scoring takes little more beside the weights than what logits may.

    Raises:
        Skipped: the device does not tell.
    """
    _needs_cuda(given)
    models, pairs = loaded(given.device, given.language), list(given.pairs) * 40
    before = _allocated(given)
    torch.cuda.reset_peak_memory_stats(given.device)
    scores(models, given.language.name, pairs)
    peak = torch.cuda.max_memory_allocated(given.device) - before
    return within(peak / 2**20, 2 * LOGIT_BYTES["cuda"] / 2**20, " MB", f" for {len(pairs)} answers")


def staged_out_of_memory(given: Materials) -> Outcome:
    """Scores and answers are the same where batches of more than two rows are refused as out of memory."""
    models, name = loaded(given.device, given.language), given.language.name
    requests = asked(given, name)
    before = scores(models, name, given.pairs), texts(models, requests, given.tokens)
    module = next(iter(models._families.values())).module

    def refuse(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if len(kwargs["input_ids"]) > MOST_ROWS:
            raise torch.OutOfMemoryError("CUDA out of memory (staged)")

    models.notes.clear()
    handle = module.register_forward_pre_hook(refuse, with_kwargs=True)
    after = scores(models, name, given.pairs), texts(models, requests, given.tokens)
    handle.remove()
    halved = _halvings(models)
    alike = apart(before[0], after[0]) <= AGREE and before[1] == after[1]
    return Outcome(
        f"halved {halved[0]} times when scoring, {halved[1]} when writing; results "
        f"{'the same' if alike else 'DIFFER'}",
        "both halved, same results",
        "pass" if alike and min(halved) > 0 else "FAIL",
    )


def real_out_of_memory(given: Materials) -> Outcome:
    """The same with the device's memory really limited.

    Raises:
        Skipped: the device's memory cannot be limited.
    """
    _needs_cuda(given)
    models, pairs = loaded(given.device, given.language), list(given.pairs) * 40
    name = given.language.name
    card = torch.empty(0, device=given.device).get_device()  # this one function of torch takes a number only
    total = torch.cuda.get_device_properties(card).total_memory
    held = _allocated(given)
    torch.cuda.reset_peak_memory_stats(given.device)
    before = scores(models, name, pairs)
    beside = torch.cuda.max_memory_allocated(given.device) - held
    try:
        for share in SHARES:
            models.notes.clear()
            torch.cuda.empty_cache()
            reserved = torch.cuda.memory_reserved(given.device)
            torch.cuda.set_per_process_memory_fraction((reserved + share * beside) / total, card)
            after = scores(models, name, pairs)
            if _halvings(models)[0]:
                break
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, card)
    halved = _halvings(models)[0]
    return Outcome(
        f"with {share:.0%} of {beside / 2**20:.0f} MB halved {halved} times, "
        f"{apart(before, after):.2g} nats from before",
        f"halved, at most {AGREE:g} nats",
        "pass" if halved and apart(before, after) <= AGREE else "FAIL",
    )


def _halvings(models: LanguageModels) -> tuple[int, int]:
    """How often work was halved: when scoring, when writing."""
    said = [note for note in models.notes if note.startswith("Not enough memory")]
    writing = sum("generate" in note for note in said)
    return len(said) - writing, writing


def _allocated(given: Materials) -> int:
    """Bytes of the device that tensors take now.

    Raises:
        Skipped: it does not tell.
    """
    gc.collect()
    if given.kind == "cuda":
        torch.cuda.empty_cache()
        return int(torch.cuda.memory_allocated(given.device))
    if given.kind == "mps":
        torch.mps.empty_cache()
        return int(torch.mps.current_allocated_memory())
    raise Skipped("a CPU does not tell what models take")


def _needs_cuda(given: Materials) -> None:
    if given.kind != "cuda":
        raise Skipped("only CUDA tells the most memory that was taken, and can be limited")
