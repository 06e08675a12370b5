"""What is evaluated and what is still to do, as tables: the plan of a study, joined with the progress of a running job.

Pure functions over plans, progress and runs; knows nothing about Streamlit.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from app.looks.names import STANDARD, protocol_words
from backends.study import Study
from cache.evaluate.cells import cell_of
from cache.evaluate.evaluation import Progress
from cache.evaluate.plan import EvaluationPlan, PlanItem
from cache.store.runs import RunRecord

FINGERPRINT_SHOWN = 12


def to_do(plan: EvaluationPlan) -> list[str]:
    """Models that have something missing and can be evaluated here."""
    missing = {item.model for item in plan.items if item.missing}
    return [
        name
        for name in dict.fromkeys(item.model for item in plan.items)
        if name in missing - set(plan.problems)
    ]


def incomplete(plan: EvaluationPlan, study: Study) -> list[str]:
    """Models that have something missing, or of which nothing can be read."""
    missing = {item.model for item in plan.items if item.missing}
    planned = {item.model for item in plan.items}
    return [spec.name for spec in study.models if spec.name in missing or spec.name not in planned]


def status_table(
    plan: EvaluationPlan, study: Study, progress: Mapping[Hashable, Progress], at_work: str = ""
) -> pd.DataFrame:
    """One row per model, one column per probe set with how many pieces of evidence are there.

    Args:
        plan: what was stored when the page was drawn.
        study: gives the order of models and probe sets.
        progress: what a job has told since, by cell.
        at_work: the model that is being evaluated.

    Returns:
        Columns model, state, missing, then one for each probe set: pieces there are now (int; missing model: NaN).
    """
    rows = []
    for spec in study.models:
        items = plan.of(spec.name)
        here = {cell_of(item): _now(item, progress) for item in items}
        missing = sum(item.total for item in items) - sum(here.values())
        row: dict[str, object] = {"model": spec.name, "missing": missing if items else None}
        state = _state(plan.problems.get(spec.name), missing, bool(items))
        row["state"] = "running" if spec.name == at_work and missing else state
        for probes in study.probe_sets:
            counts = [count for (_, name, _), count in here.items() if name == probes.name]
            row[probes.name] = sum(counts) if counts else None
        rows.append(row)
    columns = ["model", "state", "missing", *(probes.name for probes in study.probe_sets)]
    return pd.DataFrame(rows, columns=columns)


def set_totals(plan: EvaluationPlan) -> dict[str, int]:
    """How many pieces of evidence one model can have on each probe set."""
    totals: dict[str, dict[str, int]] = {}
    for item in plan.items:
        totals.setdefault(item.probe_set, {})[item.kind] = item.total
    return {name: sum(kinds.values()) for name, kinds in totals.items()}


def runs_table(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """One row per run, for people; the row's number is the run's position."""
    return pd.DataFrame(
        {
            "Model": [run.model for run in runs],
            "Method": [run.method for run in runs],
            "Step": pd.array([run.step for run in runs], dtype="Int64"),
            "Probe set": [run.probe_set for run in runs],
            "Probes": [f"{run.n_done} / {run.n_probes}" for run in runs],
            "Status": [run.status for run in runs],
            "When": pd.to_datetime([run.created for run in runs], utc=True),
            "Seconds": [run.seconds for run in runs],
            "Device": [run.device for run in runs],
            "Type": [run.dtype for run in runs],
            "Protocol": [protocol(run) for run in runs],
            "Fingerprint": [run.fingerprint[:FINGERPRINT_SHOWN] for run in runs],
        }
    )


def protocol(run: RunRecord) -> str:
    """Named way of asking and its version, of all kinds of evidence of the run: "standard (corrected/1)"."""
    kinds = [value for value in run.settings.values() if isinstance(value, Mapping)]
    named = dict.fromkeys(str(kind["protocol"]) for kind in kinds if "protocol" in kind)
    return ", ".join(
        f"{protocol_words(STANDARD)} ({each})" if each.partition("/")[0] == STANDARD else each
        for each in named
    )


def _now(item: PlanItem, progress: Mapping[Hashable, Progress]) -> int:
    told = progress.get(cell_of(item))
    return item.cached if told is None else max(item.cached, told.done)


def _state(problem: str | None, missing: int, planned: bool) -> str:
    if not planned:
        return "cannot be read"
    if not missing:
        return "complete"
    return "recorded only" if problem else "to do"
