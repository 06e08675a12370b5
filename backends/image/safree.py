"""SAFREE's projection of a prompt's text states out of a concept (Yoon et al. 2024, arXiv 2410.12761, section 4.1).

Left out of the paper: the filter that decides from the prompt how many steps are drawn so (here all are), and the
filter of the latents' low frequencies. Differences to the authors' code are listed in `docs/inference.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MASK = 0
"""Id that takes a token's place, as in the authors' code; an exclamation mark to CLIP."""

ROUNDING = 1e-5
"""Of float32 states: directions in which they reach less far than this share of the farthest count as zero."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What is done to one prompt's states.

    Attributes:
        triggers: places of the tokens whose states are projected.
        matrix: (I - P_concept) P_prompt, shape (D, D), double.
        start: first dimension of the states that is projected; SDXL's first text encoder lies before it.
    """

    triggers: tuple[int, ...]
    matrix: Tensor
    start: int = 0

    def of(self, states: Tensor) -> Tensor:
        """The states, shape (T, D), with those of the triggers projected."""
        if not self.triggers:
            return states
        places = torch.tensor(self.triggers, device=states.device)
        changed = states.clone()
        own = states[places, self.start :].double()
        changed[places, self.start :] = (own @ self.matrix.T.to(own.device)).to(states.dtype)
        return changed


@torch.no_grad()
def projection(pipe: Any, prompt: str, concept: Sequence[str], alpha: float) -> Projection:
    """How a prompt is projected.

    A token is a trigger where the prompt without it is farther from the concept than the prompts without one of the
    others are on average, by a share of alpha: ||(I - P) p_i|| >= (1 + alpha) mean_{j != i} ||(I - P) p_j||. A prompt
    of a single token is a trigger as a whole.

    Args:
        pipe: with CLIP's text model as `text_encoder`, or SDXL's second as `text_encoder_2`.
        prompt: as it is drawn.
        concept: phrases that span it.
        alpha: the margin.
    """
    second = getattr(pipe, "text_encoder_2", None) is not None
    tokenizer = pipe.tokenizer_2 if second else pipe.tokenizer
    ids = _ids(tokenizer, _for_tokens(pipe, prompt, tokenizer))
    spanned = torch.stack([_pooled(pipe, _ids(tokenizer, _for_tokens(pipe, p, tokenizer))) for p in concept])
    outside = torch.eye(spanned.shape[1], dtype=torch.float64, device=spanned.device) - onto(spanned)
    masked = []
    for place in range(1, len(ids) - 1):
        without = list(ids)
        without[place] = MASK
        masked.append(_pooled(pipe, without))
    if not masked:
        return Projection((), outside)
    points = torch.stack(masked)
    start = pipe.text_encoder.config.hidden_size if second else 0
    return Projection(triggers((points @ outside.T).norm(dim=1), alpha), outside @ onto(points), start)


def triggers(distances: Tensor, alpha: float) -> tuple[int, ...]:
    """Places of the tokens that carry the concept, by the distance of the prompt without each; the first is place 1."""
    if len(distances) == 1:
        return (1,)
    others = (distances.sum() - distances) / (len(distances) - 1)
    return tuple(place for place, far in enumerate(distances >= (1 + alpha) * others, start=1) if far)


def onto(points: Tensor) -> Tensor:
    """The orthogonal projection onto the span of points, shape (N, D) -> (D, D); roundings of them span nothing."""
    return torch.linalg.pinv(points, rtol=ROUNDING) @ points


def _for_tokens(pipe: Any, text: str, tokenizer: Any) -> str:
    """The text with learned tokens of several vectors written out, as the pipeline reads it."""
    convert = getattr(pipe, "maybe_convert_prompt", None)
    return text if convert is None else str(convert(text, tokenizer))


def _ids(tokenizer: Any, text: str) -> list[int]:
    longest = tokenizer.model_max_length
    ids = list(tokenizer(text, truncation=False)["input_ids"])
    return ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]


def _pooled(pipe: Any, ids: Sequence[int]) -> Tensor:
    """State of the end token, shape (D,), double; through its projection in SDXL's second encoder."""
    encoder = getattr(pipe, "text_encoder_2", None) or pipe.text_encoder
    states = encoder(torch.tensor([list(ids)], device=encoder.device), output_hidden_states=True)
    last = states.last_hidden_state[0, -1]
    head = getattr(encoder, "text_projection", None)
    pooled: Tensor = last if head is None else head(last)
    return pooled.double()
