"""Sets of diffusion models: the original and its unlearned versions, from the same noise, with shared tensors.

Any diffusers text-to-image pipeline works: it is called as its documentation says, with one CPU generator for each
picture, so that neither the device nor the company in a batch changes the noise.
"""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers.utils.logging
from diffusers.utils import logging
from torch import nn

from backends.checkpoints import resolve, version_path
from backends.errors import ModelError
from backends.image.erasers import add_erasers
from backends.image.folders import load_pipeline
from backends.image.steps import Step, preview, run_in_steps
from backends.image.version_shapes import Version, denoiser_of
from backends.image.weights import read_version, share_equal, with_changes
from backends.interfaces import ImageRequest, PartialImage, Stop
from backends.study import ModelSpec, Sampling

BATCH = 12
"""Pictures made at once by one model."""


class DiffusionModels:
    """Implements `backends.interfaces.ImageModels`.

    Args:
        device: "cpu", "cuda" or "mps".
        dtype: "float32", "bfloat16" or "float16".
    """

    def __init__(self, device: str, dtype: str) -> None:
        # Progress is shown by whoever asked; that the safety checker is off is intended (`load_pipeline` says why).
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self._device = device
        self._dtype: torch.dtype = getattr(torch, dtype)
        self._bases: dict[Path, Any] = {}
        self._pipes: dict[str, Any] = {}
        self.versions: dict[str, Version] = {}
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

    @property
    def names(self) -> list[str]:
        """Names of the loaded models."""
        return list(self._pipes)

    def add(self, spec: ModelSpec) -> None:
        """Load a model, once; what it has in common with models loaded before is shared.

        Raises:
            CheckpointError: the folder or the weights cannot be used.
        """
        if spec.name in self._pipes:
            return
        base = self._base(resolve(spec.source, revision=spec.revision) / spec.subfolder)
        components = dict(base.components)
        if spec.weights:
            self._change(components, spec)
        components["scheduler"] = copy.deepcopy(components["scheduler"])
        pipe = type(base)(**components)
        pipe.set_progress_bar_config(disable=True)
        self._pipes[spec.name] = pipe

    def pipeline(self, name: str) -> Any:
        """The loaded pipeline of a model."""
        return self._pipes[name]

    def bytes(self) -> int:
        """Memory of all loaded parameters and buffers; shared ones count once."""
        sizes: dict[int, int] = {}
        for pipe in [*self._bases.values(), *self._pipes.values()]:
            for module in _modules(pipe).values():
                for tensor in (*module.parameters(), *module.buffers()):
                    sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return sum(sizes.values())

    def sample(
        self, requests: Sequence[ImageRequest], sampling: Sampling, stop: Stop
    ) -> Iterator[PartialImage]:
        """Pictures as they form, one model after another; ends at once, without the rest, when stopped.

        Raises:
            ModelError: an empty prompt, one that is too long, or a size that the model cannot draw.
        """
        for request in requests:
            self._check(request)
        by_model: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            by_model.setdefault(request.model, []).append(index)
        for model, indices in by_model.items():
            for start in range(0, len(indices), BATCH):
                if stop():
                    return
                batch = indices[start : start + BATCH]
                yield from self._batch(self._pipes[model], requests, batch, sampling, stop)

    def _batch(
        self,
        pipe: Any,
        requests: Sequence[ImageRequest],
        indices: Sequence[int],
        sampling: Sampling,
        stop: Stop,
    ) -> Iterator[PartialImage]:
        chosen = [requests[index] for index in indices]
        arguments = _arguments(pipe, chosen, sampling)
        started = time.perf_counter()
        every = 1 if hasattr(pipe, "pictures") else max(1, sampling.steps // 5)  # a VAE's preview is dear
        for step in run_in_steps(pipe, arguments, stop):
            if not step.done and step.number % every:
                continue
            pictures = _uint8(step.images) if step.done else _shown(pipe, step)
            if pictures is None:
                continue
            seconds = (time.perf_counter() - started) / len(indices)
            for index, pixels in zip(indices, pictures, strict=True):
                number = sampling.steps if step.done else min(step.number, sampling.steps)
                yield PartialImage(index, number, sampling.steps, pixels, step.done, seconds)

    def _change(self, components: dict[str, Any], spec: ModelSpec) -> None:
        """Put the version's tensors and erasers into components of a pipeline."""
        modules = {name: part for name, part in components.items() if isinstance(part, nn.Module)}
        states = {name: module.state_dict() for name, module in modules.items()}
        configs = {name: module.config for name, module in modules.items() if name in ("unet", "vae")}
        version = read_version(version_path(spec.weights or ""), states, configs, ema=spec.ema)
        for name, tensors in version.tensors.items():
            components[name] = with_changes(components[name], tensors)
        if version.erasers:
            name = denoiser_of(states)
            components[name] = with_changes(components[name], {})
            add_erasers(components[name], version.erasers)
        self.versions[spec.name] = version

    def _base(self, folder: Path) -> Any:
        folder = folder.resolve()
        if folder not in self._bases:
            pipe = load_pipeline(folder, self._dtype).to(self._device)
            for module in _modules(pipe).values():
                module.requires_grad_(False).eval()
            for other in self._bases.values():
                theirs = _modules(other)
                for name, module in _modules(pipe).items():
                    if name in theirs:
                        share_equal(module, theirs[name])
            self._bases[folder] = pipe
        return self._bases[folder]

    def _check(self, request: ImageRequest) -> None:
        if not request.prompt.strip():
            raise ModelError("the prompt is empty", how="Write what the picture should show")
        tokenizer = getattr(self._pipes[request.model], "tokenizer", None)
        if tokenizer is None:
            return
        count, longest = len(tokenizer(request.prompt)["input_ids"]), tokenizer.model_max_length
        if count > longest:
            raise ModelError(
                f"the prompt is {count} tokens long, and this model reads {longest}",
                where=request.model,
                how="Shorten the prompt",
            )


def _modules(pipe: Any) -> Mapping[str, nn.Module]:
    return {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}


def _arguments(pipe: Any, requests: Sequence[ImageRequest], sampling: Sampling) -> dict[str, Any]:
    """What the pipeline is called with; settings it does not know are left out."""
    wanted: dict[str, Any] = {
        "num_inference_steps": sampling.steps,
        "guidance_scale": sampling.guidance,
        "height": sampling.size,
        "width": sampling.size,
        "output_type": "np",
        # On the processor, whatever the device: a seed gives the same noise everywhere and in every batch.
        "generator": [torch.Generator().manual_seed(request.seed) for request in requests],
    }
    known = inspect.signature(pipe.__call__).parameters
    arguments = {key: value for key, value in wanted.items() if key in known and value is not None}
    return {"prompt": [request.prompt for request in requests], **arguments}


def _shown(pipe: Any, step: Step) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    pictures = preview(pipe, step.clean)
    return None if pictures is None else _uint8(pictures)


def _uint8(images: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Floats in 0..1, shape (B, H, W, 3), as uint8."""
    return np.asarray((np.asarray(images, dtype=np.float32).clip(0, 1) * 255).round(), dtype=np.uint8)
