"""The relative question is answered where the probes tell, seldom where they do not, and never against its interval."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backends.metrics.relative import closeness, closer
from cache.analysis.relative_test import (
    Distances,
    References,
    closeness_interval,
    compared,
    drawn_closeness,
    references,
)

Floats = NDArray[np.float64]
Three = tuple[Floats, Floats, Floats]
METRICS = ("a", "b", "c", "d")


def named(values: Floats) -> dict[str, Floats]:
    return {f"forget/{key}": row for key, row in zip(METRICS, values, strict=False)}


def distances_of(model: Floats, original: Floats, retained: Floats) -> Distances:
    both = references("forget", METRICS, named(original), named(retained))
    assert both is not None
    return compared(named(model), both)


def asked(found: Distances, groups: tuple[int, ...] = ()) -> tuple[float, float, float]:
    drawn = drawn_closeness(found, 0, groups)
    return float(drawn[0]), *closeness_interval(found, drawn, groups)


def answer(three: Three, groups: tuple[int, ...] = ()) -> str:
    return closer(*asked(distances_of(*three), groups)[1:])


def trained(random: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """What an original and a retained model might have on n forget probes, each from a training seed of its own."""
    guess = 0.4 * random.random(n)  # how easily a probe is guessed, by whoever never saw it
    knows = np.clip(0.97 + 0.03 * random.normal(size=(4, n)), 0, 1)
    guesses = np.clip(guess + 0.08 * random.normal(size=(4, n)), 0, 1)
    return knows, guesses


def swapped(random: np.random.Generator, model: Floats, original: Floats, retained: Floats) -> Three:
    """Original and retained change places on every probe at random: then neither can be the nearer one."""
    turn = random.random(original.shape[1]) < 0.5
    return model, np.where(turn, retained, original), np.where(turn, original, retained)


@pytest.mark.parametrize("n", [6, 12, 36, 400])
def test_a_second_retained_seed_is_closer_to_retained_and_a_second_original_to_the_original(n: int) -> None:
    random = np.random.default_rng(n)
    for _ in range(20):
        original, retained = trained(random, n)
        again, retained_again = trained(random, n)
        easy = np.clip(retained + 0.08 * random.normal(size=retained.shape), 0, 1)
        assert answer((easy, original, retained)) == "retained"
        assert answer((retained_again, original, retained)) == "retained"
        assert answer((again, original, retained)) == "original"


MODELS: dict[str, Callable[[np.random.Generator, Floats, Floats], Floats]] = {
    "as retained": lambda _, original, retained: retained,
    "between": lambda random, original, retained: (
        (original + retained) / 2 + 0.1 * random.normal(size=original.shape)
    ),
    "collapsed": lambda _, original, retained: np.zeros_like(original),
}


@pytest.mark.parametrize("n", [7, 36, 700])
@pytest.mark.parametrize("kind", MODELS)
def test_with_labels_shuffled_at_most_one_in_twenty_is_decided(kind: str, n: int) -> None:
    random, studies = np.random.default_rng(n), 400 if n < 100 else 150
    decided = 0
    for _ in range(studies):
        original, retained = trained(random, n)
        model = np.clip(MODELS[kind](random, original, retained), 0, 1)
        decided += answer(swapped(random, model, original, retained)) != "undecided"
    assert decided <= studies * 0.05 + 3 * np.sqrt(studies * 0.05 * 0.95)
    assert decided > 0  # it is no test that never decides


def test_probes_of_one_subject_are_one_witness() -> None:
    """Labels shuffled by subject: probes counted one by one would be sure far too often."""
    random, studies, subjects = np.random.default_rng(5), 300, 8
    groups = tuple(np.repeat(np.arange(subjects), 6).tolist())
    together = apart = 0
    for _ in range(studies):
        original, retained = trained(random, len(groups))
        turn = np.repeat(random.random(subjects) < 0.5, 6)
        three = retained, np.where(turn, retained, original), np.where(turn, original, retained)
        together += answer(three, groups) != "undecided"
        apart += answer(three) != "undecided"
    assert together <= studies * 0.05 + 3 * np.sqrt(studies * 0.05 * 0.95) < apart


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 11), st.integers(0, 10_000), st.floats(-1, 1))
def test_the_answer_is_that_of_the_exact_sign_flip_test(n: int, seed: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    near, far = random.random(n), np.clip(random.random(n) + shift, 0, None)
    found = Distances(far, near)
    _, low, high = asked(found)
    flips = np.array(list(product((1.0, -1.0), repeat=n)))
    p = float(np.mean(np.abs(flips @ (far - near)) >= abs((far - near).sum()) - 1e-12))
    # The outermost pieces hold at most 2.5 % on each side: of 2^n arrangements, a whole number of pairs.
    pieces = 2**n
    rejects = p <= 2 * int(0.025 * pieces) / pieces + 1e-12
    assert (closer(low, high) != "undecided") == rejects
    if rejects:
        assert (closer(low, high) == "retained") == (far.sum() > near.sum())


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_than_six_probes_decide_nothing(n: int) -> None:
    original, retained = trained(np.random.default_rng(n), n)
    assert asked(distances_of(retained, original, retained)) == (1.0, -1.0, 1.0)


def test_one_subject_with_all_probes_decides_nothing() -> None:
    original, retained = trained(np.random.default_rng(1), 40)
    assert asked(distances_of(retained, original, retained), (0,) * 40) == (1.0, -1.0, 1.0)


@pytest.mark.parametrize("n", [6, 12, 36, 400])
def test_a_model_that_is_one_of_the_two_is_so_on_these_probes_and_not_for_certain(n: int) -> None:
    original, retained = trained(np.random.default_rng(n), n)
    value, low, high = asked(distances_of(retained, original, retained))
    assert (value, high) == (1.0, 1.0) and 0 < low < 1
    value, low, high = asked(distances_of(original, original, retained))
    assert (value, low) == (-1.0, -1.0) and -1 < high < 0


def test_three_equal_models_are_undecided() -> None:
    same = np.full((4, 30), 0.5)
    assert asked(distances_of(same, same, same)) == (0.0, -1.0, 1.0)


def test_a_collapsed_model_is_near_neither() -> None:
    random = np.random.default_rng(3)
    knows, knows_again = trained(random, 36)[0], trained(random, 36)[0]
    value, low, high = asked(distances_of(np.zeros((4, 36)), knows, knows_again))
    assert abs(value) < 0.05 and low < 0 < high


def test_probes_without_values_are_left_out() -> None:
    random = np.random.default_rng(4)
    original, retained = trained(random, 24)
    model = np.clip(retained + 0.1 * random.normal(size=retained.shape), 0, 1)
    whole = asked(distances_of(model[:, :20], original[:, :20], retained[:, :20]))[0]
    original[2, 20], retained[:, 21], model[0, 22], model[:, 23] = np.nan, np.nan, np.nan, np.nan
    found = distances_of(model, original, retained)
    assert np.isnan(found.to_original).tolist() == [False] * 21 + [True] * 3
    assert closeness(found.to_original[:20].sum(), found.to_retained[:20].sum()) == pytest.approx(whole)


def test_a_model_without_one_of_the_metrics_is_not_compared_by_the_rest() -> None:
    original, retained = trained(np.random.default_rng(6), 12)
    found = distances_of(retained[:3], original, retained)
    assert np.isnan(found.to_original).all() and np.isnan(drawn_closeness(found, 0)).all()
    assert np.isnan(distances_of(np.full((4, 12), np.nan), original, retained).to_retained).all()


def test_metrics_that_only_one_of_the_two_has_are_not_asked_for() -> None:
    original, retained = trained(np.random.default_rng(7), 12)
    both = references("forget", METRICS, named(original), named(retained[:2]))
    assert isinstance(both, References) and both.metrics == ("forget/a", "forget/b")
    assert references("forget", METRICS, {}, named(retained)) is None
    assert references("retain", METRICS, named(original), named(retained)) is None


def test_many_probes_give_a_narrow_interval_and_need_no_square_of_memory() -> None:
    import tracemalloc

    n = 100_000
    original, retained = trained(np.random.default_rng(8), n)
    model = np.clip(retained + 0.1 * np.random.default_rng(9).normal(size=retained.shape), 0, 1)
    tracemalloc.start()
    value, low, high = asked(distances_of(model, original, retained))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert low < value < high and high - low < 0.01 and closer(low, high) == "retained"
    assert most < 200_000_000


def test_equal_seeds_give_equal_resamples_and_the_value_comes_first() -> None:
    original, retained = trained(np.random.default_rng(2), 36)
    found = distances_of(trained(np.random.default_rng(3), 36)[1], original, retained)
    drawn = drawn_closeness(found, 3)
    assert np.array_equal(drawn, drawn_closeness(found, 3))
    assert drawn[0] == closeness(found.to_original.sum(), found.to_retained.sum())
    assert np.std(drawn[1:]) > 0 and (np.abs(drawn) <= 1).all()


def leaking(random: np.random.Generator, n: int) -> Three:
    """A model that guesses as another retained seed would, but still knows one probe in twenty."""
    original, retained = trained(random, n)
    guesses = np.clip(retained + 0.08 * random.normal(size=retained.shape), 0, 1)
    return np.where(random.random(n) < 0.05, original, guesses), original, retained


def halfway(random: np.random.Generator, n: int) -> Three:
    original, retained = trained(random, n)
    share = random.random(n)
    return share * original + (1 - share) * retained, original, retained


@pytest.mark.parametrize("n", [6, 12, 36])
@pytest.mark.parametrize("make", [leaking, halfway])
def test_the_interval_holds_the_truth_in_nineteen_of_twenty_studies(
    make: Callable[[np.random.Generator, int], Three], n: int
) -> None:
    random, studies = np.random.default_rng(n), 300
    many = distances_of(*make(random, 200_000))
    truth = float(closeness(many.to_original.sum(), many.to_retained.sum()))
    ends = [asked(distances_of(*make(random, n)))[1:] for _ in range(studies)]
    held = sum(low <= truth <= high for low, high in ends)
    assert held >= studies * 0.95 - 3 * np.sqrt(studies * 0.95 * 0.05)
