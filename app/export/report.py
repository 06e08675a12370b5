"""A whole study as one HTML page that opens without a server: figures, tables, examples, provenance.

Everything that a model or a file said is escaped; nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import pandas as pd
import plotly.graph_objects as go

from app.charts.choices import axis, card_of, first_axes, in_order, presets, title
from app.charts.frontier import frontier, methods_table
from app.charts.marks import Marks
from app.charts.points import chart_points
from app.charts.tradeoff import tradeoff_figure
from app.looks.model_looks import looks_of
from app.looks.names import detail_of
from app.looks.safe_text import visible, visible_json
from backends.errors import StoreError
from backends.metrics import METRICS, StudyMetric
from backends.study import Study
from backends.versions import own_version
from cache.analysis.board import Board
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_board import study_board, study_protocol
from cache.store import Store
from cache.store.features import networks_of
from cache.store.reading import evidence_for, images_for

MOST_EXAMPLES = 8
_STYLE = """
:root { color-scheme: light; } body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1080px;
  padding: 2rem 1.5rem 4rem; color: #1d2129; background: #fff; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
p, small, .note { color: #667080; } table { border-collapse: collapse; font-size: 13px; }
.scroll { overflow-x: auto; } th, td { padding: .3rem .6rem; border-bottom: 1px solid #e9ebf0; text-align: left;
  vertical-align: top; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
th { font-weight: 600; } small { font-size: 11px; } pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0;
  font: inherit; } details { margin: .5rem 0; } summary { cursor: pointer; } code { font-size: 12px; }
img { image-rendering: pixelated; width: 96px; border-radius: 4px; }
"""


def study_page(study: Study, store: Store, board: Scoreboard) -> str:
    """The page.

    Args:
        study: the study.
        store: the cache, for examples.
        board: its numbers.

    Raises:
        StoreError: nothing is evaluated.
    """
    runs = study_board(study, board.frame)
    keys = in_order(runs.known())
    if len(keys) < 2:
        raise StoreError(f"nothing of {study.name!r} is evaluated, so there is nothing to export")
    pairs = [(each.title, each.x, each.y) for each in presets(keys, study.modality)]
    pairs = pairs or [("Trade-off", *first_axes(keys, study.modality))]
    parts = [_head(study, study_protocol(study)), _models(study, runs)]
    for place, (name, x, y) in enumerate(pairs):
        parts.append(_plot(study, board, runs, name, (x, y), first=place == 0))
    parts += [
        _values(runs, keys),
        _examples(study, store, board, pairs[0][1]),
        _cards(keys),
        _provenance(study, store),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(study.name)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def _head(study: Study, protocol: str) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    return (
        f"<h1>{_text(study.name)}</h1><p>{_text(study.description)}</p>"
        f'<p class="note">UnlearnBoard {_text(own_version())}, {made}. Protocol: {_text(protocol)}. '
        "Did it really forget, and what did that cost?</p>"
    )


def _models(study: Study, runs: Board) -> str:
    rows = [[spec.name, spec.part, detail_of(spec), spec.note] for spec in study.models]
    return "<h2>Models</h2>" + _table(["Model", "Part", "What it is", "Note"], rows)


def _plot(
    study: Study, board: Scoreboard, runs: Board, name: str, keys: tuple[str, str], *, first: bool
) -> str:
    """One trade-off with its table of methods."""
    x, y = (axis(key, turn=True) for key in keys)
    points = chart_points(runs.frame(keys), list(runs.heads["model"]), x, y)
    if points.empty:
        return ""
    found = frontier(points, board, x, y)
    figure = tradeoff_figure(found.points, x, y, looks_of(runs.heads, study), marks=Marks())
    figure.update_layout(width=1000, margin={"l": 72, "b": 64})
    methods = methods_table(found)
    reference = ""
    if found.where is not None:
        (first_worst, second_worst), names = found.where.worst, (x.name, y.name)
        reference = (
            f"Reference point of the areas: {names[0]} {first_worst:.3g}, {names[1]} {second_worst:.3g}."
        )
    return (
        f"<h2>{_text(name)}</h2>{_figure(figure, first=first)}"
        "<p>Bars are 95 % intervals (bootstrap over probes). Filled markers are on the Pareto front of the unlearned "
        f"models.</p>{_frame(methods)}<p>{_text(reference)}</p>"
    )


def _values(runs: Board, keys: Sequence[str]) -> str:
    """Every metric of every model, with intervals."""
    head = ["Metric", *map(str, runs.heads["model"])]
    rows = []
    for key in keys:
        place = runs.keys.index(key)
        cells = [title(key)]
        for value, low, high, _ in runs.numbers[:, :, place].T:
            interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
            cells.append("–" if pd.isna(value) else f"{value:.3g}{interval}")
        rows.append(cells)
    return "<h2>All metrics</h2>" + _table(head, rows)


def _examples(study: Study, store: Store, board: Scoreboard, key: str) -> str:
    """Probes on which the unlearned models moved most, with what every chosen model said or drew."""
    if isinstance(METRICS.get(key.partition("/")[2]), StudyMetric):
        return ""
    last: dict[str, str] = {}
    for spec in study.models:
        last[spec.method or spec.name] = spec.name
    measured = set(board.frame["model"])  # a model that cannot be read has nothing to show
    names = [spec.name for spec in study.models if spec.name in last.values() and spec.name in measured]
    moved = [board.most_changed(name, key, 4)["probe"] for name in names if name != study.original.name]
    chosen = list(dict.fromkeys(probe for column in moved for probe in column))[:MOST_EXAMPLES]
    probes = [probe for each in study.probe_sets for probe in each.probes if probe.id in chosen]
    told: dict[str, dict[str, str]] = {}
    for name in names:
        if study.modality == "text":
            held = evidence_for(study, store, name, probes, numerics=board.numerics, pieces=False)
            told[name] = {p: _text(e.answers[0].text) if e.answers else "–" for p, e in held.items()}
        else:
            pictures = images_for(study, store, name, probes, numerics=board.numerics)
            told[name] = {p: _image(store, next(iter(e.values())).image) for p, e in pictures.items() if e}
    rows = [
        "".join(
            [
                f"<td>{_text(probe.label)}</td>",
                *(f"<td>{told[name].get(probe.id, '–')}</td>" for name in names),
            ]
        )
        for probe in probes
    ]
    head = "".join(f"<th>{_text(name)}</th>" for name in ["Probe", *names])
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f"<h2>Examples: probes that changed most by {_text(title(key))}</h2>"
        f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
    )


def _cards(keys: Sequence[str]) -> str:
    """What each metric is."""
    cards = {card_of(key).key: card_of(key) for key in keys}
    rows = [[c.title, c.reading, c.formula, ", ".join(c.needs), c.source, c.trust] for c in cards.values()]
    head = ["Metric", "How to read it", "Formula (LaTeX)", "Needs", "Source", "Trust"]
    return f"<h2>Metrics</h2><details><summary>{len(rows)} cards</summary>{_table(head, rows)}</details>"


def _provenance(study: Study, store: Store) -> str:
    runs = [asdict(run) for run in store.runs(study.name)]
    return (
        "<h2>Provenance</h2>"
        f"<details><summary>{len(runs)} recorded runs with settings and fingerprints</summary>"
        f"{_networks(study, store)}<pre><code>{_text(visible_json(runs))}</code></pre></details>"
    )


def _networks(study: Study, store: Store) -> str:
    """Which networks looked at the pictures beside the judges."""
    rows = [[each.kind, each.name, each.digest or "not here"] for each in networks_of(study, store)]
    return _table(["Features", "Network", "Fingerprint"], rows) if rows else ""


def _figure(figure: go.Figure, *, first: bool) -> str:
    """Plotly's library once, in the first figure."""
    text: str = figure.to_html(include_plotlyjs=first, full_html=False, config={"displaylogo": False})
    return text


def _frame(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return _table(list(map(str, table.columns)), rows)


def _cell(value: object) -> str:
    if value is None or value != value or value is pd.NA:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _image(store: Store, digest: str) -> str:
    try:
        content = store.thumbnail_path(digest).read_bytes()
    except (OSError, StoreError):
        return "–"
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _text(text: str) -> str:
    return html.escape(visible(text))
