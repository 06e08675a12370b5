"""A run: one model on one probe set with one setting, with everything needed to trust or repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from types import NoneType
from typing import Literal

RunStatus = Literal["complete", "partial"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Provenance of one run. A run that was cancelled is "partial" and is replaced when it is completed.

    Attributes:
        key: identity of study, model weights, probe rows, settings and numerics.
        study: name of the study.
        model: name of the model in the study.
        part: original, retained or unlearned.
        method: unlearning method, or "".
        step: position on the method's trajectory, or None.
        fingerprint: identity of the weights.
        probe_set: name of the probe set.
        role: role of its probes.
        settings: decoding or sampling settings and protocol.
        numerics: name of the arithmetic ("float32").
        device: where it ran.
        dtype: type of the weights while computing.
        created: UTC, ISO 8601, when the run ended.
        seconds: wall time of this model on this probe set, in the session that ended the run.
        n_probes: probes in the set.
        n_done: probes whose evidence is complete.
        status: "complete" or "partial".
        versions: package to version.
    """

    key: str
    study: str
    model: str
    part: str
    method: str
    step: int | None
    fingerprint: str
    probe_set: str
    role: str
    settings: Mapping[str, object]
    numerics: str
    device: str
    dtype: str
    created: str
    seconds: float
    n_probes: int
    n_done: int
    status: RunStatus
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know beside the numbers: rows and probes left out, memory that ran short."""
        notes = self.settings.get("notes")
        return tuple(map(str, notes)) if isinstance(notes, list) else ()

    def to_json(self) -> str:
        """All fields as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """Inverse of `to_json`."""
        return cls(**json.loads(text))

    @classmethod
    def from_row(cls, key: str, text: str) -> RunRecord | None:
        """The run that the store has under this key, None where what it has is damaged."""
        try:
            run = cls.from_json(text)
            datetime.fromisoformat(run.created)
        except (ValueError, TypeError, RecursionError):
            return None
        sound = run.key == key and all(
            isinstance(getattr(run, field.name), _KINDS[str(field.type)]) for field in fields(cls)
        )
        return run if sound else None


_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "RunStatus": (str,),
    "int": (int,),
    "int | None": (int, NoneType),
    "float": (int, float),
    "Mapping[str, object]": (dict,),
    "Mapping[str, str]": (dict,),
}
"""What JSON gives for a field, by how the field is declared."""
