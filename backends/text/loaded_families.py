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
from backends.study.study import spec_digest
from backends.study.touch import Touch, origin_of, parsed, prompts_of, untouched
from backends.text.adapter_copies import with_own_adapter
from backends.text.families import Family, attach, load_family, plain_base
from backends.text.interpolation import attach_between, between, with_tensors
from backends.text.soft_prompts import with_soft_prompt
from backends.text.touching import LoadedModel, touched_family

HIDDEN = "\0"
"""Begins the names of models that are in memory only because others are made of them."""


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
        self._made_of: dict[str, ModelSpec] = {}
        self._helpers: dict[str, set[str]] = {}

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
        self._add(spec)
        self._made_of[spec.name] = _content(spec)

    def _add(self, spec: ModelSpec) -> None:
        if spec.touch:
            self._add_touched(spec)
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

    def _add_touched(self, spec: ModelSpec) -> None:
        """A model that is made of another one, which is loaded for that unless it is there already."""
        touch = parsed(spec.touch, spec.name)
        needed = [untouched(spec), *([origin_of(spec)] if touch.needs_original else [])]
        names = [self._ready(each) for each in needed]
        self._helpers[spec.name] = {name for name in names if name.startswith(HIDDEN)}
        plain, *origin = (LoadedModel(self.families[self.family_of[name]], name) for name in names)
        key = f"{spec.name} {spec_digest(spec)}"
        try:
            self.families[key] = touched_family(
                plain,
                origin[0] if origin else None,
                touch,
                spec.name,
                _prompts(plain.family, touch, spec.name),
            )
        except CheckpointError:
            self._let_go_of_helpers(spec.name)
            raise
        self.family_of[spec.name] = key

    def _ready(self, spec: ModelSpec) -> str:
        """Name of a loaded model with the same weights; a hidden one is loaded where there is none."""
        content = _content(spec)
        for name, made_of in self._made_of.items():
            if made_of == content and name in self.family_of:
                return name
        hidden = f"{HIDDEN}{spec_digest(content)}"
        try:
            self.add(replace(content, name=hidden))
        except CheckpointError as error:
            where = error.where.replace(hidden, spec.name)
            raise CheckpointError(error.what, where=where, how=error.how) from error
        return hidden

    def remove(self, name: str) -> None:
        """Lets go of a model, and of its weights where no other loaded model is on them."""
        key = self.family_of.pop(name)
        self._made_of.pop(name, None)
        if key not in self.family_of.values():
            del self.families[key]
        self._let_go_of_helpers(name)

    def _let_go_of_helpers(self, name: str) -> None:
        for helper in self._helpers.pop(name, set()):
            if helper in self.family_of and not any(helper in used for used in self._helpers.values()):
                self.remove(helper)

    def _drop(self, key: str) -> None:
        # PEFT changes the base in place: with half an adapter in it, it would no longer answer as the original.
        del self.families[key]
        for name in [name for name, of in self.family_of.items() if of == key]:
            del self.family_of[name]


def _prompts(family: Family, touch: Touch, where: str) -> list[list[int]]:
    """Token ids of the prompts that a direction is measured on, as this tool's own protocol asks them."""
    if touch.kind != "project":
        return []
    asked = prompts_of(touch.prompts, where)
    return [family.tokenizer.prompt_ids(prompt, form, "corrected", turns) for prompt, form, turns in asked]


def _content(spec: ModelSpec) -> ModelSpec:
    """What a model's weights are made of, whatever it is called."""
    return replace(
        spec, name="", part="unlearned", method="", step=None, seed=None, note="", fingerprint="", forget=()
    )
