"""Sheets of pictures: prompts with places, axes, what is drawn together; and their export with every setting."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.pages.compare.decoding_menu import own_settings_summary
from app.pages.compare.picture_export import as_html, as_png
from app.pages.compare.sheet import (
    AxisValues,
    batches,
    cells,
    label,
    listed,
    numbers,
    places,
    prompts,
    without_own,
)
from backends.study import JudgeSpec, ModelSpec, Probe, ProbeSet, Sampling, Study

KNOWN = Probe("n1", "forget", "A cat in neon style", concepts={"object": "cat", "style": "neon"})
STUDY = Study(
    "Pictures",
    "image",
    (ModelSpec("Original", "original", "a"), ModelSpec("ESD", "unlearned", "b")),
    (ProbeSet("forget", "forget", (KNOWN,)),),
    judges=(JudgeSpec("object", "j"),),
    forget_concepts={"style": "neon"},
)
BASE = Sampling(steps=20, guidance=2.0, size=64, seeds=(1, 2))


def values(**changes: Any) -> AxisValues:
    usual: dict[str, Any] = {
        "model": ("Original", "ESD"),
        "prompt": (KNOWN,),
        "seed": (1, 2),
        "steps": (20,),
        "guidance": (2.0,),
    }
    return AxisValues(**usual | changes)


def test_places_and_lists() -> None:
    assert places("a {object} in {style} style, {object}") == ("object", "style")
    assert places("braces { } {1} {}") == ()
    assert listed("cat, rocket;\n cat , ") == ("cat", "rocket")
    assert numbers("1, 4, 7.5", 0, 20) == (1.0, 4.0, 7.5)
    assert numbers("1, x", 0, 20) is None
    assert numbers("50", 0, 20) is None
    assert numbers("", 0, 20) is None


def test_a_template_stands_for_all_combinations_and_finds_the_studys_own_probes() -> None:
    found = prompts(
        STUDY, "A {object} in {style} style", {"object": ["cat", "dog"], "style": ["neon", "ink"]}
    )
    assert [probe.prompt for probe in found] == [
        "A cat in neon style",
        "A cat in ink style",
        "A dog in neon style",
        "A dog in ink style",
    ]
    assert found[0] is KNOWN
    assert found[2].role == "forget" and found[2].concepts == {"object": "dog", "style": "neon"}
    assert found[3].role == "mine" and found[3].concepts == {"object": "dog", "style": "ink"}
    assert len({probe.id for probe in found}) == 4  # evidence is told apart by ids
    (kept,) = prompts(STUDY, "A {mood} cat", {})
    assert kept.prompt == "A {mood} cat"


def test_values_are_not_read_as_places_again() -> None:
    (found,) = prompts(STUDY, "{a} and {b}", {"a": ["{b}"], "b": ["x"]})
    assert found.prompt == "{b} and x"


def test_a_sheet_runs_over_two_axes_and_takes_the_first_of_the_others() -> None:
    sheet = cells("steps", "guidance", values(steps=(5, 10), guidance=(1.0, 4.0)), BASE)
    assert [[(c.sampling.steps, c.sampling.guidance) for c in column] for column in sheet] == [
        [(5, 1.0), (5, 4.0)],
        [(10, 1.0), (10, 4.0)],
    ]
    assert {c.model for column in sheet for c in column} == {"Original"}
    assert all(c.seed == 1 and c.sampling.size == 64 for column in sheet for c in column)
    assert label("guidance", 7.5) == "guidance 7.5" and label("steps", 5) == "5 steps"
    assert label("prompt", KNOWN) == "A cat in neon style" and label("seed", 3) == "seed 3"


def test_prompts_and_seeds_together_are_one_axis() -> None:
    other = Probe("x", "retain", "A dog")
    sheet = cells("model", "pair", values(prompt=(KNOWN, other)), BASE)
    assert [[(c.probe.prompt, c.seed) for c in column] for column in sheet] == [
        [(KNOWN.prompt, 1), (KNOWN.prompt, 2), ("A dog", 1), ("A dog", 2)]
    ] * 2
    assert label("pair", (other, 2)) == "seed 2: A dog"


def test_pictures_of_one_prompt_and_setting_are_drawn_together() -> None:
    flat = [cell for column in cells("model", "seed", values(), BASE) for cell in column]
    ((probe, sampling, models),) = batches(flat)
    assert (probe, sampling, models) == (KNOWN, BASE, ("Original", "ESD"))
    flat = [c for column in cells("steps", "seed", values(steps=(5, 10)), BASE) for c in column]
    assert [(each[1].steps, each[1].seeds) for each in batches(flat)] == [(5, (1, 2)), (10, (1, 2))]


def uri(colour: int, side: int = 24) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), colour, np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def board(title: str = "Original") -> dict[str, Any]:
    cell = {"seed": 1, "src": uri(200), "judged": [], "message": "", "label": "seed 1"}
    judged = [{"label": "cat", "share": "0.98", "sign": "yes", "words": "object: cat (0.98)"}]
    columns = [
        {"title": title, "detail": "the baseline", "cells": [cell | {"judged": judged}, cell | {"src": ""}]},
        {
            "title": "ESD",
            "detail": "",
            "cells": [cell | {"src": uri(90)}, cell | {"message": "Not generated yet"}],
        },
    ]
    return {"view": "sheet", "prompt": "A <b>cat</b>", "columns": columns}


def test_the_html_holds_every_picture_with_its_settings_and_loads_nothing() -> None:
    page = as_html(board("<script>alert(1)</script>"), 'My "study"', BASE).decode()
    assert page.count("data:image/png;base64,") == 3
    assert "<script" not in page and "&lt;script&gt;" in page and "A &lt;b&gt;cat&lt;/b&gt;" in page
    assert "seed 1, 20 steps, guidance 2, 64 px" in page
    assert "object: cat (0.98)" in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("side", [24, 512])
def test_the_png_shows_every_picture_at_a_whole_scale(side: int) -> None:
    content = board()
    for column in content["columns"]:
        for cell in column["cells"]:
            if cell["src"]:
                cell["src"] = uri(90, side)
    picture = np.asarray(Image.open(io.BytesIO(as_png(content, "Study", BASE))).convert("RGB"))
    scale = max(1, -(-128 // side))
    shown = int((picture == 90).all(axis=2).sum())
    assert shown >= 3 * (side * scale) ** 2
    assert shown <= 3 * (side * scale) ** 2 + 500  # apart from a few pixels of the lettering


def test_a_prompts_own_seed_and_guidance_are_used_where_no_axis_runs_over_them() -> None:
    own = replace(KNOWN, seed=77, guidance=7.5)
    sheet = cells("model", "steps", values(prompt=(own,), steps=(5, 10)), BASE)
    assert {(c.seed, c.sampling.guidance) for column in sheet for c in column} == {(77, 7.5)}
    free = without_own(own, ("model", "seed"))
    assert (free.seed, free.guidance) == (None, 7.5)
    assert without_own(own, ("pair", "guidance")) == KNOWN
    sheet = cells("model", "seed", values(prompt=(free,)), BASE)
    assert {(c.seed, c.sampling.guidance) for column in sheet for c in column} == {(1, 7.5), (2, 7.5)}


def test_compare_says_which_settings_a_prompt_brings_along() -> None:
    said = own_settings_summary(replace(KNOWN, seed=4242, guidance=7.5))
    assert said == "This prompt is generated with its own seed 4242 and guidance 7.5, regardless of the menu."
    assert "its own guidance 7.5," in own_settings_summary(replace(KNOWN, guidance=7.5))
    assert own_settings_summary(KNOWN) == ""
