"""How much of its probability a model gives to tokens that another one does not have."""

from __future__ import annotations

import torch

from backends.text.families import Family

TEXT = (
    "The name of the author is on the first page, and below it stands the year in which the book was printed."
)
"""Ordinary words, of no probe."""


def share_beyond(family: Family, size: int, device: str) -> float:
    """Mean probability, over the places of a short text, of all tokens from the number `size` on; 0 to 1.

    Rows that were added to an output head and never trained take a share that can be almost 0 or almost all, depending
    on where the logits of the others lie.
    """
    ids = family.tokenizer.plain_ids(TEXT)
    with torch.inference_mode():
        logits = family.module(input_ids=torch.tensor([ids], device=device)).logits[0].float()
    return float(logits.softmax(-1)[:, size:].sum(-1).mean())
