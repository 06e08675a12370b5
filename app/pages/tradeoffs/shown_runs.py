"""What the views over many runs share: the runs that are shown, a choice of metrics, drawing, tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from types import MappingProxyType

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from app.charts.choices import card_of, one_of_each_kind, role_of, title
from app.charts.frontier import method_labels
from app.charts.many import PANELS_ACROSS, Ruler, Scene, panels
from app.charts.notes import ENDS, view_note
from app.charts.points import Axis, p_values_shown
from app.components import chart
from app.looks.model_looks import looks_of
from app.looks.names import protocol_words
from app.looks.safe_text import cell_text
from app.looks.theme import is_dark
from app.pages.tradeoffs.settings import RUNS
from app.shared import state
from app.shared.figure_export import figure_config, figure_export
from app.shared.resources import store
from app.shared.table_export import table_export
from backends.metrics.key import MetricKey
from backends.metrics.relative import WORDS, closer
from backends.study import Study
from cache.analysis.board import Board
from cache.analysis.differences import differing
from cache.analysis.study_board import STUDY
from cache.store.results import settings_of


class ShownRuns:
    """What every view gets: runs, keys, the axes of the scatter plot, the study."""

    def __init__(self, runs: Board, keys: Sequence[str], x: Axis, y: Axis, study: Study) -> None:
        self.runs, self.keys, self.x, self.y, self.study = runs, keys, x, y, study

    def scene(self, *, dark: bool | None = None) -> Scene:
        """The runs as figures take them, in the page's theme or a given one."""
        shown = is_dark() if dark is None else dark
        return Scene(self.runs, looks_of(self.runs.heads, self.study), self.groups(), shown)

    def groups(self) -> list[str]:
        """Legend entry of every run."""
        return [str(label) for label in method_labels(self.runs.heads)]

    def lines(self) -> list[str]:
        """What joins the checkpoints of one trajectory, unique over layers."""
        heads = self.runs.heads
        return [
            f"{layer} {line}" if line else ""
            for layer, line in zip(heads["layer"], heads["line"], strict=True)
        ]

    def metrics(self, view: str, usual: Sequence[str], most: int) -> list[Ruler]:
        """A choice of metrics for a view."""
        chosen: list[str] = st.multiselect(
            "Metrics",
            self.keys,
            default=[key for key in usual if key in self.keys][:most],
            key=f"{view}_metrics_{state.board_name()}",
            format_func=title,
            max_selections=most,
            persist_state="session",
        )
        return [self.ruler(key) for key in chosen]

    def usual(self) -> list[str]:
        """One metric of each kind of question, an axis where one asks it; the axes where there are fewer than two."""
        axes = [key for key in (self.x.key, self.y.key) if key in self.keys]
        kinds = one_of_each_kind([*axes, *self.keys])
        return kinds if len(kinds) > 1 else list(dict.fromkeys([*kinds, *axes]))

    def ruler(self, key: str) -> Ruler:
        """The metric as a figure's axis: it runs as on the scatter plot, so that up and right are better."""
        lower = card_of(key).direction(role_of(key)) == "lower"
        return Ruler(key, title(key), turned=self.x.turn and lower)

    @property
    def way(self) -> str:
        """Which way is better on figures, as a sentence before others; "" where axes are not turned."""
        return "Up and right are better. " if self.x.turn else ""


def draw(figure: go.Figure, name: str, shown: ShownRuns) -> None:
    """A figure whose points choose runs for all views."""
    models = list(shown.runs.heads["model"])

    def take(places: list[int]) -> None:
        st.session_state[RUNS] = [models[place] for place in places]

    alt = f"{name.capitalize()} of {len(models)} runs."
    chart.draw(figure, f"{name}_{state.study_name()}", alt=alt, config=figure_config(), on_choose=take)


def save(
    figure: Callable[[Scene], go.Figure], name: str, shown: ShownRuns, keys: Sequence[str], *said: str
) -> None:
    """The menu that saves a view's figure.

    Args:
        figure: draws it.
        name: of the view.
        shown: its runs.
        keys: the metrics that are drawn.
        said: what its lines and markers mean, for the note.
    """
    file = f"{state.study_name()}-{name}"
    figure_export(lambda: figure(shown.scene(dark=False)), file, view_note(shown.runs, keys, *said), key=name)


