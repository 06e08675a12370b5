"""Sets of diffusion models: the original and its unlearned versions, from the same noise, with shared tensors.

Any diffusers text-to-image pipeline works: it is called as its documentation says, with one CPU generator for each
picture, so that neither the device nor the company in a batch changes the noise.
"""

from __future__ import annotations

import copy
import inspect
import time
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers.utils.logging
from diffusers.utils import logging
from torch import nn

from backends.checkpoints.hub import version_path
from backends.checkpoints.identity import resolve
from backends.checkpoints.loader_report import LoaderReport
from backends.checkpoints.mixing import mixed, with_changes
from backends.device import without_tf32
from backends.errors import CheckpointError, ModelError
from backends.image.checkpoints.embeddings import is_learned, read_learned, with_learned
from backends.image.checkpoints.erasers import add_erasers
from backends.image.checkpoints.folders import load_pipeline, stored_types
from backends.image.checkpoints.version_files import read_tensors
from backends.image.checkpoints.version_shapes import States, VersionWeights, denoiser_of
from backends.image.checkpoints.weights import narrower, part_of_the_way, read_version, share_equal
from backends.image.comparison import differences, loader_report
from backends.image.guidance import check_inference, guided, report_line, without_effect
from backends.image.parts import LoadedParts, bytes_of, modules_of, size_of, weights_of, with_components
from backends.image.pipeline_calls import (
    CallSettings,
    arguments_for,
    as_uint8,
    in_calls,
    pixels_so_far,
    takes_generators,
)
from backends.image.prompts import truncated_part
from backends.image.schedulers import with_scheduler
from backends.image.starting import BegunPictures, first_steps, given_pictures, idle_at_first
from backends.image.steps import run_in_steps
from backends.image.touching import touched_modules
from backends.image.version_swap import SHARE, StoredVersion, changes_between, inside, keep, tensors_of
from backends.interfaces import ImageRequest, PartialImage, Stop
from backends.study import ModelSpec, Sampling
from backends.study.inference import Inference
from backends.study.touch import parsed, untouched

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
        self._folders: dict[str, Path] = {}
        self._kept: dict[str, StoredVersion] = {}
        self._held: dict[int, int] = {}
        self._stored: dict[Path, dict[str, torch.dtype]] = {}
        self._rounded: dict[Path, int] = {}
        self._alike: dict[ModelSpec, LoadedParts] = {}
        self._ways: dict[str, Inference] = {}
        self._tokens: dict[str, list[str]] = {}
        self._begun: dict[str, tuple[int, Any]] = {}
        self._under_way: weakref.ref[Iterator[PartialImage]] | None = None
        self.versions: dict[str, VersionWeights] = {}
        self.notes: list[str] = []
        without_tf32()

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
        self._end_what_is_under_way()
        parts = self._parts_of(spec)
        check_inference(parts.pipe, spec.inference, spec.name)
        components = dict(parts.components)
        if spec.embeddings:
            learned = [each for token, file in spec.embeddings for each in read_learned(file, token)]
            components = with_learned(components, learned, spec.name)
            self._tokens[spec.name] = [each.said for each in learned]
        if parts.kept is not None:
            self._kept[spec.name] = parts.kept
        if parts.version is not None:
            self.versions[spec.name] = parts.version
        self._ways[spec.name] = spec.inference
        if spec.touch and (touch := parsed(spec.touch)).kind == "begun":
            self._begun[spec.name] = int(touch.value), self._base(self._origin_folder(spec))
        components["scheduler"] = copy.deepcopy(components["scheduler"])
        self._pipes[spec.name] = with_components(parts.pipe, components)
        self._folders[spec.name] = parts.folder

    def _parts_of(self, spec: ModelSpec) -> LoadedParts:
        """What the weights of a model are, loaded once."""
        same = weights_of(spec)
        if same not in self._alike:
            self._alike[same] = self._touched(spec) if same.touch else self._parts(spec)
        return self._alike[same]

    def _parts(self, spec: ModelSpec) -> LoadedParts:
        """Load what the weights of a model are, regardless of how it samples."""
        folder = (resolve(spec.source, revision=spec.revision) / spec.subfolder).resolve()
        if spec.weights:
            pipe = self._base(folder)
            components = dict(pipe.components)
            self._change(components, pipe, spec)
        elif spec.strength != 1.0:
            origin = self._base(self._origin_folder(spec))
            pipe = self._bases.get(folder) or self._loaded(folder)
            components = dict(pipe.components)
            self._mix(components, origin, spec)
        else:
            pipe = self._bases.get(folder) or self._loaded(folder)
            components = dict(pipe.components)
            if folder not in self._bases and not self._beside(components, pipe, folder, spec):
                self._bases[folder] = self._shared(pipe, folder)
        kept, version = self._kept.pop(spec.name, None), self.versions.pop(spec.name, None)
        # The pipeline is rebuilt: what was loaded and is not in these components is to be let go.
        return LoadedParts(folder, with_components(pipe, components), components, kept, version)

    def _touched(self, spec: ModelSpec) -> LoadedParts:
        """Parts of a model whose weights are another's, touched."""
        touch, plain = parsed(spec.touch), self._parts_of(untouched(spec))
        originals = modules_of(self._base(self._origin_folder(spec))) if touch.needs_original else {}
        own = tensors_of(plain.kept) if plain.kept is not None else {}
        modules = {name: with_changes(m, own.get(name, {})) for name, m in modules_of(plain.pipe).items()}
        changes = touched_modules(modules, originals, touch)
        if not changes:
            return plain
        both = {name: {**own.get(name, {}), **changes.get(name, {})} for name in {**own, **changes}}
        components = dict(plain.components)
        self._put(components, spec, both, self._bases.get(plain.folder, plain.pipe))
        pipe = with_components(plain.pipe, components)
        return LoadedParts(plain.folder, pipe, components, self._kept.pop(spec.name, None), None)

    @staticmethod
    def _origin_folder(spec: ModelSpec) -> Path:
        return (resolve(spec.origin) / spec.subfolder).resolve()

    def pipeline(self, name: str) -> Any:
        """The loaded pipeline of a model; what it changes is read for as long as the caller holds it, where on disk."""
        self._end_what_is_under_way()
        pipe, kept = self._pipes[name], self._kept.get(name)
        if kept is None:
            return pipe
        components = dict(pipe.components)
        for component, tensors in tensors_of(kept).items():
            components[component] = with_changes(components[component], tensors)
        return with_components(pipe, components)

    def report(self, name: str, original: str) -> LoaderReport:
        """What of a loaded model differs from the original, which is loaded too."""
        version, rounded = self.versions.get(name), self._rounded.get(self._folders[name], 0)
        result = loader_report(self.pipeline(original), self.pipeline(name), version, rounded)
        way, tokens = self._ways[name], self._tokens.get(name, [])
        if not way.said and not tokens:
            return result
        changed = bool(result.changed)
        line = report_line(way, [f"learned token {each}" for each in tokens], weights=changed)
        shape = result.shape if changed or name in self.versions else "same weights, other sampling"
        return replace(result, shape=shape, notes=(line, *result.notes))

    def identity_check(self, name: str, sampling: Sampling) -> str:
        """Load a folder once more and draw one picture with each: "" where they agree bit for bit.

        Two steps suffice: what would differ (noise, scheduler, types, weights) differs from the first. For that long
        the folder is in memory twice. Only for models that are a folder by themselves, as originals are.
        """
        pipe = self.pipeline(name)
        again = self._loaded(self._folders[name])
        request = [ImageRequest(name, "a picture", 1)]
        if "class_labels" in inspect.signature(pipe.__call__).parameters:
            request = [ImageRequest(name, "0", 1)]
        few = replace(sampling, steps=2)
        drawn = [
            np.asarray(step.images, dtype=np.float32)
            for each in (pipe, again)
            for step in run_in_steps(each, arguments_for(each, request, few), lambda: False)
            if step.done
        ]
        apart = float(np.abs(drawn[0] - drawn[1]).max())
        if np.array_equal(drawn[0], drawn[1]):
            return ""
        reasons = (
            "; ".join(differences(pipe, again)) or "its settings agree, so the device is not deterministic"
        )
        return f"the same files gave two pictures up to {apart:.3f} apart ({reasons})"

    def bytes(self) -> int:
        """Memory of all loaded parameters and buffers; shared ones count once."""
        pipes = [*self._bases.values(), *self._pipes.values()]
        return sum(bytes_of(module for pipe in pipes for module in modules_of(pipe).values()).values())

    def sample(
        self, requests: Sequence[ImageRequest], sampling: Sampling, stop: Stop
    ) -> Iterator[PartialImage]:
        """Pictures as they form, one model after another; ends at once, without the rest, when stopped.

        Where versions are swapped into the original's modules, a later call ends one that was left half-way.

        Raises:
            ModelError: an empty prompt, one that is too long, or a size that the model cannot draw.
        """
        own: list[weakref.ref[Iterator[PartialImage]]] = []
        pictures = self._pictures(requests, sampling, stop, own)
        own.append(weakref.ref(pictures))
        return pictures

    def _pictures(
        self,
        requests: Sequence[ImageRequest],
        sampling: Sampling,
        stop: Stop,
        own: Sequence[weakref.ref[Iterator[PartialImage]]],
    ) -> Iterator[PartialImage]:
        for request in requests:
            if not request.prompt.strip():
                raise ModelError("the prompt is empty", how="Write what the picture should show")
            note = truncated_part(self._pipes[request.model], request.prompt)
            if note and note not in self.notes:
                self.notes.append(note)
        for model, groups in in_calls(requests, sampling).items():
            if stop():
                return
            self._end_what_is_under_way()
            pipe = with_scheduler(self._pipes[model], sampling.scheduler)
            size = BATCH if takes_generators(pipe) else 1
            calls = [
                (self._settings(model, sampling, way), indices[start : start + size])
                for way, indices in groups.items()
                for start in range(0, len(indices), size)
            ]
            # The original's modules may be this model's below.
            begun = [self._first_steps(model, requests, *call, stop) for call in calls]
            kept = self._kept.get(model)
            with inside(kept) if kept is not None else nullcontext():
                self._under_way = own[0] if kept is not None else None
                try:
                    for (settings, batch), first in zip(calls, begun, strict=True):
                        if stop():
                            return
                        prompts = [requests[index].prompt for index in batch]
                        steered = guided(pipe, self._ways[model], prompts, settings.guidance)
                        yield from self._batch(steered, requests, batch, settings, stop, first)
                finally:
                    self._under_way = None

    def _first_steps(
        self,
        model: str,
        requests: Sequence[ImageRequest],
        settings: Sampling,
        batch: Sequence[int],
        stop: Stop,
    ) -> BegunPictures | None:
        """What the original says in the steps that it draws of a model's pictures, where it begins them."""
        if model not in self._begun:
            return None
        steps, origin = self._begun[model]
        pipe = with_scheduler(origin, settings.scheduler)
        arguments = arguments_for(pipe, [requests[index] for index in batch], settings)
        return first_steps(pipe, arguments, min(steps, settings.steps), settings.steps, stop)

    def _settings(self, model: str, sampling: Sampling, asked: CallSettings) -> Sampling:
        """Settings of one call; what of them changes no picture is noted."""
        way = self._ways[model]
        negative, guidance = way.negative_prompt or asked.negative_prompt, asked.guidance
        note = without_effect(self._pipes[model], way, negative, guidance, sampling.steps)
        if note and f"{model}: {note}" not in self.notes:
            self.notes.append(f"{model}: {note}")
        return replace(sampling, guidance=guidance, negative_prompt=negative)

    def _end_what_is_under_way(self) -> None:
        """A version in the original's modules would be drawn, reported or built upon as the original."""
        pictures = self._under_way() if self._under_way is not None else None
        if isinstance(pictures, Generator):
            try:
                pictures.close()
            except ValueError as error:  # it is running: in another thread
                raise ModelError("these models are busy", how="Wait until they are done") from error

    def _batch(
        self,
        pipe: Any,
        requests: Sequence[ImageRequest],
        indices: Sequence[int],
        sampling: Sampling,
        stop: Stop,
        begun: BegunPictures | None,
    ) -> Iterator[PartialImage]:
        chosen = [requests[index] for index in indices]
        arguments = arguments_for(pipe, chosen, sampling)
        started = time.perf_counter()
        every = 1 if hasattr(pipe, "pictures") else max(1, sampling.steps // 5)  # a VAE's preview is dear
        starts = [request.start for request in chosen if request.start is not None]
        real = bool(starts) and starts[0].share < 1
        given = given_pictures(pipe, starts, sampling.width_height) if real else begun
        if given is not None:
            pipe = idle_at_first(pipe, given)
        for step in run_in_steps(pipe, arguments, stop, given):
            if not step.done and step.number % every:
                continue
            pictures = (
                as_uint8(step.images)
                if step.done
                else pixels_so_far(pipe, step, len(indices), sampling.width_height)
            )
            if pictures is None:
                continue
            if step.done and not np.isfinite(np.asarray(step.images, dtype=np.float32)).all():
                raise ModelError(
                    "the picture has NaN values, which would be shown as black",
                    where=chosen[0].model,
                    how="Use float32 (UNLEARNBOARD_DTYPE=float32), or take an earlier checkpoint",
                )
            seconds = (time.perf_counter() - started) / len(indices)
            for index, pixels in zip(indices, pictures, strict=True):
                number = sampling.steps if step.done else min(step.number, sampling.steps)
                yield PartialImage(index, number, sampling.steps, pixels, step.done, seconds)

    def _change(self, components: dict[str, Any], base: Any, spec: ModelSpec) -> None:
        """Put the version's tensors and erasers into components of a pipeline."""
        modules = {name: part for name, part in components.items() if isinstance(part, nn.Module)}
        states = {name: module.state_dict() for name, module in modules.items()}
        configs = {name: module.config for name, module in modules.items() if name in ("unet", "vae")}
        folder = next(folder for folder, each in self._bases.items() if each is base)
        path, stored = version_path(spec.weights or ""), self._types_of(folder)
        try:
            version = read_version(path, states, configs, ema=spec.ema, stored=stored)
        except CheckpointError as error:
            if path.is_file() and is_learned(read_tensors(path)):
                raise CheckpointError(
                    "this is a learned token (textual inversion), not weights",
                    where=str(path),
                    how=f'Name it so: embeddings = "{path.name}"',
                ) from error
            raise
        if spec.strength != 1.0:
            version = part_of_the_way(version, states, spec.strength)
        held = self._put(components, spec, version.tensors, base)
        if version.erasers:
            name = denoiser_of(states)
            components[name] = with_changes(components[name], {})
            add_erasers(components[name], version.erasers)
        self.versions[spec.name] = version if held else replace(version, tensors={})

    def _mix(self, components: dict[str, Any], origin: Any, spec: ModelSpec) -> None:
        """Put what lies between two folders into components of a pipeline; what is equal stays shared."""
        changes = {}
        for name, module in modules_of(origin).items():
            end = components.get(name)
            if isinstance(end, nn.Module):
                changes[name] = mixed(module, end, spec.strength, where=spec.name)
                components[name] = module
        self._put(components, spec, changes, origin)

    def _put(self, components: dict[str, Any], spec: ModelSpec, changes: States, base: Any) -> bool:
        """Changed tensors into components, or onto the disk where they take more memory than they may."""
        modules = {name: part for name, part in components.items() if isinstance(part, nn.Module)}
        kept = keep(modules, changes) if self._exceeds(base, changes) else None
        if kept is not None:
            self._kept[spec.name] = kept
            return False
        self._held[id(base)] = self._held.get(id(base), 0) + size_of(changes)
        for name, tensors in changes.items():
            components[name] = with_changes(components[name], tensors)
        return True

    def _exceeds(self, base: Any, changes: States) -> bool:
        """Whether these tensors take more memory than is left to versions of a base."""
        room = SHARE * sum(bytes_of(modules_of(base).values()).values()) - self._held.get(id(base), 0)
        return size_of(changes) > room

    def _beside(self, components: dict[str, Any], pipe: Any, folder: Path, spec: ModelSpec) -> bool:
        """Let a folder take turns in the modules of a base that it differs from in its tensors only."""
        for beside, base in self._bases.items():
            alike = type(base) is type(pipe)
            changes = (
                changes_between(modules_of(base), modules_of(pipe), self._narrower(beside, folder))
                if alike
                else None
            )
            if changes is not None and self._exceeds(base, changes.tensors):
                kept = keep(modules_of(base), changes.tensors)
                if kept is not None:
                    self._kept[spec.name] = kept
                    self._rounded[folder] = changes.rounded
                    components.update(modules_of(base))
                    return True
        return False

    def _narrower(self, one: Path, other: Path) -> dict[str, torch.dtype]:
        """Component -> the narrower of the types that two folders' files have."""
        left, right = self._types_of(one), self._types_of(other)
        return {part: narrower(left[part], right[part]) for part in left.keys() & right.keys()}

    def _types_of(self, folder: Path) -> dict[str, torch.dtype]:
        if folder not in self._stored:
            self._stored[folder] = stored_types(folder)
        return self._stored[folder]

    def _base(self, folder: Path) -> Any:
        if folder not in self._bases:
            self._bases[folder] = self._shared(self._loaded(folder), folder)
        return self._bases[folder]

    def _loaded(self, folder: Path) -> Any:
        pipe = load_pipeline(folder, self._dtype).to(self._device)
        for module in modules_of(pipe).values():
            module.requires_grad_(False).eval()
        return pipe

    def _shared(self, pipe: Any, folder: Path) -> Any:
        """The pipeline, with the tensors of those loaded before wherever they are equal."""
        for beside, other in self._bases.items():
            theirs, types = modules_of(other), self._narrower(beside, folder)
            for name, module in modules_of(pipe).items():
                if name in theirs:
                    shared = share_equal(module, theirs[name], types.get(name, torch.float64))
                    self._rounded[folder] = self._rounded.get(folder, 0) + shared.rounded
        return pipe
