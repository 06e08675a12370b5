"""From prompts and answers to token ids and back: chat template or plain format, the answer's tokens, their text.

How a model is asked is the protocol's:

- corrected: the model's own chat template with its default system text, one user turn, the answer's tokens where the
  template itself puts an answer (behind a closed thinking block, in the final channel); the token that ends the turn is
  scored apart. Without a chat template the prompt, a space and the answer. No end token of the tokenizer's inside a
  text, and one beginning token where a format writes it, too.
- open-unlearning: as its `preprocess_chat_instance` and `preprocess_pretraining_instance`: its system text and date,
  prompt and answer tokenised as one text, everything behind the prompt is the answer, with one more end token where the
  text does not end in one. Tokens with the padding id are hidden from attention, those of the prompt too.
- muse: never a chat template; "Question: ...", then "Answer: ", as MUSE's `knowmem.py`.

A probe's own format takes the place of the template in all of them. Earlier turns of a conversation go into the
template before the prompt; without one they stand before it as worked examples do. What an answer is made to begin with
is tokenised as the answer is. The date is pinned, see `chat_template.py`. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError

from backends.errors import CheckpointError, ModelError
from backends.study import RAW_TEXT, ProtocolName, Turns
from backends.text.answer_border import answer_border, answer_start, pieces_of
from backends.text.chat_template import AnswerPlacement, ChatTemplate, Clock, turn_end
from backends.text.earlier_turns import as_plain_text, left_out

PLAIN_FORMAT: Mapping[ProtocolName, str] = MappingProxyType(
    {
        "corrected": RAW_TEXT,
        "open-unlearning": "Question: {prompt}\nAnswer: ",
        "muse": "Question: {prompt}\nAnswer: ",
    }
)
"""What is put around a prompt that has no format of its own, for a model without a chat template; always in MUSE."""

OPEN_UNLEARNING_SYSTEM = "You are a helpful assistant."
OPEN_UNLEARNING_CLOCK = Clock(datetime(2025, 4, 10), "10 Apr 2025")
"""That tool tells templates this date; those that read a clock instead are given the same."""
MOST_TEXT_TOKENS = 2048
"""Of a text without a prompt, as open-unlearning cuts MUSE's and WMDP's."""
MOST_PLAIN_TOKENS = 512
"""Of a question with its answer in open-unlearning, where there is no chat template."""


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """Token ids of a prompt and of an answer after it.

    Attributes:
        prompt_ids: what the model has seen before the answer.
        answer_ids: tokens that are scored.
        pieces: the answer's tokens as text, "" for special ones; they join to the answer.
        end_ids: scored after the answer and reported apart; one token or none.
    """

    prompt_ids: list[int]
    answer_ids: list[int]
    pieces: tuple[str, ...]
    end_ids: tuple[int, ...] = ()


class ChatTokenizer:
    """A transformers tokenizer with the few operations that evidence needs."""

    before: tuple[int, ...] = ()
    """Ids that stand before every prompt and are no token's, see `soft_prompts.py`."""

    def __init__(self, tokenizer: Any, end_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self.end_ids = end_ids | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())
        self.end_id: int | None = tokenizer.eos_token_id
        self.pad_id: int = next(
            i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None
        )
        self._pieces: dict[int, str] = {}

    def unseen(self, protocol: ProtocolName) -> frozenset[int]:
        """Ids that attention skips wherever they stand: open-unlearning's mask is `ids != pad`, and pad may be eos."""
        return frozenset({self.pad_id}) if protocol == "open-unlearning" else frozenset()

    def ends(self, protocol: ProtocolName = "corrected") -> frozenset[int]:
        """Ids that end an answer: those of the model's settings, and in this tool's own way what ends a turn."""
        return self.end_ids | set(self._turn_end) if protocol == "corrected" else self.end_ids

    def notes(self, protocol: ProtocolName, date: str = "", format: str = "") -> list[str]:
        """What a person should know of how prompts are asked and where answers begin and end, in sentences."""
        if protocol != "corrected":
            return []
        said: list[str] = []
        if self._frame[1]:
            said.append(
                "The tokenizer ends every text with an end token; it is left out of prompts and answers."
            )
        if self._plain(format, protocol):
            begun = self._ids(format.partition(RAW_TEXT)[0])
            before = self._frame[0]
            if before and begun[: len(before)] == before:
                said.append(
                    "The format begins with the token that the tokenizer writes, too; it is there once."
                )
            return said
        template, placed = self._chat_template, self._placed(date)
        if template.prints_a_date:
            told = template.clock(date).at.date().isoformat()
            said.append(
                f'The chat template prints a date; it is set to {told} (`date = "..."` in the study).'
            )
        if placed.before:
            said.append(
                f"Answers are generated and scored after {placed.before!r}, where the chat template puts them."
            )
        if self._turn_end and self._turn_end != (self.end_id,):
            end = self._tokenizer.convert_ids_to_tokens(self._turn_end[0])
            said.append(f"An answer ends with {end}, which ends a turn in the chat template.")
        return said

    def prompt_ids(
        self,
        prompt: str,
        format: str = "",
        protocol: ProtocolName = "corrected",
        turns: Turns = (),
        date: str = "",
    ) -> list[int]:
        """The prompt, ready for the model's answer.

        Args:
            prompt: what is asked.
            format: see `Probe`.
            protocol: how it is asked.
            turns: what was said before it.
            date: that a chat template is told, see `Study`.

        Raises:
            CheckpointError: the chat template is broken.
            ModelError: the chat template does not take these turns.
        """
        if self._plain(format, protocol):
            text = self._filled(prompt, format, protocol, turns)
            if protocol == "corrected":
                return self._framed(self._ids(text))
            ids = list(self._tokenizer(text)["input_ids"])
            return ids[:MOST_PLAIN_TOKENS] if self._cut(format, protocol) else ids
        return self._ids(self._chat(prompt, None, protocol, turns, date))

    def begun_ids(
        self,
        prompt: str,
        prefix: str,
        format: str = "",
        protocol: ProtocolName = "corrected",
        turns: Turns = (),
        date: str = "",
    ) -> list[int]:
        """The prompt and the beginning of the model's answer, ready for the rest; `prompt_ids` where it is empty.

        They are the ids that are seen before a word that goes on from there is scored. So white space at the end of the
        beginning is left to the model where a token of a word begins with it.

        Args:
            prompt: what is asked.
            prefix: what the answer begins with.
            format: see `Probe`.
            protocol: how it is asked.
            turns: what was said before it.
            date: that a chat template is told, see `Study`.

        Raises:
            ModelError: as for `encode`.
        """
        if not prefix:
            return self.prompt_ids(prompt, format, protocol, turns, date)
        word = "a" if prefix[-1].isspace() else " a"
        return self.encode(prompt, word, format, protocol, turns=turns, date=date, prefix=prefix).prompt_ids

    def encode(
        self,
        prompt: str,
        answer: str,
        format: str = "",
        protocol: ProtocolName = "corrected",
        context: int = MOST_TEXT_TOKENS,
        turns: Turns = (),
        date: str = "",
        prefix: str = "",
    ) -> EncodedAnswer:
        """Prompt and answer under a protocol.

        With a prefix, prefix and answer are tokenised as one text, as the answer that they are together would be
        without one, and what is scored starts with the first token that has some of the answer in it. Where that token
        begins in the prefix, its log-probability is that of the whole token, and its piece has the answer's part alone.

        Args:
            prompt: what is asked; "" for a text without a prompt, whose first token is then what the model has seen.
            answer: what is scored.
            format: see `Probe`.
            protocol: how it is asked and where the answer ends.
            context: most tokens of a text without a prompt.
            turns: what was said before the prompt.
            date: that a chat template is told, see `Study`.
            prefix: what the answer begins with, which is seen and not scored.

        Raises:
            ModelError: the chat template changes an answer, so that nobody can say where its prefix ends.
        """
        if not prompt:
            return self._text_alone(answer, min(context, MOST_TEXT_TOKENS), protocol, prefix)
        if protocol == "open-unlearning":
            return self._joint(prompt, answer, format, turns, prefix)
        prompt_ids = self.prompt_ids(prompt, format, protocol, turns, date)
        before = self._between(prompt, format, protocol, turns) + prefix
        text = before + answer
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
        first = answer_start(offsets, len(before)) if prefix else 0
        pieces = pieces_of(text, offsets, first, len(before) if prefix else 0)
        end_ids: tuple[int, ...] = () if self.end_id is None else (self.end_id,)
        if not self._plain(format, protocol):
            end_ids = self._turn_end or end_ids
        return EncodedAnswer([*prompt_ids, *ids[:first]], ids[first:], pieces, end_ids)

    def text(self, ids: list[int]) -> str:
        """Generated ids as text, special tokens left out."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def plain_ids(self, text: str) -> list[int]:
        """Ids of a text with nothing around it."""
        return self._ids(text)

    def piece(self, token_id: int) -> str:
        """One token as text, its leading space kept."""
        if token_id not in self._pieces:
            raw = str(self._tokenizer.convert_ids_to_tokens(token_id))
            text = str(self._tokenizer.decode([token_id]))
            spaced = raw.startswith("▁") and not text.startswith(" ")
            self._pieces[token_id] = f" {text}" if spaced else text
        return self._pieces[token_id]

    def _plain(self, format: str, protocol: ProtocolName) -> bool:
        """Nothing of a chat template is used."""
        return bool(format) or protocol == "muse" or not self._tokenizer.chat_template

    @staticmethod
    def _cut(format: str, protocol: ProtocolName) -> bool:
        return protocol == "open-unlearning" and format != RAW_TEXT

    @staticmethod
    def _filled(prompt: str, format: str, protocol: ProtocolName, turns: Turns = ()) -> str:
        form = format or PLAIN_FORMAT[protocol]
        return as_plain_text(turns, form) + form.replace(RAW_TEXT, prompt)

    def _between(self, prompt: str, format: str, protocol: ProtocolName, turns: Turns) -> str:
        """What stands between a prompt and its answer: after a chat template the answer starts a line; after a bare
        prompt a space parts the two words.
        """
        if not self._plain(format, protocol) or (protocol == "open-unlearning" and format != RAW_TEXT):
            return ""
        return "" if self._filled(prompt, format, protocol, turns)[-1:].isspace() else " "

    def _text_alone(self, text: str, most: int, protocol: ProtocolName, prefix: str) -> EncodedAnswer:
        """A text without a prompt: its first token is only seen, and with it all others of the prefix."""
        whole = prefix + text
        encoded = self._tokenizer(whole, return_offsets_mapping=True)
        ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
        ends = len(self._frame[1])
        if ends and protocol == "corrected":
            ids, offsets = ids[:-ends], offsets[:-ends]
        first = max(1, answer_start(offsets, len(prefix))) if prefix else 1
        pieces = pieces_of(whole, offsets[:most], first, len(prefix))
        return EncodedAnswer(ids[:first], ids[first:most], pieces)

    def _joint(self, prompt: str, answer: str, format: str, turns: Turns, prefix: str) -> EncodedAnswer:
        """Prompt and answer as one text, as open-unlearning tokenises them."""
        protocol: ProtocolName = "open-unlearning"
        if not self._plain(format, protocol):
            whole = self._chat(prompt, prefix + answer, protocol, turns)
            encoded = self._tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
            border = self._border(whole, prefix, answer) if prefix else 0
            most = None
        else:
            before = self._filled(prompt, format, protocol, turns)
            before += self._between(prompt, format, protocol, turns) + prefix
            whole, border = before + answer, len(before) if prefix else 0
            encoded = self._tokenizer(whole, return_offsets_mapping=True)
            most = MOST_PLAIN_TOKENS if self._cut(format, protocol) else None
        ids, offsets = list(encoded["input_ids"])[:most], encoded["offset_mapping"][:most]
        start = (
            answer_start(offsets, border) if prefix else len(self.prompt_ids(prompt, format, protocol, turns))
        )
        special = set(self._tokenizer.all_special_ids)
        texts = pieces_of(whole, offsets, start, border)
        pieces = ["" if token in special else text for token, text in zip(ids[start:], texts, strict=True)]
        if self.end_id is not None and ids[-1:] != [self.end_id] and format != RAW_TEXT:
            ids.append(self.end_id)
            pieces.append("")
        return EncodedAnswer(ids[:start], ids[start:], tuple(pieces))

    @staticmethod
    def _border(whole: str, prefix: str, answer: str) -> int:
        """Where the answer goes on behind its prefix in a filled-in chat template.

        Raises:
            ModelError: the template writes another answer.
        """
        border = answer_border(whole, prefix, answer)
        if border is None:
            raise ModelError(
                "the chat template changes this answer, so where its given beginning ends cannot be told",
                where=f"“{(prefix + answer)[:40]}…”",
                how="Give these probes their own format",
            )
        return border

    def _chat(
        self, prompt: str, answer: str | None, protocol: ProtocolName, earlier: Turns = (), date: str = ""
    ) -> str:
        """The filled-in chat template, up to where the answer begins or with it."""
        turns = [{"role": role, "content": text} for role, text in earlier]
        turns += [{"role": "user", "content": prompt}]
        turns += [] if answer is None else [{"role": "assistant", "content": answer}]
        if earlier:
            return self._conversation(turns, answer is None, protocol, earlier, date)
        if protocol == "corrected":
            clock = self._clock(date)
            return self._template(turns, answer is None, clock) + self._placed(date).before
        system = {"role": "system", "content": OPEN_UNLEARNING_SYSTEM}
        try:
            return self._template([system, *turns], answer is None, OPEN_UNLEARNING_CLOCK)
        except (
            CheckpointError
        ):  # some templates know no system turn; open-unlearning then has none configured
            return self._template(turns, answer is None, OPEN_UNLEARNING_CLOCK)

    def _conversation(
        self, turns: list[dict[str, str]], open_end: bool, protocol: ProtocolName, earlier: Turns, date: str
    ) -> str:
        """The filled-in chat template with all earlier turns; open-unlearning's system text where they have none.

        Raises:
            ModelError: the template refuses them or leaves one out.
        """
        where = f"“{turns[-1 if open_end else -2]['content'][:40]}…”"
        corrected = protocol == "corrected"
        clock = self._clock(date) if corrected else OPEN_UNLEARNING_CLOCK
        if protocol == "open-unlearning" and earlier[0][0] != "system":
            turns = [{"role": "system", "content": OPEN_UNLEARNING_SYSTEM}, *turns]
        how = "Remove these probes, or give them their own format"
        try:
            text = self._template(turns, open_end, clock)
        except CheckpointError as error:
            raise ModelError(
                f"the chat template rejects its earlier turns ({str(error)[:160]})",
                where=where,
                how=how,
            ) from error
        if role := left_out(earlier, text):
            raise ModelError(f"the chat template leaves out a turn of the {role}", where=where, how=how)
        return text + (self._placed(date).before if corrected else "")

    def _template(self, turns: list[dict[str, str]], open_end: bool, clock: Clock) -> str:
        try:
            return self._chat_template.filled(turns, clock, open_end=open_end)
        except (TemplateError, TypeError, ValueError) as error:
            raise self._broken_template(error) from error

    def _clock(self, date: str) -> Clock:
        """What the template is told that the time is."""
        try:
            return self._chat_template.clock(date)
        except (TemplateError, TypeError, ValueError) as error:
            raise self._broken_template(error) from error

    def _placed(self, date: str = "") -> AnswerPlacement:
        """Where the template puts an answer."""
        try:
            return self._chat_template.placed(self._chat_template.clock(date))
        except (TemplateError, TypeError, ValueError) as error:
            raise self._broken_template(error) from error

    @cached_property
    def _chat_template(self) -> ChatTemplate:
        tokenizer = self._tokenizer
        return ChatTemplate.of(tokenizer.get_chat_template(), tokenizer.special_tokens_map)

    @cached_property
    def _turn_end(self) -> tuple[int, ...]:
        """The token that the chat template writes after an answer; none where there is no template or no such token."""
        if not self._tokenizer.chat_template:
            return ()
        added = self._tokenizer.get_added_vocab()
        end = turn_end(self._placed().after, list(added))
        return (int(added[end]),) if end else ()

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text without a prompt."""
        bare, framed = self._ids("a"), list(self._tokenizer("a")["input_ids"])
        for start in range(len(framed) - len(bare) + 1):
            if framed[start : start + len(bare)] == bare:
                return framed[:start], framed[start + len(bare) :]
        return [], []

    def _framed(self, ids: list[int]) -> list[int]:
        """A text's ids with the tokenizer's beginning, once where the text has it, too; never with its end."""
        before = self._frame[0]
        return ids if ids[: len(before)] == before else before + ids

    def _broken_template(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"its chat template cannot be rendered ({str(error)[:120]})",
            where=str(self._tokenizer.name_or_path),
            how="Fix chat_template.jinja or tokenizer_config.json, or use the original's",
        )

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
