"""The prompts of an unlearning run of an image model. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from backends.checkpoints.identity import resolve
from backends.checkpoints.tensors import read_json
from backends.errors import StudyError
from backends.study import ModelSpec, Study

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts to forget, the same with the anchor in place of the concept, and prompts to keep."""

    forget: tuple[str, ...]
    relabelled: tuple[str, ...]
    retain: tuple[str, ...]


def check_family(original: ModelSpec) -> None:
    """Refuse a pipeline that no method here trains, by its `model_index.json`; nothing is loaded.

    Raises:
        StudyError: no UNet, or more than one text encoder (SDXL, SD 3, Flux, ...).
        CheckpointError: the original is not here.
    """
    index = resolve(original.source, revision=original.revision) / original.subfolder / "model_index.json"
    if not index.is_file():
        return  # whoever loads it says what it is
    parts = {name for name, kind in read_json(index).items() if isinstance(kind, list) and None not in kind}
    one_encoder = "text_encoder" in parts and not parts & {"text_encoder_2", "text_encoder_3"}
    if "unet" in parts and one_encoder:
        return
    why = "it has several text encoders" if "unet" in parts and not one_encoder else "it has no UNet"
    why = "it reads no text" if "unet" in parts and "text_encoder" not in parts else why
    raise StudyError(
        f"a {read_json(index).get('_class_name', 'pipeline')} cannot be unlearned here, since {why}",
        where=original.name,
        how="Methods here train a UNet with one text encoder, as Stable Diffusion 1 and 2 have; unlearn it with the "
        "method's own code and add its weights to the study",
    )


def usual_anchor(study: Study) -> str:
    """A concept to put in the place of the forgotten one: the first of its kind that is retained; "" where none is."""
    for domain, forgotten in study.forget_concepts.items():
        for probes in study.probe_sets:
            for probe in probes.probes if probes.role == "retain" else ():
                if probe.concepts.get(domain, forgotten) != forgotten:
                    return probe.concepts[domain]
    return ""


def prompts_of(study: Study, anchor: str) -> Prompts:
    """The run's prompts.

    Raises:
        StudyError: nothing to forget, or prompts that are in both sets.
    """
    forget = tuple(dict.fromkeys(p.prompt for s in study.probe_sets if s.role == "forget" for p in s.probes))
    retain = tuple(dict.fromkeys(p.prompt for s in study.probe_sets if s.role == "retain" for p in s.probes))
    if not forget:
        raise StudyError("there are no forget probes, so there is nothing to unlearn", where=study.name)
    if not retain:
        raise StudyError("there are no retain probes, which every method needs", where=study.name)
    both = sorted(set(forget) & set(retain))
    if both:
        what = f"{len(both)} prompts are in both the forget and the retain set: {'; '.join(both[:_NAMED])}"
        raise StudyError(what, how="Remove them from one set")
    return Prompts(forget, tuple(relabelled(study, prompt, anchor) for prompt in forget), retain)


def relabelled(study: Study, prompt: str, anchor: str) -> str:
    """A prompt with the anchor in the place of the forgotten concept; the empty prompt where neither is known."""
    for forgotten in study.forget_concepts.values():
        if anchor and forgotten in prompt:
            return prompt.replace(forgotten, anchor)
    return anchor if not study.forget_concepts else ""
