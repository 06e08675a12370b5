"""The record of one model's run on one probe set: what was asked how, with which programs, and how far it came."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from backends.checkpoints.identity import ModelIdentity
from backends.study import ModelSpec, ProbeSet
from backends.versions import versions
from cache.evaluate.context import EvaluationContext
from cache.evaluate.progress import SetWork
from cache.store import keys
from cache.store.keys import Context, Kind, SeedSetting
from cache.store.runs import RunRecord

PACKAGES = ("unlearnboard", "torch", "transformers", "diffusers", "peft")

SetContexts = Mapping[Kind, Mapping[SeedSetting, Context]]
"""Of one probe set."""


def run_key(study: str, model: str, probe_set: ProbeSet, contexts: SetContexts) -> str:
    """By content, not by name: a set with another probe, or the same under other settings, is another run."""
    digests = sorted({probe.digest() for probe in probe_set.probes})
    found = [context.key for ways in contexts.values() for context in ways.values()]
    return keys.digest([study, model, probe_set.name, found, digests])


def run_record(
    context: EvaluationContext,
    spec: ModelSpec,
    identity: ModelIdentity,
    probe_set: ProbeSet,
    contexts: SetContexts,
    work: SetWork,
    known: RunRecord | None,
    missing: int,
    told: Mapping[str, Any],
) -> RunRecord:
    """A run as it is now.

    Args:
        context: of the work.
        spec: the model.
        identity: its.
        probe_set: what it was asked.
        contexts: of the evidence.
        work: what was done now.
        known: the same run as it was recorded before.
        missing: probes that lack evidence.
        told: to keep beside the settings.
    """
    total = len({probe.digest() for probe in probe_set.probes})
    return RunRecord(
        key=run_key(context.study.name, spec.name, probe_set, contexts),
        study=context.study.name,
        model=spec.name,
        part=spec.part,
        method=spec.method,
        step=spec.step,
        fingerprint=identity.declared(),
        probe_set=probe_set.name,
        role=probe_set.role,
        settings={**_settings(contexts), **told},
        numerics=context.numerics,
        device=context.pool.device,
        dtype=context.dtype,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        # A run that was stopped and resumed took the time of all its sessions.
        seconds=work.seconds + (known.seconds if known is not None and known.status == "partial" else 0.0),
        n_probes=total,
        n_done=total - missing,
        status="partial" if missing else "complete",
        versions=versions(PACKAGES),
    )


def _settings(found: SetContexts) -> dict[str, object]:
    """Protocol and settings of every kind, seeds as a list of their settings."""
    return {
        kind: {
            "protocol": next(iter(seeds.values())).protocol,
            "code_version": next(iter(seeds.values())).code_version,
            "settings": [context.settings for context in seeds.values()],
        }
        for kind, seeds in found.items()
    }
