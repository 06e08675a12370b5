"""Language models that are made of a loaded one without training: what is not changed is shared with it.

`touched_family` does what `ModelSpec.touch` says. Touches that change no weight (early exit, projection, contrast)
leave adapters as they are, so that one of strength 0 says bit for bit what the model says; rounding, pruning and random
changes are of the weights that the model computes with, adapters merged. Knows nothing of files and studies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from backends.checkpoints.coarser import moved_at_random, pruned, rounded
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.loader_report import LoadResult
from backends.checkpoints.mixing import put, with_changes
from backends.errors import CheckpointError
from backends.study.touch import Touch
from backends.text.decoder_layers import decoder_layers
from backends.text.difference_direction import mean_state, project_out
from backends.text.families import Family
from backends.text.merged_weights import NotMerged, merged_weights
from backends.text.two_models import TwoModels, amplified, contrasted


class LoadedModel(NamedTuple):
    """One model of a loaded family."""

    family: Family
    name: str


class Matrix(NamedTuple):
    """A weight between the layers' inputs and outputs; `inputs_first` as GPT-2's layers store it."""

    weight: Tensor
    inputs_first: bool


@one_load_at_a_time
def touched_family(
    plain: LoadedModel, origin: LoadedModel | None, touch: Touch, name: str, prompts: Sequence[list[int]] = ()
) -> Family:
    """The touched model as a family of its own.

    Args:
        plain: the model; it stays as it is.
        origin: the original, where the touch needs it.
        touch: what is done.
        name: of the touched model.
        prompts: token ids, on which a direction is measured.

    Raises:
        CheckpointError: it has no such layer, is quantised, or does not fit the original.
    """
    _check_numbers(plain, name)
    if touch.kind == "exit":
        return _read_off_early(plain, touch, name)
    try:
        if origin is not None:
            return _with_original(plain, origin, touch, name, prompts)
        if touch.changes_weights:
            return _coarser(plain, touch, name)
    except NotMerged as error:
        raise CheckpointError(
            f"its adapter cannot be merged ({error})",
            where=name,
            how="Merge it into its base with merge_and_unload, save that, and name the folder in `source`",
        ) from error
    return _made(plain, alone(plain), name, f"{touch.title()}: nothing is changed")


def alone(model: LoadedModel) -> Any:
    """A model as a module of its own, with its adapter only; all tensors are shared with its family."""
    family, name = model
    module: Any = with_changes(family.module, {})
    if name in family.adapters:
        module.set_adapter(family.adapters[name])
    elif family.adapters:
        module = module.unload()
    module.eval().requires_grad_(False)
    return module


def _made(plain: LoadedModel, module: Any, name: str, said: str, *, own_weights: bool = False) -> Family:
    """The family, whose load was the model's and what was done to it then."""
    family, of = plain
    part = family.parts.get(of)
    loaded = family.loaded if part is not None else _with_note(family.loaded, said)
    return Family(
        module.eval().requires_grad_(False),
        family.tokenizer,
        family.context,
        loaded,
        parts={} if part is None else {name: _with_note(part, said)},
        like=None if own_weights else (family, of),
    )


def _with_note(loaded: LoadResult, said: str) -> LoadResult:
    return replace(loaded, notes=(*loaded.notes, said))


def _read_off_early(plain: LoadedModel, touch: Touch, name: str) -> Family:
    """After layer l the final norm and the output head follow at once (logit lens; nostalgebraist 2020)."""
    module = alone(plain)
    count = len(decoder_layers(module, name)[1])
    _cut_after(module, layer_of(touch, count, name))
    return _made(plain, module, name, touch.title(count))


def _cut_after(module: Any, layer: int) -> None:
    """Leaves the layers above this one out, in place; the module's configuration is its own."""
    path, layers = decoder_layers(module)
    owner, _, leaf = path.rpartition(".")
    setattr(module.get_submodule(owner), leaf, layers[:layer])
    base = module.get_base_model() if hasattr(module, "get_base_model") else module
    base.config.get_text_config().num_hidden_layers = layer


def layer_of(touch: Touch, count: int, where: str) -> int:
    """The layer that a touch names, from 1.

    Raises:
        CheckpointError: the model has fewer.
    """
    layer = touch.layer(count)
    if layer > count:
        raise CheckpointError(
            f"there is no layer {layer}: the model has {count}, counted from 1", where=f"{where}: touch"
        )
    return layer


def _with_original(
    plain: LoadedModel, origin: LoadedModel, touch: Touch, name: str, prompts: Sequence[list[int]]
) -> Family:
    if touch.kind == "sham":
        return _moved(plain, origin, touch, name)
    if touch.kind == "project":
        return _without_direction(plain, origin, touch, name, prompts)
    combine = contrasted if touch.kind == "contrast" else amplified
    module = TwoModels(
        alone(plain), alone(origin), lambda after, before: combine(after, before, touch.value), name
    )
    made = _made(plain, module, name, touch.title())
    made.context = min(made.context, origin.family.context)
    return made


