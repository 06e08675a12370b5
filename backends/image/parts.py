"""The weights of an image model as they were loaded once, for all models that have the same; and their sizes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from backends.image.checkpoints.version_shapes import States, VersionWeights
from backends.image.version_swap import StoredVersion
from backends.study import ModelSpec
from backends.study.touch import parsed


@dataclass(frozen=True, slots=True)
class LoadedParts:
    """The weights of a model as they were loaded; models that differ only in sampling share them.

    Attributes:
        folder: of the pipeline.
        pipe: whose settings are taken.
        components: of the model.
        kept: what it changes, where that lies on disk.
        version: what its file was.
    """

    folder: Path
    pipe: Any
    components: Mapping[str, Any]
    kept: StoredVersion | None
    version: VersionWeights | None


def weights_of(spec: ModelSpec) -> ModelSpec:
    """The model reduced to what its weights depend on: equal for models that have the same weights."""
    touch = spec.touch if spec.touch and parsed(spec.touch).changes_weights else ""
    return ModelSpec(
        name="",
        part="unlearned",
        source=spec.source,
        weights=spec.weights,
        subfolder=spec.subfolder,
        revision=spec.revision,
        ema=spec.ema,
        strength=spec.strength,
        origin=spec.origin if spec.strength != 1.0 or touch else "",
        touch=touch,
    )


def modules_of(pipe: Any) -> Mapping[str, nn.Module]:
    """Components of a pipeline that hold weights."""
    return {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}


def bytes_of(modules: Iterable[nn.Module]) -> dict[int, int]:
    """Size of every parameter and buffer, by where it lies."""
    tensors = (tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))
    return {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}


def size_of(changes: States) -> int:
    """Bytes of changed tensors."""
    return sum(
        tensor.numel() * tensor.element_size() for tensors in changes.values() for tensor in tensors.values()
    )


def with_components(pipe: Any, components: Mapping[str, Any]) -> Any:
    """A pipeline of the same kind and settings with other parts."""
    known = inspect.signature(type(pipe).__init__).parameters
    settings = {key: value for key, value in pipe.config.items() if key in known and key not in components}
    other = type(pipe)(**settings, **components)
    other.set_progress_bar_config(disable=True)
    return other
