"""What an image unlearning method is: one loss, or a solution, and which weights it moves.

A custom method is a file with a `METHOD`, as ours are in `image_methods/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Batch, Concepts
from backends.unlearning.image_losses import Denoiser
from backends.unlearning.settings import Setting, Settings

Named = Mapping[str, Tensor]
"""Tensors by the names of the weights that are trained: weights, or something of the same shapes."""
Loss = Callable[[Denoiser, Denoiser, Batch, Settings], Tensor]
"""Of the edited denoiser, the frozen original, a batch and the settings: what is minimised, without the retain term."""
Balance = Callable[[Named, Named, Settings], float]
"""Of the gradients of the forget and of the retain loss: the weight of the first beside the second."""
Need = Literal["anchor", "uniform"]
"""anchor: pictures of the other concept; uniform: uniform noise."""


@dataclass(frozen=True, slots=True)
class ImageMethod:
    """A method as people choose it.

    Attributes:
        name: as on every page.
        about: one sentence.
        source: paper, in short.
        loss: of the forget pictures; None where the weights are solved for.
        trains: parts of weights' names, any of which a weight's name has; "" has all.
        spares: part of a name that keeps a weight from being trained.
        needs: what the loss uses beside pictures, prompts and their noise.
        component: what of the pipeline is trained.
        usual: settings that every method has, where this one's value differs (`image_settings.SETTINGS`).
        own: the method's own settings, in the order they are shown.
        card: paper, equation, known differences.
        solve: the weights all the way, of the original's and what is seen; where there is no loss.
        mask: a factor for each weight's gradient, of the gradients of the ordinary loss on forget pictures.
        penalty: is added to the loss: of the weights, the original's, and their Fisher information (the mean squared
            gradient of the ordinary loss on retain pictures).
        balance: where the weight of the forget gradient is found at each step.
    """

    name: str
    about: str
    source: str
    loss: Loss | None
    trains: tuple[str, ...] = ("",)
    spares: str = ""
    needs: tuple[Need, ...] = ()
    component: Literal["unet", "text_encoder"] = "unet"
    usual: Settings = field(default_factory=lambda: MappingProxyType({}))
    own: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))
    card: Card | None = None
    solve: Callable[[Named, Concepts, Settings], dict[str, Tensor]] | None = None
    mask: Callable[[Named, Settings], dict[str, Tensor]] | None = None
    penalty: Callable[[Named, Named, Named, Settings], Tensor] | None = None
    balance: Balance | None = None

    def __post_init__(self) -> None:
        """Refuse a method with nothing to do.

        Raises:
            ValueError: not exactly one of a loss and a solution.
        """
        if (self.loss is None) == (self.solve is None):
            raise ValueError("a method has either a loss or a solution (solve)")

    def trained(self, name: str) -> bool:
        """Whether a weight of the component is trained."""
        return any(part in name for part in self.trains) and not (self.spares and self.spares in name)
