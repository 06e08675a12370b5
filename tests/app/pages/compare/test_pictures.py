"""What is said of judged pictures: on a forget probe the concept should be gone; a picture of nothing is no success."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from app.pages.compare.comparison import ImageColumn
from app.pages.compare.pictures import board, to_be_gone
from backends.evidence import ImageEvidence, Judgement
from backends.image.png import encode
from backends.metrics.pictures import NONE
from backends.study import Part, Probe
from cache.store import keys, open_store
from tests.filled_store import image_study

STUDY = replace(image_study(), forget_concepts={"style": "neon"})
FORGET = Probe("f", "forget", "A mushroom in neon style.", concepts={"object": "mushroom", "style": "neon"})
RETAIN = replace(FORGET, id="r", role="retain")


def drawn(tmp_path: Path, part: Part, probe: Probe, *styles: str) -> dict[str, Any]:
    """The one column of the board for a model whose pictures the judge of styles saw so."""
    store = open_store(tmp_path / "evidence.sqlite")
    spec = next(model for model in STUDY.models if model.part == part)
    pictures = {}
    for seed, style in enumerate(styles, start=1):
        png = encode(np.full((4, 4, 3), seed, np.uint8), {})
        context = keys.images_context("weights", STUDY.sampling, seed, "judges", "float32")
        judged = {"style": Judgement(style, {style: 0.9})}
        found = ImageEvidence(blake3(png).hexdigest(), seed, judged, np.zeros(0, np.float32), 0.1)
        store.put_images(store.register(context), [(probe.digest(), found, png)])
        pictures[seed] = found
    column = ImageColumn(spec, pictures)
    (card,) = board(STUDY, store, probe, [column], list(pictures), "grid", {}, dark=False)["columns"]
    return dict(card)


def test_only_the_forgotten_concept_of_a_forget_probe_should_be_gone() -> None:
    assert to_be_gone(STUDY, FORGET, STUDY.models[-1].name) == {"style": "neon"}
    assert to_be_gone(STUDY, RETAIN, STUDY.models[-1].name) == {}


def test_a_forgotten_concept_that_is_gone_is_a_success_and_a_picture_of_nothing_is_not(
    tmp_path: Path,
) -> None:
    card = drawn(tmp_path, "unlearned", FORGET, "cubism", "neon", NONE)
    judged = [cell["judged"][0] for cell in card["cells"]]
    assert [each["sign"] for each in judged] == ["yes", "still", "no"]
    assert [each["label"] for each in judged][:2] == ["neon gone", "still neon"]
    assert "does not count as neon forgotten" in judged[2]["words"]
    assert card["summary"] == ["neon gone: 1 of 3"]


def test_the_original_still_knows_what_is_to_be_forgotten_which_is_no_error(tmp_path: Path) -> None:
    card = drawn(tmp_path, "original", FORGET, "neon")
    assert card["cells"][0]["judged"][0]["sign"] == ""
    assert card["summary"] == ["style as asked: 1 of 1"]


def test_elsewhere_what_was_asked_is_the_success(tmp_path: Path) -> None:
    card = drawn(tmp_path, "unlearned", RETAIN, "neon", "cubism")
    assert [cell["judged"][0]["sign"] for cell in card["cells"]] == ["yes", "no"]
    assert card["summary"] == ["style as asked: 1 of 2"]


def test_labels_show_direction_characters(tmp_path: Path) -> None:
    card = drawn(tmp_path, "unlearned", RETAIN, "a\u202eb")
    assert card["cells"][0]["judged"][0]["label"] == "a⟨U+202E⟩b"


def test_a_picture_deleted_by_hand_has_an_empty_cell(tmp_path: Path) -> None:
    drawn(tmp_path, "unlearned", RETAIN, "neon")
    (file,) = tmp_path.rglob("*.png")
    file.unlink()
    spec = next(model for model in STUDY.models if model.part == "unlearned")
    store = open_store(next(tmp_path.rglob("*.sqlite")))
    context = keys.images_context("weights", STUDY.sampling, 1, "judges", "float32")
    column = ImageColumn(spec, dict(enumerate(store.images(context.key, [RETAIN.digest()]).values(), 1)))
    (card,) = board(STUDY, store, RETAIN, [column], [1], "grid", {}, dark=False)["columns"]
    assert [(cell["src"], cell["message"][:10]) for cell in card["cells"]] == [("", "No picture")]
