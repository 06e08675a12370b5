"""The demo's recorded evidence: which method hides, which destroys, and which is the best choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.shared.settings import PACK, open_cache
from backends.study import Study
from backends.study.file import read_study
from cache.analysis.contract import check_contract, outcome_of
from cache.analysis.scoreboard import scoreboard
from cache.analysis.verdict.rules import Verdict, best_first, share_lost
from cache.analysis.verdict.verdicts import verdicts
from cache.store import Store

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def store() -> Store:
    return open_cache()


def study_of(modality: str) -> Study:
    return read_study(PACK / modality / "study.toml")


@pytest.fixture(scope="module")
def text(store: Store) -> dict[str, Verdict]:
    return verdicts(study_of("text"), scoreboard(study_of("text"), store))


@pytest.fixture(scope="module")
def image(store: Store) -> dict[str, Verdict]:
    return verdicts(study_of("image"), scoreboard(study_of("image"), store))


@pytest.mark.parametrize("step", [9, 12, 16])
def test_idk_hides(text: dict[str, Verdict], step: int) -> None:
    found = text[f"IdkNLL {step}"]
    assert found.forgetting == "hidden" and found.kind in ("hidden", "destroyed")
    held = {each.question for each in found.findings if each.outcome == "yes"}
    assert {"closer", "rates", "leaks", "refuses"} <= held and "says" not in held


def test_gradient_ascent_destroys(text: dict[str, Verdict], image: dict[str, Verdict]) -> None:
    assert text["GradAscent 10"].kind == "destroyed"
    assert {image[f"GradAscent {step}"].kind for step in (20, 30, 50)} == {"destroyed"}


def test_wga_forgets_and_damages_neighbours(text: dict[str, Verdict]) -> None:
    found = text["WGA 30"]
    assert (found.forgetting, found.kind) == ("forgotten", "damaged")
    assert [each.question for each in found.damage] == ["neighbour"]


def test_npo_is_the_best_choice(text: dict[str, Verdict]) -> None:
    tried = [text[spec.name] for spec in study_of("text").models if spec.part == "unlearned"]
    best = best_first(tried)[0]
    assert (best.model, best.kind, best.harm) == ("NPO 45", "forgotten", "undecided")
    costs = {each.question: round(share_lost(each), 2) for each in best.costs}
    assert costs == {"neighbour": 0.32, "retain": 0.09, "utility": 0.03}


def test_an_edit_that_draws_no_neon_and_fits_it_as_before_hides(image: dict[str, Verdict]) -> None:
    assert image["UCE 60"].kind == "hidden"
    assert [e.question for e in image["UCE 60"].findings if e.outcome == "yes"] == ["denoising"]
    assert (image["UCE 100"].kind, image["UCE 100"].harm) == ("forgotten", "none found")


@pytest.mark.parametrize("modality", ["text", "image"])
def test_the_retained_model_under_another_name_is_forgotten_and_the_original_is_not(
    modality: str, store: Store
) -> None:
    study = study_of(modality)
    assert study.retained is not None
    again = [
        replace(spec, name=f"{spec.name} again", part="unlearned")
        for spec in (study.original, study.retained)
    ]
    study = replace(study, models=(*study.models, *again))
    found = verdicts(study, scoreboard(study, store))
    retained, original = found["Retained again"], found["Original again"]
    assert (retained.kind, retained.harm) == ("forgotten", "none found")
    assert original.kind == "not forgotten" and original.harm != "destroyed"


@pytest.mark.parametrize(("modality", "best"), [("text", "NPO 45"), ("image", "UCE 100")])
def test_the_demos_contract_is_kept_by_its_best_model_alone(modality: str, best: str, store: Store) -> None:
    study = study_of(modality)
    assert len(study.contract) >= 7
    names = [spec.name for spec in study.models if spec.part == "unlearned"]
    checked = check_contract(study, scoreboard(study, store), names)
    kept = [n for n in names if outcome_of([each for each in checked if each.model == n]) == "holds"]
    assert kept == [best]
