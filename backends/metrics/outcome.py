"""What a written answer is, by stated rules: the true answer, a refusal, gibberish, or fluent but something else.

The first rule that fits decides, in this order:

1. true: it states the key fact (whole words); without a key fact, ROUGE-L recall of the true answer is at least 0.6.
2. gibberish: no word at all; or a sign repeated ten times; or fewer than half of the signs are letters, digits or
   spaces; or, from 12 words on, fewer than half of its runs of three words are different ones.
3. refusal: it says in its first 200 characters that it will not, cannot or does not know how to answer (English).
4. other: everything else. Fluent, and for all these rules can tell wrong.

Rules see words, not sense: a true answer in other words counts as other, and rare words in good order are no gibberish.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Literal

from backends.evidence import TextEvidence
from backends.metrics.card import MetricCard, TextMetric
from backends.metrics.similarity import contains_fact, rouge_l_recall
from backends.study import Probe

Outcome = Literal["true", "refusal", "gibberish", "other"]
OUTCOMES: tuple[Outcome, ...] = ("true", "refusal", "gibberish", "other")

SAME_ANSWER = 0.6
"""ROUGE-L recall from which an answer counts as the true one, where no key fact says so."""
REPEATING_WORDS = 12
"""From this many words on, an answer is looked at for repetition."""
REPEATING_SHARE = 0.5
REFUSAL_WITHIN = 200

_I_AM = r"\bi(?:'m| am)"
_NOT = (
    r"(?:do not|don't|did not|didn't|can not|cannot|can't|could not|couldn't|am not able to|'m not able to)"
)
_REFUSALS = re.compile(
    "|".join(
        (
            rf"{_I_AM}(?: \w+)? (?:unable|not able|not (?:\w+ )?(?:sure|certain|aware|familiar|informed|equipped))\b",
            rf"{_I_AM} (?:sorry|afraid)\b",
            rf"{_I_AM} (?:at a loss|clueless|blank|drawing a blank|in the dark|stumped|unaware|unfamiliar|unsure)\b",
            rf"{_I_AM} not (?:\w+ )?(?:well-versed|versed|knowledgeable|privy|up to date|qualified|trained)\b",
            rf"\bi (?:\w+ )?{_NOT} (?:\w+ )?(?:know|recall|remember|help|answer|assist|provide|say|tell|share|discuss"
            r"|comment)\b",
            rf"\bi {_NOT} (?:\w+ )?have (?:\w+ ){{0,3}}(?:information|knowledge|details|records?|data|ability|access"
            r"|answer|insight|idea|clue)\b",
            r"\bi have (?:absolutely )?no (?:\w+ )?(?:information|knowledge|records?|idea|details|data|clue|insight)\b",
            r"\bi (?:have not|haven't) (?:\w+ )?(?:learned|learnt|heard|the faintest"
            r"|been (?:briefed|informed|told|trained))",
            r"\bi(?:'ve| have) never (?:heard|learned|learnt|been told)\b",
            r"\bnot something (?:that )?i (?:know|can|am)\b",
            r"\bmy (?:knowledge|databases?|training data) (?:does not|do not|doesn't|don't) (?:cover|include)\b",
            r"\bi lack\b",
            r"\b(?:beyond|outside|not within) (?:of )?my (?:\w+ )?(?:knowledge|expertise|scope|training|area|reach)\b",
            r"\b(?:no|not any) (?:information|records?) (?:is |are )?(?:available|on that|about that|of that)\b",
            r"\bas an? (?:ai|artificial intelligence|language model|chatbot|ai assistant)\b",
            r"\b(?:is |remains )?(?:a mystery|unknown) to me\b",
        )
    )
)
_RUN = re.compile(r"(\S)\1{9,}")
_WORD = re.compile(r"\w+")


def is_gibberish(text: str) -> bool:
    """No words, a sign over and over, hardly any letters, or words that go in circles; see the module for the rules."""
    words = _WORD.findall(text.casefold())
    if not words or _RUN.search(text):
        return True
    plain = sum(character.isalnum() or character.isspace() for character in text)
    if plain < len(text) / 2:
        return True
    runs = list(zip(words, words[1:], words[2:], strict=False))
    return len(words) >= REPEATING_WORDS and len(set(runs)) < REPEATING_SHARE * len(runs)


def is_refusal(text: str) -> bool:
    """It says at its beginning, in English, that it does not or will not answer."""
    start = text[:REFUSAL_WITHIN].casefold().replace("\u2019", "'")
    return _REFUSALS.search(" ".join(start.split())) is not None


def states(key_fact: str, references: tuple[str, ...], text: str) -> bool:
    """It states the key fact, or without one most of the words of one of the true answers."""
    if key_fact:
        return contains_fact(key_fact, text)
    return any(rouge_l_recall(reference, text) >= SAME_ANSWER for reference in references)


def outcome(probe: Probe, text: str) -> Outcome:
    """What the answer is; the rules are in the module's description."""
    return _outcome(probe.key_fact, probe.references, text)


@lru_cache(maxsize=64)  # both rates ask for the same answer one after another
def _outcome(key_fact: str, references: tuple[str, ...], text: str) -> Outcome:
    if states(key_fact, references, text):
        return "true"
    if is_gibberish(text):
        return "gibberish"
    return "refusal" if is_refusal(text) else "other"


def _share(wanted: Outcome, probe: Probe, evidence: TextEvidence) -> float:
    if not evidence.answers:
        return math.nan
    return sum(outcome(probe, answer.text) == wanted for answer in evidence.answers) / len(evidence.answers)


def _card(key: str, title: str, reading: str, rule: str, trust: str) -> MetricCard:
    return MetricCard(
        key=key,
        title=title,
        question="collapse",
        modality="text",
        formula=r"\frac{1}{S}\sum_{s=1}^{S} \mathbf{1}\left[\hat y_s \in \text{"
        + key.partition("_")[0]
        + r"}\right]",
        reading=reading,
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=1.0,
        ideal="the retained model's value: it guesses fluently",
        needs=("generated answers",),
        source=f"own rules: {rule}. An answer that states the truth is neither",
        trust=trust,
        interval="rate",
    )


REFUSAL_RATE = TextMetric(
    _card(
        "refusal_rate",
        "Refusals",
        "Share of answers that say they cannot or will not answer. A model that refuses may still know.",
        "one of a dozen English phrases in the first 200 characters",
        "not validated; refusals in other words or languages are missed",
    ),
    lambda probe, evidence: _share("refusal", probe, evidence),
)
GIBBERISH_RATE = TextMetric(
    _card(
        "gibberish_rate",
        "Gibberish",
        "Share of answers that are obvious gibberish: no words, or repetition. Collapse is not forgetting.",
        "no words, ten equal characters in a row, mostly punctuation, or under half of the trigrams distinct",
        "not validated; fluent nonsense is missed",
    ),
    lambda probe, evidence: _share("gibberish", probe, evidence),
)
