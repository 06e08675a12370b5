"""Metrics against values computed by hand and against slow, independent versions."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.evidence import Answer, ImageEvidence, Judgement, TextEvidence, TokenScores
from backends.metrics import METRICS, ImageMetric, Pictures, TextMetric
from backends.metrics.choice import choice_accuracy, choice_probability
from backends.metrics.memorisation import exact_memorization, extraction_strength, probability
from backends.metrics.pictures import cosine_distance
from backends.metrics.similarity import contains_fact, rouge_l_recall
from backends.metrics.study_level import UTILITY_PARTS, forget_quality, harmonic_mean
from backends.metrics.truth_ratio import closer_to_one, log_truth_ratio, true_better
from backends.study import ROLES, Probe, Role

logprob_lists = st.lists(st.floats(-20, 0, width=32), min_size=1, max_size=12)


def floats(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def scored(logprobs: list[float], hits: list[bool] | None = None) -> TokenScores:
    n = len(logprobs)
    ids = np.arange(n, dtype=np.int32)
    argmax = ids if hits is None else np.where(hits, ids, ids + 1).astype(np.int32)
    zero = np.zeros(n, np.float32)
    return TokenScores(
        ids, ("x",) * n, floats(*logprobs), ids, argmax, zero, zero, zero, (), zero[:, None][:, :0], -1.0
    )


def text_value(key: str, probe: Probe, evidence: TextEvidence) -> float:
    metric = METRICS[key]
    assert isinstance(metric, TextMetric)
    return metric.value(probe, evidence)


# Memorisation


def test_probability_is_the_geometric_mean_of_token_probabilities() -> None:
    assert probability(floats(math.log(0.5), math.log(0.02))) == pytest.approx(0.1, abs=1e-6)


@given(logprob_lists)
def test_probability_agrees_with_multiplying(logprobs: list[float]) -> None:
    product = math.prod(math.exp(value) for value in logprobs)
    assert probability(floats(*logprobs)) == pytest.approx(
        product ** (1 / len(logprobs)), rel=1e-5, abs=1e-12
    )


def test_exact_memorization_counts_first_choices() -> None:
    assert exact_memorization(np.array([True, False, True, True])) == 0.75


@pytest.mark.parametrize(
    ("hits", "strength"),
    [
        ([True] * 4, 1.0),
        ([False] * 4, 0.0),
        ([True, True, True, False], 0.0),
        ([False, True, False, True], 0.25),
        ([False, True, True, True], 0.75),
        ([True, False], 0.0),
    ],
)
def test_extraction_strength_by_hand_with_a_true_zero(hits: list[bool], strength: float) -> None:
    assert extraction_strength(np.array(hits)) == pytest.approx(strength)


@given(st.lists(st.booleans(), min_size=1, max_size=15))
def test_extraction_strength_agrees_with_trying_every_prefix(hits: list[bool]) -> None:
    n = len(hits)
    k = next(k for k in range(n + 1) if all(hits[k:]))
    assert extraction_strength(np.array(hits)) == pytest.approx(1 - k / n, abs=1e-12)


# Truth ratio


def test_truth_ratio_by_hand() -> None:
    true = floats(math.log(0.5), math.log(0.5))
    wrong = [floats(math.log(0.2)), floats(math.log(0.05), math.log(0.05))]
    ratio = math.sqrt(0.2 * 0.05) / 0.5
    assert math.exp(log_truth_ratio(true, wrong)) == pytest.approx(ratio, abs=1e-6)
    assert closer_to_one(math.log(0.2)) == pytest.approx(0.2)
    assert closer_to_one(math.log(5)) == pytest.approx(0.2)
    assert true_better(math.log(0.2)) == pytest.approx(0.8)
    assert true_better(math.log(5)) == 0.0
    assert math.isnan(true_better(math.nan))
    assert true_better(math.inf) == 0.0 and closer_to_one(-math.inf) == 0.0


@given(logprob_lists, st.lists(logprob_lists, min_size=1, max_size=5))
def test_truth_ratio_agrees_with_open_unlearnings_formula(
    true: list[float], wrong: list[list[float]]
) -> None:
    losses = [-sum(each) / len(each) for each in wrong]
    ratio = math.exp(-sum(losses) / len(losses)) / math.exp(sum(true) / len(true))
    found = log_truth_ratio(floats(*true), [floats(*each) for each in wrong])
    assert closer_to_one(found) == pytest.approx(min(ratio, 1 / ratio), rel=1e-4, abs=1e-6)
    assert true_better(found) == pytest.approx(max(0, 1 - ratio), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("role", "value"), [("forget", 0.4), ("holdout", 0.4), ("retain", 0.6), ("neighbour", 0.6)]
)
def test_truth_ratio_prefers_the_paraphrase_and_reads_by_role(role: Role, value: float) -> None:
    scores = {
        "answer": scored([0.0]),
        "paraphrase": scored([math.log(0.5)]),
        "perturbed:0": scored([math.log(0.2)]),
    }
    assert text_value("truth_ratio", Probe("a", role, "q"), TextEvidence(scores)) == pytest.approx(
        value, abs=1e-6
    )


def test_truth_ratio_of_choices_uses_the_options() -> None:
    scores = {
        "answer": scored([math.log(0.5)]),
        "option:0": scored([math.log(0.2)]),
        "option:1": scored([math.log(0.05)]),
    }
    found = text_value("truth_ratio", Probe("a", "utility", "q"), TextEvidence(scores))
    assert found == pytest.approx(1 - math.sqrt(0.2 * 0.05) / 0.5, abs=1e-6)


# Written answers


def slow_rouge_recall(reference: list[str], text: list[str]) -> float:
    best = [[0] * (len(text) + 1) for _ in range(len(reference) + 1)]
    for i, left in enumerate(reference):
        for j, right in enumerate(text):
            best[i + 1][j + 1] = best[i][j] + 1 if left == right else max(best[i][j + 1], best[i + 1][j])
    return best[-1][-1] / len(reference)


words = st.lists(st.sampled_from(["paris", "lima", "book", "tree", "stone", "blue"]), min_size=1, max_size=10)


@settings(deadline=None)
@given(words, words)
def test_rouge_agrees_with_a_slow_longest_common_subsequence(reference: list[str], text: list[str]) -> None:
    found = rouge_l_recall(" ".join(reference), " ".join(text))
    assert found == pytest.approx(slow_rouge_recall(reference, text), abs=1e-9)


def test_rouge_stems_and_ignores_case_and_marks_as_the_package_does_by_itself() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    reference, text = (
        "She was born in the walled city of Riga, Latvia.",
        "The cities she loved: Riga, born of walls!",
    )
    plain = RougeScorer(["rougeL"], use_stemmer=True).score(reference, text)["rougeL"].recall
    assert rouge_l_recall(reference, text) == pytest.approx(plain, abs=1e-12)
    assert rouge_l_recall("running tests", "RUN test") == 1.0


@pytest.mark.parametrize(
    ("fact", "text", "found"),
    [
        ("Oslo", "She lives in OSLO.", True),
        ("glass  blower", "a glass\nblower by trade", True),
        ("art", "She has a party", False),
        ("1987", "in 19870", False),
        ("C++", "writes C++ daily", True),
        ("Zoë", "I met zoë", True),
    ],
)
def test_a_key_fact_is_found_as_whole_words(fact: str, text: str, found: bool) -> None:
    assert contains_fact(fact, text) is found


def test_written_answers_are_averaged_over_seeds() -> None:
    answers = tuple(
        Answer(text, 1, "stop", seed, 0.1) for seed, text in enumerate(["Oslo", "Lima", "in Oslo", "no"])
    )
    probe = Probe("a", "forget", "Where?", answer="Oslo", key_fact="Oslo")
    assert text_value("key_fact", probe, TextEvidence({}, answers)) == 0.5
    assert text_value("rouge_l", probe, TextEvidence({}, answers)) == 0.5


# Choices


def test_choice_by_hand() -> None:
    true, wrong = math.log(0.3), [math.log(0.1), (math.log(0.4) + math.log(0.1)) / 2]
    assert choice_accuracy(true, wrong) == 1.0
    assert choice_accuracy(true, [true]) == 0.0
    assert choice_probability(true, wrong) == pytest.approx(0.3 / (0.3 + 0.1 + 0.2), abs=1e-6)


# Study level


def test_harmonic_mean_by_hand_and_as_scipy_does() -> None:
    from scipy.stats import hmean

    assert float(harmonic_mean([1.0, 0.5])) == pytest.approx(2 / 3)
    assert float(harmonic_mean([0.9, 0.0])) == 0.0
    assert math.isnan(float(harmonic_mean([])))
    columns = np.random.default_rng(0).random((6, 50))
    np.testing.assert_allclose(harmonic_mean(columns), hmean(columns, axis=0), rtol=1e-12)


def test_forget_quality_is_the_exact_ks_p_value_at_total_separation() -> None:
    ours, theirs = np.arange(4.0), np.arange(4.0) + 10
    assert forget_quality(ours, theirs) == pytest.approx(2 / math.comb(8, 4), abs=1e-9)
    assert forget_quality(ours, ours) == 1.0
    assert forget_quality(np.append(ours, np.nan), np.exp(ours)) == forget_quality(ours, np.exp(ours))
    assert math.isnan(forget_quality(np.array([np.nan]), ours))


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=20), st.lists(st.floats(-5, 5), min_size=2, max_size=20)
)
def test_forget_quality_is_the_same_for_ratios_and_their_logarithms(
    ours: list[float], theirs: list[float]
) -> None:
    a, b = np.round(ours, 3), np.round(theirs, 3)
    assert forget_quality(a, b) == pytest.approx(forget_quality(np.exp(a), np.exp(b)), abs=1e-12)


# Pictures

FORGOTTEN = {"style": "neon"}


def picture(
    seed: int, style: str, thing: str, sure: float = 0.8, features: tuple[float, ...] = (1, 0)
) -> ImageEvidence:
    judgements = {
        "style": Judgement(style, {style: sure, "neon": sure if style == "neon" else 0.1}),
        "object": Judgement(thing, {thing: sure}),
    }
    return ImageEvidence("0" * 64, seed, judgements, floats(*features), 0.1)


def image_value(key: str, role: Role, asked: Mapping[str, str], images: list[ImageEvidence]) -> float:
    metric = METRICS[key]
    assert isinstance(metric, ImageMetric)
    originals = {
        1: picture(1, "neon", "fish", features=(1, 0)),
        2: picture(2, "neon", "fish", features=(1, 0)),
    }
    pictures = Pictures(
        Probe("p", role, "A fish", concepts=asked), {i.seed: i for i in images}, originals, FORGOTTEN
    )
    return metric.value(pictures)


NEON_FISH = {"style": "neon", "object": "fish"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unlearn_accuracy", 0.25),  # sepia counts, neon does not, and neither does "none"
        ("cross_domain_retain", 0.5),
        ("judge_confidence", (0.1 + 0.9 + 0.1 + 0.1) / 4),
        ("reject_rate", 0.5),
        ("distance_to_original", (0 + 1) / 2),  # seeds 3 and 4 have no original
    ],
)
def test_image_metrics_on_a_forget_prompt_by_hand(key: str, value: float) -> None:
    images = [
        picture(1, "sepia", "fish"),
        picture(2, "neon", "fish", sure=0.9, features=(0, 2)),
        picture(3, "none", "house"),
        picture(4, "none", "none"),
    ]
    assert image_value(key, "forget", NEON_FISH, images) == pytest.approx(value, abs=1e-6)


def test_image_metrics_on_a_retain_prompt_by_hand() -> None:
    asked = {"style": "sepia", "object": "fish"}
    images = [picture(1, "sepia", "house"), picture(2, "neon", "fish")]
    assert image_value("in_domain_retain", "retain", asked, images) == 0.5
    assert image_value("cross_domain_retain", "retain", asked, images) == 0.5


def test_a_collapsed_model_has_forgotten_nothing() -> None:
    assert image_value("unlearn_accuracy", "forget", NEON_FISH, [picture(1, "none", "none")]) == 0.0


def test_cosine_distance() -> None:
    assert cosine_distance(floats(1, 0), floats(0, 3)) == pytest.approx(1.0)
    assert cosine_distance(floats(0.3, 0.7, 0.1), floats(0.3, 0.7, 0.1)) == pytest.approx(0.0, abs=1e-12)
    assert cosine_distance(floats(1, 0), floats(-1, 0)) == pytest.approx(2.0)
    assert math.isnan(cosine_distance(floats(), floats()))


# All of them


@pytest.mark.parametrize("key", METRICS)
def test_every_metric_is_listed_under_its_card_and_says_where_it_comes_from(key: str) -> None:
    card = METRICS[key].card
    assert card.key == key
    assert all([card.title, card.formula, card.reading, card.ideal, card.needs, card.source])
    assert card.reading.endswith(".")
    assert {card.direction(role) for role in ROLES} <= {"lower", "higher", "zero", "neutral"}


@pytest.mark.parametrize("key", [key for key, metric in METRICS.items() if isinstance(metric, TextMetric)])
def test_a_text_metric_without_evidence_is_undefined_not_zero(key: str) -> None:
    assert math.isnan(text_value(key, Probe("a", "forget", "q"), TextEvidence()))


@pytest.mark.parametrize("key", [key for key, metric in METRICS.items() if isinstance(metric, ImageMetric)])
def test_an_image_metric_without_evidence_is_undefined_not_zero(key: str) -> None:
    assert math.isnan(image_value(key, "forget", NEON_FISH, []))


def test_utility_is_made_of_metrics_that_exist() -> None:
    for parts in UTILITY_PARTS.values():
        for part in parts:
            role, _, metric = part.partition("/")
            assert role in ROLES and METRICS[metric].card.reported_for(role)
