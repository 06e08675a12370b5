"""What a text unlearning method is: one loss, a pure function of what it sees of a batch, and what it needs for that.

A custom method is a file with a `METHOD`, as ours are in `text_methods/`; see `docs/unlearning.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import answer_nll

Need = Literal["reference", "teacher", "refusals", "alternates"]
"""reference: likelihoods under the model before its first step; teacher: its log-probabilities over the vocabulary;
refusals, alternates: other answers to the same questions."""


@dataclass(frozen=True)
class LossInputs:
    """What a loss may look at: the answers' tokens of some forget rows.

    Attributes:
        logits: the prediction of each token, shape (rows, tokens, vocabulary); empty where a loss sees hidden states.
        targets: the tokens, shape (rows, tokens).
        mask: 1 where a target counts, shape (rows, tokens).
        other: the same of the refusals or alternates, where the method needs them.
        known: what else was asked for, by name; read it through the properties.
    """

    logits: Tensor
    targets: Tensor
    mask: Tensor
    other: LossInputs | None = None
    known: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def nll(self) -> Tensor:
        """Summed negative log-likelihood of each row's answer, nats, shape (rows,)."""
        return answer_nll(self.logits, self.targets, self.mask)

    @cached_property
    def n(self) -> Tensor:
        """Answer tokens of each row, shape (rows,)."""
        return self.mask.sum(-1)

    @property
    def reference_nll(self) -> Tensor:
        """`nll` under the model before its first step; needs "reference"."""
        return self._asked("reference")

    @property
    def teacher(self) -> Tensor:
        """Log-probabilities of the model before its first step, shape as `logits`; needs "teacher"."""
        return self._asked("teacher")

    @property
    def hidden(self) -> Tensor:
        """Hidden states after the chosen layer, shape (rows, tokens, width), where the method says `hidden`."""
        return self._asked("hidden")

    @property
    def direction(self) -> Tensor:
        """`Hidden.direction`, the same all through a run, shape (width,), where the method says `hidden`."""
        return self._asked("direction")

    @property
    def others(self) -> LossInputs:
        """The refusals or alternates; needs "refusals" or "alternates"."""
        if self.other is None:
            raise ValueError('the loss uses other answers: set needs=("refusals",) or ("alternates",)')
        return self.other

    def _asked(self, name: str) -> Tensor:
        if name not in self.known:
            raise ValueError(f"the loss uses {name!r}, which is not in the method's `needs`")
        return self.known[name]


Loss = Callable[[LossInputs, Settings], Tensor]
"""What is minimised on forget rows: a scalar."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a method needs that looks at the hidden states of one layer in place of logits.

    Attributes:
        layer: which, counted from 0, by the settings.
        direction: a vector for the whole run, by width and seed, shape (width,).
        retain_loss: of hidden states of retain rows now and under the frozen original, both of shape
            (rows, tokens, width), and the mask: a scalar.
    """

    layer: Callable[[Settings], int]
    direction: Callable[[int, int], Tensor]
    retain_loss: Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TextMethod:
    """A method as people choose it. The first four, and `own`, are what most methods need.

    Attributes:
        name: as on every page.
        about: one sentence.
        source: paper, in short.
        loss: of forget rows.
        needs: what the loss uses beside logits.
        sees: rows that the loss is given: the forget rows, or refusals in their place.
        usual: settings that every method has, where this one's value differs (`recipes.SETTINGS`).
        own: the method's own settings, in the order they are shown.
        card: paper, equation, known differences.
        hidden: where the losses look at hidden states of a layer.
        prompt_counts: whether positions of the prompt count as well, by the settings.
        retain_weight: weight of the retain loss after a step: of the weight, the retain loss and the settings.
        taken_back: the trained change is turned round before it is kept, so far; by the settings.
    """

    name: str
    about: str
    source: str
    loss: Loss
    needs: tuple[Need, ...] = ()
    sees: Literal["forget", "refusals"] = "forget"
    usual: Settings = field(default_factory=lambda: MappingProxyType({}))
    own: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))
    card: Card | None = None
    hidden: Hidden | None = None
    prompt_counts: Callable[[Settings], bool] | None = None
    retain_weight: Callable[[float, float, Settings], float] | None = None
    taken_back: Callable[[Settings], float] | None = None
