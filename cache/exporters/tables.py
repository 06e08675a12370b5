"""A table as CSV, JSON, LaTeX (booktabs) or Markdown. Columns `X, low` and `X, high` beside `X` are its interval.

No cell of the CSV is one that a spreadsheet would run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    "∞": r"$\infty$",
}


def to_csv(table: pd.DataFrame) -> str:
    """Full precision; a text that a spreadsheet would take for a formula has an apostrophe in front."""
    safe = table.rename(columns=lambda name: spreadsheet_safe(str(name)))
    for name in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        safe[name] = safe[name].map(spreadsheet_safe)
    text: str = safe.to_csv(index=False)
    return text


def to_json(table: pd.DataFrame) -> str:
    """A list of objects; unknown and infinite numbers are null."""
    rows = [
        {str(name): _plain(value) for name, value in row.items()} for row in table.to_dict(orient="records")
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2, allow_nan=False)


def to_latex(
    table: pd.DataFrame, best: Mapping[str, str], caption: str = "", ranked: Sequence[bool] | None = None
) -> str:
    """A booktabs table: three digits, intervals in small print, the best value of a column in bold.

    Args:
        table: the numbers.
        best: column -> "lower" or "higher".
        caption: above the table; "" for none.
        ranked: rows among which the best is sought, such as the unlearned models; None for all.
    """
    cells = _cells(table, best, _TEX, ranked)
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in cells]
    head = " & ".join(_latex(str(name)) for name in cells)
    lines = [
        *([r"\begin{table}", rf"\caption{{{_latex(caption)}}}"] if caption else []),
        rf"\begin{{tabular}}{{{''.join('r' if each else 'l' for each in numeric)}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
        *(rf"{' & '.join(row)} \\" for row in zip(*cells.values(), strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\end{table}"] if caption else []),
    ]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(lines) + "\n"


def to_markdown(table: pd.DataFrame, best: Mapping[str, str], ranked: Sequence[bool] | None = None) -> str:
    """A table of GitHub's Markdown with the same digits, intervals and bold."""
    cells = _cells(table, best, _MARKDOWN, ranked)
    rule = ["---:" if pd.api.types.is_numeric_dtype(table[name]) else "---" for name in cells]
    rows = [[_markdown(str(name)) for name in cells], rule, *map(list, zip(*cells.values(), strict=True))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _cells(
    table: pd.DataFrame, best: Mapping[str, str], style: _Style, ranked: Sequence[bool] | None
) -> dict[str, list[str]]:
    """Texts of every column that is not the end of an interval."""
    ends = {f"{name}, {part}" for name in table for part in ("low", "high")}
    return {
        str(name): _column(table, str(name), best.get(str(name)), style, ranked)
        for name in table
        if name not in ends
    }


def _column(
    table: pd.DataFrame, name: str, way: str | None, style: _Style, ranked: Sequence[bool] | None
) -> list[str]:
    column = table[name]
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return [style.escape("" if pd.isna(value) else str(value)) for value in column]
    entered = [True] * len(table) if ranked is None else list(ranked)
    known = column[entered].dropna()
    winner = None if way is None or not len(known) else known.min() if way == "lower" else known.max()
    low, high = (
        table.get(f"{name}, {part}", pd.Series(math.nan, index=table.index)) for part in ("low", "high")
    )
    texts = []
    for value, start, end, counts in zip(column, low, high, entered, strict=True):
        text = "–" if pd.isna(value) else _digits(value)
        text = style.bold.format(text) if winner is not None and counts and value == winner else text
        texts.append(
            text
            + ("" if pd.isna(start) or pd.isna(end) else style.interval.format(_digits(start), _digits(end)))
        )
    return texts


def _digits(value: float) -> str:
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value)}"
    return f"{value:.3f}" if 0.001 <= abs(value) < 1e5 else f"{value:.2e}"


def spreadsheet_safe(value: object) -> object:
    """The value; a text that a spreadsheet would take for a formula with an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_RUN_BY_SPREADSHEETS) else value


def _plain(value: object) -> object:
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", text).replace("\n", " ")


class _Style(NamedTuple):
    """How one format writes a bold text, an interval and plain text."""

    bold: str
    interval: str
    escape: Callable[[str], str]


_TEX = _Style(r"\textbf{{{}}}", r" {{\scriptsize [{}, {}]}}", _latex)
_MARKDOWN = _Style("**{}**", " [{}, {}]", _markdown)
