"""The relative question two ways: by distances on the same probes (the metric) and by kernel distances of samples.

    python -m tests.benchmarks.relative                 # simulated studies and the text demo; about one CPU minute
    python -m tests.benchmarks.relative --studies 100   # fewer simulated studies

First how often each way decides, and which way, where the truth is known: labels shuffled (at most 5 %), and a second
training seed of the retained model and of the original. Then what each says of the demo's models. The kernel way
is the usual one (Bounliphone et al. 2016): MMD^2(U, O) - MMD^2(U, R), Gaussian kernel of the median distance, values
standardised over O and R, here in units of MMD^2(O, R); its interval is a bootstrap of the probes. On the demo it calls
every model that damaged the neighbours closer to retained there, and by more than the retained model itself.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.shared.settings import PACK
from backends.metrics.relative import COMPARED, closer
from backends.study.file import read_study
from cache.analysis.derive import role_probes
from cache.analysis.relative_test import closeness_interval, compared, drawn_closeness, references
from cache.analysis.scoreboard import scoreboard
from cache.store import open_store
from cache.store.recorded_pack import import_recorded

Floats = NDArray[np.float64]
Three = tuple[Floats, Floats, Floats]
SIZES = (6, 12, 36, 400)
RESAMPLES = 300


def paired(model: Floats, original: Floats, retained: Floats) -> tuple[float, float, float]:
    """Closeness and its interval."""
    names = [f"role/{number}" for number in range(len(model))]
    both = references("role", [name.partition("/")[2] for name in names], *_named(names, original, retained))
    assert both is not None
    found = compared(_named(names, model)[0], both)
    drawn = drawn_closeness(found, 0)
    return float(drawn[0]), *closeness_interval(found, drawn)


def _named(names: list[str], *models: Floats) -> list[dict[str, Floats]]:
    return [dict(zip(names, values, strict=True)) for values in models]


def kernel(model: Floats, original: Floats, retained: Floats) -> tuple[float, float, float]:
    """MMD^2(U, O) - MMD^2(U, R) and its interval, in units of MMD^2(O, R)."""
    both = np.concatenate([original, retained], axis=1)
    spread = both.std(axis=1, keepdims=True)
    u, o, r = ((each / np.where(spread > 0, spread, 1)).T for each in (model, original, retained))
    points = np.concatenate([o, r, u])
    squares = np.sum((points[:, None] - points[None]) ** 2, axis=-1)
    width = np.median(squares[squares > 0]) if (squares > 0).any() else 1.0
    gram = np.exp(-squares / width)
    n = len(u)
    random = np.random.default_rng(n)
    weights = np.vstack([np.ones(n), random.multinomial(n, np.full(n, 1 / n), RESAMPLES)]) / n
    side = np.concatenate([weights, -weights, 0 * weights], axis=1)
    middle = np.concatenate([weights, weights, -2 * weights], axis=1)
    drawn = np.sum((middle @ gram) * side, axis=1)
    apart = float(side[0] @ gram @ side[0])
    drawn /= apart if apart > 0 else 1.0
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    return float(drawn[0]), float(low), float(high)


def trained(random: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """What an original and a retained model might have on n forget probes."""
    guess = 0.4 * random.random(n)
    return (
        np.clip(0.97 + 0.03 * random.normal(size=(4, n)), 0, 1),
        np.clip(guess + 0.08 * random.normal(size=(4, n)), 0, 1),
    )


def again(random: np.random.Generator, values: Floats, noise: float) -> Floats:
    """The same model from another training seed."""
    return np.clip(values + noise * random.normal(size=values.shape), 0, 1)


def shuffled(random: np.random.Generator, n: int) -> Three:
    """A second retained seed, and labels that are swapped on each probe at random."""
    original, retained = trained(random, n)
    turn = random.random(n) < 0.5
    swapped = np.where(turn, retained, original), np.where(turn, original, retained)
    return again(random, retained, 0.08), *swapped


def second_retained(random: np.random.Generator, n: int) -> Three:
    """Another training seed without the forget set."""
    original, retained = trained(random, n)
    return again(random, retained, 0.08), original, retained


def second_original(random: np.random.Generator, n: int) -> Three:
    """Another training seed with it."""
    original, retained = trained(random, n)
    return again(random, original, 0.03), original, retained


CASES: tuple[Callable[[np.random.Generator, int], Three], ...] = (shuffled, second_retained, second_original)


def simulated(studies: int) -> None:
    """Share of studies that are decided, for both ways."""
    print(f"{'':22s}{'n':>5s}   {'same probes: retained, original':34s}kernel: retained, original")
    for case in CASES:
        for n in SIZES:
            random = np.random.default_rng(n)
            said: dict[str, Counter[str]] = {"paired": Counter(), "kernel": Counter()}
            for _ in range(studies if n < 100 else max(20, studies // 10)):
                three = case(random, n)
                said["paired"][closer(*paired(*three)[1:])] += 1
                said["kernel"][closer(*kernel(*three)[1:])] += 1
            shares = [
                f"{counts['retained'] / counts.total():.3f}, {counts['original'] / counts.total():.3f}"
                for counts in said.values()
            ]
            print(f"{case.__name__:22s}{n:5d}   {shares[0]:34s}{shares[1]}", flush=True)


def of_the_demo() -> None:
    """What both say of every model, on forget probes and on neighbours. The kernel's probes count one by one."""
    study = read_study(PACK / "text" / "study.toml")
    metrics = COMPARED["text"]
    assert study.retained is not None
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "evidence.sqlite")
        import_recorded(PACK, store)
        board = scoreboard(study, store)
        rows = board.frame[board.frame.metric == "closer_to_retained"].set_index(["model", "role"])
        values = {
            (spec.name, role): np.stack([board.per_probe(spec.name, f"{role}/{key}") for key in metrics])
            for spec in study.models
            for role in role_probes(study)
        }
        store.close()
    for role in ("forget", "neighbour"):
        print(f"{role:18s}{'same probes, by subject':40s}kernel")
        for spec in study.models:
            row = rows.loc[(spec.name, role)]
            ends = kernel(
                *(values[name, role] for name in (spec.name, study.original.name, study.retained.name))
            )
            ours = f"{row.value:+.2f} [{row.low:+.2f}, {row.high:+.2f}] {closer(row.low, row.high)}"
            theirs = f"{ends[0]:+.2f} [{ends[1]:+.2f}, {ends[2]:+.2f}] {closer(*ends[1:])}"
            print(f"  {spec.name:16s}{ours:40s}{theirs}", flush=True)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=400, help="simulated studies of each size")
    started = time.process_time()
    simulated(parser.parse_args().studies)
    of_the_demo()
    print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
