"""Distances between sets of pictures and what pixels say, against scipy, written-out loops and known cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.stats import norm, t

from app.demo.image_data import data_set
from backends.evidence import ImageEvidence, Judgement
from backends.metrics import METRICS
from backends.metrics.card import ImageMetric, Pictures
from backends.metrics.distributions import drawn_kernel_distance, frechet_distance, kernel_distance
from backends.metrics.image_quality import degenerate, pixel_distance
from backends.study import Probe

RNG = np.random.default_rng(0)


def test_fid_equals_the_matrix_root() -> None:
    left = RNG.normal(size=(60, 6)) @ RNG.normal(size=(6, 6))
    right = RNG.normal(size=(50, 6)) + 0.5
    s1, s2 = np.cov(left, rowvar=False), np.cov(right, rowvar=False)
    apart = ((left.mean(0) - right.mean(0)) ** 2).sum()
    expected = apart + np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2)))
    assert frechet_distance(left, right) == pytest.approx(expected, rel=1e-6)


def test_fid_of_known_cases() -> None:
    left = RNG.normal(size=(20, 4))
    assert frechet_distance(left, left) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(left, left + 3) == pytest.approx(36, rel=1e-9)
    # along one axis it is the distance of two normal distributions: (m1 - m2)^2 + (s1 - s2)^2
    a, b = RNG.normal(size=(30, 1)), RNG.normal(size=(40, 1)) * 2 + 1
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    few = RNG.normal(size=(3, 50))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)
    assert math.isnan(frechet_distance(few[:1], few))


def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float((np.dot(x, y) / len(x) + 1) ** 3)


def test_kid_equals_a_written_out_loop() -> None:
    left, right = RNG.normal(size=(5, 3)), RNG.normal(size=(7, 3)) + 1
    own = [kernel(left[i], left[j]) for i in range(5) for j in range(5) if i != j]
    theirs = [kernel(right[i], right[j]) for i in range(7) for j in range(7) if i != j]
    between = [kernel(a, b) for a in left for b in right]
    expected = np.mean(own) + np.mean(theirs) - 2 * np.mean(between)
    assert kernel_distance(left, right) == pytest.approx(expected, rel=1e-10)

    paired = right[:5]
    terms = [
        kernel(left[i], left[j])
        + kernel(paired[i], paired[j])
        - kernel(left[i], paired[j])
        - kernel(left[j], paired[i])
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    assert kernel_distance(left, paired) == pytest.approx(np.mean(terms), rel=1e-10)
    assert kernel_distance(left, left) == pytest.approx(0, abs=1e-12)


def test_kid_is_unbiased_and_its_interval_holds_it() -> None:
    values = [kernel_distance(RNG.normal(size=(12, 4)), RNG.normal(size=(12, 4))) for _ in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20
    left = RNG.normal(size=(40, 4))
    drawn = drawn_kernel_distance(left, left + RNG.normal(size=(40, 4)) * 0.3 + 0.4, range(40), 300, 0)
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    assert low < drawn[0] < high
    assert not drawn_kernel_distance(left, left, range(40), 300, 0).any()
    assert np.isnan(drawn_kernel_distance(left, left + 1, ["a", "b"] * 20, 300, 0)[1:]).all()


def test_kid_is_as_unsure_as_leaving_out_prompts_says() -> None:
    left, prompts = RNG.normal(size=(15, 4)), [place // 3 for place in range(15)]
    right = left + RNG.normal(size=(15, 4)) + 0.5
    kept = [np.array(prompts) != out for out in range(5)]
    each = np.array([kernel_distance(left[keep], right[keep]) for keep in kept])
    half = t.ppf(0.975, 4) * np.sqrt(4 / 5 * np.sum((each - each.mean()) ** 2))
    drawn = drawn_kernel_distance(left, right, prompts, 200, 0)
    assert np.nanstd(drawn[1:]) == pytest.approx(half / norm.ppf(0.975), rel=1e-9)
    assert np.nanmean(drawn[1:]) == pytest.approx(drawn[0], rel=1e-9)


def test_the_interval_of_kid_holds_the_truth_where_pictures_of_a_prompt_are_alike() -> None:
    random, kids, held, before = np.random.default_rng(0), [], [], []
    for study in range(250):
        prompts = np.repeat(np.arange(12), 3)
        scene, effect = random.normal(size=(2, 12, 16))[:, prompts]
        noise, *own = random.normal(size=(3, 36, 16))
        left = 0.7 * scene + 0.5 * noise + 0.5 * own[0]
        right = 0.7 * scene + 0.5 * noise + 0.5 * own[1] + 0.5 * effect + 1.5 * (np.arange(16) < 2)
        drawn = drawn_kernel_distance(left, right, list(prompts), 200, study)
        kids.append(drawn[0])
        held.append(np.nanquantile(drawn[1:], [0.025, 0.975]))
        single = drawn_kernel_distance(left, right, range(36), 200, study)
        before.append(np.nanquantile(single[1:], [0.025, 0.975]))
    truth = np.mean(kids)
    share, alone = (np.mean([low <= truth <= high for low, high in ends]) for ends in (held, before))
    assert share >= 0.91 and alone < 0.88


def test_pictures_that_show_nothing() -> None:
    for side in (24, 64, 512):
        y, x = np.mgrid[:side, :side]
        disc = np.full((side, side, 3), 230, np.uint8)
        disc[(y - side / 2) ** 2 + (x - side / 2) ** 2 < (side / 4) ** 2] = (200, 60, 40)
        board = ((x // 2 + y // 2) % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1)
        ramp = (x / side * 255).astype(np.uint8)[..., None].repeat(3, -1)
        for shown in (disc, board, ramp):
            assert degenerate(shown) == ""
        assert degenerate(np.zeros((side, side, 3), np.uint8)) == "black"
        assert degenerate(np.full((side, side, 3), 137, np.uint8)) == "one colour"
        assert degenerate(RNG.integers(0, 256, (side, side, 3), np.uint8)) == "noise"
        # equal in brightness, told apart by colour: not one colour
        colours = np.full((side, side, 3), (100, 100, 100), np.uint8)
        colours[: side // 2] = (199, 51, 97)
        assert degenerate(colours) == ""


def test_none_of_the_demos_real_pictures_is_called_degenerate() -> None:
    pictures = data_set(2)
    assert [degenerate(each) for each in pictures.pixels] == [""] * len(pictures.pixels)


def test_pixel_distance() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert pixel_distance(black, white) == 1.0
    half = black.copy()
    half[0] = 255
    assert pixel_distance(black, half) == pytest.approx(math.sqrt(0.5))
    assert math.isnan(pixel_distance(black, np.zeros((3, 2, 3), np.uint8)))


def image(name: str, label: str, seconds: float = 2.0) -> ImageEvidence:
    shares = {"neon": 0.7, "ink": 0.2, "none": 0.1} if label == "neon" else {"neon": 0.0, "ink": 1.0}
    return ImageEvidence(name, 1, {"style": Judgement(label, shares)}, np.ones(2, np.float32), seconds)


def value(metric: str, pictures: Pictures) -> float:
    found = METRICS[metric]
    assert isinstance(found, ImageMetric)
    return found.value(pictures)


def test_the_new_metrics_of_one_probe_by_hand() -> None:
    probe = Probe("p", "forget", "a neon cat", concepts={"style": "neon"})
    files = {
        "a": np.zeros((4, 4, 3), np.uint8),
        "b": RNG.integers(0, 256, (64, 64, 3), np.uint8),
        "o": np.full((4, 4, 3), 51, np.uint8),
    }
    images = {1: image("a", "neon", 1.0), 2: image("b", "ink", 3.0), 3: image("gone", "ink", 2.0)}
    originals = {1: image("o", "neon"), 3: image("o", "neon")}
    pictures = Pictures(
        probe, images, originals, {"style": "neon"}, lambda evidence: files.get(evidence.image)
    )
    assert value("attack_success", pictures) == pytest.approx(1 / 3)
    entropy = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1))
    assert value("judge_entropy", pictures) == pytest.approx(entropy / 3)
    assert value("degenerate_rate", pictures) == 1.0  # of the two whose files are there
    assert value("pixel_distance", pictures) == pytest.approx(0.2)
    assert value("seconds_per_image", pictures) == 2.0
    assert math.isnan(value("degenerate_rate", Pictures(probe, images, originals, {})))
