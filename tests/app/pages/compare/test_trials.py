"""Which comparison comes next: different answers, the least rated first, sides by chance, some catch trials."""

from __future__ import annotations

from pathlib import Path
from random import Random

from app.pages.compare.trials import CATCH_SHARE, next_trial, recorded
from cache.store import open_store
from cache.store.ratings import Rating
from tests.filled_store import fill_images, fill_text, image_study, text_study

STUDY = text_study()
PROBES = STUDY.probe_sets[0].probes[:2]
MODELS = ["A", "B", "C"]
SHOWN = {
    ("A", PROBES[0].id, 0): "one",
    ("B", PROBES[0].id, 0): "two",
    ("C", PROBES[0].id, 0): "two",
    ("A", PROBES[1].id, 0): "same",
    ("B", PROBES[1].id, 0): "same",
}


def trials(rated: list[Rating], count: int = 400) -> list[tuple[str, str, str]]:
    random = Random(0)
    found = [next_trial(MODELS, PROBES, SHOWN, rated, random) for _ in range(count)]
    return [(each.probe.id, each.left, each.right) for each in found if each is not None]


def test_only_different_answers_are_shown_on_sides_by_chance() -> None:
    found = trials([])
    assert {probe for probe, _, _ in found} == {PROBES[0].id}
    pairs = {(left, right) for _, left, right in found if left != right}
    assert pairs == {("A", "B"), ("B", "A"), ("A", "C"), ("C", "A")}


def test_about_one_in_six_shows_a_model_twice() -> None:
    found = trials([], 3000)
    twice = sum(left == right for _, left, right in found) / len(found)
    assert abs(twice - CATCH_SHARE) < 0.03


def test_what_was_rated_comes_last() -> None:
    rated = [Rating(PROBES[0].digest(), "forget", 0, "B", "A", "left", "", "")]
    assert {frozenset((left, right)) for _, left, right in trials(rated) if left != right} == {
        frozenset("AC")
    }


def test_nothing_to_compare() -> None:
    assert next_trial(["A"], PROBES, SHOWN, [], Random(0)) is None
    assert next_trial(MODELS, PROBES[1:], SHOWN, [], Random(0)) is None
    assert next_trial(MODELS, [], {}, [], Random(0)) is None


def test_recorded_answers_and_pictures_are_found(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(STUDY, store)
    fill_images(image_study(), store)
    said = recorded(STUDY, store, ["Original", "NPO 4"], PROBES)
    assert {(model, probe) for model, probe, _ in said} == {
        (model, probe.id) for model in ("Original", "NPO 4") for probe in PROBES
    }
    pictures = image_study()
    drawn = recorded(pictures, store, ["Original"], pictures.probe_sets[0].probes)
    assert all(store.image_path(each).is_file() for each in drawn.values())
    assert len({seed for _, _, seed in drawn}) == len(pictures.sampling.seeds)
