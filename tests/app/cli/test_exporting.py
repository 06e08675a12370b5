"""Exports: tables say what the numbers say, spreadsheets run nothing, others read it back."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from app.charts.paper import browser_found, paper_figure, to_html, to_image
from app.charts.points import Axis, chart_points
from app.charts.tradeoff import tradeoff_figure
from app.export import notebook
from app.export.study_folder import export_study
from app.export.theme import as_on_pages
from app.library import load
from app.looks.model_looks import looks_of
from backends.errors import StoreError
from cache.analysis.board import board_of
from cache.analysis.scoreboard import scoreboard
from cache.exporters.tables import to_csv, to_json, to_latex, to_markdown
from cache.importers import read_results
from cache.store import Store, open_store
from tests.filled_store import fill_images, fill_text, image_study, text_study, write_study

TABLE = pd.DataFrame(
    {
        "Model": ["=cmd|' /C calc'!A0", "A & B_50%", "-1"],
        "Leak": [0.5, 0.25, np.nan],
        "Leak, low": [0.4, np.nan, np.nan],
        "Leak, high": [0.6, np.nan, np.nan],
        "n": [36, 36, 0],
    }
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a text and an image study."""
    store = open_store(tmp_path_factory.mktemp("exports") / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    return store


def test_a_spreadsheet_runs_no_cell_and_numbers_keep_their_digits() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(TABLE.assign(Leak=[1 / 3, 0.25, np.nan])))))
    assert [row[0] for row in rows] == ["Model", "'=cmd|' /C calc'!A0", "A & B_50%", "'-1"]
    assert float(rows[1][1]) == 1 / 3
    heads = to_csv(pd.DataFrame({"=1+1": [1]})).splitlines()[0]
    assert heads == "'=1+1"


def test_json_has_no_numbers_that_json_does_not_know() -> None:
    read = json.loads(to_json(TABLE.assign(Leak=[np.inf, 0.25, np.nan])), parse_constant=pytest.fail)
    assert [row["Leak"] for row in read] == [None, 0.25, None]
    assert read[1]["n"] == 36


def test_latex_has_booktabs_the_best_in_bold_intervals_and_no_command_of_a_name() -> None:
    text = to_latex(TABLE, {"Leak": "lower"}, "100% of it")
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{100\% of it}"))
    assert r"A \& B\_50\% & \textbf{0.250} & 36 \\" in text
    assert r"0.500 {\scriptsize [0.400, 0.600]}" in text
    assert "low" not in text
    assert r"\textbf" not in to_latex(TABLE, {"Leak": "lower"}, ranked=[False, False, True])
    evil = to_latex(pd.DataFrame({"x": [r"\input{/etc/passwd}"]}), {})
    assert r"\input" not in evil


def test_markdown_is_a_table_whatever_the_names_are() -> None:
    lines = to_markdown(
        pd.DataFrame({"a|b": ["x|y\nz", "<b>"], "v": [1.0, 2.0]}), {"v": "higher"}
    ).splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3, 3]
    assert lines[3] == r"| \<b\> | **2** |"


def test_figures_look_as_on_the_pages_whatever_is_imported() -> None:
    figure = as_on_pages(go.Figure(layout={"template": "plotly"}))
    assert figure.layout.template == pio.templates["streamlit"]


def test_nothing_evaluated_is_said(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    with pytest.raises(StoreError, match="Nothing of 'Random people' is evaluated"):
        export_study(text_study(), store, tmp_path / "out")


def test_everything_is_written_and_open_unlearning_s_files_are_read_back(
    filled: Store, tmp_path: Path
) -> None:
    study = text_study()
    written = export_study(study, filled, tmp_path / "out", figures=False)
    assert all(path.exists() for path in written)
    found = {each.model: each for each in read_results([tmp_path / "out" / "open-unlearning"]).results}
    assert len(found) == len(study.models)
    board = scoreboard(study, filled).frame.set_index(["model", "key"])["value"]
    names = {"Original": "Original_full", "Retained": "Retained_retrain", "NPO 6": "NPO step 6"}
    for ours, theirs in names.items():
        for key in (
            "forget/probability",
            "forget/rouge_l",
            "forget/truth_ratio",
            "forget/extraction_strength",
        ):
            assert found[theirs].metrics[key].value == pytest.approx(board[ours, key], abs=1e-9), key
    assert found["NPO step 6"].method == "NPO"
    assert found["NPO step 6"].step == 6
    assert found["NPO step 6"].metrics["forget/forget_quality"].value == pytest.approx(
        board["NPO 6", "forget/forget_quality"], rel=1e-6
    )


def test_a_notebook_gets_a_frame(tmp_path: Path, filled: Store) -> None:
    study = write_study(text_study(), tmp_path)
    frame = load(filled.path.parent, study=study)
    assert list(frame.columns) == list(notebook.COLUMNS)
    assert set(frame["model"]) == {spec.name for spec in text_study().models}
    assert frame["value"].notna().all()
    with pytest.raises(StoreError, match="no cache in this folder"):
        load(tmp_path / "nowhere")


def test_a_notebook_gets_every_study_of_the_cache_without_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "demo_studies", list)
    monkeypatch.setattr(notebook, "import_recorded", lambda *_: None)
    text, image = text_study(), image_study()
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(text, store)
    fill_images(image, store)
    with pytest.warns(UserWarning, match=rf"'{text.name}', '{image.name}'"):
        assert load(tmp_path).empty
    board = scoreboard(text, store).frame.dropna(subset="value")
    scoreboard(image, store)
    frame = load(tmp_path)
    assert set(frame["study"]) == {text.name, image.name}
    mine = frame[frame["study"] == text.name].set_index(["model", "key"])["value"]
    assert mine.sort_index().equals(board.set_index(["model", "key"])["value"].sort_index())


def test_a_notebook_gets_the_newest_numbers_of_a_study_that_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "demo_studies", list)
    monkeypatch.setattr(notebook, "import_recorded", lambda *_: None)
    study = text_study()
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(study, store)
    scoreboard(study, store)
    smaller = replace(study, models=study.models[:3])
    scoreboard(smaller, store)
    assert set(load(tmp_path)["model"]) == {spec.name for spec in smaller.models}
    scoreboard(study, store)  # derived before: only which one is the newest changes
    assert set(load(tmp_path)["model"]) == {spec.name for spec in study.models}


def test_figures_become_files_at_paper_size(filled: Store) -> None:
    study = text_study()
    runs = board_of(scoreboard(study, filled).frame, "corrected", "this study")
    x = Axis("forget/probability", "Probability", "forget", "lower", unit=True)
    y = Axis("all/model_utility", "Utility", "", "higher", unit=True)
    points = chart_points(runs.frame(), list(runs.heads["model"]), x, y)
    figure = paper_figure(tradeoff_figure(points, x, y, looks_of(runs.heads, study)))
    assert min(note.font.size for note in figure.layout.annotations) >= 13
    assert "<html>" in to_html(figure, "name")
    if browser_found():
        assert to_image(figure, "svg").startswith(b"<svg")
        assert to_image(figure, "pdf").startswith(b"%PDF")
