"""Does sampling find what the token scores promise? Ten questions, 200 sampled answers each, on the demo's real model.

    python -m tests.benchmarks.leaks                    # the original, about five CPU minutes
    python -m tests.benchmarks.leaks "NPO 45" --probes 3 --samples 50

Prints a line for each question: p by the scores, how often the true answer was sampled, and the p-value of an exact
binomial test between the two. With ten questions, the smallest should be above 0.005 or so.
"""

from __future__ import annotations

import argparse
import time

from scipy.stats import binomtest

from app.shared.settings import PACK
from backends.evidence import ANSWER, TextEvidence
from backends.interfaces import GenerationRequest, ScoreItem
from backends.metrics import METRICS, TextMetric
from backends.study import Decoding
from backends.study.file import read_study
from backends.text.models import LanguageModels


def main() -> None:
    """Prints the comparison, the questions with the least certain answers first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", nargs="?", default="Original", help="a model of the text demo whose weights ship"
    )
    parser.add_argument("--probes", type=int, default=10)
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    study = read_study(PACK / "text" / "study.toml")
    models = LanguageModels("cpu")
    models.add(study.model(options.model))
    leak = METRICS["leak_1"]
    assert isinstance(leak, TextMetric)
    probes = [probe for each in study.probe_sets if each.role == "forget" for probe in each.probes]
    items = [ScoreItem(probe.prompt, probe.answer) for probe in probes]
    scores = {part.index: part.scores for part in models.score(options.model, items, lambda: False)}
    chances = {
        index: leak.value(probes[index], TextEvidence({ANSWER: each})) for index, each in scores.items()
    }
    started, smallest = time.process_time(), 1.0
    for index in sorted(chances, key=lambda index: abs(chances[index] - 0.5))[: options.probes]:
        probe = probes[index]
        requests = [
            GenerationRequest(options.model, probe.prompt, seed=seed) for seed in range(options.samples)
        ]
        decoding = Decoding(len(scores[index].token_ids), temperature=1.0)
        said = sum(
            part.answer.text == probe.answer
            for part in models.generate(requests, decoding, lambda: False)
            if part.done
        )
        p_value = float(binomtest(said, options.samples, chances[index]).pvalue)
        smallest = min(smallest, p_value)
        print(
            f"{probe.id:24s} p {chances[index]:.4f}  said {said / options.samples:.4f}  test {p_value:.3f}",
            flush=True,
        )
    print(f"smallest p-value {smallest:.3f}; {time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
