"""Names of tensors as training wraps them: `_orig_mod.` of torch.compile, `module.` of DDP, FSDP's and others.

A model that was wrapped when its state was saved has these in front of its own names, or between them where parts were
wrapped one by one. Loaded as it stands, nothing of such a file finds its place. Needs no torch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backends.checkpoints.tensors import read_header
from backends.errors import CheckpointError

ANYWHERE = ("_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module")
"""Of torch.compile, FSDP, its first version, and activation checkpointing: no model has a part of such a name."""
IN_FRONT = "module"
"""Of DataParallel, DistributedDataParallel and DeepSpeed; further inside it may be a part's own name."""
_ANYWHERE = rf"(?:^|(?<=\.))(?:{'|'.join(ANYWHERE)})\."
_IN_FRONT = rf"^(?:{IN_FRONT}\.)+"


@dataclass(frozen=True, slots=True)
class UnwrappedNames:
    """Names as they are without wrapping.

    Attributes:
        names: name in the file -> name without wrapping.
        wrappers: what was taken away, as "_orig_mod.", each once; empty where nothing was wrapped.
    """

    names: Mapping[str, str]
    wrappers: tuple[str, ...]

    @property
    def key_mapping(self) -> dict[str, str] | None:
        """The same for `from_pretrained` of transformers, which replaces each pattern once in a name."""
        if not self.wrappers:
            return None
        depth = max(len(re.findall(_ANYWHERE, name)) for name in self.names)
        return {f"{_ANYWHERE}(?#{place})": "" for place in range(depth)} | {_IN_FRONT: ""}


def unwrapped(names: Iterable[str], where: str) -> UnwrappedNames:
    """Takes wrapping away from names; in any order and depth.

    Args:
        names: of all tensors of a model or adapter.
        where: file or folder, for the message.

    Raises:
        CheckpointError: two tensors would have one name, so nobody can say which one is meant.
    """
    result: dict[str, str] = {}
    wrappers: dict[str, None] = {}
    for name in names:
        plain = re.sub(_IN_FRONT, "", re.sub(_ANYWHERE, "", name))
        result[name] = plain
        if plain != name:
            parts = name.split(".")
            wrappers |= dict.fromkeys(f"{part}." for part in parts if part in ANYWHERE)
            wrappers |= dict.fromkeys([f"{IN_FRONT}."] if _in_front(parts) else [])
    if wrappers:
        name, times = Counter(result.values()).most_common(1)[0]
        if times > 1:
            raise CheckpointError(
                f"the tensor {name[:120]} is there more than once, under names of wrapped and plain models",
                where=where,
                how="Save the unwrapped model with save_pretrained",
            )
    return UnwrappedNames(result, tuple(wrappers))


def unwrapped_part(folder: Path, files: Iterable[Path]) -> list[str]:
    """What a language model's identity says of wrapped names, nothing without them.

    Such files were once read as random weights, whose numbers must not be mistaken for those of the file as it is.
    """
    if (folder / "model_index.json").is_file():
        return []
    result = {wrapper for file in files for wrapper in _wrappers_in(file, file.stat().st_mtime_ns)}
    return [f"names without {' '.join(sorted(result))}"] if result else []


@lru_cache(maxsize=4096)
def _wrappers_in(file: Path, changed: int) -> tuple[str, ...]:
    """What wraps the names in a safetensors file; `changed` tells when to ask again."""
    return unwrapped(read_header(file), str(file)).wrappers


def _in_front(parts: list[str]) -> bool:
    """Whether the first part that is no wrapper of `ANYWHERE` is `IN_FRONT`."""
    return next((part for part in parts if part not in ANYWHERE), "") == IN_FRONT
