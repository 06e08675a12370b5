"""Which attacks are tried on which models where nobody says otherwise: the table [attacks] of a study file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttackChoice:
    """Defaults of the page Robustness and of `unlearnboard attack`.

    Attributes:
        use: keys of attacks, as `unlearnboard attack STUDY --list` prints them; none stands for all that are possible.
        models: names of unlearned models; none stands for the best checkpoint of every method, as
            Overview shows it.
    """

    use: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


ALL_ATTACKS = AttackChoice()
