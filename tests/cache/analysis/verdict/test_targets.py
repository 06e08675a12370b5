"""A model with a target of its own is judged by that target: against what the original makes of the same prompts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.components.verdict_strip import strip_data
from app.export.report import study_report
from app.pages.overview.missing import gaps
from app.pages.overview.subject import of_study
from app.shared.verdict_words import apart_sentence
from backends.study import JudgeSpec, Probe, Role, Study
from backends.study.contract import parsed
from backends.study.targets import apart_models, retained_for
from cache.analysis.contract import check_contract
from cache.analysis.scoreboard import scoreboard
from cache.analysis.verdict.comparisons import StudyNumbers
from cache.analysis.verdict.methods import study_methods
from cache.analysis.verdict.verdicts import verdicts
from cache.store import Store, open_store
from tests.filled_store import OTHER, TARGETS, fill_images, image_study, several_targets

UTILITY = "all/model_utility"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    """Three targets, and a model that is the original and was to forget another style than the retained one lacks."""
    store = open_store(tmp_path_factory.mktemp("targets") / "evidence.sqlite")
    judges = (JudgeSpec("style", "judges/style"), JudgeSpec("object", "judges/object"))
    study = replace(several_targets(image_study()), judges=judges)
    same = replace(
        study.original, name="Nothing done", part="unlearned", method="None", forget=(("style", OTHER),)
    )
    study = replace(study, models=(*study.models, same))
    fill_images(replace(study, models=study.models[:-1]), store)
    return study, store


def test_the_retained_model_is_no_yardstick_for_what_it_saw(filled: tuple[Study, Store]) -> None:
    study, store = filled
    assert retained_for(study, "SalUn 20") == retained_for(study, "ESD 10") == study.retained
    apart = apart_models(study, [spec.name for spec in study.models])
    assert set(apart) == {"ESD 10 b", "ESD 10 c", "ESD 10 d", "Nothing done"}
    found = verdicts(study, scoreboard(study, store))
    against = {
        name: {each.measured.against for each in found[name].findings if each.measured is not None}
        for name in ("SalUn 20", "ESD 10 b")
    }
    assert "Retained" in against["SalUn 20"] and "Retained" not in against["ESD 10 b"]


def test_a_model_that_forgot_nothing_is_not_forgotten_whatever_its_target(
    filled: tuple[Study, Store],
) -> None:
    """The retained model draws that style as the original does: beyond it there would be nothing."""
    study, store = filled
    assert verdicts(study, scoreboard(study, store))["Nothing done"].kind == "not forgotten"


def test_utility_is_held_against_the_originals_on_the_same_target(filled: tuple[Study, Store]) -> None:
    study, store = filled
    board = scoreboard(study, store)
    target = TARGETS["ESD 10 c"]
    ((domain, concept),) = target.items()
    plain = tuple(replace(spec, forget=()) for spec in study.models)
    sets = []
    for each in study.probe_sets:  # the same prompts, with the roles that they have to this target
        mine = [probe for probe in each.probes if probe.concepts[domain] == concept]
        rest = [probe for probe in each.probes if probe not in mine]
        parts: tuple[tuple[Role, list[Probe]], ...] = (("forget", mine), ("retain", rest))
        for role, probes in parts:
            renamed = tuple(replace(probe, role=role) for probe in probes)
            sets += [replace(each, name=f"{each.name} {role}", role=role, probes=renamed)] if probes else []
    alone = replace(study, models=plain, probe_sets=tuple(sets), forget_concepts=target)
    rows = scoreboard(alone, store).frame.set_index(["model", "key"]).value
    found = StudyNumbers(study, board).read("ESD 10 c", UTILITY, "original")
    assert found is not None
    assert found.value == pytest.approx(rows["ESD 10 c", UTILITY])
    assert found.base == pytest.approx(rows["Original", UTILITY])
    own = board.frame.set_index(["model", "key"]).value["Original", UTILITY]
    assert found.base != pytest.approx(own, abs=1e-6), "else this shows nothing"
    assert board.original_values("ESD 10 c")[UTILITY] == pytest.approx(found.base)
    assert found.difference == pytest.approx(found.value - found.base)
    assert found.least <= found.difference <= found.most


def test_sentences_name_the_models_own_target_and_methods_are_one_a_target(
    filled: tuple[Study, Store],
) -> None:
    study, store = filled
    board = scoreboard(study, store)
    found = verdicts(study, board)
    shown = {each["name"]: each for each in strip_data(study, found, list(found), dark=False)["models"]}
    assert OTHER in shown["ESD 10 b"]["sentence"] and "neon" in shown["SalUn 20"]["sentence"]
    names = {method.name: len(method.checkpoints) for method in study_methods(study, found)}
    assert names["ESD · neon"] == 1 and names[f"ESD · {OTHER}"] == 1 and names["SalUn · neon"] == 3
    subject = of_study(study, board.frame, found)
    told = [gap.text for gap in gaps(subject, [], [])]
    assert apart_sentence(subject.apart) in told
    assert "The retained model saw what ESD 10 b" in study_report(study, store, board).page


def test_a_promise_that_names_the_retained_model_is_not_held_against_what_it_saw(
    filled: tuple[Study, Store],
) -> None:
    study, store = filled
    promised = parsed("retain/in_domain_retain", ">= retained - 0.9")
    assert promised is not None
    mine = replace(study, contract=(promised,))
    found = {
        each.model: each for each in check_contract(mine, scoreboard(mine, store), ["SalUn 20", "ESD 10 b"])
    }
    assert not found["SalUn 20"].why
    assert found["ESD 10 b"].why == "the retained model saw what this one was to forget"


def test_denoising_losses_are_of_the_studys_target_alone(filled: tuple[Study, Store]) -> None:
    study, store = filled
    board = scoreboard(study, store)
    more = board.frame.assign(key=board.frame["key"].replace(UTILITY, "forget/denoising_difference"))
    numbers = StudyNumbers(study, replace(board, frame=more))
    assert numbers.read("SalUn 20", "forget/denoising_difference", "") is not None
    assert numbers.read("ESD 10 b", "forget/denoising_difference", "") is None
