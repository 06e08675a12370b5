"""Reading the table [attacks] of a study file: attacks and models that exist."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields

from backends.errors import StudyError
from backends.study.attack_choice import AttackChoice
from backends.study.study import Modality, Study
from backends.study.table import Table, shown

CHOICES = tuple(field.name for field in fields(AttackChoice))


def read_attacks(top: Table, modality: Modality) -> AttackChoice:
    """The table, its attacks checked.

    Raises:
        StudyError: an attack that does not exist, with the nearest that does; no list of names.
    """
    from backends.attacks import attacks_for  # which knows studies

    table = top.table("attacks")
    table.only(CHOICES, "table of attacks")
    use, models = (_names(table, key) for key in CHOICES)
    for name in use:
        if name.endswith(".py"):
            raise StudyError(
                "a study file runs no code",
                where=table.where("use"),
                how=f"Name the file on the command line: `--attacks {name}`",
            )
        _known(
            name,
            list(attacks_for(modality)),
            "attack",
            "`unlearnboard attack STUDY --list` names all",
            table,
            "use",
        )
    return AttackChoice(use, models)


def check_attacked(study: Study, top: Table) -> None:
    """Raises StudyError at a model that is to be attacked and that the study does not have as an unlearned one."""
    names = [spec.name for spec in study.models if spec.part == "unlearned"]
    for name in study.attacks.models:
        _known(
            name,
            names,
            "unlearned model",
            f"Unlearned models are: {', '.join(names)}",
            top.table("attacks"),
            "models",
        )


def _known(name: str, known: Sequence[str], what: str, otherwise: str, table: Table, key: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        how = f"Did you mean {close[0]!r}?" if close else otherwise
        raise StudyError(f"there is no {what} {shown(name)}", where=table.where(key), how=how)


def _names(table: Table, key: str) -> tuple[str, ...]:
    value = table.values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise StudyError(f"a list of names was expected, not {shown(value)}", where=table.where(key))
    return tuple(dict.fromkeys(value))
