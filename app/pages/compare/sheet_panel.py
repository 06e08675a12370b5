"""The sheet on Compare: two axes, the values of each, and the pictures; missing ones are drawn by one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from app.components.image_board import asked_image, image_board
from app.looks.safe_text import literal
from app.looks.theme import is_dark
from app.pages.compare.picture_export import export_buttons
from app.pages.compare.pictures import enlarged, sheet_board
from app.pages.compare.sheet import (
    AXES,
    AXIS_NAMES,
    MOST_CELLS,
    Axis,
    AxisValues,
    SheetCell,
    batches,
    cells,
    listed,
    numbers,
    places,
    prompts,
    without_own,
)
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.errors import show_errors
from app.shared.job_line import job_line, latest, started_here
from app.shared.jobs import Job, Work
from app.shared.resources import pool, runner, store
from app.shared.typed_settings import LIMITS
from backends.checkpoints.identity import available
from backends.errors import CheckpointError
from backends.evidence import ImageEvidence
from backends.interfaces import PartialImage
from backends.pool import ModelPool
from backends.study import Probe, Sampling, Study
from cache.store import Store
from cache.store.reading import images_for

KIND = "sheet"
POLL_SECONDS = 0.7


def sheet_panel(probe: Probe) -> None:
    """Axes, values, the run that draws what is missing, and the sheet."""
    chosen = _controls(probe)
    if chosen is None:
        return
    columns, rows, values = chosen
    sheet = cells(columns, rows, values, state.sampling())
    flat = [cell for column in sheet for cell in column]
    if len(flat) > MOST_CELLS:
        st.warning(
            f"This sheet has {len(flat):,} pictures; {MOST_CELLS} are the most. Shorten an axis, or put the "
            "prompts into a probe file and run `unlearnboard evaluate`.",
            icon=":material/grid_off:",
        )
        return
    job = latest(KIND, _topic(flat))
    active = job is not None and job.active
    st.fragment(run_every=POLL_SECONDS if active else None)(_results)(
        columns, rows, values, sheet, job, active
    )


def _controls(probe: Probe) -> tuple[Axis, Axis, AxisValues] | None:
    """The axes and their values; None where something typed cannot be used, which is said in place."""
    sampling, study = state.sampling(), state.study()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        columns: Axis = st.selectbox(
            "Columns",
            AXES,
            key=f"sheet_columns_{state.study_name()}",
            format_func=AXIS_NAMES.__getitem__,
            width=150,
        )
        taken = {"pair": ("prompt", "seed"), "prompt": ("pair",), "seed": ("pair",)}.get(columns, ())
        others = [axis for axis in AXES if axis != columns and axis not in taken]
        wanted: Axis = "prompt" if places(probe.prompt) and columns != "prompt" else "seed"
        usual = others.index(wanted) if wanted in others else 0
        rows: Axis = st.selectbox(
            "Rows",
            others,
            index=usual,
            key=f"sheet_rows_{state.study_name()}_{columns}_{bool(places(probe.prompt))}",
            format_func=AXIS_NAMES.__getitem__,
            width=150,
        )
        steps = _numbers(
            "Steps", str(sampling.steps), "5, 10, 25", *LIMITS["steps"], "steps" in (columns, rows)
        )
        guidance = _numbers(
            "Guidance",
            f"{sampling.guidance:g}",
            "1, 4, 7.5",
            *LIMITS["guidance"],
            "guidance" in (columns, rows),
        )
        filled = {
            name: listed(
                st.text_input(
                    f"Values of {name}",  # a word, by the pattern of places
                    ", ".join(_known(study, name)),
                    key=f"sheet_{state.study_name()}_{name}",
                    help="Values of this placeholder, separated by commas",
                    width=260,
                )
                or ""
            )
            for name in places(probe.prompt)
        }
    if steps is None or guidance is None:
        st.caption("Type numbers separated by commas, for instance 5, 10, 25.")
        return None
    asked = (
        prompts(study, probe.prompt, filled)
        if filled
        else _asked(probe, not {"prompt", "pair"}.isdisjoint((columns, rows)))
    )
    asked = tuple(without_own(each, (columns, rows)) for each in asked)
    models = tuple(chosen_models())
    values = AxisValues(models, asked, sampling.seeds, tuple(int(step) for step in steps), guidance)
    return columns, rows, values


def _asked(probe: Probe, many: bool) -> tuple[Probe, ...]:
    """The prompt; on an axis of prompts, also all probes of its set."""
    if not many:
        return (probe,)
    own = next((each.probes for each in state.study().probe_sets if probe in each.probes), (probe,))
    return (probe, *(each for each in own if each != probe))


def _known(study: Study, name: str) -> list[str]:
    """Concepts of that domain that the study's probes ask for, a few."""
    result = [
        probe.concepts[name] for each in study.probe_sets for probe in each.probes if name in probe.concepts
    ]
    return list(dict.fromkeys(result))[:6]


