"""What a CLIP judge chooses among where a study does not say: the concepts that the probes name in its domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from backends.checkpoints.hub import HUB, from_hub, is_on_hub
from backends.checkpoints.tensors import read_json
from backends.errors import CheckpointError
from backends.study import JudgeSpec, ProbeSet


def with_classes(
    judges: Iterable[JudgeSpec], probe_sets: Sequence[ProbeSet], forget: Mapping[str, str]
) -> tuple[JudgeSpec, ...]:
    """The judges; those that are CLIP and name no classes have the concepts of the probes' column of their domain.

    The concept to forget is among them. They are part of the judge from then on, so other probes with other concepts
    make it another judge. A CLIP on the hub is recognised once it is here.
    """
    result = []
    for spec in judges:
        if not spec.classes and _is_clip(spec):
            named = {
                probe.concepts[spec.domain]
                for each in probe_sets
                for probe in each.probes
                if probe.concepts.get(spec.domain)
            }
            named |= {forget[spec.domain]} if spec.domain in forget else set()
            spec = replace(spec, classes=tuple(sorted(named)))
        result.append(spec)
    return tuple(result)


def _is_clip(spec: JudgeSpec) -> bool:
    try:
        folder = (
            from_hub(spec.path.removeprefix(HUB), "", fetch=False)
            if is_on_hub(spec.path)
            else Path(spec.path)
        )
        return read_json(folder / "config.json").get("model_type") == "clip"
    except CheckpointError:
        return False  # no CLIP, or one that cannot be read: loading it says why
