"""The sidebar's list of models shows hostile names harmlessly and sends them as they are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.components.model_picker import groups, said
from app.looks.short_names import common_prefix
from tests.filled_store import text_study


def test_names_and_notes_turn_nothing_around_and_clicks_send_the_real_name() -> None:
    study = text_study()
    evil = "Ori\u202eginal\x1b"
    first = replace(study.models[0], name=evil, part="original", method="me\u202ethod", note="no\u2028te")
    rows = groups(replace(study, models=(first, *study.models[1:])), [evil], dark=False)
    own = rows[0]
    assert own["models"][0]["name"] == own["usual"] == evil, "what a click sends"
    for row in rows:
        shown = {**row, "usual": "", "models": [{**model, "name": ""} for model in row["models"]]}
        assert not set("\u202e\x1b\u2028") & set(json.dumps(shown, ensure_ascii=False))
        assert "\\u001b" not in json.dumps(shown)
    assert own["models"][0]["title"] == own["models"][0]["label"] == own["name"] == "Ori⟨U+202E⟩ginal␛"


def test_a_row_ticks_the_checkpoint_that_is_usual_and_not_the_last() -> None:
    rows = {row["name"]: row["usual"] for row in groups(text_study(), ["NPO 4", "Retained"], dark=False)}
    assert rows["NPO"] == "NPO 4" and rows["Retained"] == "Retained"


LONG = [f"tofu_Llama-3.2-1B-Instruct_forget10_NPO_lr{rate}e-05" for rate in range(1, 10)]


@pytest.mark.parametrize(
    ("names", "dropped"),
    [
        (LONG, "tofu_Llama-3.2-1B-Instruct_forget10_NPO_"),  # ends with a word: "lr1e-05" is left
        (LONG[:8], ""),  # a short list needs no help
        ([*LONG, "GradDiff"], ""),
        ([f"run-{number}" for number in range(9)], ""),  # too little is gained
        ([*LONG, "tofu_Llama-3.2-1B-Instruct_forget10_"], ""),  # nothing would be left of the last
    ],
)
def test_a_long_list_drops_what_all_names_begin_with(names: list[str], dropped: str) -> None:
    assert common_prefix(names) == dropped


def test_rows_have_the_short_and_the_full_name_and_the_list_says_what_is_left_out() -> None:
    study = text_study()
    base = next(spec for spec in study.models if spec.part == "unlearned")
    named = [replace(base, name=f"{name} 2", method=name) for name in LONG]
    long = replace(study, models=(*study.models[:2], *named))
    row = groups(long, [], dark=False)[2]
    assert (row["short"], row["name"]) == ("lr1e-05", LONG[0])
    assert "tofu_Llama-3.2-1B-Instruct_forget10_NPO_" in said(long)
    assert groups(study, [], dark=False)[0]["short"] == "Original" and not said(study)


def test_looks_that_repeat_are_said() -> None:
    study = text_study()
    base = next(spec for spec in study.models if spec.part == "unlearned")
    named = [replace(base, name=f"{number} run 2", method=f"{number} run") for number in range(65)]
    assert "65 methods share 64 looks" in said(replace(study, models=(*study.models[:2], *named)))
    assert not said(replace(study, models=(*study.models[:2], *named[:64])))
