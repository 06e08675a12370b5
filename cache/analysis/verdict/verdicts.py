"""Verdicts on all models of a study, and on runs of which only numbers are known."""

from __future__ import annotations

import math
from functools import partial

from backends.study import Modality, Study
from backends.study.thresholds import USUAL, Thresholds
from cache.analysis.board import Board
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.comparisons import BoardNumbers, StudyNumbers
from cache.analysis.verdict.questions import DENOISING, Asked, findings
from cache.analysis.verdict.rules import Verdict


def verdicts(study: Study, board: Scoreboard) -> dict[str, Verdict]:
    """The verdict on every model of a study that has numbers, by name, in the study's order."""
    numbers = StudyNumbers(study, board)
    known = set(board.frame["model"])
    retained = study.retained.name if study.retained and study.retained.name in known else ""
    return {
        spec.name: Verdict(
            spec.name,
            findings(
                Asked(
                    study.modality,
                    bool(retained),
                    study.verdict,
                    partial(numbers.read, spec.name),
                    numbers.number(retained, DENOISING) if retained else math.nan,
                )
            ),
        )
        for spec in study.models
        if spec.name in known
    }


def run_verdicts(
    board: Board, modality: Modality, original: str, retained: str, thresholds: Thresholds = USUAL
) -> dict[str, Verdict]:
    """The verdict on runs of which only numbers are known, by name.

    Args:
        board: the runs.
        modality: what they are of.
        original, retained: names of the runs that they are held against; "" where there is none.
        thresholds: the lines.
    """
    numbers = BoardNumbers(board, original, retained)
    return {
        name: Verdict(
            name,
            findings(
                Asked(
                    modality,
                    retained in set(board.heads["model"]),
                    thresholds,
                    partial(numbers.read, name),
                    numbers.number(retained, DENOISING),
                )
            ),
        )
        for name in board.heads["model"]
    }
