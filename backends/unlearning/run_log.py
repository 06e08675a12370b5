"""What a run wrote about itself, read back. Imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RUN, LOG = "run.json", "log.jsonl"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, a step once: what was done again after a kill counts as it was done last."""
    try:
        text = (path / LOG).read_text(encoding="utf-8")
    except OSError:
        return []
    result: dict[int, dict[str, Any]] = {}
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # a line that a kill cut off
        if isinstance(value, dict) and isinstance(value.get("step"), int):
            result[value["step"]] = value
    return [result[step] for step in sorted(result)]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a file; empty if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
