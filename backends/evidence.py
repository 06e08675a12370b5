"""What a model did on a probe, stored once: token scores, generated answers, images and their judgements.

Plain arrays and values; metrics are computed from these, and from nothing else. Knows nothing about models or stores.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

ANSWER = "answer"
PARAPHRASE = "paraphrase"


def perturbed(index: int) -> str:
    """Name under which the scores of the index-th perturbed answer are kept."""
    return f"perturbed:{index}"


def option(index: int) -> str:
    """Name under which the scores of the index-th wrong option are kept."""
    return f"option:{index}"


class _Averaged:
    """Has a place for a mean, which is no field: neither copied, compared nor written anywhere."""

    __slots__ = ("_mean_logprob",)
    _mean_logprob: float


@dataclass(frozen=True, slots=True)
class TokenScores(_Averaged):
    """One answer, teacher-forced: what the model thought of each of its N tokens.

    The end-of-turn token is not among them but for the protocol open-unlearning, which scores it as part of the answer.

    Attributes:
        token_ids: shape (N,).
        pieces: the N tokens as text; joined they are the answer. "" for a special token.
        logprobs: log p(token | prompt, earlier tokens), nats, shape (N,).
        ranks: 0 where the token is the model's first choice, shape (N,).
        argmax_ids: the model's first choice, shape (N,).
        mean: expectation of log p under p, nats, shape (N,). Min-K%++ (Zhang et al. 2024, eq. 3).
        variance: variance of log p under p, shape (N,).
        entropy: entropy of the next-token distribution, nats, shape (N,).
        top_pieces: the model's first K choices as text, for each token; () where they were not kept.
        top_logprobs: their log-probabilities, shape (N, K); K = 0 where they were not kept.
        end_logprob: log-probability of the end-of-turn token after the answer, nats; NaN where the model has none.
    """

    token_ids: IntArray
    pieces: tuple[str, ...]
    logprobs: FloatArray
    ranks: IntArray
    argmax_ids: IntArray
    mean: FloatArray
    variance: FloatArray
    entropy: FloatArray
    top_pieces: tuple[tuple[str, ...], ...]
    top_logprobs: FloatArray
    end_logprob: float

    @property
    def hits(self) -> BoolArray:
        """Argmax equals the reference token, shape (N,)."""
        hits: BoolArray = self.argmax_ids == self.token_ids
        return hits

    @property
    def mean_logprob(self) -> float:
        """Mean log-probability of the tokens, nats; NaN without tokens. Made once: a dozen metrics ask for it."""
        try:
            return self._mean_logprob
        except AttributeError:
            object.__setattr__(self, "_mean_logprob", mean_logprob(self.logprobs))
            return self._mean_logprob


def mean_logprob(logprobs: FloatArray) -> float:
    """Mean log-probability of tokens, nats; NaN without tokens. Higher means better known."""
    return float(np.add.reduce(logprobs, dtype=np.float64)) / len(logprobs) if len(logprobs) else math.nan


class AveragedScores(Mapping[str, TokenScores]):
    """Token scores by the name of the answer, whose means are known before any is looked at."""

    __slots__ = ()

    @property
    @abstractmethod
    def mean_logprobs(self) -> Mapping[str, float]:
        """`TokenScores.mean_logprob` of each, in the same order."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One generated answer. `finish` is "stop" (end of turn), "length" or "cancelled"; cancelled is never stored."""

    text: str
    n_tokens: int
    finish: str
    seed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """What one language model did on one probe; `gradient_norm` is NaN where nobody asked for it."""

    scores: Mapping[str, TokenScores] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    gradient_norm: float = math.nan

    @property
    def mean_logprobs(self) -> Mapping[str, float]:
        """Mean log-probability of the tokens of every scored answer, nats, by its name; NaN without tokens."""
        known: Mapping[str, float] | None = getattr(self.scores, "mean_logprobs", None)
        if known is None:  # not `AveragedScores`
            return {name: scores.mean_logprob for name, scores in self.scores.items()}
        return known


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge says of one picture.

    Attributes:
        label: the most probable class; the reject class is "none".
        probabilities: class name to probability; sums to 1.
    """

    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ImageEvidence:
    """One picture that one diffusion model made from one prompt and seed.

    Attributes:
        image: BLAKE3 of the PNG file in the store.
        judgements: judge domain ("object", "style") to what it says.
        features: judge features used for distances, shape (D,); empty where none.
    """

    image: str
    seed: int
    judgements: Mapping[str, Judgement]
    features: FloatArray
    seconds: float
