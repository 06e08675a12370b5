"""Token ids of several rows as one batch: padding, masks, positions, and how rows begin alike.

Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def left_padded(
    rows: Sequence[list[int]], pad_id: int, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, true padding mask and positions, each (rows, longest): the end of every row is at the right edge."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad_id] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)
    return ids, mask, positions


def left_padded_after(
    rows: Sequence[list[int]], begin: int, pad_id: int, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same of rows whose first `begin` ids are equal: these stand at the left edge, before the padding."""
    ids, mask, _ = left_padded([row[begin:] for row in rows], pad_id, device)
    alike = torch.tensor([rows[0][:begin]] * len(rows), device=device, dtype=ids.dtype)
    ids = torch.cat([alike, ids], dim=-1)
    mask = torch.cat([torch.ones_like(alike), mask], dim=-1)
    return ids, mask, (mask.cumsum(-1) - 1).clamp_min(0)


def right_padded(rows: Sequence[list[int]], pad_id: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, each (rows, longest): every row starts at the left edge."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows], device=device, dtype=torch.long)
    mask = torch.tensor(
        [[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device, dtype=torch.long
    )
    return ids, mask


def without(ids: torch.Tensor, mask: torch.Tensor, unseen: frozenset[int]) -> torch.Tensor:
    """The attention mask, shape as `mask`, that also hides every token with one of these ids."""
    if not unseen:
        return mask
    return mask * (~torch.isin(ids, torch.tensor(sorted(unseen), device=ids.device))).to(mask.dtype)


def in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two rows begin with alike."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))


def common_beginning(rows: Sequence[list[int]]) -> int:
    """How many ids all rows begin with alike, at least one id of each row left over."""
    first, last = min(rows), max(rows)  # as in a dictionary: no two rows differ earlier than these
    return min(in_common(first, last), *(len(row) - 1 for row in rows))
