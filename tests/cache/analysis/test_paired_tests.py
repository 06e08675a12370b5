"""Paired tests against brute force and SciPy; their intervals against what they promise."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.analysis.paired_tests import (
    LEAST_GROUPS,
    PairedTest,
    holm,
    paired_test,
    paired_tests,
    standardised_change,
)


def excludes_zero(test: PairedTest) -> bool:
    return test.low > 0 or test.high < 0


def flipped(differences: list[float]) -> float:
    """The sign-flip test, arrangement by arrangement."""
    observed = abs(sum(differences)) - 1e-9
    signs = list(itertools.product([1, -1], repeat=len(differences)))
    return sum(abs(np.dot(row, differences)) >= observed for row in signs) / len(signs)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_yes_no_outcomes_are_tested_by_exact_mcnemar(pairs: list[tuple[int, int]]) -> None:
    from scipy.stats import binomtest

    ours, theirs = np.array(pairs, float).T
    more, less = int(np.sum(ours > theirs)), int(np.sum(ours < theirs))
    expected = binomtest(more, more + less).pvalue if more + less else 1.0
    assert paired_test(ours, theirs).p == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=8))
def test_few_pairs_are_arranged_in_all_ways(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = np.array(pairs, float).T
    found, expected = paired_test(ours, theirs), flipped(list(ours - theirs))
    # The bootstrap-t can only say that less is known.
    assert found.p >= expected - 1e-12
    sizes = {abs(each) for each in ours - theirs} - {0}
    if len(sizes) <= 1:
        assert found.p == pytest.approx(expected)


def test_symmetric_differences_have_the_p_value_of_scipys_permutations() -> None:
    from scipy.stats import permutation_test

    random = np.random.default_rng(1)
    half = random.normal(0, 1, 15)
    for shift in (0.1, 0.25, 0.4):
        ours, theirs = np.concatenate([half, -half]) + shift, np.zeros(30)
        expected = permutation_test(
            (ours, theirs), lambda a, b: np.mean(a - b), permutation_type="samples", rng=random
        ).pvalue
        assert paired_test(ours, theirs).p == pytest.approx(expected, abs=0.02)


def test_equal_pairs_change_no_exact_p_value() -> None:
    ours, theirs = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.5]), np.zeros(7)
    padded = paired_test(np.append(ours, np.ones(30)), np.append(theirs, np.ones(30)))
    assert flipped(list(ours)) == 2 / 2**7
    assert padded.p >= 2 / 2**7
    assert padded.p == pytest.approx(2 / 2**7, abs=0.01)
    assert excludes_zero(padded)


@settings(max_examples=60, deadline=None)
@given(st.integers(6, 40), st.integers(0, 10**6), st.sampled_from(["normal", "skewed", "rare", "rounded"]))
def test_interval_and_p_value_never_disagree(n: int, seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    shift = random.uniform(-1, 1)
    differences = {
        "normal": random.normal(shift, 1, n),
        "skewed": random.lognormal(0, 1, n) + shift - 1.6,
        "rare": np.where(random.random(n) < 0.3, np.sign(shift), 0.0),
        "rounded": random.integers(-2, 4, n).astype(float),
    }[kind]
    groups = [str(each) for each in random.integers(0, 9, n)]
    for found in (
        paired_test(differences, np.zeros(n)),
        paired_test(differences, np.zeros(n), groups=groups),
    ):
        assert excludes_zero(found) == (found.p < 0.05)
        assert found.low <= found.mean <= found.high


def test_the_two_models_can_be_swapped_and_scaled() -> None:
    random = np.random.default_rng(4)
    ours, theirs = random.beta(0.3, 3, 11), random.beta(0.5, 3, 11)
    found, other, tenfold = (
        paired_test(ours, theirs), paired_test(theirs, ours), paired_test(10 * ours, 10 * theirs)
    )  # fmt: skip
    assert (other.mean, other.p) == pytest.approx((-found.mean, found.p), abs=1e-3)
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low), rel=1e-9)
    assert (tenfold.low, tenfold.high) == pytest.approx((10 * found.low, 10 * found.high))


def test_the_interval_is_made_of_the_means_of_subsets() -> None:
    differences = np.array(
        [-1.0, -0.6, -0.2, 0.1, 0.5, 0.9, 1.3]
    )  # without skew, so that the bootstrap-t is inside
    means = sorted(
        np.mean(subset) for size in range(1, 8) for subset in itertools.combinations(differences, size)
    )
    found = paired_test(differences, np.zeros(7))
    assert found.low <= means[2] + 1e-12 and found.high >= means[-3] - 1e-12  # 0.025 * 2^7 = 3.2
    assert found.p >= flipped(list(differences))


def test_probes_of_one_subject_are_flipped_together() -> None:
    random = np.random.default_rng(7)
    by_subject = random.choice([-1.0, 1.0], (8, 200))
    differences = np.repeat(by_subject, 5, axis=0)
    nothing = np.zeros_like(differences)
    groups = np.repeat([f"s{n}" for n in range(8)], 5).tolist()
    together = [each.p < 0.05 for each in paired_tests(differences, nothing, groups=groups)]
    alone = [each.p < 0.05 for each in paired_tests(differences, nothing)]
    assert np.mean(together) <= 0.05 < 0.2 < np.mean(alone)
    assert paired_tests(differences, nothing, groups=groups)[0].groups == 8


def test_groups_that_say_nothing_are_left_out() -> None:
    random = np.random.default_rng(8)
    ours, theirs = random.random(12), random.random(12)
    plain = paired_test(ours, theirs)
    assert paired_test(ours, theirs, groups=[""] * 12) == plain
    assert paired_test(ours, theirs, groups=[f"s{n}" for n in range(12)]) == plain
    # One subject: its probes are all there is.
    assert paired_test(ours, theirs, groups=["one"] * 12) == plain._replace(alone=True)


def test_few_subjects_cannot_tell_a_difference() -> None:
    for count in range(2, LEAST_GROUPS):
        groups = [f"s{n % count}" for n in range(24)]
        found = paired_test(np.linspace(1, 2, 24), np.zeros(24), groups=groups)
        assert found.groups == count and not found.bounded
        assert found.p >= 2 / 2**count


def test_too_few_pairs_have_no_ends() -> None:
    for n in range(1, LEAST_GROUPS):
        found = paired_test(np.arange(n) + 1.0, np.zeros(n))
        assert (found.low, found.high) == (-np.inf, np.inf) and not found.bounded
        assert found.p > 0.05 and found.n == n
    found = paired_test(np.arange(LEAST_GROUPS) + 1.0, np.zeros(LEAST_GROUPS))
    assert found.bounded


def test_nothing_is_nan_and_missing_values_leave_out_their_pair_alone() -> None:
    for nothing in (paired_test([], []), paired_test([np.nan] * 9, [1.0] * 9)):
        assert nothing.n == 0
        assert np.isnan([nothing.mean, nothing.low, nothing.high, nothing.p]).all()
    random = np.random.default_rng(9)
    ours, theirs = random.random((9, 2)), random.random((9, 2))
    expected = paired_test(ours[:7, 0], theirs[:7, 0])
    ours[7, 0], theirs[8, 0] = np.nan, np.nan
    found, other = paired_tests(ours, theirs)
    assert (found.n, other.n) == (7, 9)
    assert found.mean == pytest.approx(expected.mean)
    # The missing probes cannot be left out of the resamples of all columns, which moves the bootstrap-t a little.
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.35)


def test_equal_outcomes_are_no_certainty() -> None:
    found = paired_test(np.ones(12), np.ones(12), reach=1.0)
    share = 1 - 0.025 ** (1 / 12)  # the exact bound for 0 of 12
    assert (found.mean, found.p) == (0, 1)
    assert (found.low, found.high) == pytest.approx((-share, share))
    assert paired_test(np.ones(400), np.ones(400), reach=1.0).high == pytest.approx(0.0092, abs=1e-4)
    unknown = paired_test(np.full(12, 3.0), np.full(12, 3.0))
    assert not unknown.bounded and unknown.p == 1
    all_forgotten = paired_test(np.zeros(12), np.ones(12), reach=1.0)
    assert all_forgotten.low == -1 and -1 < all_forgotten.high < 0
    assert all_forgotten.p == pytest.approx(2 / 2**12)


def test_no_interval_leaves_the_range_of_the_metric() -> None:
    random = np.random.default_rng(11)
    ours = np.where(random.random((7, 50)) < 0.5, 1.0, random.random((7, 50)) * 0.01)
    for found in paired_tests(ours, np.zeros_like(ours), reach=1.0):
        assert found.low >= -1 and found.high <= 1


def test_a_hundred_thousand_probes_are_met_in_pieces() -> None:
    random = np.random.default_rng(12)
    differences = random.normal(0.05, 1, 100_000)
    found = paired_test(differences, np.zeros(100_000))
    assert found.p < 0.05
    assert (found.low, found.high) == pytest.approx(
        (found.mean - 1.96 / np.sqrt(1e5), found.mean + 1.96 / np.sqrt(1e5)), abs=7e-4
    )


@pytest.mark.parametrize("n", [12, 36])
def test_models_that_are_equal_differ_in_one_of_twenty_studies_and_skewed_changes_are_covered(n: int) -> None:
    random = np.random.default_rng(n)
    theirs, ours = random.beta(0.3, 3, (2, n, 300))
    equal = np.array(paired_tests(ours, theirs))
    assert np.mean(equal[:, 3] < 0.05) <= 0.07
    skewed = np.array(paired_tests(random.lognormal(0, 1, (n, 300)), np.zeros((n, 300))))
    mean = np.exp(0.5)
    # 0.86 by flipping alone, 0.84 by the percentile bootstrap
    assert np.mean((skewed[:, 1] <= mean) & (skewed[:, 2] >= mean)) >= 0.88


def test_mcnemar_by_hand_leaves_out_what_is_not_known() -> None:
    ours = np.array([1, 1, 1, 1, 1, 1, 0, 1, 0], bool)
    theirs = np.array([0, 0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert paired_test(ours, theirs).p == pytest.approx(2 * (1 + 7) / 2**7)
    assert paired_test(ours, ours).p == 1.0
    known = np.append(ours, [np.nan, np.nan, 1.0]), np.append(theirs, [0.0, 0.0, np.nan])
    assert paired_test(*known) == paired_test(ours, theirs)
    assert np.isnan(paired_test([np.nan], [1.0]).p)


def test_holm_by_hand_does_not_count_what_was_not_tested() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([np.nan, 0.01, np.nan, 0.04]) == pytest.approx([np.nan, 0.02, np.nan, 0.04], nan_ok=True)


def test_effect_sizes_by_hand() -> None:
    assert standardised_change([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert standardised_change([0.0, 0.0]) == 0.0
    assert standardised_change([0.5, 0.5]) == np.inf
    assert np.isnan(standardised_change([1.0, np.nan]))
