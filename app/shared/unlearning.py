"""Unlearning runs as a person asks for them: by method and settings, one or a grid, into a folder with a study file.

Shared by `unlearnboard unlearn` and the Build page; imports torch only when something is prepared.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backends.errors import StudyError
from backends.extras import check_extra
from backends.probes.reading import read_probes
from backends.study import Modality, ModelSpec, Study
from backends.study.file import read_study
from backends.study.writing import write_study
from backends.unlearning.settings import Setting, kept_steps, values_of

if TYPE_CHECKING:
    from backends.unlearning.run_files import RunFolder, RunProgress

STUDY = "study.toml"
MOST_RUNS = 64


@dataclass(frozen=True, slots=True)
class UnlearningRequest:
    """What a person asks for.

    Attributes:
        method: name, or the path of a Python file.
        settings: name -> value.
        checkpoints: how many are kept.
        folder: where the runs and the study file go.
        retain: a file of rows to keep in place of the study's retain probes (language models).
        anchor: concept that takes the forgotten one's place (images); None finds one, "" is the empty prompt.
    """

    method: str
    settings: Mapping[str, str]
    checkpoints: int
    folder: Path
    retain: Path | None = None
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that can begin.

    Attributes:
        label: of the trajectory on every page.
        about: what will happen, a sentence each.
        steps: how many.
        files: the run's folder.
        run: does it; device, shown, stop -> the models that were made.
    """

    label: str
    about: tuple[str, ...]
    steps: int
    files: RunFolder
    run: Callable[[str, Callable[[RunProgress], None], Callable[[], bool]], list[ModelSpec]]


def grid(text: Sequence[str]) -> list[dict[str, str]]:
    """Every combination of values given as `lr=1e-4,3e-4`; one empty combination for nothing.

    Raises:
        StudyError: not NAME=VALUE,VALUE, or too many combinations.
    """
    axes: list[list[tuple[str, str]]] = []
    for each in text:
        name, equals, values = each.partition("=")
        if not equals or not name or not values:
            raise StudyError(f"{each!r} is not NAME=VALUE,VALUE", where="--grid")
        axes.append([(name, value) for value in values.split(",") if value])
    combinations = [dict(chosen) for chosen in itertools.product(*axes)]
    if len(combinations) > MOST_RUNS:
        raise StudyError(
            f"this grid has {len(combinations)} runs, and {MOST_RUNS} is the most", where="--grid"
        )
    return combinations


def prepare(study: Study, asked: UnlearningRequest, varied: Mapping[str, str] | None = None) -> PreparedRun:
    """Check everything that can be checked before a model is loaded.

    Args:
        study: whose original is unlearned.
        asked: method and settings.
        varied: settings that differ in a grid; they become part of the name.

    Raises:
        StudyError: what is wrong, in one sentence.
        MissingPackages: the packages that train such models are not installed.
    """
    check_extra(study.modality)
    together = replace(asked, settings={**asked.settings, **(varied or {})})
    make = _image_run if study.modality == "image" else _text_run
    name = _method_name(study, asked.method)
    base = " ".join([name, *(f"{key}={value}" for key, value in (varied or {}).items())])
    # A trajectory of the study keeps its name for itself.
    taken = {spec.method for spec in study.models if not _lies_in(spec, asked.folder)}
    for label in itertools.chain([base], (f"{base} ({n})" for n in itertools.count(2))):
        prepared = make(study, together, label)
        if label not in taken and prepared.files.is_free():
            break
    return prepared


def _lies_in(spec: ModelSpec, folder: Path) -> bool:
    return Path(spec.adapter or spec.weights or "").is_relative_to(folder)


def _method_name(study: Study, method: str) -> str:
    from backends.unlearning.own_method import image_method, text_method

    return (image_method if study.modality == "image" else text_method)(method).name


