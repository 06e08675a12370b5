"""What the verdicts on a page are about: methods, numbers beside those of the original and the retained model, looks.

A study's own models and imported runs look the same from here on. Pure data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from app.looks.model_looks import Look, look_of, looks_of
from backends.study import Modality, Study
from backends.study.targets import UNKNOWN, apart_models, concept_of
from backends.study.thresholds import Thresholds
from cache.analysis.board import Board
from cache.analysis.verdict.methods import Method, by_method, study_methods
from cache.analysis.verdict.rules import Verdict

Numbers = Mapping[tuple[str, str], tuple[float, float, float]]
"""(model, key) -> value and the ends of its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged.

    Attributes:
        name: of the study or the imported collection.
        modality: text or image.
        concepts: what each image model should no longer draw, in words.
        apart: models that were to forget something else than the retained model never saw.
        thresholds: by which it is judged.
        original, retained: names; "" where there is none with numbers.
        verdicts: on all models.
        methods: the best first.
        numbers: of all models, of the metrics that the verdicts read.
        looks: of all models.
        imported: its runs are another tool's, of which only the numbers are known.
        about: the study's description; "" for imported runs, which it does not describe.
        steps: where on its method's way a model is, as far as that is known.
    """

    name: str
    modality: Modality
    concepts: Mapping[str, str]
    thresholds: Thresholds
    original: str
    retained: str
    verdicts: Mapping[str, Verdict]
    methods: list[Method]
    numbers: Numbers
    looks: Mapping[str, Look]
    steps: Mapping[str, int]
    imported: bool = False
    about: str = ""
    apart: tuple[str, ...] = ()

    def concept_of(self, model: str) -> str:
        """What a model should no longer draw, in words."""
        return self.concepts.get(model, UNKNOWN)

    @property
    def yardstick(self) -> str:
        """What models should be like."""
        return self.retained or self.original


def of_study(study: Study, frame: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> Subject:
    """The models of a study; `frame` is its scoreboard's."""
    retained = study.retained
    return Subject(
        study.name,
        study.modality,
        {spec.name: concept_of(study, spec.name) for spec in study.models},
        study.verdict,
        study.original.name if study.original.name in verdicts else "",
        retained.name if retained is not None and retained.name in verdicts else "",
        verdicts,
        study_methods(study, verdicts),
        _numbers(frame, verdicts.values()),
        {spec.name: look_of(spec, study) for spec in study.models},
        {spec.name: spec.step for spec in study.models if spec.step is not None},
        about=study.description,
        apart=apart_models(study, verdicts),
    )


def of_board(name: str, board: Board, study: Study, verdicts: Mapping[str, Verdict]) -> Subject:
    """Imported runs.

    Args:
        name: of the collection.
        board: its runs.
        study: whose thresholds hold, and whose methods have the first looks.
        verdicts: on the runs.
    """
    heads = board.heads
    unlearned = heads[heads["part"] == "unlearned"]
    method_of = {
        str(model): str(method) or str(model)
        for model, method in zip(unlearned["model"], unlearned["method"], strict=True)
    }
    return Subject(
        name,
        study.modality,
        dict.fromkeys(map(str, heads["model"]), concept_of(study, study.original.name)),
        study.verdict,
        part_of(board, "original"),
        part_of(board, "retained"),
        verdicts,
        by_method([verdicts[model] for model in method_of], method_of),
        _numbers(board.frame(_keys(verdicts.values())), verdicts.values()),
        looks_of(heads, study),
        {
            str(model): int(step)
            for model, step in zip(heads["model"], heads["step"], strict=True)
            if not pd.isna(step)
        },
        imported=True,
    )


def part_of(board: Board, part: str) -> str:
    """Name of the original or the retained run of a board; "" where there is none, or where several could be meant."""
    names = list(board.heads.loc[board.heads["part"] == part, "model"])
    return str(names[0]) if len(names) == 1 else ""


def _keys(verdicts: Iterable[Verdict]) -> set[str]:
    return {found.measured.key for each in verdicts for found in each.findings if found.measured is not None}


def _numbers(frame: pd.DataFrame, verdicts: Iterable[Verdict]) -> Numbers:
    rows = frame[frame["key"].isin(_keys(verdicts))]
    return {
        (str(model), str(key)): (float(value), float(low), float(high))
        for model, key, value, low, high in zip(
            *(rows[name] for name in ("model", "key", "value", "low", "high")), strict=True
        )
    }
