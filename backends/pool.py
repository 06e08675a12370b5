"""The one owner of loaded models: each base once, its adapters beside it, a memory budget kept.

Pages and evaluations ask it for models by their specs. Importing this module does not import torch.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backends.device import device_kind, pick_device, pick_dtype, without_tf32
from backends.errors import ModelError
from backends.image.networks.named import (
    CLIP,
    INCEPTION,
    Network,
    PictureDistances,
    PictureFeatures,
    PicturesAndTexts,
    files_of,
    network,
)
from backends.interfaces import ImageModels, Judge, TextModels
from backends.study import JudgeSpec, ModelSpec

if TYPE_CHECKING:
    from backends.image.pipelines import DiffusionModels
    from backends.text.models import LanguageModels


class ModelPool:
    """Loaded models of any study; not thread-safe, owned by the one worker that touches models.

    Args:
        device: "cpu", "cuda" or "mps"; None picks what is there.
        memory_budget: bytes of parameters that may be loaded at once; None is no limit.
    """

    def __init__(self, device: str | None = None, memory_budget: int | None = None) -> None:
        self._wanted = device
        self._device = ""
        self.dtype = pick_dtype()
        self._budget = memory_budget
        self._text: LanguageModels | None = None
        self._image: DiffusionModels | None = None
        self._judges: dict[JudgeSpec, Judge] = {}
        self._clips: dict[Network, PicturesAndTexts] = {}
        self._inceptions: dict[Network, PictureFeatures] = {}
        self._lpips: dict[str, PictureDistances] = {}
        self._specs: dict[str, ModelSpec] = {}
        self._identities: dict[str, str | None] = {}

    @property
    def device(self) -> str:
        """Where models run; asking picks one, which imports torch.

        Raises:
            ModelError: the device that was asked for is not there.
        """
        if not self._device:
            self._device = pick_device(self._wanted)
            without_tf32()  # judges and other networks may run where no pipeline was ever loaded
        return self._device

    def expect(self, identities: Mapping[str, str | None]) -> None:
        """Let go of everything where a loaded model is another by now: its files changed since it was loaded.

        Args:
            identities: name of a model and what identifies its weights; None where that cannot be said any more.
        """
        loaded = self.loaded()
        if any(self._identities.get(name, now) != now for name, now in identities.items() if name in loaded):
            self.release()
        self._identities |= identities

    def text(self, specs: Sequence[ModelSpec], dtype: str = "") -> TextModels:
        """Language models with these specs in this number format (the pool's own), loading what is not loaded."""
        from backends.text.models import LanguageModels

        self._forget_renamed(specs)
        if self._text is not None and self._text.dtype != (dtype or self.dtype):
            self.release()  # a study in another number format
        if self._text is None:
            self._text = LanguageModels(self.device, dtype or self.dtype)
        for spec in specs:
            with self._with_room(spec):
                self._text.add(spec)
            self._specs[spec.name] = self._specs.pop(spec.name, spec)  # the last one asked for is the last
            self._let_go_of_touched({each.name for each in specs})
            self._keep_budget(spec)
        return self._text

    def image(self, specs: Sequence[ModelSpec]) -> ImageModels:
        """Image models with these specs, loading what is not loaded."""
        from backends.image.pipelines import DiffusionModels

        self._forget_renamed(specs)
        if self._image is None:
            self._image = DiffusionModels(self.device, self.dtype)
        for spec in specs:
            with self._with_room(spec):
                self._image.add(spec)
            self._specs[spec.name] = spec
            self._keep_budget(spec)
        return self._image

    def image_pipeline(self, spec: ModelSpec) -> Any:
        """The loaded diffusers pipeline of an image model."""
        self.image([spec])
        assert self._image is not None
        return self._image.pipeline(spec.name)

    def judges(self, specs: Sequence[JudgeSpec]) -> list[Judge]:
        """Image judges, loading what is not loaded."""
        from backends.image.judges.judges import load_judge

        for spec in specs:
            if spec not in self._judges:
                self._judges[spec] = load_judge(spec, self.device)
        return [self._judges[spec] for spec in specs]

    def clip(self, source: str) -> PicturesAndTexts:
        """CLIP's embeddings, loading the model where it is not loaded."""
        from backends.image.networks.clip import load_clip

        known = self._network(CLIP, source)
        if known not in self._clips:
            self._clips[known] = load_clip(source, self.device)
        return self._clips[known]

    def inception(self, source: str) -> PictureFeatures:
        """InceptionV3's features, loading the network where it is not loaded."""
        from backends.image.networks.inception import load_inception

        known = self._network(INCEPTION, source)
        if known not in self._inceptions:
            self._inceptions[known] = load_inception(source, self.device)
        return self._inceptions[known]

    def lpips(self, name: str) -> PictureDistances:
        """LPIPS distances, loading the network where it is not loaded."""
        from backends.image.networks.perceptual import load_perceptual

        if name not in self._lpips:
            self._lpips[name] = load_perceptual(name, self.device)
        return self._lpips[name]

    def _network(self, kind: str, source: str) -> Network:
        """The network as its files are now: what they were replaced by is loaded again."""
        files_of(kind, source)
        return network(kind, source)

    def loaded(self) -> list[str]:
        """Names of the loaded models."""
        return [name for part in (self._text, self._image) if part is not None for name in part.names]

    def bytes(self) -> int:
        """Memory of all loaded parameters; shared ones count once."""
        parts = [part.bytes() for part in (self._text, self._image) if part is not None]
        return sum(parts)

    def release(self) -> None:
        """Lets go of every model and gives the device's memory back."""
        self._text = self._image = None
        for networks in (self._judges, self._clips, self._inceptions, self._lpips):
            networks.clear()
        self._specs.clear()
        self._identities.clear()
        gc.collect()
        if device_kind(self._device) == "cuda":
            import torch

            torch.cuda.empty_cache()

    def _forget_renamed(self, specs: Sequence[ModelSpec]) -> None:
        # Another study may use the same name for other weights: start afresh rather than answer with the wrong model.
        if any(self._specs.get(spec.name, spec) != spec for spec in specs):
            self.release()

    def _let_go_of_touched(self, wanted: set[str]) -> None:
        """Touched models have weights of their own, so beside those that are wanted only the last one stays.

        It goes when the next is there, so that what both are made of is not loaded again.
        """
        others = [name for name, spec in self._specs.items() if spec.touch and name not in wanted]
        for name in others[:-1]:
            assert self._text is not None
            self._text.remove(name)
            del self._specs[name]
            self._identities.pop(name, None)

    @contextmanager
    def _with_room(self, spec: ModelSpec) -> Iterator[None]:
        """Loading; where memory does not suffice everything is let go of, so that smaller models can be loaded."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            from backends.text.memory import out_of_memory

            if isinstance(error, RuntimeError) and not out_of_memory(error):
                raise
            self.release()
            raise ModelError(
                f"there is not enough memory on {self.device} to load it",
                where=spec.name,
                how="Load fewer models at once, a smaller number format, or on another device",
            ) from error

    def _keep_budget(self, spec: ModelSpec) -> None:
        if self._budget is not None and self.bytes() > self._budget:
            needed = self.bytes()
            self.release()
            raise ModelError(
                f"the models need {needed / 2**30:.1f} GB, more than the budget of {self._budget / 2**30:.1f} GB",
                where=spec.name,
                how="Select fewer models",
            )
