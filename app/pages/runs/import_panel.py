"""Importing other tools' results on the Runs page: dropped files, a path on this machine, what is there already."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import streamlit as st
from blake3 import blake3

from app.looks.safe_text import literal, visible
from app.shared import state
from app.shared.reference_choice import reference_choice
from app.shared.resources import store
from backends.errors import BoardError
from cache.importers import ImportChanges, ImportFindings, Remark, grouped, import_results
from cache.store.results import ImportedRun, collections, remove_collection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.runtime.uploaded_file_manager import UploadedFile

FORMATS = (
    "open-unlearning (TOFU_EVAL, MUSE_EVAL, LMEval, whole `saves` folders), TOFU 2024, NPO and SimNPO "
    "(`eval_log_aggregated.json`, `aggregate_stat`), MUSE CSV, RWKU, Unlearning Depth Score, lm-evaluation-harness, "
    "UnlearnCanvas `.pth`, UnlearnDiffAtk logs, eval-unlearn reports, CSV tables"
)
MOST_LINES = 30
REPORT = "import.report"


def import_panel() -> None:
    """Drop files or name a path; below, the collections that are here."""
    st.header("Results of other tools", anchor=False)
    with st.container(border=True):
        count = st.session_state.setdefault("import.count", 0)
        files = st.file_uploader(
            "Upload result files",
            accept_multiple_files=True,
            key=f"import_files_{count}",
            help=FORMATS,
        )
        left, right = st.columns([5, 1], vertical_alignment="bottom")
        path = left.text_input(
            "Or a path on this machine",
            key="import_path",
            placeholder="open-unlearning/saves",
        )
        if right.button(
            "Import", icon=":material/upload_file:", key="import_go", disabled=not (files or path)
        ):
            _import(files, path)
    report = st.session_state.get(REPORT)
    if report is not None:
        _say(*report)
    _listed()


def _import(files: Sequence[UploadedFile], path: str) -> None:
    """Read everything and keep it; the uploads are emptied afterwards."""
    bar = st.progress(0.0, "Reading files …")

    def progress(done: int, total: int) -> None:
        bar.progress(done / total if total else 1.0, f"Reading {done} of {total} files …")

    try:
        found, changed = ImportFindings(), ImportChanges(0, 0, 0)
        if files:
            with tempfile.TemporaryDirectory() as folder:
                _unpack(files, Path(folder))
                relabelled = partial(_relative, folder=folder)
                more, done = import_results(store(), [Path(folder)], progress, relabelled)
            found.add(more)
            changed = _sum(changed, done)
        if path:
            more, done = import_results(store(), [Path(path).expanduser()], progress)
            found.add(more)
            changed = _sum(changed, done)
        found.notes = list(dict.fromkeys(found.notes))
        st.session_state[REPORT] = found, changed
        st.session_state["import.count"] += 1
    except BoardError as error:
        st.session_state[REPORT] = None
        bar.empty()
        st.error(literal(str(error)), icon=":material/error:")
        return
    st.rerun()


def _sum(one: ImportChanges, other: ImportChanges) -> ImportChanges:
    return ImportChanges(*(left + right for left, right in zip(one, other, strict=True)))


def _unpack(files: Sequence[UploadedFile], folder: Path) -> None:
    """Write uploads to where readers find them, under their own relative names and nowhere else."""
    for file in files:
        parts = [
            part for part in PurePosixPath(file.name.replace("\\", "/")).parts if part not in ("..", "/", "")
        ]
        content = file.getvalue()
        # A file without its folder has no name of its own, so what it says names it; equal files are one.
        alone = folder / f"dropped {blake3(content).hexdigest()[:6]}" / (parts or ["file"])[-1]
        place = folder.joinpath(*parts) if len(parts) > 1 else alone
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _relative(findings: ImportFindings, folder: str) -> ImportFindings:
    """The same with the uploads' own names instead of the temporary folder's.

    Without a source: a later upload of that name may be of another run, and replaces nothing.
    """

    def short(text: str) -> str:
        return text.replace(f"{folder}/", "")

    def shorter(lines: Sequence[Remark]) -> list[Remark]:
        return [Remark(short(line.where), short(line.what)) for line in lines]

    return ImportFindings(
        [_uploaded(each, short(each.source)) for each in findings.results],
        shorter(findings.problems),
        shorter(findings.left_out),
        shorter(findings.notes),
    )


def _uploaded(result: ImportedRun, name: str) -> ImportedRun:
    return replace(result, source="", settings={**result.settings, "uploaded": name})


def _say(findings: ImportFindings, changed: ImportChanges) -> None:
    """What the last import did."""
    kinds = {each.modality for each in findings.results}
    text = f"{changed.new} new runs, {changed.replaced} replaced, {changed.known} already imported."
    if findings.results:
        st.success(f"{text} They are on the Trade-offs page under Layers.", icon=":material/check_circle:")
        if kinds - {state.study().modality}:
            other = "image" if state.study().modality == "text" else "text"
            st.caption(f"Runs of {other} models are shown with the {other} study.")
    else:
        st.warning("No supported result files found.", icon=":material/help:")
    for title, lines, shown in (
        ("notes", findings.notes, True),
        ("could not be used", findings.problems, True),
        ("left out", findings.left_out, False),
    ):
        told = grouped(lines)
        if told:
            with st.expander(f"{len(told)} {title}", expanded=shown):
                more = [f"and {len(told) - MOST_LINES} more"] if len(told) > MOST_LINES else []
                st.text(visible("\n".join([*told[:MOST_LINES], *more])))


def _listed() -> None:
    """Collections that are here, with a way to forget one."""
    held = collections(store())
    if not held:
        return
    for each in held:
        with st.container(horizontal=True, vertical_alignment="center", key=f"collection_{each.name}"):
            st.text(visible(f"{each.name}"), width="stretch")
            st.caption(literal(f"{each.runs} runs · {each.tool} · protocol {each.protocol}"), width="content")
            st.button(
                "Forget",
                key=f"forget_{each.name}",
                type="tertiary",
                icon=":material/delete:",
                on_click=_forget,
                args=(each.name,),
            )
        if each.modality == "text":
            reference_choice(each.name)


def _forget(name: str) -> None:
    remove_collection(store(), name)
    st.session_state[REPORT] = None