def _without_direction(
    plain: LoadedModel, origin: LoadedModel, touch: Touch, name: str, prompts: Sequence[list[int]]
) -> Family:
    module = alone(plain)
    count = len(decoder_layers(module, name)[1])
    layer = layer_of(touch, count, name)
    pad_id = plain.family.tokenizer.pad_id
    states = []
    for model in (plain, origin):
        lower = alone(model)
        _cut_after(lower, layer)
        states.append(mean_state(lower, prompts, layer, pad_id))
    after, before = states
    if after.shape != before.shape:
        raise CheckpointError("its hidden states are not as wide as the original's", where=name)
    length = float((after - before).norm())
    if length:
        project_out(module, after - before, layer)
    share = length / float(before.norm())
    found = f"{share:.2%} of the original's mean state, over {len(prompts)} prompts"
    if not length:
        found = "the model does not differ from the original there, so nothing was taken away"
    return _made(plain, module, name, f"{touch.title(count)}: {found}")


def _coarser(plain: LoadedModel, touch: Touch, name: str) -> Family:
    """All matrices between the layers rounded or pruned; embeddings, output head, norms and biases are not."""

    def change(matrix: Matrix) -> Tensor:
        weight, inputs_first = matrix
        if touch.kind == "prune":
            return pruned(weight, touch.value / 100)
        turned = rounded(weight.t() if inputs_first else weight, int(touch.value))
        return turned.t() if inputs_first else turned

    module = _without_adapters(plain)
    matrices = _matrices(module, name)
    total = changed = 0
    put_one = _Replacing(module)
    for key, weight in merged_weights(*plain):
        if key not in matrices:
            put_one(key, weight, tied=True)
            continue
        new = change(Matrix(weight, matrices[key]))
        total += weight.numel()
        changed += int((new != weight).sum())
        put_one(key, new)
    share = changed / total if total else 0.0
    said = f"{touch.title()}: {len(matrices)} matrices, {share:.1%} of their weights changed"
    return _made(plain, module, name, said, own_weights=True)


def _moved(plain: LoadedModel, origin: LoadedModel, touch: Touch, name: str) -> Family:
    """The original, each tensor moved at random as far as the model's is from it: a control for mere damage."""
    module = _without_adapters(origin)
    lasting = {id(tensor) for tensor in origin.family.module.parameters()}
    moved: dict[int, Tensor] = {}  # a tensor under two names is moved once
    put_one = _Replacing(module)
    count = 0
    for (key, ours), (other, theirs) in zip(merged_weights(*origin), merged_weights(*plain), strict=False):
        if key != other or ours.shape != theirs.shape:
            raise CheckpointError(f"the original has no such tensor as its {other}", where=name)
        if id(ours) in moved:
            put_one(key, moved[id(ours)])
            continue
        distance = 0.0 if theirs is ours else float(torch.linalg.vector_norm(theirs.float() - ours.float()))
        new = moved_at_random(ours, distance, _generator(int(touch.value), key))
        count += new is not ours
        new = put_one(key, new)
        if id(ours) in lasting:
            moved[id(ours)] = new
    said = f"{touch.title()}: {count} tensors moved"
    return _made(origin, module, name, said, own_weights=True)


def _generator(seed: int, key: str) -> torch.Generator:
    """Noise of a tensor that depends on its name and the seed alone."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class _Replacing:
    """Puts tensors into a module, but for those that it has already.

    Args:
        module: changed in place.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._ours = dict(module.named_parameters(remove_duplicate=False))
        self._put: dict[int, tuple[Tensor, nn.Parameter]] = {}

    def __call__(self, key: str, tensor: Tensor, *, tied: bool = False) -> Tensor:
        """`tied`: the same tensor under another name is to be one in the module, too."""
        ours = self._ours[key]
        if tensor is ours or (tensor.shape == ours.shape and torch.equal(tensor, ours)):
            return ours
        if tied and id(tensor) in self._put:
            put(self._module, key, self._put[id(tensor)][1])
            return self._put[id(tensor)][1]
        new = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
        put(self._module, key, new)
        if tied:
            self._put[id(tensor)] = tensor, new  # held, so that no other tensor gets its number
        return new


def _without_adapters(model: LoadedModel) -> Any:
    """The base of a model as a module of its own, all tensors shared."""
    module: Any = with_changes(model.family.module, {})
    return module.unload() if hasattr(module, "get_base_model") else module


def _matrices(module: Any, where: str) -> dict[str, bool]:
    """Names of all weights of two or more dimensions in the layers, and whether their inputs come first."""
    path, layers = decoder_layers(module, where)
    return {
        f"{path}.{inside}.{key}": isinstance(part, Conv1D)
        for inside, part in layers.named_modules()
        for key, tensor in part.named_parameters(recurse=False)
        if tensor.ndim >= 2
    }


def _check_numbers(model: LoadedModel, name: str) -> None:
    if not all(tensor.is_floating_point() for tensor in model.family.module.parameters()):
        raise CheckpointError(
            "a quantised model cannot be touched", where=name, how="Name the whole model in `source`"
        )
