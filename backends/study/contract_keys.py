"""Reading the table [contract] of a study file: roles and metrics that exist, conditions that can be read."""

from __future__ import annotations

import difflib

from backends.errors import StudyError
from backends.study.contract import WORDS, Condition, parsed
from backends.study.study import ROLES, Modality, Study
from backends.study.table import Table, shown

WHOLE = "all"
"""Role of numbers of a model as a whole, such as its utility."""
OF_BOTH = ("model_utility", "closer_to_retained")
"""Metrics of language models, by their cards, that image models have as well."""
OF_ROLES = ("closer_to_retained", "answers_win_rate", "pictures_win_rate")
"""Numbers derived from others, by their cards, that every role has; all others without roles are of the whole model."""
HOW = 'Write it as "<= 0.1", ">= 0.97 original" or "<= retained + 0.05"'


def read_contract(top: Table, modality: Modality) -> tuple[Condition, ...]:
    """The conditions of a study file, in its order.

    Raises:
        StudyError: a role or metric that does not exist, with the nearest that does; a condition that cannot be read.
            Names the file, the line and the key.
    """
    table = top.table("contract")
    table.only((*ROLES, WHOLE, *WORDS), "contract")
    conditions: list[Condition] = []
    for key in table.values:
        if key in WORDS:
            conditions.append(_word(table, key))
            continue
        if not isinstance(table.values[key], dict):
            raise StudyError(
                f"a metric was expected behind the role, not {shown(table.values[key])}",
                where=table.where(key),
                how=f'Write it as {key}.METRIC = "<= 0.1"',
            )
        role = table.table(key)
        conditions += [_condition(role, key, metric, modality) for metric in role.values]
    return tuple(conditions)


def check_slices(study: Study, top: Table) -> None:
    """Raises StudyError at a condition on a slice that the study does not have.

    Slices are the probe sets of the role utility, where there are several, of what model utility is made of.
    """
    from backends.metrics.key import MetricKey  # which knows studies
    from backends.metrics.study_level import UTILITY_PARTS

    for condition in study.contract:
        role, _, metric = condition.key.partition("/")
        if condition.word or "@" not in metric:
            continue
        sets = [each.name for each in study.probe_sets if each.role == "utility" and each.probes]
        name, _, part = metric.partition("@")
        has_parts = str(MetricKey(role, name)) in UTILITY_PARTS[study.modality] and len(sets) > 1
        slices = sets if role == "utility" and has_parts else []
        if part not in slices:
            close = difflib.get_close_matches(part, slices, n=1)
            how = f"Did you mean `{name}@{close[0]}`?" if close else f"Write {role}.{name}"
            raise StudyError(
                f"`{role}.{name}` has no such slice",
                where=top.table("contract").table(role).where(metric),
                how=how,
            )


def _word(table: Table, key: str) -> Condition:
    text = table.values[key]
    condition = parsed(key, text, table.line(key)) if isinstance(text, str) else None
    if condition is None:
        asked = " or ".join(f'{key} = "{each}"' for each in WORDS[key])
        raise StudyError(
            f"this cannot be asked of the {key}: {shown(text)}",
            where=table.where(key),
            how=f"Write it as {asked}",
        )
    return condition


def _condition(table: Table, role: str, metric: str, modality: Modality) -> Condition:
    _check_metric(table, role, metric, modality)
    text = table.values[metric]
    condition = parsed(f"{role}/{metric}", text, table.line(metric)) if isinstance(text, str) else None
    if condition is None:
        raise StudyError(f"this is not a condition: {shown(text)}", where=table.where(metric), how=HOW)
    return condition


def _check_metric(table: Table, role: str, metric: str, modality: Modality) -> None:
    from backends.metrics import METRICS  # which knows studies
    from backends.metrics.card import StudyMetric
    from backends.metrics.key import MetricKey

    known = [name for name, each in METRICS.items() if each.card.modality == modality or name in OF_BOTH]
    name = MetricKey(role, metric).metric.partition("@")[0]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        how = f"Did you mean `{close[0]}`?" if close else "`unlearnboard metrics` lists them"
        models = "language" if modality == "text" else "image"
        raise StudyError(f"{models} models have no such metric", where=table.where(metric), how=how)
    card = METRICS[name].card
    if card.roles:
        allowed = [each for each in (*ROLES, WHOLE) if each in card.roles]
    else:
        whole = isinstance(METRICS[name], StudyMetric) and name not in OF_ROLES
        allowed = [WHOLE] if whole else list(ROLES)
    if role not in allowed:
        raise StudyError(
            f"`{name}` is not measured for the role {role}",
            where=table.where(metric),
            how=f"Write {allowed[0]}.{metric}"
            if len(allowed) == 1
            else f"Its roles are: {', '.join(allowed)}",
        )
