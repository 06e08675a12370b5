"""The names that columns of questions and answers go by: ours, TOFU's and those that people use otherwise.

What a file's columns become is decided in `columns.py`, from all of its names together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

SAME: Mapping[str, str] = MappingProxyType(
    {
        "question": "prompt",
        "paraphrased_question": "paraphrased_prompt",
        "perturbed_answer": "perturbed_answers",
    }
)
"""TOFU's column names and ours."""

TEXTS = (
    *("prompt", "answer", "paraphrased_prompt", "paraphrased_answer", "key_fact", "subject"),
    "answer_prefix",
)
LISTS = ("perturbed_answers", "options", "tags", "accepted_answers")
OURS = (*TEXTS, *LISTS, *SAME, "id")

PROMPTS = ("prompt", "question")
OTHER_PROMPTS = ("query", "instruction", "input")
"""What a question is called otherwise; of two of them in one file a person says which."""
CAPTIONS = ("caption", "text")
"""What the prompt of a picture is called otherwise, the first that is there."""
ANSWERS = (
    "response",
    "completion",
    "output",
    "answers",
    "gt",
    "ground_truth",
    "reference",
    "references",
    "reference_answer",
    "gold",
    "gold_answer",
    "correct_answer",
    "best_answer",
    "expected_answer",
)
"""What an answer is called otherwise; of two of them in one file a person says which."""
LABELS = ("label", "labels", "target", "targets")
"""Called so, too, but only where there is nothing better: they may as well be classes."""
ACCEPTED = ("accepted_answers", "answers", "correct_answers", "aliases", "answer_aliases")
"""Beside an answer: further ones that are as good."""
CONVERSATIONS = ("messages", "conversations", "conversation", "dialogue", "dialog")
SYSTEMS = ("system", "system_prompt", "system_message")
CHOICES = ("choices",)
ANSWER_KEYS = (
    "answer",
    "answerkey",
    "answer_key",
    "answer_idx",
    "answer_index",
    "correct_option",
    "label",
    "target",
)
"""Where choices are: which of them is true."""
REWORDINGS: Mapping[str, str] = MappingProxyType(
    {
        f"{kind}_{name}": f"#{kind}"
        for kind in ("translated", "alias", "hop", "misspelled")
        for name in ("question", "prompt")
    }
)
"""Further questions for the same answer, and what they become."""
LANGUAGES = ("translated_language", "language")
"""Beside a translated question: its language."""
INDEX = re.compile(r"|index|level_\d+|unnamed: ?\d+|__index_level_\d+__")
"""What pandas calls the numbers of rows that it writes along."""

_VOCABULARY = frozenset(
    (
        *OURS,
        *OTHER_PROMPTS,
        *CAPTIONS,
        *ANSWERS,
        *LABELS,
        *ACCEPTED,
        *CONVERSATIONS,
        *SYSTEMS,
        *CHOICES,
        *ANSWER_KEYS,
        *REWORDINGS,
        *LANGUAGES,
        "history",
        "mc1_targets",
        "incorrect_answers",
    )
)


@lru_cache(maxsize=4096)
def canonical(column: str) -> str:
    """The known name that a column has but for case, spaces and hyphens; itself where it is none."""
    if column in _VOCABULARY:
        return column
    plain = re.sub(r"[\s\-]+", "_", column.strip().lower())
    return plain if plain in _VOCABULARY else column


def is_known(column: str) -> bool:
    """A column is called so in files of questions and answers or of prompts."""
    return canonical(column) in _VOCABULARY
