"""Attacks by their keys, or from files of the user: named on the command line, never searched for."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from backends.attacks import ATTACKS, Access, Attack, attacks_for
from backends.errors import StudyError
from backends.metrics import METRICS
from backends.study import Modality

WHERE = "--attacks"


def attacks_named(names: Sequence[str], modality: Modality) -> list[Attack]:
    """Attacks by key, and the `ATTACK` of each Python file; ours in their order, then those of files.

    A file is run: naming it is what allows that.

    Args:
        names: keys and files; none stands for all of ours.
        modality: of the study that they are for.

    Raises:
        StudyError: there is no such attack or file, or the file has no usable ATTACK.
    """
    ours = attacks_for(modality)
    for name in names:
        if not name.endswith(".py") and name not in ours:
            near = difflib.get_close_matches(name, ours, 1)
            hint = f"Did you mean {near[0]!r}?" if near else "`--list` names all; or name a Python file"
            raise StudyError(f"there is no attack {name!r}", where=WHERE, how=hint)
    own = own_attacks([Path(name) for name in names if name.endswith(".py")])
    for each in own:
        if each.card.modality != modality:
            raise StudyError(
                f"{each.card.key!r} is for {each.card.modality} studies, this is one of {modality}",
                where=WHERE,
            )
    return [*(each for key, each in ours.items() if not names or key in names), *own]


def own_attacks(paths: Sequence[Path]) -> list[Attack]:
    """The `ATTACK` of each of these Python files, which are run; raises StudyError as `attacks_named` does."""
    found = [attack_of(path.expanduser()) for path in dict.fromkeys(paths)]
    keys = [each.card.key for each in found]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise StudyError(f"two files have the key {min(twice)!r}", where=WHERE, how="Rename one of them")
    return found


def attack_of(path: Path) -> Attack:
    """The `ATTACK` of a Python file, which is run.

    Raises:
        StudyError: there is no such file, it cannot be run, or it has no usable ATTACK.
    """
    where = f"{WHERE} {path}"
    if not path.is_file():
        raise StudyError("there is no such file", where=where)
    spec = importlib.util.spec_from_file_location(f"own_attack_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StudyError("this is not a Python file", where=where)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a person's own code raises
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise StudyError(f"the file cannot be run ({reason})", where=where) from error
    found = getattr(module, "ATTACK", None)
    if not isinstance(found, Attack):
        kinds = ", ".join(kind.__name__ for kind in get_args(Attack))
        raise StudyError(
            f"the file has no ATTACK = one of {kinds}",
            where=where,
            how='docs/robustness.md shows one, under "An attack of your own"',
        )
    _check(found, where)
    return found


def _check(found: Attack, where: str) -> None:
    """Raises StudyError at a card that the rest of the program could not work with."""
    card = found.card
    if not card.key.isidentifier() or card.key in ATTACKS:
        raise StudyError(
            f"{card.key!r} is not a valid key",
            where=where,
            how="Use letters, digits and underscores, and not the key of a built-in attack",
        )
    known: dict[str, Sequence[str]] = {
        "access": get_args(Access),
        "says": list(METRICS),
        "rates": list(METRICS),
    }
    for field, allowed in known.items():
        for name in getattr(card, field):
            if name not in allowed:
                near = difflib.get_close_matches(name, allowed, 1)
                how = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(allowed[:20])}"
                raise StudyError(
                    f"the card's `{field}` names {name!r}, which does not exist", where=where, how=how
                )
    if not card.access:
        raise StudyError("the card's `access` is empty", where=where, how='Write access=("prompt box",)')
