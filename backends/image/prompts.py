"""How much of a prompt a pipeline reads. diffusers drops the rest with a log line, so it is said to people here."""

from __future__ import annotations

import inspect
from typing import Any


def truncated_part(pipe: Any, prompt: str) -> str:
    """A sentence on what the pipeline does not read of a prompt; "" where it reads all."""
    tokenizer, longest = _reader(pipe)
    if tokenizer is None or not longest:
        return ""
    convert = getattr(pipe, "maybe_convert_prompt", None)  # a learned token may be several
    ids = tokenizer(convert(prompt, tokenizer) if convert is not None else prompt)["input_ids"]
    if len(ids) <= longest:
        return ""
    # The last of the tokens that are read is the end mark.
    cut = tokenizer.decode(ids[longest - 1 :], skip_special_tokens=True).strip()
    return (
        f"the prompt is {len(ids)} tokens long and the model reads {longest}: "
        f'"{short(cut)}" is cut off ({short(prompt, 60)})'
    )


def short(text: str, length: int = 200) -> str:
    """The text, its end left out where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _reader(pipe: Any) -> tuple[Any, int]:
    """The tokenizer that reads most of a prompt, and how many tokens; 0 where that is not known.

    CLIP reads 77. Flux and SD 3 give the prompt to a T5 too, whose limit is an argument of the call.
    """
    limit = inspect.signature(pipe.__call__).parameters.get("max_sequence_length")
    for end in ("_3", "_2", ""):
        tokenizer, encoder = (getattr(pipe, part + end, None) for part in ("tokenizer", "text_encoder"))
        if tokenizer is None or encoder is None or "CLIP" in type(encoder).__name__:
            continue
        if limit is not None and isinstance(limit.default, int):
            return tokenizer, limit.default
        return tokenizer, int(getattr(tokenizer, "model_max_length", 0) or 0)
    tokenizer = getattr(pipe, "tokenizer", None)
    return tokenizer, int(getattr(tokenizer, "model_max_length", 0) or 0)
