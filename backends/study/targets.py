"""Which concept each image model was made to forget, and what a study's prompts are to it.

A study's `[forget]` is the target of all its models until one names its own. What asks for a model's target is a forget
prompt to that model, and what asks for another concept of the target's domain is kept. Pure functions on plain data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from backends.study.study import ModelSpec, Probe, ProbeSet, Role, Study

UNKNOWN = "the concept"
_FOLLOWS: frozenset[Role] = frozenset({"forget", "neighbour", "retain"})
"""Roles that say what a prompt is to the target; the others say where it comes from."""


def has_targets(study: Study) -> bool:
    """Some model names its own target, so that roles follow from concepts."""
    return any(spec.forget for spec in study.models)


def target_of(study: Study, model: str) -> Mapping[str, str]:
    """Domain -> concept that a model was made to forget; the study's for the original and the retained model."""
    return dict(study.model(model).forget) or study.forget_concepts


def retained_for(study: Study, model: str) -> ModelSpec | None:
    """The retained model, where it never saw what this model was made to forget; None where there is no such one."""
    retained = study.retained
    if retained is None or not has_targets(study):
        return retained
    return retained if dict(target_of(study, model)) == dict(target_of(study, retained.name)) else None


def target_name(target: Mapping[str, str]) -> str:
    """A target in a few words: "neon", "neon, cat"."""
    return ", ".join(target.values())


def apart_models(study: Study, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the unlearned models that the retained model says nothing of, since it saw what they were to forget."""
    if study.retained is None:
        return ()
    unlearned = {spec.name for spec in study.models if spec.part == "unlearned"}
    return tuple(name for name in names if name in unlearned and retained_for(study, name) is None)


def concept_of(study: Study, model: str) -> str:
    """What a model was made to forget, in words for a sentence; "the concept" where nobody says."""
    return target_name(target_of(study, model)) or UNKNOWN


def target_names(study: Study) -> dict[str, str]:
    """Unlearned model -> its target in words; nothing in a study whose models share one."""
    if not has_targets(study):
        return {}
    named = [spec.name for spec in study.models if spec.part == "unlearned"]
    return {name: target_name(target_of(study, name)) for name in named}


def concepts_to_forget(study: Study) -> frozenset[tuple[str, str]]:
    """(domain, concept) of the study's own target and of every model's."""
    own = {pair for spec in study.models for pair in spec.forget}
    return frozenset(own | set(study.forget_concepts.items()))


def role_under(probe: Probe, target: Mapping[str, str]) -> Role:
    """What a probe is to a target; its own role where it carries none of the target's domains."""
    asked = [
        probe.concepts[domain] == concept for domain, concept in target.items() if domain in probe.concepts
    ]
    if not asked or probe.role not in _FOLLOWS:
        return probe.role
    if any(asked):
        return "forget"
    return "retain" if probe.role == "forget" else probe.role


def targeted(study: Study, model: str) -> Study:
    """The study as it is to one model: its target as the one to forget, and the probes' roles under it.

    A study in which no model names a target is as it is to every model.
    """
    if not has_targets(study):
        return study
    target = target_of(study, model)
    sets = [part for probe_set in study.probe_sets for part in _parts(probe_set, target)]
    return replace(study, forget_concepts=target, probe_sets=tuple(sets))


def with_some_target(study: Study) -> Study:
    """The study as it is to its original, or, where it names no target itself, to the first model that does."""
    named = [spec.name for spec in study.models if spec.forget and not study.forget_concepts]
    return targeted(study, (named or [study.original.name])[0])


def _parts(probe_set: ProbeSet, target: Mapping[str, str]) -> list[ProbeSet]:
    """The probes of a set, as one set for each role that they have; what keeps its role keeps the set's name."""
    roles: dict[Role, list[Probe]] = {}
    for probe in probe_set.probes:
        role = role_under(probe, target)
        roles.setdefault(role, []).append(probe if role == probe.role else replace(probe, role=role))
    return [
        replace(
            probe_set,
            name=probe_set.name if role == probe_set.role else f"{probe_set.name} ({role})",
            role=role,
            probes=tuple(probes),
        )
        for role, probes in roles.items()
    ]