def draw_panels(name: str, shown: ShownRuns, rulers: Sequence[Ruler], against: Ruler | None) -> None:
    """Small multiples, each a chart of its own, so that they stand below each other on a phone; saved as one figure."""
    scene, lines = shown.scene(), shown.lines()
    for first in range(0, len(rulers), PANELS_ACROSS):
        row = rulers[first : first + PANELS_ACROSS]
        for column, ruler in zip(st.columns(min(PANELS_ACROSS, len(rulers))), row, strict=False):
            with column:
                draw(panels(scene, [ruler], against=against, lines=lines), f"{name} {ruler.key}", shown)
    keys = [ruler.key for ruler in (*rulers, *([against] if against else []))]
    levels = [] if against else ["horizontal lines: original (solid), retained model (dotted)"]
    save(
        lambda scene: panels(scene, rulers, against=against, lines=lines),
        name,
        shown,
        keys,
        "lines join the checkpoints of a method",
        *levels,
        ENDS,
    )


def run_table(shown: ShownRuns, keys: Sequence[str], places: Sequence[int]) -> pd.DataFrame:
    """Who the runs are, by the columns and settings in which they differ, then the metrics."""
    heads = shown.runs.heads.iloc[list(places)]
    table = pd.DataFrame({"Run": heads["model"].to_numpy(), "Method": heads["method"].to_numpy()})
    for name, label in (
        ("step", "Step"),
        ("protocol", "Protocol"),
        ("layer", "Layer"),
        ("created", "Created"),
    ):
        if heads[name].nunique(dropna=False) > 1:
            words = heads[name].map(protocol_words) if name == "protocol" else heads[name]
            table[label] = words.to_numpy()
    table = _with_settings(table, heads)
    for key in keys:
        table[title(key)] = shown.runs.column(key)[list(places)]
        if MetricKey.parse(key).metric == "closer_to_retained":
            table[f"{role_of(key)} · Retained or original?"] = _answers(shown.runs, key, places)
    return table


def _answers(runs: Board, key: str, places: Sequence[int]) -> list[str]:
    """Of an answer to whether runs are closer to retained or original, the words; "" where it is not known."""
    value, low, high, _ = runs.numbers[:, list(places), runs.keys.index(key)]
    return [
        "" if isnan(each) else WORDS[closer(*ends)]
        for each, *ends in zip(map(float, value), map(float, low), map(float, high), strict=True)
    ]


def _with_settings(table: pd.DataFrame, heads: pd.DataFrame) -> pd.DataFrame:
    """Hyper-parameters of imported runs, where they differ."""
    if "key" not in heads or (heads["layer"] == STUDY).all():
        return table
    held = settings_of(store(), [key for key in heads["key"] if isinstance(key, str)])
    if not held:
        return table
    differ = differing(held).T
    aligned = differ.reindex(heads["key"]).fillna("–")
    return table.assign(**{name: aligned[name].to_numpy() for name in aligned.columns[:12]})


def show_table(
    table: pd.DataFrame,
    name: str,
    key: str,
    rulers: Mapping[str, Ruler],
    columns: Mapping[str, ColumnConfig] = MappingProxyType({}),
) -> None:
    """A table with its downloads.

    Args:
        table: to be shown.
        name: of the files.
        key: of the widgets.
        rulers: columns of which the best is bold in LaTeX and Markdown.
        columns: how some columns are written; other numbers have three decimals.
    """
    number = st.column_config.NumberColumn(format="%.3f")
    powers = [label for label, each in rulers.items() if card_of(each.key).p_value]
    config: dict[str, ColumnConfig | str | None] = {
        column: number
        for column in table
        if table[column].dtype.kind == "f" and column != "Step" and column not in powers
    }
    config |= columns
    shown = table.copy()
    for column in shown:
        if not pd.api.types.is_numeric_dtype(shown[column]):
            shown[column] = shown[column].map(cell_text)
    styled = p_values_shown(shown, powers)
    st.dataframe(styled, hide_index=True, column_config=config, key=key, placeholder="–")
    ways = {label: card_of(each.key).direction(role_of(each.key)) for label, each in rulers.items()}
    best = {label: way for label, way in ways.items() if way in ("lower", "higher")}
    table_export(table, name, key=key, best=best)
