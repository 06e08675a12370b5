"""Reading the table [contract] of a study file: roles and metrics that exist, conditions that can be read."""

from __future__ import annotations

import difflib

from backends.errors import StudyError
from backends.study.contract import WORDS, Condition, parsed
from backends.study.study import ROLES, Modality
from backends.study.table import Table, shown

WHOLE = "all"
"""Role of numbers of a model as a whole, such as its utility."""
OF_BOTH = ("model_utility", "closer_to_retained")
"""Metrics of language models, by their cards, that image models have as well."""
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
    from backends.metrics.key import MetricKey

    known = [name for name, each in METRICS.items() if each.card.modality == modality or name in OF_BOTH]
    name = MetricKey(role, metric).metric.partition("@")[0]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        how = f"Did you mean `{close[0]}`?" if close else "`unlearnboard metrics` lists them"
        models = "language" if modality == "text" else "image"
        raise StudyError(f"{models} models have no such metric", where=table.where(metric), how=how)
    card = METRICS[name].card
    if not card.reported_for(role):
        roles = " or ".join(each for each in (*ROLES, WHOLE) if each in card.roles)
        raise StudyError(
            f"`{name}` is not measured for the role {role}",
            where=table.where(metric),
            how=f"Its roles are: {roles}",
        )
