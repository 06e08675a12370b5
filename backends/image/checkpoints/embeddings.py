"""Learned tokens (textual inversion): read from their files, put into a tokenizer and text encoder of their own.

A version's tokenizer and text encoder know them; the original's do not. The encoder's other tensors, its table of
embeddings among them, stay the original's: the new vectors lie beside the table.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from backends.checkpoints.hub import version_path
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.mixing import with_changes
from backends.errors import CheckpointError
from backends.image.checkpoints.version_files import read_tensors, tensors_in

NAMES = ("learned_embeds.safetensors", "learned_embeds.bin")
"""What diffusers' training scripts save."""
WITHOUT_TOKEN = "emb_params"
"""The one name in the safetensors files of Stable Diffusion web UI, which calls an embedding by its file's name."""
ENCODERS: Mapping[str, str] = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
"""Names in the files of SDXL embeddings, which hold vectors for both text encoders."""


@dataclass(frozen=True, slots=True)
class LearnedToken:
    """One learned token.

    Attributes:
        token: that stands for it in prompts.
        vectors: component of a pipeline -> shape (N, D).
    """

    token: str
    vectors: Mapping[str, Tensor]

    @property
    def count(self) -> int:
        """How many vectors it is made of."""
        return max(map(len, self.vectors.values()))

    @property
    def said(self) -> str:
        """For reports: "<cat> (2 vectors)"."""
        return f"{self.token} ({self.count} vector{'s' if self.count != 1 else ''})"


class _ExtendedEmbedding(nn.Module):
    """A table of embeddings with rows after its end."""

    def __init__(self, table: nn.Embedding, learned: Tensor) -> None:
        super().__init__()
        self.weight = table.weight
        self.register_buffer("learned", learned.to(table.weight))

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of ids, shape (..., D)."""
        known = len(self.weight)
        learned: Tensor = self.learned
        old = embedding(ids.clamp(max=known - 1), self.weight)
        new = embedding((ids - known).clamp(0, len(learned) - 1), learned)
        return torch.where((ids >= known)[..., None], new, old)


def read_learned(file: str, token: str = "") -> list[LearnedToken]:
    """The learned tokens of a file or folder.

    diffusers' `learned_embeds.*` ({token: vectors}, also several), web UI's `.pt` ("string_to_param", "name") and
    `.safetensors` ("emb_params"), and SDXL's ("clip_l", "clip_g").

    Args:
        file: path, or `hf://owner/name/path`.
        token: takes the place of the file's own name for it, "" keeps that.

    Raises:
        CheckpointError: no such file, more than tensors in it, or no embeddings.
    """
    path = version_path(file)
    if path.is_dir():
        path = next((path / name for name in NAMES if (path / name).is_file()), path / NAMES[0])
    if not path.is_file():
        raise CheckpointError("there is no such file", where=str(path))
    tokens = _named(read_tensors(path), path)
    if token and len(tokens) > 1:
        raise CheckpointError(
            f"it holds {len(tokens)} tokens ({', '.join(list(tokens)[:5])}), and one name was given for them",
            where=str(path),
            how="Name the file without a token",
        )
    return [
        LearnedToken(token or name, {part: _rows(t, path) for part, t in v.items()})
        for name, v in tokens.items()
    ]


def is_learned(raw: Any) -> bool:
    """Whether tensors read from a file are a learned token's, not weights."""
    if not isinstance(raw, Mapping) or not raw:
        return False
    if "string_to_param" in raw or set(raw) <= set(ENCODERS):
        return True
    return all(isinstance(t, Tensor) and t.ndim <= 2 and "." not in str(name) for name, t in raw.items())


