"""Verdicts on all models of a study, and on runs of which only numbers are known."""

from __future__ import annotations

import math
from functools import partial

from backends.metrics.attacked import recovered_key
from backends.metrics.key import MetricKey
from backends.study import Modality, Study
from backends.study.targets import retained_for
from backends.study.thresholds import USUAL, Thresholds
from cache.analysis.board import Board
from cache.analysis.robustness.ladder import STRONGEST
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.comparisons import BoardNumbers, StudyNumbers
from cache.analysis.verdict.questions import DENOISING, Asked, Attacked, findings
from cache.analysis.verdict.rules import Verdict


def verdicts(study: Study, board: Scoreboard) -> dict[str, Verdict]:
    """The verdict on every model of a study that has numbers, by name, in the study's order.

    A model with a target of its own is held against the original: the retained model saw that target.
    """
    numbers = StudyNumbers(study, board)
    known = set(board.frame["model"])
    found = {}
    for name in (spec.name for spec in study.models if spec.name in known):
        fit = retained_for(study, name)
        retained = fit.name if fit is not None and fit.name in known else ""
        denoising = numbers.number(retained, DENOISING) if retained else math.nan
        read = partial(numbers.read, name)
        strongest = _strongest(study, board, name)
        asked = Asked(study.modality, bool(retained), study.verdict, read, denoising, strongest)
        found[name] = Verdict(name, findings(asked))
    return found


def _strongest(study: Study, board: Scoreboard, model: str) -> tuple[Attacked, ...]:
    retained = study.retained.name if study.retained is not None else ""
    return tuple(
        Attacked(
            str(MetricKey("forget", recovered_key(rung.measure, study.modality))),
            *(rung.found.share, rung.found.low, rung.found.high),
            *(retained if rung.floor_is == "retained" else "", rung.found.n, rung.found.groups),
        )
        for rung in board.attacked.get(model, ())
        if rung.attack == STRONGEST
    )


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
