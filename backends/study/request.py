"""Who asked for what to be forgotten, and why: the table [report] of a study file, which only the report shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """What the report says of the request behind the unlearning, in the words of who wrote the study file.

    Attributes:
        forgotten: what was to be forgotten.
        requested_by: at whose request.
        requested_on: when, such as "2026-05-04".
        reason: why, such as a law, a contract or a policy.
        reference: number or address of the request.
        prepared_by: who answers for the report.
        licences: licence of the data of each probe set that has a known one, (name of the set, licence).
    """

    forgotten: str = ""
    requested_by: str = ""
    requested_on: str = ""
    reason: str = ""
    reference: str = ""
    prepared_by: str = ""
    licences: tuple[tuple[str, str], ...] = ()


NOTHING_SAID = Request()
