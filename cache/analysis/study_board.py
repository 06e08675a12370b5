"""A study's own runs as a board: one layer among others, under one protocol."""

from __future__ import annotations

import pandas as pd

from backends.study import Study
from backends.study.targets import target_names
from cache.analysis.board import Board, board_of

STUDY = "this study"
"""Name of the layer of a study's own runs."""
OWN_PICTURES = "this study's"
"""Protocol of image studies: their judges, seeds and sampling are their own."""


def study_protocol(study: Study) -> str:
    """Under which protocol the study's own numbers are measured."""
    return study.protocol if study.modality == "text" else OWN_PICTURES


def study_board(study: Study, frame: pd.DataFrame) -> Board:
    """The study's runs.

    Args:
        study: the study.
        frame: its numbers, as `Scoreboard.frame`.
    """
    return board_of(frame, study_protocol(study), STUDY, _parted(study))


def _parted(study: Study) -> dict[str, str]:
    """What tells lines of one method apart: targets of their own, and training seeds."""
    parts = {name: [target] for name, target in target_names(study).items()}
    for spec in study.models:
        if spec.seed is not None:
            parts.setdefault(spec.name, []).append(f"seed {spec.seed}")
    return {name: " · ".join(each) for name, each in parts.items()}
