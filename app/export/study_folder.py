"""A study's report, tables, figures and runs in other tools' shapes, into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pandas as pd

from app.charts.choices import axis, first_axes, in_order, judges, presets
from app.charts.frontier import frontier
from app.charts.marks import Marks
from app.charts.notes import figure_note
from app.charts.paper import ImageFormat, paper_figure, to_html, to_image, why_no_pictures, with_note
from app.charts.points import aims, chart_points, points_table
from app.charts.tradeoff import tradeoff_figure
from app.export.report import study_report
from app.export.theme import as_on_pages
from app.looks.model_looks import looks_of
from backends.errors import StoreError
from backends.study import Study
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.analysis.seed_means import over_seeds
from cache.analysis.study_board import study_board
from cache.analysis.target_means import over_targets
from cache.exporters.open_unlearning import write_runs
from cache.exporters.tables import to_csv, to_json, to_latex, to_markdown
from cache.store import Store


def export_study(study: Study, store: Store, folder: Path, *, figures: bool = True) -> list[Path]:
    """Write everything; returns the files and folders.

    Args:
        study: the study.
        store: the cache.
        folder: made where it is not there.
        figures: also PNG, SVG and PDF, where `why_no_pictures` has no reason against it.

    Raises:
        StoreError: nothing is evaluated, or the folder cannot be written.
    """
    board = scoreboard(study, store)
    page = study_report(study, store, board).page
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").write_bytes(page.encode())  # line ends as they are, so that the seal holds
        written = [folder / "report.html", *_tables(board, folder)]
        written += _target_means(study, board, folder)
        written += _seed_means(study, board, folder)
        written += _figures(study, board, folder, pictures=figures and not why_no_pictures())
        if study.modality == "text":
            write_runs(study, store, board, folder / "open-unlearning")
            written.append(folder / "open-unlearning")
    except OSError as error:
        raise StoreError(
            f"the export cannot be written ({error.strerror})", where=str(folder), how="Choose another folder"
        ) from error
    return written


def _tables(board: Scoreboard, folder: Path) -> list[Path]:
    """All numbers as CSV and JSON; a readable table of models by metric as LaTeX and Markdown."""
    frame = board.frame.drop(columns=["metric", "role"])
    wide = frame.pivot(index="model", columns="key", values="value")
    order = list(dict.fromkeys(frame["model"]))
    keys = in_order(wide.columns)
    columns: dict[str, pd.Series] = {}
    for key in keys[:8]:
        rows = frame[frame["key"] == key].set_index("model").reindex(order)
        columns |= {key: rows["value"], f"{key}, low": rows["low"], f"{key}, high": rows["high"]}
    readable = pd.DataFrame(columns).rename_axis("Model").reset_index()
    best = {key: axis(key, turn=True).better for key in keys}
    unlearned = frame.drop_duplicates("model").set_index("model")["part"].reindex(order) == "unlearned"
    texts = {
        "metrics.csv": to_csv(frame),
        "metrics.json": to_json(frame),
        "metrics.tex": to_latex(readable, best, ranked=list(unlearned)),
        "metrics.md": to_markdown(readable, best, list(unlearned)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _target_means(study: Study, board: Scoreboard, folder: Path) -> list[Path]:
    """Means over targets, where models were made to forget different ones."""
    means = over_targets(study, board)
    if means.empty:
        return []
    (folder / "targets.csv").write_text(to_csv(means), encoding="utf-8")
    return [folder / "targets.csv"]


def _seed_means(study: Study, board: Scoreboard, folder: Path) -> list[Path]:
    """Means over training seeds, where the study names several of one method."""
    means = over_seeds(study, board)
    if means.empty:
        return []
    (folder / "seeds.csv").write_text(to_csv(means), encoding="utf-8")
    return [folder / "seeds.csv"]


def _figures(study: Study, board: Scoreboard, folder: Path, *, pictures: bool) -> list[Path]:
    runs = study_board(study, board.frame)
    keys = in_order(runs.known())
    pairs = [(each.title, each.x, each.y) for each in presets(keys, study.modality)]
    written = []
    for name, first, second in pairs or [("trade-off", *first_axes(keys, study.modality))]:
        x, y = axis(first, turn=True), axis(second, turn=True)
        points = chart_points(runs.frame((first, second)), list(runs.heads["model"]), x, y)
        if points.empty:
            continue
        points = frontier(points, board, x, y).points
        marks = Marks(aim=aims(points, x, y))
        drawn = as_on_pages(tradeoff_figure(points, x, y, looks_of(runs.heads, study), marks=marks))
        note = figure_note(points, marks, judged=judges(first) and judges(second))
        figure = paper_figure(with_note(drawn, note))
        stem = name.lower().replace(" ", "-")
        (folder / f"{stem}.csv").write_text(to_csv(points_table(points, x, y, None)), encoding="utf-8")
        (folder / f"{stem}.html").write_text(to_html(figure, stem), encoding="utf-8")
        written += [folder / f"{stem}.csv", folder / f"{stem}.html"]
        for kind in get_args(ImageFormat) if pictures else ():
            (folder / f"{stem}.{kind}").write_bytes(to_image(figure, kind))
            written.append(folder / f"{stem}.{kind}")
    return written