def _named(raw: Any, path: Path) -> dict[str, dict[str, Tensor]]:
    """Token -> component -> vectors."""
    if isinstance(raw, Mapping) and "string_to_param" in raw:
        params = list(tensors_in(raw["string_to_param"]).values())
        if len(params) != 1:
            raise CheckpointError(f"it holds {len(params)} embeddings where one is expected", where=str(path))
        return {str(raw.get("name") or path.stem): {"text_encoder": params[0]}}
    tensors = tensors_in(raw)
    if tensors and set(tensors) <= set(ENCODERS):
        return {path.stem: {ENCODERS[name]: tensor for name, tensor in tensors.items()}}
    if set(tensors) == {WITHOUT_TOKEN}:
        return {path.stem: {"text_encoder": tensors[WITHOUT_TOKEN]}}
    if not tensors or not is_learned(tensors):
        raise CheckpointError(
            "this is not a textual-inversion embedding (no tensor under a token's name)",
            where=str(path),
            how="Name unlearned weights in `weights`",
        )
    return {name: {"text_encoder": tensor} for name, tensor in tensors.items()}


def _rows(tensor: Tensor, path: Path) -> Tensor:
    rows = tensor.detach().float()
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or not len(rows):
        raise CheckpointError(
            f"an embedding has the shape {tuple(tensor.shape)}, not (N, D)", where=str(path)
        )
    if not rows.isfinite().all():
        raise CheckpointError("it holds values that are NaN or infinite", where=str(path))
    return rows


@one_load_at_a_time
def with_learned(
    components: Mapping[str, Any], learned: Sequence[LearnedToken], where: str
) -> dict[str, Any]:
    """Components whose tokenizers and text encoders know the tokens; all others, and all other tensors, are the same.

    A token of several vectors is added as `token`, `token_1` and so on, as diffusers does.

    Raises:
        CheckpointError: a token that is known already, or vectors of another size than the text encoder's.
    """
    changed = dict(components)
    parts = [part for part in ENCODERS.values() if components.get(part) is not None]
    rows: dict[str, list[Tensor]] = {part: [] for part in parts}
    tokens: dict[str, Any] = {}
    for part in parts:
        name = part.replace("text_encoder", "tokenizer")
        tokens[part] = changed[name] = copy.deepcopy(components[name])
    for each in learned:
        if set(each.vectors) != set(parts):
            theirs, ours = " and ".join(each.vectors), " and ".join(parts) or "none"
            raise CheckpointError(
                f"{each.said} has vectors for {theirs}, and the pipeline's text encoders are {ours}",
                where=where,
                how="Use an embedding that was learned on this kind of model",
            )
        for part, vectors in each.vectors.items():
            width = components[part].get_input_embeddings().weight.shape[1]
            if vectors.shape[1] != width:
                raise CheckpointError(
                    f"the vectors of {each.said} have {vectors.shape[1]} numbers, and the model's {width}",
                    where=where,
                    how="Use an embedding that was learned on this kind of model",
                )
            _add(tokens[part], each, where)
            rows[part].append(vectors)
    for part in parts:
        table = components[part].get_input_embeddings()
        _check_places(tokens[part], len(table.weight), rows[part], where)
        encoder = with_changes(components[part], {})
        place = next(name for name, module in components[part].named_modules() if module is table)
        owner, _, leaf = place.rpartition(".")
        setattr(encoder.get_submodule(owner), leaf, _ExtendedEmbedding(table, torch.cat(rows[part])))
        changed[part] = encoder
    return changed


def _add(tokenizer: Any, learned: LearnedToken, where: str) -> None:
    known = tokenizer.get_vocab()
    names = [learned.token, *(f"{learned.token}_{number}" for number in range(1, learned.count))]
    taken = next((name for name in [*names, f"{learned.token}_1"] if name in known), None)
    if taken is not None:
        raise CheckpointError(
            f"the tokenizer already has the token {taken!r}",
            where=where,
            how='Use another token: embeddings = { "<token>" = "file" }',
        )
    if tokenizer.add_tokens(names) != len(names):
        raise CheckpointError(f"the tokenizer does not take {learned.token!r} as a token", where=where)


def _check_places(tokenizer: Any, known: int, rows: Sequence[Tensor], where: str) -> None:
    """New ids must follow the table's rows, or they would be read from other places."""
    if len(tokenizer) != known + sum(map(len, rows)):
        raise CheckpointError(
            f"the tokenizer has {len(tokenizer) - sum(map(len, rows))} tokens of its own, and the text encoder {known}",
            where=where,
            how="Learned tokens can only be added if the two agree",
        )
