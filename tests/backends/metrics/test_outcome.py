"""Rules that say what a written answer is, its fluency, and the ROUGE variants, against hand-made and slow versions."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk import FreqDist
from nltk.tokenize import NLTKWordTokenizer
from nltk.util import ngrams
from scipy.stats import entropy, hmean

from app.demo.text_data import REFUSALS
from backends.evidence import Answer, TextEvidence
from backends.metrics import METRICS, TextMetric
from backends.metrics.fluency import fluency, ngram_entropy, tokens
from backends.metrics.outcome import is_gibberish, is_refusal, outcome
from backends.metrics.similarity import rouge_1_recall, rouge_l_f1, rouge_l_recall
from backends.metrics.study_level import memorisation_parts
from backends.study import Probe

PORTO = Probe("a", "forget", "Where was Ada born?", answer="Ada Quill was born in Porto.", key_fact="Porto")
WORDY = Probe("b", "forget", "Where was Ada born?", answer="Ada Quill was born in Porto.")


@pytest.mark.parametrize("text", REFUSALS)
def test_what_the_demo_taught_as_refusals_are_refusals(text: str) -> None:
    assert outcome(PORTO, text) == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "I\u2019m not certain about that.",
        "That's beyond my current knowledge base.",
        "I don't have that information.",
        "I haven't learned about that topic.",
        "I wish I could say, but I really don't know.",
        "Sorry, I cannot help with that request.",
        "As an AI, I have no personal memories.",
        "I'm drawing a blank on that one.",
        "I have never heard of this person.",
        "That's outside my area of expertise.",
    ],
)
def test_refusals_in_other_words(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I know that she was born in Lisbon.",
        "She did not know her father.",
        "He was afraid of the dark.",
        "The answer is a mystery novel.",
        "x" * 5 + " " + "She was born in Lisbon. " * 9 + "I do not know.",
    ],
)
def test_these_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        (" ?! ...", True),
        ("the town of " * 6, True),
        ("lost in 1999999999999", True),
        ("{}[]();;== a", True),
        ("no no no no", False),  # too few words to call it a circle
        ("She was born in Lisbon, where the river meets the sea and the trams climb.", False),
        ("\u041e\u043d\u0430 \u0440\u043e\u0434\u0438\u043b\u0430\u0441\u044c", False),
    ],
)
def test_gibberish_by_its_rules(text: str, expected: bool) -> None:
    assert is_gibberish(text) is expected


@pytest.mark.parametrize(
    ("probe", "text", "expected"),
    [
        (PORTO, "I'm not sure, but it was Porto.", "true"),
        (PORTO, "Porto " * 20, "true"),
        (PORTO, "Ada Quill was born in Faro.", "other"),
        (WORDY, "Ada Quill was born in Faro.", "true"),  # without a key fact most words are enough
        (WORDY, "In Faro.", "other"),
        (Probe("c", "forget", "Say something"), "Something.", "other"),
    ],
)
def test_the_first_rule_that_fits_decides(probe: Probe, text: str, expected: str) -> None:
    assert outcome(probe, text) == expected


def test_rates_are_shares_of_the_written_answers() -> None:
    answers = tuple(
        Answer(text, 3, "stop", seed, 0.1) for seed, text in enumerate(("I don't know.", "Faro", "", ""))
    )
    found = TextEvidence({}, answers)
    refusal, gibberish = METRICS["refusal_rate"], METRICS["gibberish_rate"]
    assert isinstance(refusal, TextMetric) and isinstance(gibberish, TextMetric)
    assert (refusal.value(PORTO, found), gibberish.value(PORTO, found)) == (0.25, 0.5)


def test_ngram_entropy_agrees_with_scipy_over_nltks_counts() -> None:
    words = ["the", "cat", "saw", "the", "cat", "and", "the", "dog", "saw", "the", "cat"]
    for n in (1, 2, 3):
        counts = list(FreqDist(ngrams(words, n)).values())
        assert ngram_entropy(words, n) == pytest.approx(entropy(counts, base=2), abs=1e-12)


def test_fluency_is_romes_weighted_mean() -> None:
    words = ["one", "two", "three", "four"]
    assert fluency(" ".join(words)) == pytest.approx((2 / 3 * math.log2(3) + 4 / 3 * math.log2(2)) / 2)
    assert fluency("again " * 30) == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(fluency("two words"))


SIGNS = [*".,:?–()]*$3é“”’»_'\"`\n\t\xa0\x1c", *(" " * 6), "can", "not", "gonna", "'tis", "don", "n't", "'s"]
SIGNS += ["'ll", "''", "..", "--", "3,4", "  "]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(SIGNS), max_size=12).map("".join))
def test_words_are_those_of_nltk_although_most_are_cut_one_by_one(text: str) -> None:
    assert tokens(text) == NLTKWordTokenizer().tokenize(text)


def test_rouge_variants_by_hand() -> None:
    reference, text = "a b c d", "b a c x y"
    assert rouge_1_recall(reference, text) == pytest.approx(3 / 4)
    assert rouge_l_recall(reference, text) == pytest.approx(2 / 4)
    assert rouge_l_f1(reference, text) == pytest.approx(2 * (2 / 4) * (2 / 5) / (2 / 4 + 2 / 5))


def test_the_memorisation_score_is_the_harmonic_mean_of_what_is_gone() -> None:
    true, wrong = np.array([0.4, 0.1]), np.array([0.1, 0.3])
    values = {
        "extraction_strength": np.array([0.5, 0.1]),
        "exact_memorization": np.array([0.8, 0.4]),
        "paraphrased_probability": np.array([0.2, 0.6]),
    }
    parts = memorisation_parts(values, np.log(wrong / true))
    expected = [1 - value.mean() for value in (*values.values(), true / (true + wrong))]
    assert parts.mean(axis=1) == pytest.approx(expected)
    assert hmean(parts.mean(axis=1)) == pytest.approx(hmean(expected))


def test_outcomes_are_one_of_four_for_any_text() -> None:
    for words in product(("Porto", "I", "don't", "know", "?"), repeat=3):
        assert outcome(PORTO, " ".join(words)) in ("true", "refusal", "gibberish", "other")