def _text_run(study: Study, asked: UnlearningRequest, label: str) -> PreparedRun:
    from backends.unlearning.own_method import text_method
    from backends.unlearning.recipes import recipe
    from backends.unlearning.text_rows import rows_of
    from backends.unlearning.text_runs import Plan, run_folder, unlearn

    retain = None if asked.retain is None else read_probes(asked.retain, "retain").probes
    chosen = text_method(asked.method)
    made = recipe(chosen, asked.settings, asked.checkpoints)
    rows = rows_of(study, chosen, made, retain)
    code = _digest(asked.method) if asked.method.endswith(".py") else ""
    plan = Plan(study, chosen, made, rows, asked.folder / _slug(label), label, code)
    used = made.objective.alpha > 0 or made.objective.keep > 0
    about = [_headline(label, chosen.about, chosen.source)]
    about.append(
        f"{len(rows.forget)} rows to forget" + (f", {len(rows.retain)} to keep" if used else ", none to keep")
    )
    if used and retain is None:
        about.append(
            "It trains on the study's retain probes, so their scores are on seen rows; use --retain FILE "
            "to train on others."
        )
    return PreparedRun(label, tuple(about), made.schedule.steps, run_folder(plan), partial(unlearn, plan))


def _image_run(study: Study, asked: UnlearningRequest, label: str) -> PreparedRun:
    from backends.unlearning.image_prompts import check_family, prompts_of, usual_anchor
    from backends.unlearning.image_runs import ImagePlan, run_folder, unlearn
    from backends.unlearning.image_settings import settings_of
    from backends.unlearning.own_method import image_method

    if asked.retain is not None:
        raise StudyError("image models keep the pictures of [denoising] retain", where="--retain")
    check_family(study.original)
    chosen = image_method(asked.method)
    values = values_of(asked.settings, settings_of(chosen))
    steps = int(values["steps"])
    if chosen.loss is None and steps > 100:
        raise StudyError("a closed-form method goes at most 100 per cent of the way", where="--set steps")
    anchor = usual_anchor(study) if asked.anchor is None else asked.anchor
    plan = ImagePlan(
        study,
        chosen,
        tuple(sorted(values.items())),
        kept_steps(steps, asked.checkpoints),
        anchor,
        asked.folder / _slug(label),
        label,
        _digest(asked.method) if asked.method.endswith(".py") else "",
    )
    prompts = prompts_of(study, anchor)
    real = study.denoising is not None and study.denoising.forget and study.denoising.retain
    about = (
        _headline(label, chosen.about, chosen.source),
        f"{len(prompts.forget)} prompts to forget, {len(prompts.retain)} to keep; pictures "
        + ("are the study's real ones" if real else "are drawn by the original"),
        f"“{prompts.forget[0]}” is to become “{prompts.relabelled[0]}” for methods that use an anchor concept",
    )
    return PreparedRun(label, about, steps, run_folder(plan), partial(unlearn, plan))


def _headline(label: str, about: str, source: str) -> str:
    return f"{label}: {about}" + (f" ({source})" if source else "")


def add_to_study(study: Study, folder: Path, made: Sequence[ModelSpec]) -> Study | None:
    """Write the study file of a folder of runs, with these models in it; None if there are none.

    A model whose weights it has already is replaced.
    """
    if not made:
        return None
    written = folder / STUDY
    before = read_study(written) if written.is_file() else study
    weights = {(spec.adapter, spec.weights) for spec in made}
    others = [spec for spec in before.models if (spec.adapter, spec.weights) not in weights]
    result = replace(before, models=(*others, *made))
    write_study(result, written)
    return result


def methods_of(modality: Modality) -> dict[str, str]:
    """Name and description of every method for a kind of model."""
    from backends.unlearning import image_methods, text_methods

    if modality == "image":
        return {each.name: f"{each.about} {each.source}" for each in image_methods.METHODS.values()}
    return {each.name: f"{each.about} {each.source}" for each in text_methods.METHODS.values()}


def settings_for(method: str, modality: Modality) -> dict[str, Setting]:
    """The settings of a method, with its own usual values.

    Raises:
        StudyError: there is no such method.
    """
    if modality == "image":
        from backends.unlearning.image_settings import settings_of as image_settings
        from backends.unlearning.own_method import image_method

        return image_settings(image_method(method))
    from backends.unlearning.own_method import text_method
    from backends.unlearning.recipes import settings_of

    return settings_of(text_method(method))


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9.=-]+", "-", label.lower()).strip("-")


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()[:16]
