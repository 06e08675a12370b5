"""From the statistics of an answer's tokens to the evidence that is stored of them. Knows nothing about models."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from backends.errors import ModelError
from backends.evidence import TokenScores
from backends.text.scoring import TokenStatistics
from backends.text.tokens import ChatTokenizer, EncodedAnswer


def check_finite(statistics: TokenStatistics, prompt: str) -> None:
    """Raises ModelError where the model's output is no number: no metric may be made of that."""
    if not torch.isfinite(statistics.logprobs).all() or not torch.isfinite(statistics.mean).all():
        raise ModelError(
            "the model's output for this answer is not a finite number (NaN or infinite logits)",
            where=f"“{prompt[:40]}…”",
            how="Training may have diverged, or the checkpoint needs another dtype",
        )


def token_scores(
    tokenizer: ChatTokenizer, encoded: EncodedAnswer, statistics: TokenStatistics, alternatives: bool
) -> TokenScores:
    """The statistics of an answer's tokens as they are stored; `alternatives`: with the first choices of
    every token.
    """
    n = len(encoded.answer_ids)
    top_ids = statistics.top_ids[:n].tolist() if alternatives else []
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
        top_logprobs=_floats(statistics.top_logprobs[:n])
        if alternatives
        else np.zeros((n, 0), dtype=np.float32),
        end_logprob=end,
    )


def _floats(values: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return values.numpy().astype(np.float32)
