"""How often the verdict is wrong: `python -m tests.benchmarks.verdict_errors` prints the table of docs/verdict.md.

Three models answer n probes of one question each, drawn anew in every trial: the original, the retained model, and one
from the distribution of the one or of the other. All the questions of the verdict are asked of it, with the tests and
intervals that the scoreboard uses. "Wrong" is "not forgotten" or "hidden" on a model drawn from the retained model's
distribution, "forgotten" on one from the original's, and "damaged" or "destroyed" on either.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.study.thresholds import USUAL
from cache.analysis.paired_tests import PairedTest, paired_tests
from cache.analysis.relative_test import closeness_interval, compared, drawn_closeness, references
from cache.analysis.resampling import bootstrap_means, interval_of
from cache.analysis.verdict.findings import Comparison
from cache.analysis.verdict.questions import Asked, Yardstick, findings
from cache.analysis.verdict.rules import Forgetting, Verdict

Floats = NDArray[np.float64]
Like = Literal["retained", "original"]
SIZES = (12, 36, 400)
KEYS = ("forget/key_fact", "forget/probability", "forget/leak_128", "retain/key_fact", "neighbour/key_fact")


class Errors(NamedTuple):
    """Shares of trials."""

    n: int
    like: Like
    wrong: float
    undecided: float
    harm: float


def answers(like: Like, n: int, random: np.random.Generator) -> dict[str, Floats]:
    """Values of one model on n probes of each role: what the demo's two look like."""
    knows = like == "original"
    rated = random.beta(9, 1, n) if knows else random.beta(1, 9, n)
    return {
        "forget/key_fact": (random.random(n) < (0.9 if knows else 0.03)).astype(float),
        "forget/probability": rated,
        "forget/leak_128": 1 - (1 - rated**4) ** 128 if knows else rated**4,
        "retain/key_fact": (random.random(n) < 0.95).astype(float),
        "neighbour/key_fact": (random.random(n) < 0.9).astype(float),
    }


def errors(n: int, like: Like, trials: int, seed: int = 0) -> Errors:
    """Verdicts on so many models that are drawn from the distribution of one of the two."""
    random = np.random.default_rng([seed, n, like == "original"])
    drawn = [
        {name: answers(kind, n, random) for name, kind in _kinds(like).items()} for _trial in range(trials)
    ]
    tests = {
        (key, against): paired_tests(_columns(drawn, "model", key), _columns(drawn, against, key), reach=1.0)
        for key in KEYS
        for against in ("retained", "original")
    }
    found = [_verdict(trial, each, tests) for trial, each in enumerate(drawn)]
    bad: tuple[Forgetting, ...] = ("not forgotten", "hidden") if like == "retained" else ("forgotten",)
    forgetting, harm = Counter(v.forgetting for v in found), Counter(v.harm for v in found)
    return Errors(
        n,
        like,
        sum(forgetting[word] for word in bad) / trials,
        forgetting["undecided"] / trials,
        (harm["damaged"] + harm["destroyed"]) / trials,
    )


def _kinds(like: Like) -> dict[str, Like]:
    return {"model": like, "retained": "retained", "original": "original"}


def _columns(drawn: list[dict[str, dict[str, Floats]]], name: str, key: str) -> Floats:
    return np.stack([each[name][key] for each in drawn], axis=1)


def _verdict(
    trial: int,
    values: dict[str, dict[str, Floats]],
    tests: dict[tuple[str, str], list[PairedTest]],
) -> Verdict:
    intervals = {key: _interval(values["model"][key]) for key in KEYS}

    def read(key: str, against: Yardstick) -> Comparison | None:
        if key == "forget/closer_to_retained":
            return _closer(values)
        if key not in KEYS:
            return None
        own = values["model"][key]
        test = tests[key, against or "original"][trial]
        base = float(values[against or "original"][key].mean())
        mean = float(own.mean())
        return Comparison(key, mean, *intervals[key], base, against, test.mean, test.low, test.high, len(own))

    return Verdict("model", findings(Asked("text", True, USUAL, read)))


def _interval(values: Floats) -> tuple[float, float]:
    means = bootstrap_means(values[:, None], bounds=(0.0, 1.0))[:, 0]
    low, high = interval_of(np.append(values.mean(), means))
    return float(low), float(high)


def _closer(values: dict[str, dict[str, Floats]]) -> Comparison | None:
    against = references("forget", ["probability"], values["original"], values["retained"])
    if against is None:
        return None
    found = compared(values["model"], against)
    drawn = drawn_closeness(found, seed=0)
    low, high = closeness_interval(found, drawn)
    key, n = "forget/closer_to_retained", len(found.to_original)
    return Comparison(key, float(drawn[0]), low, high, math.nan, "", math.nan, math.nan, math.nan, n)


def main() -> None:
    """Print the table."""
    print("| probes | drawn as | wrong on forgetting | undecided | wrong on harm |")
    print("|---|---|---|---|---|")
    for n in SIZES:
        for like in ("retained", "original"):
            row = errors(n, like, 1000 if n < 400 else 400)
            shares = " | ".join(f"{100 * share:.1f} %" for share in row[2:])
            print(f"| {n} | {like} | {shares} |")


if __name__ == "__main__":
    main()
