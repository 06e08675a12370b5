"""What MUSE's own scripts compute differently: ROUGE without stemming, cut answers, Min-K % over every token.

MUSE reports these times 100; here they stay shares. Its QA set is asked with a few worked examples before the question:
give them in the probe set's `format`.

Source: muse_bench at fcd6651, `knowmem.py`, `verbmem.py`, `privleak.py`; Shi et al. 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from backends.evidence import ANSWER, TextEvidence, TokenScores
from backends.metrics.privacy import MIN_K_SHARE
from backends.metrics.rouge import Rouge, rouge
from backends.study import RAW_TEXT, Probe

STOPS = ("\n\n", "\nQuestion", "Question:")
"""Where an answer to a question ends."""
MOST_REFERENCE_TOKENS = 128
"""Of a passage that is to be continued."""


def cut_at_stops(text: str) -> str:
    """The text before the first of each stop in turn."""
    for stop in STOPS:
        text = text.split(stop)[0]
    return text


def min_k(scores: TokenScores, _answer: str = "") -> float:
    """Min-40 % over every token, nats; NaN where 40 % of the tokens is less than one."""
    count = int(len(scores.logprobs) * MIN_K_SHARE)
    return -float(np.mean(np.sort(scores.logprobs)[:count], dtype=np.float64)) if count else math.nan


def _rouge(part: Callable[[Rouge], float]) -> Callable[[Probe, TextEvidence], float]:
    def value(probe: Probe, evidence: TextEvidence) -> float:
        if not probe.answer or not evidence.answers:
            return math.nan
        continued = probe.format == RAW_TEXT
        references = (_reference(probe, evidence),) if continued else probe.references
        texts = [a.text if continued else cut_at_stops(a.text) for a in evidence.answers]
        return sum(
            max(part(rouge(true, text, stemmed=False)) for true in references) for text in texts
        ) / len(texts)

    return value


def _reference(probe: Probe, evidence: TextEvidence) -> str:
    scores = evidence.scores.get(ANSWER)
    return "".join(scores.pieces[:MOST_REFERENCE_TOKENS]) if scores is not None else probe.answer


VALUES: Mapping[str, Callable[[Probe, TextEvidence], float]] = MappingProxyType(
    {
        "rouge_l": _rouge(lambda scores: scores.longest.recall),
        "rouge_l_f1": _rouge(lambda scores: scores.longest.f1),
        "rouge_1": _rouge(lambda scores: scores.one.recall),
    }
)
"""Metrics that are computed differently, by key."""

ATTACKS: Mapping[str, Callable[[TokenScores, str], float]] = MappingProxyType({"mia_min_k": min_k})
"""Membership attacks that are computed differently, by key."""

_ROUGE_DEVIATION = (
    "without stemming; answers end at a blank line or at the next question; a passage is compared with its reference's "
    "first 128 tokens (the scripts count a text's first special token among them)"
)
DEVIATIONS: Mapping[str, str] = MappingProxyType(
    {
        "rouge_l": _ROUGE_DEVIATION,
        "rouge_l_f1": _ROUGE_DEVIATION + "; times 100 this is MUSE's VerbMem and KnowMem",
        "rouge_1": _ROUGE_DEVIATION,
        "mia_min_k": "over int(0.4 N) tokens, undefined where that is 0",
    }
)
"""How a metric differs from the corrected protocol's, in words."""
