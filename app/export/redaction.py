"""Hiding what should be forgotten in what is handed on, while its numbers stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from backends.study import Probe, Study

BLOCKS = "█████"
"""Always as many, so that the length tells nothing."""
LEAST_LETTERS = 3
"""Shorter words stand in too much that is no secret, and tell nothing alone."""


class Redaction:
    """Replaces what the forget probes are about by blocks, wherever it stands.

    Hidden are prompts and their rewordings, true, paraphrased, wrong and accepted answers and what they begin with, key
    facts, subjects and the words of their names, earlier turns, and the concepts that an image model was to forget:
    whole, in any case, as words of their own.
    """

    def __init__(self, study: Study) -> None:
        texts = {text.strip() for text in _secrets(study) if len(text.strip()) >= LEAST_LETTERS}
        longest = sorted(texts, key=lambda text: (-len(text), text))
        written = [_pattern(text) for text in longest]
        self._pattern = re.compile("|".join(written), re.IGNORECASE) if written else None

    def text(self, text: str) -> str:
        """The text with blocks in place of the secrets."""
        return text if self._pattern is None else self._pattern.sub(BLOCKS, text)

    def value(self, value: Any) -> Any:
        """The same for all text in a value of mappings and lists, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value


def _pattern(text: str) -> str:
    """The text with any white space between its words, not inside a longer word."""
    words = r"\s+".join(map(re.escape, text.split()))
    before = r"(?<!\w)" if text[0].isalnum() else ""
    after = r"(?!\w)" if text[-1].isalnum() else ""
    return f"{before}{words}{after}"


def _secrets(study: Study) -> Iterable[str]:
    for probe_set in study.probe_sets:
        if probe_set.role == "forget":
            for probe in probe_set.probes:
                yield from _of_probe(probe)
    yield from study.forget_concepts.values()
    for spec in study.models:
        yield from dict(spec.forget).values()


def _of_probe(probe: Probe) -> Iterable[str]:
    yield from (probe.prompt, probe.answer, probe.paraphrased_prompt, probe.paraphrased_answer)
    yield from (*probe.perturbed_answers, *probe.options, *probe.accepted)
    yield from (probe.key_fact, probe.subject, *probe.subject.split())
    yield from (text for _, text in (*probe.turns, *probe.rewordings))
    yield from (probe.answer_prefix, f"{probe.answer_prefix}{probe.answer}")
