"""From prompts and answers to token ids and back: the chat template, the answer's tokens, their text.

Protocol "corrected": the model's own chat template with its default system text, one user turn, the answer's tokens,
one end-of-turn token; without a chat template the prompt, a space and the answer. Knows nothing about models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from backends.errors import CheckpointError

PROTOCOL = "corrected"


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """Token ids of a prompt and of an answer after it; `pieces` are the answer's tokens as text and join to it."""

    prompt_ids: list[int]
    answer_ids: list[int]
    pieces: tuple[str, ...]


class ChatTokenizer:
    """A transformers tokenizer with the few operations that evidence needs."""

    def __init__(self, tokenizer: Any, end_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self.end_ids = end_ids | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())
        self.end_id: int | None = tokenizer.eos_token_id
        self.pad_id: int = next(
            i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None
        )
        self._pieces: dict[int, str] = {}

    def prompt_ids(self, prompt: str) -> list[int]:
        """The prompt as one user turn, ready for the model's answer.

        Raises:
            CheckpointError: the chat template is broken.
        """
        if not self._tokenizer.chat_template:
            return list(self._tokenizer(prompt)["input_ids"])
        try:
            encoded = self._tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"its chat template cannot be filled in ({str(error)[:120]})",
                where=str(self._tokenizer.name_or_path),
                how="Mend chat_template.jinja or tokenizer_config.json, or take the original's",
            ) from error
        return list(encoded["input_ids"])

    def encode(self, prompt: str, answer: str) -> EncodedAnswer:
        """Prompt and answer; the end-of-turn token is not among the answer's."""
        prompt_ids = self.prompt_ids(prompt)
        # After a chat template the answer starts a line; after a bare prompt a space parts the two words.
        text = answer if self._tokenizer.chat_template else f" {answer}"
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        pieces: list[str] = []
        done = 0
        for _, end in encoded["offset_mapping"]:
            pieces.append(text[done:end])  # a token inside a multi-byte character adds no text of its own
            done = max(done, end)
        return EncodedAnswer(prompt_ids, list(encoded["input_ids"]), tuple(pieces))

    def text(self, ids: list[int]) -> str:
        """Generated ids as text, special tokens left out."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def piece(self, token_id: int) -> str:
        """One token as text, its leading space kept."""
        if token_id not in self._pieces:
            raw = str(self._tokenizer.convert_ids_to_tokens(token_id))
            text = str(self._tokenizer.decode([token_id]))
            spaced = raw.startswith("▁") and not text.startswith(" ")
            self._pieces[token_id] = f" {text}" if spaced else text
        return self._pieces[token_id]
