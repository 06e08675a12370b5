"""What a text unlearning method is: one loss, a pure function of what it sees of a batch, and what it needs for that.

A method of one's own is a file with a `METHOD` like those in `text_methods.py`; see the README, "A method of your own".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import answer_nll

Need = Literal["reference", "teacher", "refusals", "alternates"]
"""reference: likelihoods under the model before its first step; teacher: its log-probabilities over the vocabulary;
refusals, alternates: other answers to the same questions."""


@dataclass(frozen=True)
class Seen:
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
    other: Seen | None = None
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
        """Hidden states after the chosen layer, shape (rows, tokens, width), where `sees` is "hidden"."""
        return self._asked("hidden")

    @property
    def direction(self) -> Tensor:
        """A random unit vector, the same all through a run, shape (width,), where `sees` is "hidden"."""
        return self._asked("direction")

    @property
    def others(self) -> Seen:
        """The refusals or alternates; needs "refusals" or "alternates"."""
        if self.other is None:
            raise ValueError('the loss uses other answers: say needs=("refusals",) or ("alternates",)')
        return self.other

    def _asked(self, name: str) -> Tensor:
        if name not in self.known:
            raise ValueError(f"the loss uses {name!r}, which its method does not ask for")
        return self.known[name]


Loss = Callable[[Seen, Settings], Tensor]
"""What is minimised on forget rows: a scalar."""


@dataclass(frozen=True, slots=True)
class TextMethod:
    """A method as people choose it.

    Attributes:
        name: as on every page.
        about: one sentence.
        source: paper.
        loss: of forget rows.
        needs: what the loss uses beside logits.
        sees: rows that the loss is given: the forget rows, refusals in their place, or hidden states in place of
            logits.
        usual: settings whose value differs from the common one.
        own: settings that only this method has.
        uses: keys of further common settings that its loss looks at, in the order they are shown.
        negated: the trained change is turned round before it is kept: task arithmetic.
    """

    name: str
    about: str
    source: str
    loss: Loss
    needs: tuple[Need, ...] = ()
    sees: Literal["forget", "refusals", "hidden"] = "forget"
    usual: Settings = field(default_factory=lambda: MappingProxyType({}))
    own: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))
    uses: tuple[str, ...] = ()
    negated: bool = False


def unit_direction(width: int, seed: int) -> Tensor:
    """RMU's random vector: entries from U(0, 1), length 1, shape (width,)."""
    drawn = torch.rand(width, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm()
