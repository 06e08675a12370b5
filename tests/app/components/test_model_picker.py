"""The sidebar's list of models shows hostile names harmlessly and sends them as they are."""

from __future__ import annotations

import json
from dataclasses import replace

from app.components.model_picker import groups
from tests.filled_store import text_study


def test_names_and_notes_turn_nothing_around_and_clicks_send_the_real_name() -> None:
    study = text_study()
    evil = "Ori\u202eginal\x1b"
    first = replace(study.models[0], name=evil, part="original", method="me\u202ethod", note="no\u2028te")
    rows = groups(replace(study, models=(first, *study.models[1:])), dark=False)
    own = rows[0]
    assert own["models"][0]["name"] == own["usual"] == evil, "what a click sends"
    for row in rows:
        shown = {**row, "usual": "", "models": [{**model, "name": ""} for model in row["models"]]}
        assert not set("\u202e\x1b\u2028") & set(json.dumps(shown, ensure_ascii=False))
        assert "\\u001b" not in json.dumps(shown)
    assert own["models"][0]["title"] == own["models"][0]["label"] == own["name"] == "Ori⟨U+202E⟩ginal␛"
