"""When memory does not suffice: telling that error from others, and splitting the work."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def out_of_memory(error: RuntimeError) -> bool:
    """The error says that memory ran out: CUDA's and MPS's own kind, and the CPU's allocator, which has none."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def halves(group: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """A group of prompts with the indices of their answers in two, each with about half of the answers."""
    if len(group) == 1:
        indices = list(group[0])
        middle = (len(indices) + 1) // 2
        return [indices[:middle]], [indices[middle:]]
    middle = len(group) // 2
    return [list(each) for each in group[:middle]], [list(each) for each in group[middle:]]
