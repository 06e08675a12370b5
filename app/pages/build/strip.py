"""What each kept checkpoint of a run draws, beside the original: one prompt, one seed, a small picture a step.

Drawn by the worker when a run has ended, as ordinary evidence: an evaluation does not draw these again, and the page
only reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from app.looks.safe_text import literal, visible
from app.shared import state
from app.shared.jobs import Job
from app.shared.resources import store
from backends.errors import CheckpointError, ModelError, StoreError, StudyError
from backends.interfaces import PartialImage
from backends.pool import ModelPool
from backends.study import ModelSpec, Probe, Sampling, Study
from cache.evaluate.incomplete import with_model_name
from cache.store import Store
from cache.store.reading import images_for

MOST = 9
"""Checkpoints that are shown beside the original, evenly over the steps."""
WIDTH = 112
"""Of a picture, pixels."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a strip; `path` is None where it is not generated yet."""

    caption: str
    path: Path | None


def strip_probes(study: Study) -> list[Probe]:
    """What is drawn: the first prompt to forget, and the first to keep."""
    forget = [probe for each in study.probe_sets if each.role == "forget" for probe in each.probes]
    keep = [
        probe for each in study.probe_sets if each.role in ("retain", "neighbour") for probe in each.probes
    ]
    return [*forget[:1], *keep[:1]]


def checkpoints_of(study: Study, label: str) -> list[ModelSpec]:
    """Models of a trajectory by step, at most `MOST`, the first and the last among them."""
    result = sorted((spec for spec in study.models if spec.method == label), key=lambda spec: spec.step or 0)
    if len(result) <= MOST:
        return result
    return [result[round(place * (len(result) - 1) / (MOST - 1))] for place in range(MOST)]


def draw_strip(study: Study, label: str, kept: Store, models: ModelPool, job: Job) -> None:
    """The work, in the worker thread: draws what is not stored. What cannot be drawn is a remark of the job.

    Raises:
        Cancelled: stopped; what was drawn is kept.
        StoreError: the cache cannot be written.
    """
    from cache.evaluate.compare import compare_images
    from cache.evaluate.context import EvaluationContext

    names = [study.original.name, *(spec.name for spec in checkpoints_of(study, label))]
    probes = strip_probes(study)
    total, ended = len(names) * len(probes), 0

    def show(model: str, _seed: int, image: PartialImage) -> None:
        nonlocal ended
        ended += image.done
        job.report(min(ended, total), total, f"generating with {model}")

    for probe in probes:
        try:
            compare_images(
                EvaluationContext.of(study, kept, models, job.interrupted),
                names,
                probe,
                _one(study, probe),
                show,
                on_problem=lambda model, error: job.remark(with_model_name(model, error)),
            )
        except (CheckpointError, ModelError, StudyError) as error:
            job.remark(str(error))


def frames_of(study: Study, label: str, probe: Probe, kept: Store) -> list[Frame]:
    """The strip of a prompt as far as it is drawn, the original first."""
    specs = [study.original, *checkpoints_of(study, label)]
    return [Frame(_caption(spec), _picture(study, kept, spec, probe)) for spec in specs]


def strip_panel(study: Study, label: str) -> None:
    """The strips of a run, where anything of them is drawn."""
    strips = [(probe, frames_of(study, label, probe, store())) for probe in strip_probes(study)]
    for probe, frames in strips:
        if not any(frame.path for frame in frames[1:]):
            continue
        st.caption(literal(f"{label}: {visible(probe.prompt)}, seed {_one(study, probe).of(probe).seeds[0]}"))
        with st.container(horizontal=True, gap="small", key=f"strip_{probe.role}_{state.study_name()}"):
            for frame in frames:
                with st.container(width=WIDTH, gap="xxsmall"):
                    if frame.path is None:
                        st.caption("not generated")
                    else:
                        st.image(frame.path.read_bytes(), width=WIDTH)
                    st.caption(literal(frame.caption))


def _one(study: Study, probe: Probe) -> Sampling:
    """The study's settings with one seed."""
    return replace(study.sampling, seeds=study.sampling.of(probe).seeds[:1])


def _caption(spec: ModelSpec) -> str:
    if spec.part == "original":
        return "Original"
    return visible(spec.name) if spec.step is None else f"step {spec.step}"


def _picture(study: Study, kept: Store, spec: ModelSpec, probe: Probe) -> Path | None:
    try:
        image = images_for(study, kept, spec.name, [probe], _one(study, probe)).get(probe.id, {})
        return kept.thumbnail_path(next(iter(image.values())).image) if image else None
    except (CheckpointError, StoreError):
        return None  # a folder that was deleted, a file that is gone: it counts as not generated
