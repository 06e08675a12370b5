"""What pages cost the server: CPU seconds, warm, beside what they should cost.

    python -m tests.benchmarks.pages [--models 50] [--probes 1417] [--only demo|made] [--profile ROW] [--folder FOLDER]

Two studies: the demo's of language models, and one of TOFU's real size with invented evidence (`made_study`). Pages run
whole, by Streamlit's own test driver in this process; what a browser and the connection to it cost is not in it. Each
row is the median of three, and each of these does something new: another point, another axis. For the made study,
half as many models on half as many probes are measured too: n says how the cost grows with what is stored, as
cost ~ stored^n. With --folder the caches are kept there and found again; --profile tells where one row's time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import math
import os
import pstats
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from sqlalchemy import delete
from streamlit.testing.v1 import AppTest

from app.pages.compare.cards import VIEW_NAMES
from app.shared import state
from app.shared.resources import studies
from app.shared.settings import CACHE_VARIABLE, STUDIES_VARIABLE, demo_studies, open_cache
from backends.study import Study
from backends.study.file import read_study
from cache.analysis.scoreboard import scoreboard
from cache.analysis.verdict.kept import kept_verdicts
from cache.analysis.verdict.verdicts import verdicts
from cache.store import open_store, schema
from tests.benchmarks.made_study import WHOLE, made_study, write_evidence
from tests.filled_store import write_study

MAIN = Path(__file__).resolve().parents[2] / "app" / "frame" / "main.py"
TIMES = 3
DERIVE, FIRST = "derive all from evidence", "first numbers, derived before"
JUDGE, JUDGED = "verdicts from kept numbers", "verdicts, judged before"

AIMS = {
    FIRST: (0.1, 0.5),
    DERIVE: (2.5, 15.0),
    JUDGE: (1.0, 2.0),
    JUDGED: (0.1, 0.1),
    "open Overview": (0.1, 0.3),
    "open Trade-offs": (0.3, 0.6),
    "click a point": (0.15, 0.4),
    "change an axis": (0.15, 0.4),
    "a preset": (0.15, 0.4),
    "Next on Compare": (0.1, 0.15),
    "change the view": (0.1, 0.15),
    "tick a model": (0.1, 0.15),
    "open Examples": (0.3, 1.0),
    "filter": (0.1, 0.3),
    "open Robustness": (0.15, 0.3),
}
"""CPU seconds that the demo and the made study of 50 models x 1,417 probes should take."""


class Clock:
    """CPU seconds of named pieces of work, of all threads of this process; one name may be profiled."""

    def __init__(self, profiled: str = "") -> None:
        self._profiled = profiled
        self._profiles: list[cProfile.Profile] = []
        self._seconds: dict[str, list[float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Counts the block under this name."""
        if name == self._profiled:
            self._profile()
            threading.setprofile(lambda *_: self._profile())  # pages run in threads of their own
        started = time.process_time()
        yield
        self._seconds.setdefault(name, []).append(time.process_time() - started)
        threading.setprofile(None)
        sys.setprofile(None)

    def _profile(self) -> None:
        profile = cProfile.Profile()
        self._profiles.append(profile)
        profile.enable()

    def medians(self) -> dict[str, float]:
        """Seconds by name; prints the profile."""
        if self._profiles:
            told = pstats.Stats(self._profiles[0])
            for each in self._profiles[1:]:
                told.add(each)
            told.sort_stats("cumulative").print_stats(70)
        return {name: statistics.median(each) for name, each in self._seconds.items()}


def main() -> None:
    """Print the table."""
    told = _arguments()
    logging.disable(logging.WARNING)  # Streamlit says for each run that there is no server
    with tempfile.TemporaryDirectory() as name:
        _print(_measured_all(told, Path(told.folder or name).resolve()))


