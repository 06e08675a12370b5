"""What an evaluation left out, and how it says so: models that cannot be used, probes and losses that one cannot serve.

Everything else is evaluated and stored first. Knows nothing of how evidence is gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from backends.errors import BoardError, CheckpointError, ModelError
from backends.study import Probe
from cache.store.runs import RunRecord

LOSSES = "Denoising losses left out: "
"""How a run's note about its model's losses begins."""

_NAMED = 3


class RefusedProbe(NamedTuple):
    """A probe that a model cannot serve."""

    model: str
    probe_set: str
    probe: Probe
    error: ModelError


class MissingLosses(NamedTuple):
    """A model whose denoising losses are not available."""

    model: str
    error: BoardError

    @property
    def why(self) -> str:
        """What is wrong, and with which picture or file, without a full stop."""
        where = f"{self.error.where}: " if self.error.where else ""
        return where + self.error.what


class UnusableModel(NamedTuple):
    """A model that could not be evaluated, and why."""

    model: str
    error: BoardError


def weights_missing(model: str) -> UnusableModel:
    """A model whose weights are elsewhere."""
    error = CheckpointError("its weights are not on this machine", where=model, how="Fetch them")
    return UnusableModel(model, error)


class IncompleteEvaluation(ModelError):
    """Everything that could run did; this says what could not.

    Attributes:
        each: where there are several reasons why models could not be evaluated, a sentence for each, with names.
    """

    def __init__(self, what: str, *, where: str = "", how: str = "", each: Sequence[str] = ()) -> None:
        super().__init__(what, where=where, how=how)
        self.each = tuple(each)


def with_model_name(model: str, error: BoardError) -> str:
    """The error's sentence, with the model's name before it unless it has it already."""
    said = str(error)
    return said if said.startswith((f"{model}:", f"{model} ")) else f"{model}: {said}"


def left_out(
    refused: Sequence[RefusedProbe], losses: Sequence[MissingLosses], unusable: Sequence[UnusableModel] = ()
) -> IncompleteEvaluation:
    """One sentence about all that was left out, which is something; the first's reason stands for the others'."""
    if not unusable:
        return _parts_left_out(refused, losses)
    parts = str(_parts_left_out(refused, losses)) if refused or losses else ""
    names = list(dict.fromkeys(each.model for each in unusable))
    said = _sentences(unusable)
    count = f"{len(names)} model{'s' if len(names) > 1 else ''} could not be evaluated; everything else is evaluated"
    why = said[0].rstrip(".") if len(said) == 1 else ", ".join(names)
    return IncompleteEvaluation(f"{count}: {why}", how=parts, each=said if len(said) > 1 else ())


def _sentences(unusable: Sequence[UnusableModel]) -> list[str]:
    """One for each reason, with the names of the models that it keeps away: a judge that fails fails for all."""
    reasons: dict[str, list[UnusableModel]] = {}
    for each in unusable:
        reasons.setdefault(str(each.error), []).append(each)
    return [
        with_model_name(held[0].model, held[0].error)
        if len(held) == 1
        else f"{', '.join(each.model for each in held)}: {reason}"
        for reason, held in reasons.items()
    ]


def _parts_left_out(refused: Sequence[RefusedProbe], losses: Sequence[MissingLosses]) -> IncompleteEvaluation:
    said, where, how = [], "", ""
    if refused:
        first = refused[0].error
        probes = list(dict.fromkeys(f"{each.probe_set}, probe {each.probe.id}" for each in refused))
        count = f"{len(probes)} probe{'s' if len(probes) > 1 else ''}"
        said.append(f"{count} left out with {_models([each.model for each in refused])}")
        where = "; ".join(probes[:_NAMED])
        where += f"; {len(probes) - _NAMED} more" if len(probes) > _NAMED else ""
        how = first.how
    if losses:
        said.append(f"denoising losses left out of {_models([each.model for each in losses])}")
        how = how or losses[0].error.how
    reasons = [*([refused[0].error.what] if refused else []), *([losses[0].why] if losses else [])]
    return IncompleteEvaluation(
        f"{' and '.join(said)}; everything else is evaluated: {'; '.join(dict.fromkeys(reasons))}",
        where=where,
        how=how,
    )


def with_losses_noted(run: RunRecord, why: str) -> RunRecord:
    """The run with a note that its model's denoising losses were left out, or without one where `why` is ""."""
    notes = [note for note in run.notes if not note.startswith(LOSSES)]
    notes += [LOSSES + why] if why else []
    settings = {key: value for key, value in run.settings.items() if key != "notes"}
    return replace(run, settings=settings | ({"notes": notes} if notes else {}))


def _models(names: Sequence[str]) -> str:
    models = list(dict.fromkeys(names))
    return ", ".join(models[:_NAMED]) + (" and others" if len(models) > _NAMED else "")
