"""Which part makes model utility 0: a harmonic mean says nothing of its parts, and one at 0 makes all models equal."""

from __future__ import annotations

from collections.abc import Sequence

from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_rows import MODEL_UTILITY

SHOWN_AS_ZERO = 0.0005
"""Below this a share reads 0.000."""


def lost_utility(board: Scoreboard, original: str, models: Sequence[str] | None = None) -> list[str]:
    """A sentence for each set of parts that makes the model utility of some models 0.

    Args:
        board: the numbers.
        original: name of the study's original.
        models: only these; None for all.
    """
    rows = board.frame[board.frame["key"] == MODEL_UTILITY]
    zero = rows[rows["value"] < SHOWN_AS_ZERO]["model"]
    groups: dict[tuple[str, ...], list[str]] = {}
    for model in zero:
        if models is None or model in models:
            groups.setdefault(board.lost_parts(model, SHOWN_AS_ZERO), []).append(model)
    return [_sentence(parts, names, original) for parts, names in groups.items() if parts]


def _sentence(parts: tuple[str, ...], names: list[str], original: str) -> str:
    which = f"its part {parts[0]} is 0" if len(parts) == 1 else f"its parts {', '.join(parts)} are 0"
    said = f"Model utility of {', '.join(names)} is 0 because {which}: one part at 0 makes a harmonic mean 0."
    if original in names and any("truth_ratio" in part for part in parts):
        said += (
            " The original has it, too, so look at those probes: where paraphrased answers are of another form than "
            "the perturbed ones, the perturbed ones are the more probable, whatever a model knows."
        )
    return said
