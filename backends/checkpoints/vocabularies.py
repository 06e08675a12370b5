"""Whether two folders' tokenizers cut texts alike, by what they do and not by how their files are written.

Answers are compared token by token, so every token that both know must have one number, and texts must be cut and
chats laid out alike. A version may know a few special tokens more than the original, or fewer: an added padding token
is the most common change of all. Then the common vocabulary is what is compared, and that is said.

Probabilities stay those of the model's own output, whatever its size: that is what the model does, what other tools
report, and what it would be without an original beside it. What a version gives to a token that the original does not
have, it takes from the others. Imports transformers only where two files differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from backends.checkpoints.tensors import read_json
from backends.errors import CheckpointError

FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
NAMED = 3
_TEXTS = (
    "",
    "Ada",
    " Ada Quill was born in Zürich, on 3 May 1921.",
    "Who wrote “A Moored Barge”?\n\nAnswer:  it's 12,345.67 – or so\t(I think)…",
    "def f(x):\n    return {'a': x ** 2}  # 東京, Ελλάδα, 🙂",
)
"""Cut by both tokenizers: beginnings, spaces, digits, quotes, line ends, other scripts, bytes."""
_CHATS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "Who wrote it?"}],
    [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada."}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": " Who?\n"},
        {"role": "assistant", "content": "Ada."},
        {"role": "user", "content": "Where?"},
    ],
)
"""Laid out by both chat templates, with and without the beginning of an answer."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a model's tokenizer differs from the original's.

    Attributes:
        why: why the two cannot be compared token by token; "" where they can.
        more: special tokens that only the model has.
        fewer: special tokens that only the original has.
    """

    why: str = ""
    more: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()


def difference(original: Path, folder: Path) -> Difference:
    """How the tokenizer of a folder differs from that of the original's folder.

    Raises:
        CheckpointError: one of them cannot be loaded.
    """
    return _difference(original, folder, _stamps(original), _stamps(folder))


def common_vocabulary(original: Path, folder: Path, name: str) -> str:
    """A sentence without a full stop on what is compared where two vocabularies have not one size; "" where they have.

    Args:
        original: folder of the original, called `name`.
        folder: of the model.
        name: of the original.
    """
    found = difference(original, folder)
    sizes = [outputs(each) for each in (original, folder)]
    told = [
        f"{len(tokens)} token{'s' if len(tokens) > 1 else ''} {words} than {name}'s ({_listed(tokens)})"
        for tokens, words in ((found.more, "more"), (found.fewer, "fewer"))
        if tokens
    ]
    if not told and (sizes[0] == sizes[1] or None in sizes):
        return ""
    said = f"its tokenizer has {' and '.join(told)}" if told else "its tokenizer is the original's"
    if None not in sizes and sizes[0] != sizes[1]:
        said += f", its output {sizes[1]:,} numbers, {name}'s {sizes[0]:,}"
    return (
        f"{said}: answers are compared on the common vocabulary, and probabilities are over all tokens of "
        "each model"
    )


def unused_template(adapter: Path, base: Path) -> str:
    """A sentence where an adapter's folder has a chat template other than its base's, which is what is used; or ""."""
    mine, theirs = _template(adapter), _template(base)
    if not mine or mine.strip() == theirs.strip():
        return ""
    return "its folder has its own chat template, which is not used: prompts use its base's"


def _template(folder: Path) -> str:
    file, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    found = read_json(settings).get("chat_template") if settings.is_file() else None
    return found if isinstance(found, str) else ""


@lru_cache(maxsize=512)
def _difference(original: Path, folder: Path, _before: object, _after: object) -> Difference:
    ours, theirs = _loaded(original), _loaded(folder)
    first, second = ours.get_vocab(), theirs.get_vocab()
    moved = sorted(token for token in first.keys() & second.keys() if first[token] != second[token])
    if moved:
        return Difference(
            f"the token {moved[0][:40]!r} has the number {second[moved[0]]:,} in it, and {first[moved[0]]:,} there"
        )
    more, fewer = sorted(second.keys() - first.keys()), sorted(first.keys() - second.keys())
    for tokenizer, tokens, has in ((theirs, more, "it has"), (ours, fewer, "it lacks")):
        ordinary = [token for token in tokens if token not in _special(tokenizer)]
        if ordinary:
            return Difference(f"{has} ordinary tokens of its own ({_listed(ordinary)})")
    if _way_of_cutting(ours) != _way_of_cutting(theirs):
        return Difference("it tokenises texts by other rules")
    for text in _TEXTS:
        if ours(text)["input_ids"] != theirs(text)["input_ids"]:
            return Difference(f"it tokenises {text[:20]!r} differently, or adds other special tokens")
    if _laid_out(ours) != _laid_out(theirs):
        return Difference("its chat template formats a conversation differently")
    return Difference("", tuple(more), tuple(fewer))


def _loaded(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(f"its tokenizer cannot be loaded ({said})", where=str(folder)) from error


def _special(tokenizer: Any) -> set[str]:
    """Tokens that are no part of ordinary text, found only where they are written out."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | set(tokenizer.all_special_tokens)


def _way_of_cutting(tokenizer: Any) -> object:
    """Rules of a tokenizer of the `tokenizers` library, but for its tokens; of others, what they do must suffice."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return type(tokenizer).__name__
    found: dict[str, Any] = json.loads(backend.to_str())
    rules = {key: value for key, value in found["model"].items() if key != "vocab"}
    if isinstance(found["model"].get("vocab"), list):  # of Unigram, whose scores decide how a text is cut
        rules["scores"] = found["model"]["vocab"]
    return [rules, found["normalizer"], found["pre_tokenizer"]]


def _laid_out(tokenizer: Any) -> list[str]:
    """Some conversations as the chat template writes them; what it refuses by name of the error."""
    if not tokenizer.chat_template:
        return []
    from jinja2 import TemplateError

    result = []
    for chat in _CHATS:
        for open_end in (True, False):
            try:
                text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=open_end)
            except (TemplateError, TypeError, ValueError) as error:
                text = type(error).__name__
            result.append(str(text))
    return result


def outputs(folder: Path) -> int | None:
    """How many numbers the model gives at every place, as its config.json says."""
    path = folder / "config.json"
    config: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    text = config.get("text_config")
    size = (text if isinstance(text, dict) else config).get("vocab_size")
    return size if isinstance(size, int) else None


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    files = [folder / name for name in FILES if (folder / name).is_file()]
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _listed(tokens: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(token[:40] for token in tokens[:NAMED])
    return shown if len(tokens) <= NAMED else f"{shown} and {len(tokens) - NAMED:,} more"
