"""What an evaluation left out, and how it says so: probes and losses that a model cannot serve.

Everything else is evaluated and stored first. Knows nothing of how evidence is gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from backends.errors import BoardError, ModelError
from backends.study import Probe
from cache.runs import RunRecord

LOSSES = "Denoising losses left out: "
"""How a run's note about its model's losses begins."""

_NAMED = 3


class Refusal(NamedTuple):
    """A probe that a model cannot serve."""

    model: str
    probe_set: str
    probe: Probe
    error: ModelError


class LossesLeftOut(NamedTuple):
    """A model whose denoising losses cannot be had."""

    model: str
    error: BoardError

    @property
    def why(self) -> str:
        """What is wrong, and with which picture or file, without a full stop."""
        where = f"{self.error.where}: " if self.error.where else ""
        return where + self.error.what


def left_out(refused: Sequence[Refusal], losses: Sequence[LossesLeftOut]) -> ModelError:
    """One sentence about all that was left out, which is something; the first's reason stands for the others'."""
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
    return ModelError(
        f"{' and '.join(said)}, everything else is evaluated: {'; '.join(dict.fromkeys(reasons))}",
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
