"""Whether a model is asked in another way than by earlier versions, which knew no pinned date: found from its files.

What a chat template really renders belongs to the identity of evidence. Where it is what earlier versions rendered on
every day, evidence keeps its old name, so that nothing recorded is lost; where it is not, a digest of it makes another.
Reads only the template, the tokenizer's settings and the head of `tokenizer.json`: no torch, no transformers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from blake3 import blake3
from jinja2 import TemplateError

from backends.checkpoints.tensors import read_json
from backends.errors import CheckpointError
from backends.study import ProtocolName
from backends.text.chat_template import ANSWER, DAYS, QUESTION, ChatTemplate, Clock, turn_end
from backends.text.tokens import OPEN_UNLEARNING_CLOCK, OPEN_UNLEARNING_SYSTEM

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
MOST_TEMPLATE = 1 << 20
"""Bytes of a chat template that is looked at; real ones have a few thousand."""
HEAD = 8 << 20
"""Bytes of tokenizer.json in which added tokens and post-processor stand, before the vocabulary."""


def rendering_digest(folder: Path, protocol: ProtocolName, date: str = "") -> str:
    """Empty where a model is asked as by earlier versions on every day, else what tells this way of asking from others.

    Args:
        folder: of a transformers model, with its tokenizer.
        protocol: how it is asked.
        date: of the study, "" for the template's own or the pinned one.
    """
    files = [folder / name for name in (*SETTINGS, "chat_template.jinja", "tokenizer.json")]
    stamps = tuple(
        (s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in (f.stat() for f in files if f.is_file())
    )
    return _rendering_digest(folder, protocol, date, stamps)


@lru_cache(maxsize=1024)
def _rendering_digest(folder: Path, protocol: ProtocolName, date: str, _stamps: tuple[object, ...]) -> str:
    if protocol == "muse":
        return ""
    config = _settings(folder)
    added, ends = _head(folder / "tokenizer.json")
    if not (folder / "tokenizer.json").is_file():
        ends = config.get("add_eos_token") is True  # else transformers goes by the file alone
    differences: dict[str, object] = {}
    if protocol == "corrected" and ends:
        differences["texts"] = "no end token"
    template = _template(folder, config)
    if template is not None:
        # One that cannot be filled in is told of where a model is asked with it.
        with suppress(TemplateError, TypeError, ValueError):
            differences |= (
                _rendered_by_us(template, date, _token(config.get("eos_token")), added)
                if protocol == "corrected"
                else _rendered_by_open_unlearning(template)
            )
    if not differences:
        return ""
    code = blake3(json.dumps(differences, sort_keys=True).encode()).hexdigest(length=8)
    return f"{date} {code}" if date and protocol == "corrected" else code


def _rendered_by_us(template: ChatTemplate, date: str, eos: str, added: list[str]) -> dict[str, object]:
    asked = [{"role": "user", "content": QUESTION}]
    clock = template.clock(date)
    placed = template.placed(clock)
    now = template.filled(asked, clock, open_end=True) + placed.before
    result: dict[str, object] = {}
    if {template.filled(asked, Clock(day), open_end=True) for day in DAYS} != {now}:
        result["asked"] = now
    end = turn_end(placed.after, added)
    if end and end != eos:
        result["end"] = end
    return result


def _rendered_by_open_unlearning(template: ChatTemplate) -> dict[str, object]:
    asked = [
        {"role": "system", "content": OPEN_UNLEARNING_SYSTEM},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
    ]

    def whole(clock: Clock) -> list[str]:
        try:
            return [
                template.filled(asked[:2], clock, open_end=True),
                template.filled(asked, clock, open_end=False),
            ]
        except (TemplateError, TypeError, ValueError):  # some templates know no system turn
            return [
                template.filled(asked[1:2], clock, open_end=True),
                template.filled(asked[1:], clock, open_end=False),
            ]

    now = whole(OPEN_UNLEARNING_CLOCK)
    days = [whole(Clock(day, OPEN_UNLEARNING_CLOCK.told)) for day in DAYS]
    return {} if days == [now, now] else {"asked": now}


def _settings(folder: Path) -> dict[str, Any]:
    """Settings of the tokenizer; special tokens also from the older file."""
    result: dict[str, Any] = {}
    for name in reversed(SETTINGS):
        if (folder / name).is_file():
            try:
                result |= {k: v for k, v in read_json(folder / name).items() if v is not None}
            except CheckpointError:
                continue  # transformers says so when it loads the tokenizer
    return result


def _template(folder: Path, config: Mapping[str, Any]) -> ChatTemplate | None:
    """The default chat template; the file before the setting, as transformers has it."""
    file = folder / "chat_template.jinja"
    source: Any = config.get("chat_template")
    if file.is_file() and file.stat().st_size <= MOST_TEMPLATE:
        source = file.read_text(encoding="utf-8", errors="replace")
    if isinstance(source, list):
        named = {each.get("name"): each.get("template") for each in source if isinstance(each, dict)}
        source = named.get("default")
    if not isinstance(source, str) or not source or len(source) > MOST_TEMPLATE:
        return None
    tokens = {key: _token(value) for key, value in config.items() if key.endswith("_token")}
    return ChatTemplate.of(source, {key: value for key, value in tokens.items() if value})


def _token(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def _head(file: Path) -> tuple[list[str], bool]:
    """Added tokens as text, and whether the post-processor puts a token after a text."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            head = opened.read(HEAD)
    except OSError:
        return [], False
    added = _value(head, "added_tokens")
    texts = [_token(each) for each in added] if isinstance(added, list) else []
    return [text for text in texts if text], _ends(_value(head, "post_processor"))


def _ends(processor: Any) -> bool:
    if not isinstance(processor, dict):
        return False
    parts, single = processor.get("processors"), processor.get("single")
    if isinstance(parts, list):
        return any(_ends(part) for part in parts)
    if processor.get("type") in ("BertProcessing", "RobertaProcessing"):
        return True
    last = single[-1] if isinstance(single, list) and single else None
    return isinstance(last, dict) and "SpecialToken" in last


def _value(head: str, key: str) -> Any:
    match = re.search(rf'"{key}"\s*:\s*', head)
    if match is None:
        return None
    try:
        return json.JSONDecoder().raw_decode(head, match.end())[0]
    except (ValueError, RecursionError):
        return None
