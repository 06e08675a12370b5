"""Soft prompts: learnt vectors that stand before every prompt, where token embeddings stand (Lester et al. 2021).

They are read as tokens beyond the vocabulary: the tokenizer writes their numbers before each prompt, and the embedding
knows them. So caches, positions and masks treat them as any token, all protocols have them, and no model can write one:
the output head stays as it is. Without vectors nothing changes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backends.checkpoints.loader_report import LoadResult
from backends.checkpoints.mixing import with_changes
from backends.errors import CheckpointError
from backends.text.families import Family
from backends.text.tokens import ChatTokenizer, EncodedAnswer

VECTORS = "soft_prompt"
"""Name of the tensor in a file, shape (vectors, width); also that of the parameter in the model."""


class PromptEmbedding(nn.Module):
    """A token embedding that knows some vectors beyond the vocabulary.

    Args:
        plain: the model's own.
        vectors: shape (vectors, width); number i of them stands for the token `len(vocabulary) + i`.
    """

    def __init__(self, plain: nn.Module, vectors: Tensor) -> None:
        super().__init__()
        self.plain = plain
        self.soft_prompt = nn.Parameter(vectors)

    @property
    def weight(self) -> Any:
        """The vocabulary's."""
        return self.plain.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings, shape of the ids and the width."""
        size = self.weight.shape[0]
        beyond = ids >= size
        found: Tensor = self.plain(ids.masked_fill(beyond, 0))
        if not bool(beyond.any()):
            return found
        learnt = self.soft_prompt[(ids - size).clamp(min=0)].to(found)
        return torch.where(beyond[..., None], learnt, found)


class PromptedTokenizer(ChatTokenizer):
    """A tokenizer that writes some ids before every prompt.

    Args:
        plain: writes everything else.
        before: the ids.
    """

    def __init__(self, plain: ChatTokenizer, before: tuple[int, ...]) -> None:
        super().__init__(plain._tokenizer, plain.end_ids)
        self.before, self._alone = before, plain

    def prompt_ids(self, *asked: Any, **more: Any) -> list[int]:
        """As `ChatTokenizer.prompt_ids`."""
        return [*self.before, *self._alone.prompt_ids(*asked, **more)]

    def encode(self, *asked: Any, **more: Any) -> EncodedAnswer:
        """As `ChatTokenizer.encode`."""
        row = self._alone.encode(*asked, **more)
        return replace(row, prompt_ids=[*self.before, *row.prompt_ids])

    def text(self, ids: list[int]) -> str:
        """As `ChatTokenizer.text`, the ids left out."""
        return self._alone.text([each for each in ids if each not in self.before])


def put_before(module: Any, vectors: Tensor) -> tuple[int, ...]:
    """Lets a module know the vectors, in place; the ids that stand for them.

    Raises:
        ValueError: the vectors are not as wide as the model's embedding.
    """
    plain = module.get_input_embeddings()
    size, width = plain.weight.shape
    if vectors.ndim != 2 or vectors.shape[1] != width or not vectors.is_floating_point():
        raise ValueError(f"shape {list(vectors.shape)}, and the model's embedding is {width} wide")
    module.set_input_embeddings(PromptEmbedding(plain, vectors.to(plain.weight.device)))
    return tuple(range(size, size + len(vectors)))


def with_soft_prompt(family: Family, file: Path, name: str) -> Family:
    """A loaded model with the vectors of a file before every prompt; every other tensor is shared.

    Args:
        family: of one model: at most its own adapter is on it.
        file: safetensors with the tensor `soft_prompt`.
        name: of the model.

    Raises:
        CheckpointError: the file has no such vectors, or they are of another width.
    """
    where = f"{name}: {file}"
    try:
        vectors = load_file(file)[VECTORS]
        module = with_changes(family.module, {})
        ids = put_before(module, vectors)
    except KeyError as error:
        raise CheckpointError(f"the file has no tensor {VECTORS}", where=where) from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError("the soft prompt cannot be read", where=where) from error
    except ValueError as error:
        raise CheckpointError(
            f"the soft prompt does not fit ({error})", where=where, how="Use the model that it was learnt on"
        ) from error
    module.eval().requires_grad_(False)
    loaded = LoadResult(f"soft prompt of {len(ids)} vectors", 1)
    return Family(
        module,
        PromptedTokenizer(family.tokenizer, ids),
        family.context,
        family.loaded,
        parts=family.parts | {name: loaded},
    )


def save_soft_prompt(module: Any, file: Path) -> None:
    """The vectors that a module knows, as a file."""
    embedding: PromptEmbedding = module.get_input_embeddings()
    save_file({VECTORS: embedding.soft_prompt.detach().cpu().contiguous()}, file)
