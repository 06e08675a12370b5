"""What Compare finds in the store, and how it is put to the component that draws it."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.looks.model_looks import METHOD_LOOKS, ORIGINAL, RETAINED, look_of, looks_of, repeating
from app.looks.scales import LEAST_LIKELY, likelihood_ink
from app.pages.compare.cards import board
from app.pages.compare.comparison import TextColumn, found_probes, image_columns, measures, text_columns
from app.pages.compare.pictures import absolute_difference
from app.pages.compare.pictures import board as picture_board
from app.shared.heat_map import key_tokens, share
from backends.evidence import Answer
from backends.study import Probe, Study
from cache.store import Store, open_store
from tests.filled_store import fill_images, fill_text, image_study, text_study

SHOWN = ("Original", "Retained", "NPO 10")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    study, store = text_study(), open_store(tmp_path_factory.mktemp("text") / "evidence.sqlite")
    fill_text(study, store)
    return study, store


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    study, store = image_study(), open_store(tmp_path_factory.mktemp("images") / "evidence.sqlite")
    fill_images(study, store)
    return study, store


def test_columns_are_filled_from_the_store_without_weights(filled: tuple[Study, Store]) -> None:
    study, store = filled
    probe = study.probe_sets[0].probes[0]
    columns = text_columns(study, store, probe, SHOWN, study.decoding)
    assert [column.spec.name for column in columns] == list(SHOWN)
    assert all(column.replay and column.answers and column.scores is not None for column in columns)
    assert not any(column.fresh or column.growing for column in columns)


def test_other_settings_have_no_answers_but_the_scores_stay(filled: tuple[Study, Store]) -> None:
    study, store = filled
    other = replace(study.decoding, max_new_tokens=7)
    (column,) = text_columns(study, store, study.probe_sets[0].probes[0], ["Original"], other)
    assert column.answers == ()
    assert column.scores is not None


def test_a_growing_answer_is_shown_and_not_measured(filled: tuple[Study, Store]) -> None:
    study, store = filled
    probe = Probe(id="mine", role="mine", prompt="Something new", answer="Ada", key_fact="Ada")
    told = {("NPO 10", 0): (Answer("Ad", 1, "", 0, 0.1), False)}
    original, npo = text_columns(
        study, store, probe, ["Original", "NPO 10"], study.decoding, told, ["NPO 10"]
    )
    assert (original.answers, npo.answers[0].text, npo.growing) == ((), "Ad", frozenset({0}))
    assert measures(npo, probe).rouge_l is None
    cards = board(study, probe, [original, npo], "answers", dark=False)["cards"]
    assert cards[0]["message"].startswith("Recorded only")
    assert cards[1]["answers"][0]["growing"]


def test_a_stored_answer_beats_what_a_run_said_about_it(filled: tuple[Study, Store]) -> None:
    study, store = filled
    probe = study.probe_sets[0].probes[0]
    told = {("NPO 10", 0): (Answer("half an ans", 1, "", 0, 0.1), False)}
    (column,) = text_columns(study, store, probe, ["NPO 10"], study.decoding, told)
    assert column.answers[0].text != "half an ans"
    assert not column.growing


def test_measures_by_hand(filled: tuple[Study, Store]) -> None:
    study, store = filled
    probe = study.probe_sets[0].probes[0]  # "Ada Quill was born in the old town of Oslo."
    (column,) = text_columns(study, store, probe, ["Original"], study.decoding)
    said = replace(column, answers=(Answer("Ada Quill was born in Lima.", 6, "stop", 0, 0.5),))
    numbers = measures(said, probe)
    assert numbers.rouge_l == pytest.approx(5 / 10)
    assert numbers.key_fact == 0.0
    assert column.scores is not None and numbers.probability is not None
    assert numbers.probability == pytest.approx(math.exp(float(np.mean(column.scores.logprobs))), rel=1e-6)


def test_the_original_is_not_compared_with_itself(filled: tuple[Study, Store]) -> None:
    study, store = filled
    probe = study.probe_sets[0].probes[0]
    columns = text_columns(study, store, probe, SHOWN, study.decoding)
    diff = board(study, probe, columns, "diff_original", dark=False)["cards"]
    assert diff[0]["answers"][0]["segments"] is None
    assert {kind for kind, _ in diff[2]["answers"][0]["segments"]} >= {"del", "ins"}
    leak = board(study, probe, columns, "leak", dark=False)["cards"]
    assert [len(card["rows"]) for card in leak] == [1, 2, 2]


def test_heat_map_tells_probability_rank_and_rivals(filled: tuple[Study, Store]) -> None:
    study, store = filled
    probe = study.probe_sets[0].probes[0]
    columns = text_columns(study, store, probe, ["Original", "NPO 10"], study.decoding)
    token = board(study, probe, columns, "leak", dark=False)["cards"][1]["rows"][0]["tokens"][-1]
    scores = columns[1].scores
    assert scores is not None
    rank = int(scores.ranks[-1])
    assert token["facts"][0] == ["probability", share(math.exp(float(scores.logprobs[-1])))]
    assert token["facts"][2] == ["rank", "first choice" if rank == 0 else str(rank + 1)]
    assert len(token["rivals"]) == 5
    assert "".join(scores.pieces) == probe.answer


@pytest.mark.parametrize("dark", [False, True])
def test_both_rows_of_the_heat_map_stand_out_where_something_is_known(
    filled: tuple[Study, Store], dark: bool
) -> None:
    study, store = filled
    probe = study.probe_sets[0].probes[0]
    original, model = text_columns(study, store, probe, ["Original", "NPO 10"], study.decoding)
    assert original.scores is not None
    sure, lost = np.full(len(original.scores.logprobs), -0.01), np.full(len(original.scores.logprobs), -9.0)
    for logprobs in (sure, lost):
        changed = replace(original.scores, logprobs=logprobs)
        columns = [
            replace(original, scores=replace(original.scores, logprobs=sure)),
            replace(model, scores=changed),
        ]
        rows = board(study, probe, columns, "leak", dark=dark)["cards"][1]["rows"]
        likely, kept = (row["tokens"][0]["background"] for row in rows)
        assert likely == likelihood_ink(float(logprobs[0]), dark=dark).background
        assert kept == likelihood_ink(float(logprobs[0] - sure[0]), dark=dark).background


def test_tokens_of_the_key_fact_are_outlined() -> None:
    pieces = ["Ada", " was", " born", " in", " Os", "lo", "."]
    assert key_tokens(pieces, "oslo") == {4, 5}
    assert key_tokens(pieces, "Lima") == key_tokens(pieces, "") == frozenset()


def test_the_key_fact_is_marked_in_the_reference(filled: tuple[Study, Store]) -> None:
    study, _ = filled
    reference = board(study, study.probe_sets[0].probes[0], [], "answers", dark=False)["reference"]
    assert reference["parts"] == [
        ["plain", "Ada Quill was born in the old town of "],
        ["key", "Oslo"],
        ["plain", "."],
    ]


def test_scales_run_from_faint_to_strong_on_both_backgrounds() -> None:
    for dark, faint, strong in ((False, "#FAEBDD", "#35193E"), (True, "#1B1A2B", "#FAEBDD")):
        assert likelihood_ink(LEAST_LIKELY - 5, dark=dark).background == faint
        assert likelihood_ink(0.0, dark=dark).background == strong
    assert likelihood_ink(0.0, dark=False).text == "#FFFFFF"
    assert likelihood_ink(0.0, dark=True).text == "#000000"


def test_a_method_keeps_its_look_over_its_checkpoints_and_differs_from_others() -> None:
    study = text_study()
    looks = {spec.name: look_of(spec, study) for spec in study.models}
    assert (looks["Original"], looks["Retained"]) == (ORIGINAL, RETAINED)
    assert looks["NPO 2"] == looks["NPO 10"]
    first = [ORIGINAL, RETAINED, *METHOD_LOOKS[:8]]
    assert len({look.symbol for look in first}) == len({look.light for look in first}) == len(first)


def test_sixty_four_methods_look_different_and_half_of_them_without_their_colours() -> None:
    for theme in ("light", "dark"):
        seen = {(getattr(look, theme), look.symbol) for look in (ORIGINAL, RETAINED, *METHOD_LOOKS)}
        assert len(seen) == 2 + len(METHOD_LOOKS) == 66
    assert len({(look.symbol, look.dash) for look in METHOD_LOOKS[:32]}) == 32
    glyphs = {look.symbol: look.glyph for look in METHOD_LOOKS}
    assert all(glyphs[look.symbol] == look.glyph for look in METHOD_LOOKS)


def test_looks_that_repeat_are_said() -> None:
    heads = pd.DataFrame(
        {
            "model": [f"m{n}" for n in range(70)],
            "part": "unlearned",
            "method": [f"m{n:02}" for n in range(70)],
        }
    )
    study = replace(text_study(), models=text_study().models[:1])
    assert repeating(heads[:64], study) == ""
    assert "70 methods and 64 looks" in repeating(heads, study)
    looks = looks_of(heads, study)
    assert set(list(looks.values())[:64]) == set(METHOD_LOOKS)
    assert len(set(list(looks.values())[64:])) == 6, "they begin again, none a third time"


def test_every_symbol_is_drawn_by_the_components_too() -> None:
    drawn = (Path(__file__).parents[4] / "app" / "components" / "marks.js").read_text()
    for look in (ORIGINAL, RETAINED, *METHOD_LOOKS):
        assert re.search(rf'^  "?{look.symbol}"?: "M', drawn, re.MULTILINE)


def test_search_needs_every_word_in_any_field(filled: tuple[Study, Store]) -> None:
    probes = filled[0].probe_sets[0].probes
    assert [probe.id for probe in found_probes(probes, "BORN ada")] == ["forget-0-born"]
    assert found_probes(probes, "nothing like this") == []


def test_pictures_come_from_the_store_with_marks_for_what_was_asked(pictures: tuple[Study, Store]) -> None:
    study, store = pictures
    probe = next(probes for probes in study.probe_sets if probes.role == "retain").probes[0]
    columns = image_columns(study, store, probe, ["Original", "ESD 30"], study.sampling)
    drawn = picture_board(study, store, probe, columns, (1, 2), "grid", {}, dark=False)["columns"]
    cell = drawn[0]["cells"][0]
    assert cell["src"].startswith("data:image/png;base64,iVBOR")
    for judged, (domain, judgement) in zip(
        cell["judged"], columns[0].pictures[1].judgements.items(), strict=True
    ):
        assert judged["sign"] == ("yes" if judgement.label == probe.concepts[domain] else "no")
    asked = sum(
        picture.judgements["style"].label == probe.concepts["style"]
        for picture in columns[1].pictures.values()
    )
    assert f"style as asked: {asked} of 2" in drawn[1]["summary"]


def test_difference_maps_are_made_for_all_but_the_original(pictures: tuple[Study, Store]) -> None:
    study, store = pictures
    probe = study.probe_sets[0].probes[0]
    columns = image_columns(study, store, probe, ["Original", "ESD 30"], study.sampling)
    drawn = picture_board(study, store, probe, columns, (1,), "difference", {}, dark=False)["columns"]
    assert drawn[0]["cells"][0]["difference"] == ""
    assert drawn[1]["cells"][0]["difference"].startswith("data:image/png;base64,")


def test_difference_is_the_largest_over_the_channels() -> None:
    left = np.zeros((2, 2, 3), np.uint8)
    right = left.copy()
    right[0, 1] = (51, 255, 0)
    assert absolute_difference(left, right).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert absolute_difference(left, np.zeros((4, 4, 3), np.uint8)).shape == (2, 2)


@pytest.mark.parametrize(
    "module",
    ["app.pages.compare.text", "app.pages.compare.images", "app.frame.shell", "app.pages.compare.probe_bar"],
)
def test_what_the_first_page_needs_imports_no_model_library(module: str) -> None:
    heavy = {"torch", "transformers", "diffusers", "peft", "sklearn"}
    program = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_a_card_says_that_its_answers_are_refusals_or_gibberish() -> None:
    study = text_study()
    probe = study.probe_sets[0].probes[0]

    def note(*texts: str) -> str:
        answers = tuple(Answer(text, 3, "stop", seed, 0.1) for seed, text in enumerate(texts))
        column = TextColumn(study.model("NPO 10"), answers=answers)
        (card,) = board(study, probe, [column], "answers", dark=False)["cards"]
        return str(card["note"])

    assert note("I don't know.").endswith("3 tokens · refusal")
    assert note("the sea " * 20, "I don't know.", "I can't say.").endswith(
        "2 of 3 refusal · 1 of 3 gibberish"
    )
    assert note(f"I'm not sure, but {probe.key_fact}.").endswith("3 tokens")
