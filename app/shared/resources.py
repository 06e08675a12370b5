"""What the whole process shares: the studies, the evidence store, the models, the worker.

Each is made once, by a cached function without arguments. Making the pool loads no model and imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from app.shared.jobs import Runner
from app.shared.settings import open_cache, study_files_are_given, study_paths
from app.shared.unlearning_runs import built_folder, with_built
from backends.checkpoints.usable import problems as problems_of
from backends.pool import ModelPool
from backends.study import Study
from backends.study.file import read_study
from cache.evaluate.incomplete import with_model_name
from cache.store import Store

pd.set_option(
    "mode.string_storage", "python"
)  # Arrow takes a millisecond to compare a column of thirty names

RECHECK_SECONDS = 60.0
"""Seconds after which models that cannot be used are looked at again: a file may be mended meanwhile."""


@st.cache_resource(show_spinner=False)
def runner() -> Runner:
    """The one thread that touches models."""
    return Runner(after_defect=lambda: pool().release())


@st.cache_resource(show_spinner=False)
def pool() -> ModelPool:
    """The models in memory; only the worker may use them."""
    return ModelPool()


@st.cache_resource(show_spinner="Opening the cache …")
def store() -> Store:
    """The evidence store.

    Raises:
        StoreError: the cache folder is not usable.
    """
    return open_cache()


@st.cache_resource(show_spinner=False)
def studies() -> Mapping[str, Study]:
    """The studies of this process by the short name that stands in a link, in the order they were given.

    Models that were made on the Build page are in them; clear this when there are new ones.

    Raises:
        StudyError: a study file is not usable.
    """
    by_name: dict[str, Study] = {}
    for path in study_paths():
        study = read_study(path)
        name = _short_name(study.name, taken=by_name)
        by_name[name] = with_built(study, built_folder(name))
    return by_name


def problems(name: str) -> Mapping[str, str]:
    """The models of a study that cannot be used, and a sentence for each; looked at again after a while."""
    return _problems(name, len(studies()[name].models)) if study_files_are_given() else {}


@st.cache_resource(show_spinner=False, ttl=RECHECK_SECONDS, max_entries=32)
def _problems(name: str, _count: int) -> Mapping[str, str]:
    unusable = problems_of(studies()[name])
    return {model: with_model_name(model, error) for model, error in unusable.items()}


def _short_name(name: str, taken: Mapping[str, Study]) -> str:
    """`Fictitious people` -> `fictitious-people`, numbered where it is taken."""
    short = re.sub(r"[^\w]+", "-", name.lower()).strip("-") or "study"
    numbered = (short if count == 1 else f"{short}-{count}" for count in range(1, len(taken) + 2))
    return next(candidate for candidate in numbered if candidate not in taken)
