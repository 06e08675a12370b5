"""Training attacks on the demo's language models: what comes back after how many steps, and what it costs.

For each model the curve over steps, on facts that the attack's data says nothing about: probability of the answer's tokens
(geometric mean) and share of answers with the key fact; processor seconds of training. Asked for: both ways round of
relearning on half of the forget subjects take a model at most 180 processor seconds.

Run: OMP_NUM_THREADS=1 python -m tests.benchmarks.relearning [--attacks half retain unrelated soft control]
     [--models "IdkNLL 16" Retained Original] [--home FOLDER]
"""  # noqa: E501 - the command in full

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

MODELS = ("IdkNLL 16", "Retained", "Original")
MOST_SECONDS = 180


def main() -> None:
    """Attack, evaluate, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--attacks", nargs="+", default=["half"])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    from app.shared.settings import PACK
    from backends.attacks import relearning, soft_prompt
    from backends.attacks.training import TrainingContext
    from backends.study.file import read_study

    attacks = {
        "half": relearning.relearn_half,
        "retain": relearning.relearn_retain,
        "unrelated": relearning.relearn_unrelated,
        "soft": soft_prompt.soft_prompt,
        "control": soft_prompt.control_strings,
    }
    study = read_study(PACK / "text" / "study.toml")
    with tempfile.TemporaryDirectory() as temporary:
        context = TrainingContext(study, "cpu", options.home or Path(temporary))
        for key in options.attacks:
            for name in options.models:
                started = time.process_time()
                found = attacks[key](context, study.model(name))
                print(
                    f"{name}, {key}: {time.process_time() - started:.0f} processor seconds of training",
                    flush=True,
                )
                for each in found:
                    for spec in each.models:
                        probable, said = outcome(spec, each.asked)
                        print(
                            f"  {each.way}, step {spec.step:>3}: probability {probable:.3f}, key fact {said:.3f}",
                            flush=True,
                        )
    print(f"asked for: at most {MOST_SECONDS} processor seconds a model for both ways of `half`")


def outcome(spec: object, probes: object) -> tuple[float, float]:
    """Mean probability of the answers' tokens, and share of greedy answers that have the key fact."""
    from backends.interfaces import GenerationRequest, ScoreItem
    from backends.study import Decoding, ModelSpec, Probe
    from backends.text.models import LanguageModels

    assert isinstance(spec, ModelSpec) and isinstance(probes, tuple)
    asked: tuple[Probe, ...] = probes
    models = LanguageModels("cpu")
    models.add(spec)
    items = [ScoreItem(probe.prompt, probe.answer) for probe in asked]
    scored = [part.scores.logprobs for part in models.score(spec.name, items, bool)]
    requests = [GenerationRequest(spec.name, probe.prompt) for probe in asked]
    written = {
        part.index: part.answer.text
        for part in models.generate(requests, Decoding(max_new_tokens=32), bool)
        if part.done
    }
    said = [asked[index].key_fact.casefold() in text.casefold() for index, text in written.items()]
    probable = [math.exp(float(sum(each)) / len(each)) for each in scored]
    return sum(probable) / len(probable), sum(said) / len(said)


if __name__ == "__main__":
    main()
