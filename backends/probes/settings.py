"""Seeds and guidance that rows of prompts bring along, as the lists of UnlearnDiffAtk do. Pure functions on rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from backends.files.plain import number as finite
from backends.probes.rows import RowProblem, shown
from backends.study.table import LARGEST

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "seed": "seed",
        "evaluation_seed": "seed",
        "guidance": "guidance",
        "evaluation_guidance": "guidance",
    }
)
"""Column -> the setting that it holds."""


class OwnSettings(NamedTuple):
    """What one row's picture is drawn with; None where the row does not say."""

    seed: int | None = None
    guidance: float | None = None


def own_settings(values: Mapping[str, Any], columns: Mapping[str, str] = COLUMNS) -> OwnSettings:
    """The settings that a row brings along.

    Args:
        values: of the row, by column.
        columns: column -> the setting that it holds.

    Raises:
        RowProblem: a value that is none of these settings, or two columns of one setting.
    """
    said: dict[str, str] = {}
    for column, setting in columns.items():
        if values.get(column) in (None, ""):
            continue
        if setting in said:
            raise RowProblem(f"both `{said[setting]}` and `{column}` are given")
        said[setting] = column
    seed = _number(values, said.get("seed"), f"a whole number from 0 to {LARGEST}", _is_seed)
    guidance = _number(values, said.get("guidance"), "a number from 0 on", lambda n: n >= 0)
    return OwnSettings(None if seed is None else int(seed), None if guidance is None else float(guidance))


def _is_seed(number: int | float) -> bool:
    return 0 <= number <= LARGEST and number == int(number)


def _number(
    values: Mapping[str, Any], column: str | None, wanted: str, fits: Callable[[int | float], bool]
) -> int | float | None:
    """A number as JSON, CSV (text) or Parquet (7.0 for 7, where some rows are empty) has it."""
    if column is None:
        return None
    value = values[column]
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and re.fullmatch(r"-?\d+,\d+", text):
        if re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", text):  # a thousand, or one with three decimals
            raise RowProblem(f"`{column}` {shown(value)} is ambiguous; write it without a comma")
        text = text.replace(",", ".")
    read = int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 40 else finite(text)
    number = text if isinstance(text, int) else read
    if math.isnan(read) or not fits(number):
        raise RowProblem(f"`{column}` must be {wanted}, not {shown(value)}")
    return number
