"""A whole study as one HTML page that opens without a server: figures, tables, examples, provenance.

Everything that a model or a file said is escaped; nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from app.charts.choices import axis, card_of, first_axes, in_order, presets, title
from app.charts.frontier import frontier, methods_table
from app.charts.marks import Marks
from app.charts.points import chart_points
from app.charts.tradeoff import tradeoff_figure
from app.export.theme import as_on_pages
from app.looks.html_page import render
from app.looks.model_looks import looks_of
from app.looks.names import detail_of
from app.looks.safe_text import visible_json
from backends.errors import StoreError
from backends.metrics import METRICS, StudyMetric
from backends.metrics.key import MetricKey
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
_TEMPLATE = """
{%- macro table(head, rows) -%}
<div class="scroll"><table><tr>{% for name in head %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{%- endmacro -%}
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ study.name }}</title>
<style>{{ style | safe }}</style></head><body>
<h1>{{ study.name }}</h1><p>{{ study.description }}</p>
<p class="note">UnlearnBoard {{ version }}, {{ made }}. Protocol: {{ protocol }}. \
Did it really forget, and at what cost?</p>
<h2>Models</h2>{{ table(*models) }}
{% for plot in plots %}
<h2>{{ plot.name }}</h2>{{ plot.figure | safe }}
<p>Bars are 95 % intervals; with few probes they are wide, because what none of them shows may still
happen. Filled markers are on the Pareto front of the unlearned models.</p>
{% if plot.methods %}{{ table(*plot.methods) }}{% endif %}
<p>{{ plot.reference }}</p>
{% endfor %}
<h2>All metrics</h2>{{ table(*values) }}
{% if examples %}
<h2>Examples: probes that changed most in {{ examples.metric }}</h2>
<div class="scroll"><table><tr><th>Probe</th>{% for name in examples.models %}<th>{{ name }}</th>{% endfor %}</tr>
{% for label, cells in examples.rows %}
<tr><td>{{ label }}</td>
{%- for cell in cells %}
<td>{% if cell.picture %}<img alt="" src="{{ cell.picture }}">{% else %}{{ cell.text }}{% endif %}</td>
{%- endfor %}</tr>
{% endfor %}
</table></div>
{% endif %}
<h2>Metrics</h2><details><summary>{{ cards.rows | length }} cards</summary>{{ table(*cards) }}</details>
<h2>Provenance</h2><details><summary>{{ runs | length }} recorded runs with settings and fingerprints</summary>
{% if networks.rows %}{{ table(*networks) }}{% endif %}
<pre><code>{{ provenance }}</code></pre></details>
</body></html>
"""


class Table(NamedTuple):
    """A table of text.

    Attributes:
        head: names of the columns.
        rows: cells, row by row.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plot:
    """One trade-off with its table of methods.

    Attributes:
        name: heading.
        figure: Plotly's markup.
        methods: areas and distances; None if there are none.
        reference: a sentence on the reference point, or "".
    """

    name: str
    figure: str
    methods: Table | None
    reference: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a model made of a probe: its answer, or the first of its pictures as a data URI."""

    text: str = "–"
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Examples:
    """Probes on which the unlearned models moved most.

    Attributes:
        metric: by which they moved.
        models: columns.
        rows: label of a probe, and what every model made of it.
    """

    metric: str
    models: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Said]]]


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
    plots: list[Plot] = []
    for name, x, y in pairs:
        plot = _plot(study, board, runs, name, (x, y), library=not plots)
        plots += [plot] if plot else []
    recorded = [asdict(run) for run in store.runs(study.name)]
    return render(
        _TEMPLATE,
        style=_STYLE,
        study=study,
        version=own_version(),
        made=datetime.now(UTC).strftime("%Y-%m-%d"),
        protocol=study_protocol(study),
        models=_models(study),
        plots=plots,
        values=_values(runs, keys),
        examples=_examples(study, store, board, pairs[0][1]),
        cards=_cards(keys),
        runs=recorded,
        networks=_networks(study, store),
        provenance=visible_json(recorded),
    )


def _models(study: Study) -> Table:
    rows = [[spec.name, spec.part, detail_of(spec), spec.note] for spec in study.models]
    return Table(["Model", "Part", "Source", "Note"], rows)


def _plot(
    study: Study, board: Scoreboard, runs: Board, name: str, keys: tuple[str, str], *, library: bool
) -> Plot | None:
    """One trade-off; None where no model has a value on both axes."""
    x, y = (axis(key, turn=True) for key in keys)
    points = chart_points(runs.frame(keys), list(runs.heads["model"]), x, y)
    if points.empty:
        return None
    frontier_data = frontier(points, board, x, y)
    figure = as_on_pages(
        tradeoff_figure(frontier_data.points, x, y, looks_of(runs.heads, study), marks=Marks())
    )
    figure.update_layout(width=1000, margin={"l": 72, "b": 64})
    methods = methods_table(frontier_data)
    reference = ""
    if frontier_data.where is not None:
        (first_worst, second_worst), names = frontier_data.where.worst, (x.name, y.name)
        reference = f"Reference point of the hypervolumes: {names[0]} {first_worst:.3g}, {names[1]} {second_worst:.3g}."
    return Plot(name, _figure(figure, library=library), _frame(methods), reference)


def _values(runs: Board, keys: Sequence[str]) -> Table:
    """Every metric of every model, with intervals."""
    rows = []
    for key in keys:
        place = runs.keys.index(key)
        cells = [title(key)]
        for value, low, high, _ in runs.numbers[:, :, place].T:
            interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
            cells.append("–" if pd.isna(value) else f"{value:.3g}{interval}")
        rows.append(cells)
    return Table(["Metric", *map(str, runs.heads["model"])], rows)


def _examples(study: Study, store: Store, board: Scoreboard, key: str) -> Examples | None:
    """Probes on which the unlearned models moved most, with what every chosen model said or drew."""
    if isinstance(METRICS.get(MetricKey.parse(key).name), StudyMetric):
        return None
    last: dict[str, str] = {}
    for spec in study.models:
        last[spec.method or spec.name] = spec.name
    measured = set(board.frame["model"])  # a model that cannot be read has nothing to show
    names = [spec.name for spec in study.models if spec.name in last.values() and spec.name in measured]
    moved = [board.most_changed(name, key, 4)["probe"] for name in names if name != study.original.name]
    chosen = list(dict.fromkeys(probe for column in moved for probe in column))[:MOST_EXAMPLES]
    probes = [probe for each in study.probe_sets for probe in each.probes if probe.id in chosen]
    told: dict[str, dict[str, Said]] = {}
    for name in names:
        if study.modality == "text":
            held = evidence_for(study, store, name, probes, numerics=board.numerics, pieces=False)
            told[name] = {p: Said(e.answers[0].text) for p, e in held.items() if e.answers}
        else:
            pictures = images_for(study, store, name, probes, numerics=board.numerics)
            told[name] = {p: _picture(store, next(iter(e.values())).image) for p, e in pictures.items() if e}
    rows = [(probe.label, [told[name].get(probe.id, Said()) for name in names]) for probe in probes]
    return Examples(title(key), names, rows)


def _cards(keys: Sequence[str]) -> Table:
    """What each metric is."""
    cards = {card_of(key).key: card_of(key) for key in keys}
    rows = [[c.title, c.reading, c.formula, ", ".join(c.needs), c.source, c.trust] for c in cards.values()]
    return Table(["Metric", "How to read it", "Formula (LaTeX)", "Needs", "Source", "Trust"], rows)


def _networks(study: Study, store: Store) -> Table:
    """Which networks looked at the pictures beside the judges."""
    rows = [[each.kind, each.name, each.digest or "not here"] for each in networks_of(study, store)]
    return Table(["Features", "Network", "Fingerprint"], rows)


def _figure(figure: go.Figure, *, library: bool) -> str:
    """Plotly's markup; its library once, in the first figure."""
    text: str = figure.to_html(include_plotlyjs=library, full_html=False, config={"displaylogo": False})
    return text


def _frame(table: pd.DataFrame) -> Table | None:
    if table.empty:
        return None
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return Table(list(map(str, table.columns)), rows)


def _cell(value: object) -> str:
    if value is None or value != value or value is pd.NA:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _picture(store: Store, digest: str) -> Said:
    try:
        content = store.thumbnail_path(digest).read_bytes()
    except (OSError, StoreError):
        return Said()
    return Said(picture=f"data:image/png;base64,{base64.b64encode(content).decode()}")
