"""What the page prepares: rows by what an attacker must have, reasons in place of marks, curves, conversations."""

from __future__ import annotations

from typing import get_args

import pytest

from app.pages.robustness.curves_panel import curves, series
from app.pages.robustness.fact_board import conversation
from app.pages.robustness.ladder_view import ladder_groups, listed
from backends.attacks import ATTACKS, Access
from backends.study import Probe
from cache.analysis.robustness.kept import kept_ladder
from cache.analysis.robustness.ladder import PLAIN, STRONGEST, Ladder
from cache.analysis.robustness.trials import trials
from cache.store import open_store
from tests.filled_store import ATTACKED, HIDES, attack_study, fill_attacks, fill_text

STUDY = attack_study()
USED = [ATTACKS[key] for key in ("role_play", "begun_25", "begun_50", "choice", "samples_16", "samples_128")]
NAMES = [name for name in ATTACKED if STUDY.model(name).part == "unlearned"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    store = open_store(tmp_path_factory.mktemp("page") / "evidence.sqlite")
    fill_text(STUDY, store)
    fill_attacks(STUDY, store, ATTACKED[:-1], USED)  # the last one is not attacked
    return kept_ladder(STUDY, store, trials(STUDY, store, ATTACKED, USED))


def codes(found: Ladder) -> dict[tuple[str, str], int]:
    keys = [PLAIN, *found.attacks, STRONGEST]
    return {cell: code for code, cell in enumerate((key, name) for key in keys for name in NAMES)}


def test_rows_go_from_the_prompt_box_to_what_is_hardest_to_have(found: Ladder) -> None:
    groups = ladder_groups(found, NAMES, "says", codes(found))
    taken = [group.title.removeprefix("Takes: ") for group in groups[1:-1]]
    assert taken == sorted(taken, key=get_args(Access).index)
    assert groups[0].rows[0].title == "Asked plainly"
    assert groups[-1].rows[0].title.startswith("Strongest attack")


def test_attacks_without_the_measure_have_no_row(found: Ladder) -> None:
    titles = [row.title for group in ladder_groups(found, NAMES, "rates", codes(found)) for row in group.rows]
    assert "16 sampled answers" not in titles
    assert "Role play" in titles


def test_a_model_that_nothing_was_tried_on_says_so_once_and_not_in_every_row(found: Ladder) -> None:
    groups = ladder_groups(found, NAMES, "says", codes(found))
    row = next(row for group in groups for row in group.rows if row.title == "Role play")
    assert {mark.model for mark in row.marks} == set(NAMES) - {f"{HIDES} 10"}
    assert not row.notes


def test_names_are_listed_up_to_a_few() -> None:
    assert listed(["a", "b", "c", "d"]) == "a, b, c, d"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c, 2 more"


def test_attacks_that_differ_in_strength_make_curves(found: Ladder) -> None:
    groups = series(found, NAMES, "says")
    assert groups == {
        "Answer begun": ["begun_25", "begun_50"],
        "Sampled answers": ["samples_16", "samples_128"],
    }
    made = {curve.name: curve.points for curve in curves(STUDY, found, NAMES, "says", groups["Answer begun"])}
    assert list(made)[:2] == ["Original", "Retained"]
    assert [point[0] for point in made["NPO 10"]] == [25, 50]
    rung = found.rung("NPO 10", "says", "begun_50")
    assert rung is not None
    assert made["NPO 10"][1][1] == rung.value
    assert made["Original"][1][1] == rung.found.ceiling


def test_a_probe_is_shown_as_it_is_asked() -> None:
    probe = Probe(
        "p", "forget", "Who?", "Quill", turns=(("system", "Be kind."), ("user", "Hi"), ("assistant", "Ho")),
        answer_prefix="Ada ",
    )  # fmt: skip
    assert conversation(probe) == [
        ["System", "Be kind."],
        ["Question", "Hi"],
        ["Answer", "Ho"],
        ["Question", "Who?"],
        ["Answer, begun", "Ada "],
    ]
