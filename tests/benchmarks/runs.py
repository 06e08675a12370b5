"""What ten thousand runs cost: data for the page, a change of axis, fronts, resamples; MLflow asked the same.

    python -m tests.benchmarks.runs [runs]
    MLFLOW_PYTHON=/path/to/a/python/with/mlflow python -m tests.benchmarks.runs

Random runs with 20 metrics each. MLflow (its own Python, since its pins differ from ours) gets the same runs in its own
SQLite store, written through its own tables, and is asked with `search_runs`. CPU seconds; ratios within one run count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.charts.choices import axis
from app.charts.many import Ruler, Scene, parallel_many
from app.charts.points import chart_points
from app.charts.tradeoff import tradeoff_figure
from app.looks.model_looks import METHOD_LOOKS
from backends.metrics import METRICS, Direction, TextMetric
from cache.analysis.frontier import hypervolume, pareto
from cache.analysis.resampling import bootstrap_means
from cache.analysis.results_board import results_board
from cache.store import open_store
from cache.store.results import ImportedRun, MetricNumber, put_results

COLLECTION = "benchmark"
METRIC_COUNT = 20
WAYS: tuple[Direction, Direction] = ("lower", "higher")
_MLFLOW = """
import json, sys, time, mlflow
from mlflow.store.tracking.dbmodels import models
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
path, count, names = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
uri = f"sqlite:///{path}"
store = SqlAlchemyStore(uri, path + "-artifacts")
experiment = store.create_experiment("benchmark")
import random
with store.ManagedSessionMaker() as session:
    for start in range(0, count, 500):
        rows = []
        for number in range(start, min(start + 500, count)):
            run = f"{number:032x}"
            rows.append(models.SqlRun(run_uuid=run, name=run, status="FINISHED", lifecycle_stage="active",
                experiment_id=int(experiment), start_time=number, end_time=number, source_type="LOCAL", user_id="x"))
            for name in names:
                rows.append(models.SqlLatestMetric(key=name, value=random.random(), timestamp=0, step=0, is_nan=False,
                    run_uuid=run))
        session.add_all(rows)
        session.flush()
mlflow.set_tracking_uri(uri)
wall, cpu = time.perf_counter(), time.process_time()
frame = mlflow.search_runs([experiment], max_results=count)
print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "rows": len(frame),
    "columns": sum(column.startswith("metrics.") for column in frame), "version": mlflow.__version__}))
"""


def main(count: int = 10_000) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(folder / "evidence.sqlite")
        keys = metric_keys()
        put_results(store, random_runs(count, keys))
        store.close()
        opened = open_store(folder / "evidence.sqlite")
        opened.version()
        page = timed(lambda: results_board(opened, [COLLECTION]), 5)
        board = results_board(opened, [COLLECTION])
        assert (len(board), len(board.keys)) == (count, METRIC_COUNT)
        models = list(board.heads["model"])
        looks = {model: METHOD_LOOKS[place % 8] for place, model in enumerate(models)}
        x, y = axis(keys[0], turn=True), axis(keys[1], turn=True)

        def change_of_axis() -> str:
            points = chart_points(board.frame([keys[0], keys[1]]), models, x, y)
            return str(tradeoff_figure(points, x, y, looks).to_json())

        changed = timed(change_of_axis, 3)
        rulers = [Ruler(key, key, turned=False) for key in keys[:8]]
        scene = Scene(board, looks, list(board.heads["method"]), dark=False)
        lines = timed(lambda: parallel_many(scene, rulers).to_json(), 3)
        values = np.random.default_rng(0).random((count, 2))
        front = timed(lambda: (pareto(values, WAYS), hypervolume(values, WAYS, (1, 0))), 5)
        probes = np.random.default_rng(1).random((400, 100))
        resampled = timed(lambda: bootstrap_means(probes, resamples=2000, seed=7), 1)
        size = (folder / "evidence.sqlite").stat().st_size / 1e6
        peer = ask_mlflow(folder, count, keys)
    print(f"CPU seconds; {count:,} runs x {METRIC_COUNT} metrics, {size:.0f} MB")
    print(f"{'data for the page, store open':44} {page:8.3f}   asked: 0.1")
    print(f"{'change of axis: points, figure, its JSON':44} {changed:8.3f}   asked: 0.5 at the browser")
    print(f"{'parallel coordinates with 8 axes':44} {lines:8.3f}")
    print(f"{'Pareto front and hypervolume':44} {front:8.4f}   asked: 0.05")
    print(f"{'100 runs x 400 probes x 2,000 resamples':44} {resampled:8.3f}   asked: 2")
    if peer is None:
        print("MLflow was not asked: name a Python that has it with MLFLOW_PYTHON")
    else:
        ratio = peer["cpu"] / page
        print(
            f"{'MLflow ' + peer['version'] + ', search_runs':44} {peer['cpu']:8.3f}   ours is {ratio:,.0f} x as fast"
        )


def metric_keys() -> list[str]:
    """Twenty metrics of the forget probes."""
    return [f"forget/{name}" for name, metric in METRICS.items() if isinstance(metric, TextMetric)][:10] + [
        f"retain/{name}" for name, metric in METRICS.items() if isinstance(metric, TextMetric)
    ][:10]


def random_runs(count: int, keys: list[str]) -> list[ImportedRun]:
    """Runs of eight methods with random numbers and settings."""
    random = np.random.default_rng(0)
    numbers = random.random((count, len(keys)))
    return [
        ImportedRun(
            tool="benchmark",
            collection=COLLECTION,
            protocol="corrected",
            modality="text",
            model=f"run {place:05d}",
            method=f"Method {place % 8}",
            step=float(place // 8),
            settings={"lr": float(numbers[place, 0]), "beta": place % 5},
            metrics={
                key: MetricNumber(float(value)) for key, value in zip(keys, numbers[place], strict=True)
            },
        )
        for place in range(count)
    ]


def ask_mlflow(folder: Path, count: int, keys: list[str]) -> dict[str, Any] | None:
    """The same question to MLflow; None where its Python is not named."""
    python = os.environ.get("MLFLOW_PYTHON")
    if not python:
        return None
    names = [key.replace("/", "_") for key in keys]
    command = [python, "-c", _MLFLOW, str(folder / "mlflow.db"), str(count), json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (found["rows"], found["columns"]) == (count, len(keys))
    return found


def timed(work: Callable[[], object], times: int) -> float:
    """Least CPU seconds of some repetitions."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
