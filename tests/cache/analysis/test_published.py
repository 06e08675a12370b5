"""Published tables: every number has a source, a direction that agrees with its card, and a key that is known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from app.charts.choices import card_of, role_of
from app.pages.tradeoffs.layers import PUBLISHED
from cache.analysis.published import COLUMNS, published

ROWS = [
    (path.name, row)
    for path in sorted(PUBLISHED.glob("*.csv"))
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
]


def test_every_row_says_where_it_is_from_and_which_way_is_better() -> None:
    assert len(ROWS) > 350
    for file, row in ROWS:
        assert tuple(row) == COLUMNS, file
        assert row["source"], row
        assert row["url"].startswith("https://"), row
        assert row["protocol"], row
        assert card_of(row["metric"]).direction(role_of(row["metric"])) == row["direction"], row
        float(row["value"])


def test_numbers_are_those_of_the_tables() -> None:
    tables = published(PUBLISHED)
    canvas = tables["UnlearnCanvas, style unlearning"].board
    place = list(canvas.heads["model"]).index("SalUn")
    assert canvas.column("forget/unlearn_accuracy")[place] == pytest.approx(0.8626)
    assert canvas.column("all/memory_gb")[place] == 30.8
    attack = tables["UnlearnDiffAtk, nudity"]
    place = list(attack.board.heads["model"]).index("ESD")
    assert attack.board.column("forget/post_asr")[place] == pytest.approx(0.7605)
    assert set(attack.board.heads["protocol"]) == {"UnlearnDiffAtk", "UnlearnDiffAtk, rows added later"}
    assert any(flag.startswith("MACE, RECE, SAFREE: added later") for flag in attack.flags)
    unlearning = tables["OpenUnlearning, TOFU forget10, Llama-3.2-1B"].board
    assert list(unlearning.heads["part"][:2]) == ["original", "retained"]
    assert unlearning.column("forget/forget_quality")[2] == 1.06e-239


def test_a_folder_without_tables_has_none(tmp_path: Path) -> None:
    assert published(tmp_path) == {}
