"""The strength curve: models between an original and an unlearned one, original + a (unlearned - original).

a = 0 is the original, 1 the unlearned model, more than 1 unlearns further, less than 0 the other way (Ilharco et al.
2023, "Editing models with task arithmetic", section 3). Imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import replace

from backends.errors import StudyError
from backends.study.study import ModelSpec

DIALLED = ("strength", "origin", "origin_adapter")
"""Fields of a model that only the dial sets; a study file has none of them."""
LEAST, MOST = -0.5, 1.5
"""What the dial offers; a study file may go to LIMIT on both sides."""
LIMIT = 10.0


def model_at(original: ModelSpec, unlearned: ModelSpec, strength: float) -> str:
    """Name of the model at a strength: the two models' own at the ends, `NPO 45 × 0.75` elsewhere."""
    if strength in (0.0, 1.0):
        return original.name if strength == 0.0 else unlearned.name
    sign = "−" if strength < 0 else ""
    return f"{unlearned.name} × {sign}{abs(strength):g}"


def dialled_method(unlearned: str) -> str:
    """What the models of one dial share, as checkpoints share a method; their steps are per cent."""
    return f"{unlearned} × %"


def is_dialled(spec: ModelSpec) -> bool:
    """Whether the model was made by the dial, at whatever strength."""
    return spec.method.endswith(" × %")


def dialled(original: ModelSpec, unlearned: ModelSpec, strength: float) -> ModelSpec:
    """The model at this strength; at 0 and 1 that is the original or the unlearned model itself, see `model_at`.

    Raises:
        StudyError: the two cannot be mixed, in one sentence.
    """
    if strength in (0.0, 1.0):
        return original if strength == 0.0 else unlearned
    check_pair(original, unlearned)
    return replace(
        unlearned,
        name=model_at(original, unlearned, strength),
        part="unlearned",
        method=dialled_method(unlearned.name),
        step=round(100 * strength),
        note=f"original + {strength:g} (unlearned − original)",
        strength=strength,
        origin=original.source,
        origin_adapter=original.adapter or "",
        fingerprint="",
    )


def check_pair(original: ModelSpec, unlearned: ModelSpec) -> None:
    """Refuse what cannot be mixed, before anything is loaded.

    Raises:
        StudyError: quantised models, an original that is itself a version, adapters on different bases.
    """
    how = "Merge each into a folder, and interpolate between those"
    if original.quantization or unlearned.quantization:
        raise StudyError(
            "quantised weights cannot be interpolated",
            where=unlearned.name,
            how="Interpolate the full models",
        )
    if original.samples_differently or unlearned.samples_differently:
        raise StudyError(
            "only weights can be interpolated, and one of the two also differs in how it samples",
            where=unlearned.name,
        )
    if unlearned.strength != 1.0 or unlearned.part == "original":
        raise StudyError("only an unlearned model of the study can be interpolated", where=unlearned.name)
    if original.weights:
        raise StudyError(
            "the original is itself defined as a change of another model", where=original.name, how=how
        )
    together = (unlearned.source, unlearned.subfolder) == (original.source, original.subfolder)
    if (original.adapter or unlearned.adapter) and not (
        together and (unlearned.adapter or not original.adapter)
    ):
        raise StudyError("the two are adapters on different bases", where=unlearned.name, how=how)
    places = {(each.subfolder, each.revision) for each in (original, unlearned)}
    if len(places) > 1 and not together:
        raise StudyError(
            "the two are in different subfolders or revisions", where=unlearned.name, how="Name local folders"
        )
    if unlearned.weights and not together:
        raise StudyError("the unlearned weights belong to another base", where=unlearned.name, how=how)