def _measured_all(told: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Name of a study -> row -> CPU seconds."""
    seconds: dict[str, dict[str, float]] = {}
    if told.only != "made":
        seconds["demo"] = measured(folder / "demo", demo_studies()[0], told.profile)
    if told.only != "demo":
        for part in (2, 1):
            models, probes = told.models // part, told.probes // part
            cache = folder / f"{models}x{probes}"
            seconds[f"{models} x {probes:,}"] = measured(cache, _made(cache, models, probes), told.profile)
    return seconds


def measured(folder: Path, study_file: Path, profiled: str = "") -> dict[str, float]:
    """CPU seconds of every row of the table, of a study in a file and its cache in a folder."""
    os.environ[CACHE_VARIABLE] = str(folder)
    os.environ[STUDIES_VARIABLE] = "" if study_file in demo_studies() else json.dumps([str(study_file)])
    open_cache().close()
    study = read_study(study_file)
    clock = Clock(profiled)
    _derive(study, folder, Clock())  # imports what deriving needs
    _derive(study, folder, clock)
    for _ in range(TIMES):
        store = open_store(folder / "evidence.sqlite")
        with clock(FIRST):
            scoreboard(study, store)
        store.close()
    _judge(study, folder, clock)
    st.cache_resource.clear()
    _pages(study, clock)
    return clock.medians()


def _derive(study: Study, folder: Path, clock: Clock) -> None:
    """All numbers from evidence, of a cache in which nothing derived is kept."""
    store = open_store(folder / "evidence.sqlite")
    with store.writing(news=False) as connection:
        kept = schema.memos.c.key.startswith("pack ")  # not a number: the demo's evidence was taken in
        connection.execute(delete(schema.memos).where(~kept))
    with clock(DERIVE):
        scoreboard(study, store)
    store.close()


def _judge(study: Study, folder: Path, clock: Clock) -> None:
    """The verdicts of numbers that are kept, then those that are kept themselves."""
    for _ in range(TIMES):
        store = open_store(folder / "evidence.sqlite")
        with clock(JUDGE):
            verdicts(study, scoreboard(study, store))
        kept_verdicts(study, scoreboard(study, store), store)
        with clock(JUDGED):
            kept_verdicts(study, scoreboard(study, store), store)
        store.close()


def _pages(study: Study, clock: Clock) -> None:
    """What a person does, on pages that were all open before."""
    app = AppTest.from_file(str(MAIN), default_timeout=1200)
    pages = (
        *(state.OVERVIEW_PAGE, state.COMPARE_PAGE, state.TRADEOFFS_PAGE, state.EXAMPLES_PAGE),
        state.ROBUSTNESS_PAGE,
    )
    overview, compare, tradeoffs, examples, robustness = (
        os.path.relpath(page, MAIN.parent) for page in pages
    )
    mine = f"board.{next(iter(studies()))}"
    unlearned = [spec.name for spec in study.models if spec.part == "unlearned"]
    probes = [
        probe for probe_set in study.probe_sets if probe_set.role == "forget" for probe in probe_set.probes
    ]
    axes = [f"forget/{metric}" for metric in ("rouge_l", "truth_ratio", "extraction_strength")]
    presets = [("forget/rouge_l", "retain/rouge_l"), ("forget/mia_min_k", "all/model_utility")] * TIMES

    def run(**said: object) -> None:
        for name, value in said.items():
            app.session_state[name] = value
        app.run()
        if app.exception:
            raise RuntimeError(app.exception[0].value)

    def go(page: str) -> None:
        app.switch_page(page)
        run()

    run()
    for page in (tradeoffs, examples, robustness, compare):
        go(page)
    for turn in range(TIMES):
        with clock("open Overview"):
            go(overview)
        go(compare)
        with clock("Next on Compare"):
            run(**{f"{mine}.probe": probes[turn + 1].id})
        with clock("change the view"):
            run(**{f"{mine}.view": list(VIEW_NAMES)[1 + turn]})
        with clock("tick a model"):
            run(**{f"{mine}.models": ["Original", *unlearned[2 : 5 + turn]]})
        with clock("open Trade-offs"):
            go(tradeoffs)
        with clock("click a point"):
            run(run=[unlearned[(turn + 1) % len(unlearned)]])
        with clock("change an axis"):
            run(x=axes[turn])
        with clock("a preset"):
            run(x=presets[turn][0], y=presets[turn][1])
        run(**{f"{mine}.models": None})
        with clock("open Examples"):
            go(examples)
        with clock("filter"):
            run(examples_find="aeiou"[turn])
        run(examples_find="")
        with clock("open Robustness"):
            go(robustness)


def _made(folder: Path, models: int, probes: int) -> Path:
    """The study file of a made study, whose evidence is in the cache of the same folder."""
    file = folder / "study" / "study.toml"
    done = folder / "done"
    if done.is_file():
        return file
    study = made_study(models, probes)
    write_study(study, file.parent)
    study = read_study(file)
    store = open_store(folder / "evidence.sqlite")
    for spec in study.models:
        write_evidence(study, store, spec.name)
    store.close()
    done.touch()
    return file


def _print(seconds: dict[str, dict[str, float]]) -> None:
    """Rows and columns as in `AIMS`; the exponent where two made studies were measured."""
    names = list(seconds)
    made = [name for name in names if name != "demo"]
    print(f"{'CPU seconds':32}" + "".join(f"{name:>14}" for name in names) + f"{'n':>7}{'aim':>14}")
    for row, aim in AIMS.items():
        growth = ""
        if len(made) == 2:
            small, large = (seconds[name][row] for name in made)
            growth = f"{math.log(large / small) / math.log(4):.2f}"
        numbers = "".join(f"{seconds[name][row]:14.2f}" for name in names)
        print(f"{row:32}{numbers}{growth:>7}{aim[0]:8} / {aim[1]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--probes", type=int, default=WHOLE)
    parser.add_argument("--only", choices=("demo", "made"), default="")
    parser.add_argument("--profile", choices=("", *AIMS), default="", help="row to be profiled")
    parser.add_argument("--folder", default="", help="where made caches are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
