"""The two seams that carry the application: what a set of language models and a set of image models can do.

Many models are served by one call, so that adapters of one base share a batch and image models share their noise.
Local, adapter and (later) remote models look the same to the caller. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backends.checkpoints.loader_report import LoaderReport, LoadResult
from backends.errors import ModelError
from backends.evidence import Answer, FloatArray, Judgement, TokenScores
from backends.study import Decoding, ProtocolName, Sampling, Start, Turns

Stop = Callable[[], bool]
"""Checked between steps; True ends the work at once."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One answer to be written: by which model, to which prompt, with which seed.

    `format`, `turns`, `answer_prefix`: see `Probe`; the prefix is no part of what is written. `begun` are ids that the
    model is known to write first, and `ended` says that nothing comes after them: what the scores of a given answer
    tell about greedy decoding need not be computed again. `guess` is what may come next: greedy decoding checks it in
    one pass and writes what is right of it. `date`: see `Study`.
    """

    model: str
    prompt: str
    seed: int = 0
    format: str = ""
    begun: tuple[int, ...] = ()
    ended: bool = False
    turns: Turns = ()
    date: str = ""
    guess: tuple[int, ...] = ()
    answer_prefix: str = ""


Refuse = Callable[[int, ModelError], None]
"""Told which request cannot be answered, and why; all others are."""


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The answer to request `index` so far; `done` is True exactly once for each request that was not cancelled."""

    index: int
    answer: Answer
    done: bool


@dataclass(frozen=True, slots=True)
class ScoreItem:
    """One given answer to be teacher-forced after a prompt.

    `alternatives`: keep the first choices of every token. `date`: see `Study`. `answer_prefix`: stands before the
    answer and is not scored, see `Probe` and `ChatTokenizer.encode`.
    """

    prompt: str
    answer: str
    alternatives: bool = False
    format: str = ""
    turns: Turns = ()
    date: str = ""
    answer_prefix: str = ""


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """Scores of item `index`."""

    index: int
    scores: TokenScores


class TextModels(Protocol):
    """Language models that share one tokenizer and chat template.

    Attributes:
        notes: what happened on the way that a person should know ("not enough memory ..."), in sentences.
    """

    notes: list[str]

    @property
    def names(self) -> list[str]:
        """Names of the loaded models."""
        ...

    def loads(self, model: str) -> tuple[LoadResult, ...]:
        """What reading a model's weights did: its base, then its adapter or changed tensors where it has some."""
        ...

    def report(self, name: str, original: str) -> LoaderReport:
        """What of a loaded model differs from the original, which is loaded too."""
        ...

    def remove(self, name: str) -> None:
        """Lets go of a model, and of its weights where no other loaded model is on them."""
        ...

    def share_beyond(self, name: str, size: int) -> float:
        """Share of a model's probability, 0 to 1, that tokens from the number `size` on have in a short text."""
        ...

    def end_ids(self, model: str, protocol: ProtocolName = "corrected") -> frozenset[int]:
        """Ids that end a model's answer."""
        ...

    def asking_notes(
        self, model: str, formats: Sequence[str], protocol: ProtocolName = "corrected", date: str = ""
    ) -> list[str]:
        """What a person should know of how prompts with these formats are asked, each sentence once."""
        ...

    def knows_beginning(self, model: str, item: ScoreItem, protocol: ProtocolName = "corrected") -> bool:
        """Whether a given answer's scores are after the very ids that generation sees, so that they tell its beginning.

        Not so where a protocol tokenises prompt and answer as one text and that moves their border, where one token
        holds the end of the answer's prefix and the beginning of what is scored, nor where attention skips tokens,
        which take a position when an answer is scored and none when it is written.
        """
        ...

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: Decoding,
        stop: Stop,
        protocol: ProtocolName = "corrected",
        refuse: Refuse | None = None,
    ) -> Iterator[PartialAnswer]:
        """Answers as they grow, several models in one batch where they share a base.

        All requests may be given at once: as many as the memory takes run at a time, and others take the places of
        those that end. Which ones run together changes nothing but the rounding of float32.

        Args:
            requests: what is to be written.
            decoding: settings; its seeds are not used.
            stop: checked between steps.
            protocol: how the models are asked.
            refuse: told of requests that cannot be answered; None raises the first one's error.

        Raises:
            ModelError: a prompt is empty or longer than the context, or the model's output is no number.
        """
        ...

    def score(
        self, model: str, items: Sequence[ScoreItem], stop: Stop, protocol: ProtocolName = "corrected"
    ) -> Iterator[ScoredItem]:
        """Token scores of given answers, each (prompt, answer) through the model once, in batches by length."""
        ...

    def gradient_norms(
        self, model: str, items: Sequence[ScoreItem], stop: Stop, protocol: ProtocolName = "corrected"
    ) -> Iterator[tuple[int, float]]:
        """Index of each given answer and the mean norm of its loss's gradients, one backward pass each."""
        ...


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One picture to be made: by which model, from which prompt and seed.

    `guidance` and `negative_prompt` None are those of the sampling. `start`: see `Probe`.
    """

    model: str
    prompt: str
    seed: int
    guidance: float | None = None
    negative_prompt: str | None = None
    start: Start | None = None


@dataclass(frozen=True, slots=True)
class PartialImage:
    """Picture of request `index` after `step` of `steps`; pixels uint8 (height, width, 3); done at the last step."""

    index: int
    step: int
    steps: int
    pixels: NDArray[np.uint8]
    done: bool
    seconds: float


class ImageModels(Protocol):
    """Diffusion models that start from the same noise for the same seed.

    Attributes:
        notes: what happened on the way that a person should know ("... is cut off"), in sentences.
    """

    notes: list[str]

    def sample(
        self, requests: Sequence[ImageRequest], sampling: Sampling, stop: Stop
    ) -> Iterator[PartialImage]:
        """Pictures as they form; of `sampling` all but the seeds is used, those come with the requests."""
        ...

    def report(self, name: str, original: str) -> LoaderReport:
        """What of a loaded model differs from the original, which is loaded too."""
        ...

    def identity_check(self, name: str, sampling: Sampling) -> str:
        """Load the original once more and draw one picture with each: "" where they agree bit for bit."""
        ...


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """What one judge says of one picture, and its penultimate features, shape (D,)."""

    judgement: Judgement
    features: FloatArray


class Judge(Protocol):
    """An image classifier for one domain of concepts."""

    @property
    def domain(self) -> str:
        """Which concepts it names: "object", "style"."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """What it can say, "none" aside."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What loading it did and what it left out, in sentences; they stay with the runs that it judged."""
        ...

    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> Sequence[JudgedImage | None]:
        """Judgements in the order of the pictures; each picture uint8 (height, width, 3). None: it does not know."""
        ...
