"""Whether a file's tensors are exactly those of a network: nothing is judged with weights that are not there.

Every loader fills what a file lacks with random numbers and drops what it does not know; here both are refused, by
name. Prefixes that wrappers put before all names are removed, which is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.loader_report import named
from backends.checkpoints.tensors import read_header, weight_files
from backends.checkpoints.wrapped_names import unwrapped
from backends.errors import CheckpointError


def without_prefixes(names: Iterable[str], where: Path) -> tuple[Mapping[str, str], list[str]]:
    """Each name without what wrapped modules put around it, and a sentence where there was any.

    Raises:
        CheckpointError: two tensors would have one name.
    """
    unwrapped_names = unwrapped(names, str(where))
    told = " and ".join(unwrapped_names.wrappers)
    return unwrapped_names.names, [f"{told} was removed from the names of its tensors"] if told else []


def fitted(
    state: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    what: str,
    where: Path,
    how: str = "",
    unused: tuple[str, ...] = (),
    optional: Collection[str] = (),
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a file under a network's names, and what was done to them, in sentences.

    Args:
        state: name -> tensor of the file.
        wanted: name -> tensor of the network.
        what: the network is ("judge").
        where: the file is.
        how: to mend what does not fit.
        unused: beginnings of names that such files have besides and nothing here needs.
        optional: names that the file may lack.

    Raises:
        CheckpointError: tensors are missing, unknown or with another shape; names them.
    """
    names, said = without_prefixes(state, where)
    result = {names[name]: tensor for name, tensor in state.items()}
    refuse_difference(
        missing=[name for name in wanted if name not in result and name not in optional],
        unexpected=[name for name in result if name not in wanted and not name.startswith(unused or ("\0",))],
        shapes=[
            (name, tuple(result[name].shape), tuple(tensor.shape))
            for name, tensor in wanted.items()
            if name in result and result[name].shape != tensor.shape
        ],
        what=what,
        where=where,
        how=how,
    )
    return {name: result[name] for name in wanted if name in result}, said


def refuse_difference(
    *,
    missing: Sequence[str],
    unexpected: Sequence[str],
    shapes: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    what: str,
    where: Path,
    how: str = "",
) -> None:
    """Raises CheckpointError where any of the lists holds something; shapes are the file's and the network's."""
    said = []
    if missing:
        said.append(f"{_named(missing)} missing")
    if unexpected:
        said.append(f"{_named(unexpected)} unknown to it")
    if shapes:
        name, theirs, ours = shapes[0]
        more = f" and {len(shapes) - 1} more are" if len(shapes) > 1 else " is"
        said.append(f"{name}{more} with another shape ({list(theirs)}, not {list(ours)})")
    if said:
        raise CheckpointError(
            f"its weights do not fit this {what}: {'; '.join(said)}",
            where=str(where),
            how=how or "Save the whole model again, or name the folder that these weights belong to",
        )


def refuse_not_finite(model: nn.Module, what: str, where: Path) -> None:
    """Raises CheckpointError where a weight is NaN or infinite: what it says would be no judgement."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{name} of this {what} holds values that are NaN or infinite",
                where=str(where),
                how="Use an earlier checkpoint",
            )


@one_load_at_a_time
def load_whole(loader: Any, folder: Path, what: str) -> tuple[Any, list[str]]:
    """A model of transformers in float32, every tensor of which is in its folder; and what was done, in sentences.

    Args:
        loader: class with `from_pretrained`.
        folder: of config.json and safetensors files.
        what: the network is ("image classifier").

    Raises:
        CheckpointError: pickled weights, or tensors that are missing, unknown or with another shape; names them.
        OSError, ValueError, RuntimeError: as transformers says where the folder is no model of that class.
    """
    safe: dict[str, Any] = {
        "local_files_only": True,
        "trust_remote_code": False,
        "dtype": torch.float32,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # which are refused below, by name
    }
    files = weight_files(folder)
    names, said = without_prefixes((name for file in files for name in read_header(file)), folder)
    if said:
        from transformers import AutoConfig

        state = {names[name]: tensor for file in files for name, tensor in load_file(file).items()}
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kind = loader
        if hasattr(loader, "from_config"):  # one of transformers' Auto classes, which take no tensors
            with torch.device("meta"):
                kind = type(loader.from_config(config, trust_remote_code=False))
        model, info = kind.from_pretrained(None, config=config, state_dict=state, **safe)
    else:
        model, info = loader.from_pretrained(folder, use_safetensors=True, **safe)
    refuse_difference(
        missing=sorted(info["missing_keys"]),
        unexpected=sorted(info["unexpected_keys"]),
        shapes=sorted((name, tuple(theirs), tuple(ours)) for name, theirs, ours in info["mismatched_keys"]),
        what=what,
        where=folder,
    )
    refuse_not_finite(model, what, folder)
    return model, said


def _named(names: Sequence[str]) -> str:
    return f"{named(tuple(names))} {'is' if len(names) == 1 else 'are'}"
