"""Which bases are in memory, and which models are on them: what is shared is loaded once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from backends.checkpoints.adapters import adapter_settings, base_note, shares_base
from backends.checkpoints.hub import version_path
from backends.checkpoints.identity import resolve
from backends.checkpoints.vocabularies import unused_template
from backends.errors import CheckpointError
from backends.study import ModelSpec
from backends.text.adapter_copies import with_own_adapter
from backends.text.families import Family, attach, load_family, plain_base
from backends.text.interpolation import attach_between, between, with_tensors
from backends.text.soft_prompts import with_soft_prompt


class LoadedFamilies:
    """Loaded models by name.

    Attributes:
        families: what is loaded, by a key that says what it is.
        family_of: name of a model -> key of its family.

    Args:
        device: "cpu", "cuda" or "mps".
        dtype: number format of the weights.
    """

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self._device = device
        self._dtype = dtype
        self.families: dict[str, Family] = {}
        self.family_of: dict[str, str] = {}

    def bytes(self) -> int:
        """Memory of all loaded parameters; shared ones count once."""
        result = {
            id(p): p.numel() * p.element_size() for f in self.families.values() for p in f.module.parameters()
        }
        return sum(result.values())

    def add(self, spec: ModelSpec) -> None:
        """Loads one model; its base only if no loaded model has it.

        Raises:
            CheckpointError: the folder does not load. Models on the same base are let go of, and can be added again.
        """
        if spec.name in self.family_of:
            return
        folder = resolve(spec.source, revision=spec.revision) / spec.subfolder
        key = f"{folder.resolve()} {spec.quantization}".rstrip()
        if spec.embeddings:
            self._add_after_soft_prompt(spec, folder)
            return
        if spec.strength != 1.0 and not spec.adapter:
            self._add_between(spec, folder)
            return
        if spec.weights or (spec.adapter and spec.strength == 1.0 and not shares_base(resolve(spec.adapter))):
            self._add_on_a_copy(spec, folder)
            return
        if key not in self.families:
            self.families[key] = load_family(folder, self._device, self._dtype, spec.quantization)
        if spec.adapter:
            try:
                if spec.strength == 1.0:
                    attach(self.families[key], spec.name, resolve(spec.adapter), self._device)
                else:
                    origin = resolve(spec.origin_adapter) if spec.origin_adapter else None
                    mix = origin, resolve(spec.adapter), spec.strength
                    attach_between(self.families[key], spec.name, *mix, self._device)
            except CheckpointError:
                self._drop(key)
                raise
        self.family_of[spec.name] = key
        self._note_base(spec, folder)

    def _add_on_a_copy(self, spec: ModelSpec, folder: Path) -> None:
        """A base with changed tensors, or with an adapter that changes more than plain LoRA; all else is shared."""
        path = resolve(spec.weights or spec.adapter or "")
        base = plain_base(self.families, folder, self._device, self._dtype, spec.quantization)
        make = with_tensors if spec.weights else with_own_adapter
        key = f"{path.resolve()} on {base}"
        self.families[key] = make(self.families[base], path, spec.name, self._device)
        self.family_of[spec.name] = key
        self._note_base(spec, folder)

    def _add_after_soft_prompt(self, spec: ModelSpec, folder: Path) -> None:
        """A model with learnt vectors before every prompt, on a copy: all its tensors are shared."""
        if spec.strength != 1.0:
            raise CheckpointError("a mixture of two models takes no soft prompt", where=spec.name)
        base = plain_base(self.families, folder, self._device, self._dtype, spec.quantization)
        family, path = self.families[base], spec.weights or spec.adapter
        if path:
            make = with_tensors if spec.weights else with_own_adapter
            family = make(family, resolve(path), spec.name, self._device)
        file = version_path(spec.embeddings[0][1])
        key = f"{file.resolve()} before {path or ''} on {base}"
        self.families[key] = with_soft_prompt(family, file, spec.name)
        self.family_of[spec.name] = key

    def _note_base(self, spec: ModelSpec, folder: Path) -> None:
        """Notes where an adapter was trained on another model than it is put on, or with another chat template."""
        parts = self.families[self.family_of[spec.name]].parts
        if spec.adapter and spec.name in parts:
            adapter = resolve(spec.adapter)
            said = (
                base_note(adapter_settings(adapter), spec.source, folder),
                unused_template(adapter, folder),
            )
            notes = (*parts[spec.name].notes, *(sentence for sentence in said if sentence))
            parts[spec.name] = replace(parts[spec.name], notes=notes)

    def _add_between(self, spec: ModelSpec, folder: Path) -> None:
        """A full model between two others: only the tensors in which those differ are its own."""
        origin = resolve(spec.origin) / spec.subfolder
        base = plain_base(self.families, origin, self._device, self._dtype)
        known = self.families.get(f"{folder.resolve()}")
        end = known or load_family(folder, self._device, self._dtype)
        key = f"{folder.resolve()} {spec.strength!r} from {base}"
        self.families[key] = between(self.families[base], end, spec.strength, where=spec.name)
        self.family_of[spec.name] = key

    def remove(self, name: str) -> None:
        """Lets go of a model, and of its weights where no other loaded model is on them."""
        key = self.family_of.pop(name)
        if key not in self.family_of.values():
            del self.families[key]

    def _drop(self, key: str) -> None:
        # PEFT changes the base in place: with half an adapter in it, it would no longer answer as the original.
        del self.families[key]
        for name in [name for name, of in self.family_of.items() if of == key]:
            del self.family_of[name]
