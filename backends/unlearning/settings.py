"""Numbers that a person may choose, and the steps at which weights are kept. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backends.errors import StudyError

Settings = Mapping[str, float]
"""Value of every setting, by name."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that a person may choose.

    Attributes:
        low, high: least and most.
        help: what it does, one sentence.
        usual: its value where neither the method nor a person says otherwise.
        whole: only whole numbers.
    """

    low: float
    high: float
    help: str
    usual: float
    whole: bool = False


def values_of(given: Mapping[str, str | float], known: Mapping[str, Setting]) -> dict[str, float]:
    """The value of every setting, as given or as usual.

    Raises:
        StudyError: an unknown setting, or a value out of range, in one sentence.
    """
    usual = {key: float(setting.usual) for key, setting in known.items()}
    return usual | {key: _value(key, written, known) for key, written in given.items()}


class Values(dict[str, float]):
    """Values by name, as a method's functions read them: what the method does not list is refused in one sentence."""

    def __missing__(self, key: str) -> float:
        """Say which setting is read and not listed.

        Raises:
            StudyError: always.
        """
        raise StudyError(
            f"the method reads a setting {key!r} that it does not list",
            where="--method",
            how="List it in `own`",
        )


def kept_steps(steps: int, checkpoints: int) -> tuple[int, ...]:
    """So many steps, evenly over all, the last among them."""
    kept = {max(1, round(steps * place / checkpoints)) for place in range(1, checkpoints + 1)}
    return tuple(sorted(kept))


def _value(key: str, written: str | float, known: Mapping[str, Setting]) -> float:
    if key not in known:
        raise StudyError(f"there is no setting {key!r}", where="--set", how=f"Available: {', '.join(known)}")
    setting = known[key]
    try:
        value = float(written)
    except ValueError:
        value = float("nan")
    if not setting.low <= value <= setting.high or (setting.whole and value != int(value)):
        kind = "a whole number" if setting.whole else "a number"
        raise StudyError(
            f"{key} is {written!r}, and {kind} from {setting.low:g} to {setting.high:g} was expected",
            where="--set",
        )
    return value
