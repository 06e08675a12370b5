"""What the Overview draws: places on scales, points, gaps, and names that are hostile or very many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.pages.overview.board import MOST_CHECKPOINTS, MOST_METHODS, board
from app.pages.overview.curve import curve
from app.pages.overview.examples import example_cards
from app.pages.overview.missing import gaps
from app.pages.overview.scales import scales
from app.pages.overview.subject import Subject, of_board, of_study
from app.shared.settings import PACK
from backends.study import Study
from backends.study.file import read_study
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.analysis.study_board import study_board
from cache.analysis.verdict.telling import RULES, telling, telling_of
from cache.analysis.verdict.verdicts import run_verdicts, verdicts
from cache.store import Store, open_store
from cache.store.recorded_pack import import_recorded

HOSTILE = "<img src=x onerror=alert(1)>\u202e" + "very long " * 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = open_store(tmp_path_factory.mktemp("overview") / "evidence.sqlite")
    import_recorded(PACK, opened)
    return opened


@pytest.fixture(scope="module", params=["text", "image"])
def demo(request: pytest.FixtureRequest, store: Store) -> tuple[Study, Scoreboard, Subject]:
    study = read_study(PACK / request.param / "study.toml")
    numbers = scoreboard(study, store)
    return study, numbers, of_study(study, numbers.frame, verdicts(study, numbers))


def drawn(subject: Subject, roles: tuple[str, ...] = ("forget",)) -> dict[str, Any]:
    found = board(
        subject,
        [],
        gaps(subject, [], roles),
        lambda name: {"page": "compare", "models": [name]},
        str,
        dark=False,
    )
    json.dumps(found, allow_nan=False)  # the browser reads no NaN
    return found


def places(each: Mapping[str, Any]) -> list[float]:
    return [
        each[name] for name in ("value", "low", "high", "original", "retained") if each.get(name) is not None
    ]


def test_every_number_has_a_place_between_its_ends(demo: tuple[Study, Scoreboard, Subject]) -> None:
    _, _, subject = demo
    for verdict in subject.verdicts.values():
        for each in scales(verdict, subject):
            assert all(0 <= place <= 1 for place in places(each)), each
            if each["outcome"] != "missing" and each.get("low") is not None:
                assert each["low"] <= each["value"] <= each["high"]


def test_a_value_is_in_its_zone_exactly_where_it_is_within_the_limit(
    demo: tuple[Study, Scoreboard, Subject],
) -> None:
    _, _, subject = demo
    seen = set()
    for verdict in subject.verdicts.values():
        for each in scales(verdict, subject):
            if each.get("zone") is None:
                continue
            start, end = each["zone"]
            inside = start - 1e-3 <= each["value"] <= end + 1e-3
            if each["outcome"] == "no":
                assert inside, (verdict.model, each)
            if each["outcome"] == "yes":
                assert not (start + 1e-3 < each["value"] < end - 1e-3), (verdict.model, each)
            seen.add(each["outcome"])
    assert {"yes", "no"} <= seen


def test_the_drawn_interval_is_the_one_that_was_judged(demo: tuple[Study, Scoreboard, Subject]) -> None:
    """It leaves the zone, whole or in part, as the verdict says."""
    _, _, subject = demo
    seen = set()
    for verdict in subject.verdicts.values():
        for each in scales(verdict, subject):
            if each.get("zone") is None or each.get("low") is None:
                continue
            start, end = each["zone"]
            outside = each["high"] < start - 1e-3 or each["low"] > end + 1e-3
            if each["outcome"] in ("no", "undecided"):
                assert not outside, (verdict.model, each)
            elif start > 0 or end < 1:
                assert each["high"] <= start + 1e-3 or each["low"] >= end - 1e-3, (verdict.model, each)
            seen.add(each["outcome"])
    assert {"yes", "no", "undecided"} <= seen


def test_the_retained_model_lies_on_its_own_star(demo: tuple[Study, Scoreboard, Subject]) -> None:
    _, _, subject = demo
    for each in scales(subject.verdicts["Retained"], subject):
        if each["outcome"] != "missing":
            assert each["value"] == pytest.approx(each["retained"], abs=1e-3)


def test_rows_are_methods_and_their_checkpoints(demo: tuple[Study, Scoreboard, Subject]) -> None:
    study, _, subject = demo
    rows = drawn(subject)["rows"]
    shown = [row["key"] for row in rows] + [other["key"] for row in rows for other in row["others"]]
    assert sorted(shown) == sorted(spec.name for spec in study.models if spec.part == "unlearned")
    for row in rows:
        steps = [subject.steps[other["key"]] for other in row["others"]]
        assert steps == sorted(steps)
    assert len(rows) == len({spec.method for spec in study.models if spec.part == "unlearned"})


def test_the_curve_has_a_point_a_model_and_names_what_stands_for_a_method(
    demo: tuple[Study, Scoreboard, Subject],
) -> None:
    study, _, subject = demo
    found = curve(subject, dark=False, link=lambda name: name)
    assert found is not None
    assert {point["name"] for point in found["points"]} == {spec.name for spec in study.models}
    named = {point["name"] for point in found["points"] if point["main"]}
    assert named == {method.best.model for method in subject.methods} | {"Original", "Retained"}
    retained = next(point for point in found["points"] if point["name"] == "Retained")
    assert [retained["x"], retained["y"]] == list(found["aim"])
    assert all(
        point["hollow"] == (subject.verdicts[point["name"]].kind == "destroyed") for point in found["points"]
    )


def test_imported_runs_are_judged_like_a_study(demo: tuple[Study, Scoreboard, Subject]) -> None:
    study, numbers, _ = demo
    runs = study_board(study, numbers.frame)
    subject = of_board("elsewhere", runs, study, run_verdicts(runs, study.modality, "Original", "Retained"))
    found = drawn(subject)
    assert len(found["rows"]) == len({spec.method for spec in study.models if spec.part == "unlearned"})
    assert not any(each["code"] or each["mend"] for each in found["gaps"])


def test_gaps_name_what_would_decide_and_what_was_not_evaluated(
    demo: tuple[Study, Scoreboard, Subject],
) -> None:
    study, _, subject = demo
    found = gaps(subject, ["A", "B"], [each.role for each in study.probe_sets])
    assert found[0].text == "A and B are not evaluated."
    assert found[0].mend == "runs"
    if study.modality == "text":
        assert any("NPO 45 (about 14 subjects would decide, 6 now)" in each.text for each in found)
    alone = gaps(replace(subject, retained=""), [], [])
    assert "no retained model" in alone[0].text
    assert 'part = "retained"' in alone[0].code


def test_examples_show_the_answer_and_lead_to_compare(
    demo: tuple[Study, Scoreboard, Subject], store: Store
) -> None:
    study, numbers, subject = demo
    chosen = telling(study, numbers, subject.methods)
    cards = example_cards(
        chosen, study, store, subject, lambda probe, models, view: f"{probe} {models} {view}", dark=False
    )
    assert len(cards) == len(chosen) >= 3
    assert {card["rule"] for card in cards} <= set(RULES.values())
    for card, each in zip(cards, chosen, strict=True):
        assert card["open"]["probe"] == each.probe
        assert each.model in card["open"]["models"]
        what = "text" if study.modality == "text" else "picture"
        assert all(answer[what] not in ("", "not recorded") for answer in card["answers"])


def test_the_example_of_a_model_shows_its_verdict(
    demo: tuple[Study, Scoreboard, Subject], store: Store
) -> None:
    study, numbers, subject = demo
    rules = set()
    for method in subject.methods:
        for each in method.checkpoints:
            told = telling_of(study, numbers, each)
            assert told is not None and told.model == each.model
            rules.add((each.kind, told.rule))
            if each.kind == "destroyed":
                assert told.rule == "damage" and told.value < 0.5 <= told.base
            if each.kind == "hidden":
                assert told.rule == "hide"
    assert {("destroyed", "damage"), ("hidden", "hide"), ("not forgotten", "leak")} <= rules


def test_the_clearest_hiding_shows_a_number_that_proves_it(
    demo: tuple[Study, Scoreboard, Subject], store: Store
) -> None:
    study, numbers, subject = demo
    chosen = [each for each in telling(study, numbers, subject.methods) if each.rule == "hide"]
    (card,) = example_cards(chosen, study, store, subject, lambda probe, models, view: "", dark=False)
    first = "Probability of the true answer" if study.modality == "text" else "Denoising loss above"
    assert card["shows"].startswith(first)


def test_hostile_and_endless_names_are_shown_as_text(demo: tuple[Study, Scoreboard, Subject]) -> None:
    _, _, subject = demo
    old = subject.methods[0].best.model
    renamed = {
        (HOSTILE if name == old else name): replace(verdict, model=HOSTILE) if name == old else verdict
        for name, verdict in subject.verdicts.items()
    }
    best = replace(subject.methods[0], best=renamed[HOSTILE])
    found = drawn(
        replace(
            subject,
            verdicts=renamed,
            methods=[best, *subject.methods[1:]],
            looks={**subject.looks, HOSTILE: subject.looks[old]},
        )
    )
    assert "\u202e" not in found["headline"][0] + found["rows"][0]["title"]
    assert "⟨U+202E⟩" in found["headline"][0]
    assert found["rows"][0]["open"]["models"] == [HOSTILE]


def test_what_is_more_than_a_person_reads_is_left_to_trade_offs(
    demo: tuple[Study, Scoreboard, Subject],
) -> None:
    _, _, subject = demo
    method = subject.methods[0]
    many = replace(method, others=(method.best,) * 1000)
    found = drawn(replace(subject, methods=[many] * 500))
    assert (len(found["rows"]), found["methods"]) == (MOST_METHODS, 500)
    assert (len(found["rows"][0]["others"]), found["rows"][0]["count"]) == (MOST_CHECKPOINTS, 1000)