def _numbers(
    title: str, current: str, usual: str, low: float, high: float, shown: bool
) -> tuple[float, ...] | None:
    if not shown:
        return (float(current),)
    text = st.text_input(title, usual, key=f"sheet_{state.study_name()}_{title}", width=150)
    return numbers(text or "", low, high)


@show_errors()
def _results(
    columns: Axis,
    rows: Axis,
    values: AxisValues,
    sheet: Sequence[Sequence[SheetCell]],
    job: Job | None,
    was_active: bool,
) -> None:
    study = state.study()
    forming: dict[tuple[str, str, str], PartialImage] = {}
    if job is not None:
        active = job.active
        job_line(job)
        for sentence in job.remarks:
            st.warning(literal(sentence), icon=":material/info:")
        forming = job.partial() if active else {}
        if was_active and not active:
            st.rerun()
    stored = _stored(study, store(), [cell for column in sheet for cell in column])
    missing = [cell for column in sheet for cell in column if stored[id(cell)] is None]
    here = [cell for cell in missing if available(study.model(cell.model))]
    drawn = sheet_board(study, store(), columns, rows, values, sheet, stored, forming, dark=is_dark())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button(
            f"Generate {len(here)} missing" if here else "All generated",
            type="primary" if here else "secondary",
            icon=":material/brush:",
            disabled=not here or was_active,
            key="draw_sheet",
        ):
            flat = [cell for column in sheet for cell in column]
            title = f"Generating {len(here)} pictures"
            submitted = runner().submit(title, KIND, _topic(flat), _work(study, here))
            started_here(submitted)
            st.rerun()
        export_buttons(drawn, study.name, state.sampling())
        if len(here) < len(missing):
            st.caption(
                f"{len(missing) - len(here)} pictures are not recorded, and the weights of their models "
                "are not on this machine."
            )
    key = f"sheet_{state.study_name()}"
    drawn["full"] = enlarged(store(), asked_image(key))
    image_board(drawn, key=key, on_view=state.show_view)


def _stored(study: Study, kept: Store, flat: Sequence[SheetCell]) -> dict[int, ImageEvidence | None]:
    """What is stored of each cell, by its id(); the store is asked once for each model and setting."""
    groups: dict[tuple[str, Sampling], list[SheetCell]] = {}
    for cell in flat:
        groups.setdefault((cell.model, replace(cell.sampling, seeds=(0,))), []).append(cell)
    result: dict[int, ImageEvidence | None] = {}
    for (model, sampling), group in groups.items():
        probes = list({cell.probe.id: cell.probe for cell in group}.values())
        seeds = tuple(dict.fromkeys(cell.seed for cell in group))
        try:
            pictures = images_for(study, kept, model, probes, replace(sampling, seeds=seeds))
        except CheckpointError:
            pictures = {}  # a model that cannot be read; the sidebar says why
        result |= {id(cell): pictures.get(cell.probe.id, {}).get(cell.seed) for cell in group}
    return result


def _topic(flat: Sequence[SheetCell]) -> tuple[str, ...]:
    parts = [f"{cell.model}/{cell.probe.digest()}/{cell.sampling.key(cell.seed)}" for cell in flat]
    return (state.board_name(), *parts)


def _work(study: Study, wanted: Sequence[SheetCell]) -> Work:
    return partial(_draw, study, store(), pool(), list(wanted))


def _draw(study: Study, kept: Store, models: ModelPool, wanted: Sequence[SheetCell], job: Job) -> None:
    """The work of a run, in the worker thread."""
    from cache.evaluate.compare import compare_images
    from cache.evaluate.context import EvaluationContext
    from cache.evaluate.incomplete import with_model_name

    ended: set[tuple[str, str, str]] = set()
    job.report(0, len(wanted), "loading models")
    for probe, sampling, names in batches(wanted):

        def show(
            model: str, seed: int, image: PartialImage, probe: Probe = probe, sampling: Sampling = sampling
        ) -> None:
            place = (model, probe.digest(), sampling.key(seed))
            job.publish(place, image)
            if image.done:
                ended.add(place)
            job.report(len(ended), len(wanted))

        compare_images(
            EvaluationContext.of(study, kept, models, job.stopping),
            names,
            probe,
            sampling,
            show,
            job.remark,
            lambda model, error: job.remark(with_model_name(model, error)),
        )
