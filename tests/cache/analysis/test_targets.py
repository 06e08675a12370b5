"""Models with targets of their own: UA, IRA and CRA counted by hand in a plain loop, and their means over targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backends.metrics.pictures import NONE
from backends.study import JudgeSpec, Study
from backends.study.targets import role_under, target_names, target_of, targeted
from cache.analysis.board import board_of
from cache.analysis.confusion import confusion
from cache.analysis.examples import examples
from cache.analysis.scoreboard import scoreboard
from cache.analysis.study_rows import utility_parts
from cache.analysis.target_means import over_targets
from cache.store import Store, open_store
from cache.store.reading import images_for
from tests.filled_store import OBJECTS, OTHER, STYLES, TARGETS, fill_images, image_study, several_targets


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    store = open_store(tmp_path_factory.mktemp("targets") / "evidence.sqlite")
    study = several_targets(image_study())
    fill_images(study, store)
    return study, store


def by_hand(study: Study, store: Store, model: str, target: dict[str, str]) -> dict[str, float]:
    """UA, IRA and CRA of one model, by UnlearnCanvas' definitions."""
    ((domain, concept),) = target.items()
    other = "object" if domain == "style" else "style"
    counts: dict[str, list[bool]] = {"ua": [], "ira": [], "cra": []}
    for probe in (probe for each in study.probe_sets for probe in each.probes):
        for image in images_for(study, store, model, [probe])[probe.id].values():
            label = image.judgements[domain].label
            if probe.concepts[domain] == concept:
                counts["ua"].append(label not in (concept, NONE))
            else:
                counts["ira"].append(label == probe.concepts[domain])
                counts["cra"].append(image.judgements[other].label == probe.concepts[other])
    return {name: float(np.mean(hits)) for name, hits in counts.items()}


KEYS = {
    "ua": "forget/unlearn_accuracy",
    "ira": "retain/in_domain_retain",
    "cra": "retain/cross_domain_retain",
}


def test_each_model_is_measured_on_its_own_target(filled: tuple[Study, Store]) -> None:
    study, store = filled
    frame = scoreboard(study, store).frame.set_index(["model", "key"]).value
    for name in (*TARGETS, "ESD 10 d", "Original", "SalUn 20"):
        expected = by_hand(study, store, name, dict(target_of(study, name)))
        for metric, key in KEYS.items():
            assert frame[name, key] == pytest.approx(expected[metric]), (name, metric)


def test_a_mean_over_targets_counts_each_target_once(filled: tuple[Study, Store]) -> None:
    study, store = filled
    means = over_targets(study, scoreboard(study, store)).set_index(["method", "step", "key"])
    for metric, key in KEYS.items():
        row = means.loc[("ESD", 10, key)]
        each = [by_hand(study, store, name, TARGETS[name])[metric] for name in ("ESD 10", "ESD 10 b")]
        twins = [by_hand(study, store, n, TARGETS["ESD 10 c"])[metric] for n in ("ESD 10 c", "ESD 10 d")]
        assert row["value"] == pytest.approx(np.mean([*each, np.mean(twins)]))
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["targets"], row["over"]) == (3, f"neon; {OTHER}; {OBJECTS[0]}")
        original = [by_hand(study, store, "Original", target)[metric] for target in TARGETS.values()]
        assert row["original"] == pytest.approx(np.mean(original))
        assert means.loc[("SalUn", 20, key)]["targets"] == 1
    assert not [key for key in means.index.get_level_values("key") if key.startswith("all/")]


def test_a_study_of_one_target_has_no_means_and_stays_as_it_was(filled: tuple[Study, Store]) -> None:
    _, store = filled
    plain = image_study()
    assert targeted(plain, "ESD 10") is plain and target_names(plain) == {}
    assert over_targets(plain, scoreboard(plain, store)).empty


def test_roles_follow_from_concepts_and_other_roles_stay(filled: tuple[Study, Store]) -> None:
    study, _ = filled
    probe = study.probe_sets[0].probes[0]
    assert probe.concepts["style"] == "neon"
    assert role_under(probe, {"style": "neon"}) == "forget"
    assert role_under(probe, {"style": OTHER}) == "retain"
    assert role_under(replace(probe, role="neighbour"), {"style": OTHER}) == "neighbour"
    assert role_under(replace(probe, role="neighbour"), {"style": "neon"}) == "forget"
    assert role_under(replace(probe, role="utility"), {"style": "neon"}) == "utility"
    assert role_under(replace(probe, concepts={}), {"style": OTHER}) == "forget"
    mine = targeted(study, "ESD 10 b")
    sets = [(each.name, each.role, len(each.probes)) for each in mine.probe_sets]
    n = len(OBJECTS)
    assert sorted(sets) == [
        ("forget (retain)", "retain", n),
        ("retain", "retain", n * (len(STYLES) - 2)),
        ("retain (forget)", "forget", n),
    ]


def test_changes_are_to_the_original_on_the_same_target(filled: tuple[Study, Store]) -> None:
    study, store = filled
    board = scoreboard(study, store)
    key = KEYS["ua"]
    changed = board.most_changed("ESD 10 b", key, 100)
    assert len(changed) == len(OBJECTS)
    assert all(probe.startswith(OTHER) for probe in changed["probe"])
    under = board.per_probe("Original", key, under="ESD 10 b")
    assert changed.set_index("probe")["original"].to_dict() == under.to_dict()
    shown = examples(study, store, board, ["Original", "ESD 10", "ESD 10 b"], key, higher=True)
    assert len(shown.probes) == 2 * len(OBJECTS)
    assert shown.changes["ESD 10 b"].notna().sum() == len(OBJECTS)
    of_b = shown.changes["ESD 10 b"].dropna()
    assert of_b.to_dict() == pytest.approx((board.per_probe("ESD 10 b", key) - under).to_dict())


def test_checkpoints_of_different_targets_are_on_different_lines(filled: tuple[Study, Store]) -> None:
    study, store = filled
    frame = scoreboard(study, store).frame
    heads = board_of(frame, "", "study", target_names(study)).heads.set_index("model")
    assert heads["line"]["ESD 10"] == "ESD · neon" and heads["line"]["ESD 10 b"] == f"ESD · {OTHER}"
    assert heads["line"]["SalUn 10"] == heads["line"]["SalUn 30"] and heads["line"]["Original"] == ""


def test_confusion_begins_with_the_models_own_target(filled: tuple[Study, Store]) -> None:
    study, store = filled
    assert confusion(study, store, "ESD 10 b", "style").asked[0] == OTHER
    assert confusion(study, store, "SalUn 20", "style").asked[0] == "neon"


def test_a_study_may_leave_all_targets_to_its_models(filled: tuple[Study, Store]) -> None:
    study, store = filled
    judged = replace(study, judges=(JudgeSpec("style", "judges/style"), JudgeSpec("object", "judges/object")))
    without = replace(judged, forget_concepts={})
    assert scoreboard(without, store).utility_parts == utility_parts(judged)
    assert "retain/in_domain_retain" in utility_parts(judged)
    frame = scoreboard(without, store).frame.set_index(["model", "key"]).value
    assert frame["ESD 10 b", KEYS["ua"]] == pytest.approx(
        by_hand(study, store, "ESD 10 b", TARGETS["ESD 10 b"])["ua"]
    )
    assert ("Original", KEYS["ua"]) not in frame.index


def test_studies_that_differ_in_their_judges_only_have_each_their_own_utility(
    filled: tuple[Study, Store],
) -> None:
    study, store = filled
    judged = replace(study, judges=(JudgeSpec("style", "judges/style"), JudgeSpec("object", "judges/object")))
    plain = replace(study, judges=())
    assert utility_parts(judged) != utility_parts(plain)
    for each in (plain, judged, plain):
        assert scoreboard(each, store).utility_parts == utility_parts(each)
