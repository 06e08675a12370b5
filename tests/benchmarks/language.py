"""Evaluating a language model against the field's way, and what each part of it gains. On SmolLM2, in one process.

Run: python -m tests.benchmarks.language [--probes N]. Prints ratios of CPU seconds; nothing is asserted about time. The
field's way is `tests/field_way.py`: every metric its own pass over padded batches of 32 in the order of the file with
logits over the whole vocabulary at every position, every text metric its own generation. Its linear layers are
PyTorch's, ours go through oneDNN.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.shared.settings import PACK
from backends.checkpoints.identity import resolve
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec, Probe, Study
from backends.study.file import read_study
from backends.text.models import LanguageModels
from backends.text.padding import left_padded
from backends.text.scoring import batches_by_length, token_statistics
from cache.evaluate.gather_text import greedy_beginning, score_items
from tests import field_way

MOST = 200
BATCH = 32
ATTACKS = {
    "loss": ("everybody",),
    "zlib": ("everybody",),
    "min-k": ("everybody",),
    "min-k++": ("everybody", "everybody"),
    "reference": ("everybody",),
}
SHARED = {
    "probability": ("true",),
    "truth ratio": ("paraphrased", "perturbed"),
    "exact memorisation": ("true",),
    "extraction strength": ("true",),
    "perplexity": ("true",),
    **ATTACKS,
    "ROUGE": ("generation",),
}
FIELD: dict[str, dict[str, tuple[str, ...]]] = {
    "each metric its own pass, each text metric its own generation": {
        **SHARED,
        "normalised probability": ("true", "perturbed"),
        "truth ratio of probabilities": ("paraphrased", "perturbed"),
        "forget quality": ("paraphrased", "perturbed"),
        "privleak": ("everybody",),
        "rel_diff": ("everybody",),
        "verbatim memorisation": ("generation",),
        "knowledge memorisation": ("generation",),
        "gibberish": ("generation",),
        "fluency": ("generation",),
    },
    "with what open-unlearning shares by the names of metrics": SHARED,
}
"""Metrics and the passes over the data that each takes."""


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of all threads that the work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=32, help="forget probes, and as many held out")
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--metrics", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory is not None:
        _print_peak(options.memory)
        return
    if options.metrics:
        _print_metrics_of_a_cached_run()
        return
    study = read_study(PACK / "text" / "study.toml")
    probes = {
        role: [p for each in study.probe_sets if each.role == role for p in each.probes][: options.probes]
        for role in ("forget", "holdout")
    }
    _limits()
    retained = study.retained
    assert retained is not None
    for spec in (study.original, retained):
        with tempfile.TemporaryDirectory() as folder:
            ours, model, tokenizer = _merged(spec, Path(folder))
            _whole(spec.name, ours, model, tokenizer, probes)
            if spec is study.original:
                _parts(ours, model, tokenizer, probes["forget"])
    _adapters(study, probes["forget"])
    _memory()
    _metrics()


def _merged(spec: ModelSpec, folder: Path) -> tuple[LanguageModels, Any, Any]:
    """A model of the demo with its adapter merged into its base: one plain folder for both ways."""
    base = resolve(spec.source)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert spec.adapter is not None
    model = PeftModel.from_pretrained(model, resolve(spec.adapter)).merge_and_unload().eval()
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.save_pretrained(folder)
    ours = LanguageModels("cpu")
    ours.add(ModelSpec("base", "original", str(folder)))
    return ours, model, tokenizer


def _limits() -> None:
    """What this machine can do at most: one large product, one large copy."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    torch.mm(a, b)
    seconds = min(cpu_seconds(lambda: torch.mm(a, b)) for _ in range(5))
    print(f"this machine: {2 * 2048**3 / seconds / 1e9:.0f} GFLOP per CPU second in float32", flush=True)
    large = torch.randn(64_000_000)
    started = time.perf_counter()
    large.sum()
    print(
        f"  reads memory at {large.numel() * 4 / (time.perf_counter() - started) / 1e9:.1f} GB/s", flush=True
    )


def _whole(
    name: str, ours: LanguageModels, model: Any, tokenizer: Any, probes: dict[str, list[Probe]]
) -> None:
    """(a) All metrics of the field's tools on forget and holdout probes, all answers of the forget probes."""
    pad = tokenizer.eos_token_id
    forget = probes["forget"]
    everybody = [*forget, *probes["holdout"]]
    kinds: dict[str, list[list[tuple[str, str]]]] = {
        "true": [[(p.prompt, p.answer) for p in forget]],
        "everybody": [[(p.prompt, p.answer) for p in everybody]],
        "paraphrased": [[(p.prompt, p.paraphrased_answer) for p in forget]],
        "perturbed": [
            [(p.prompt, p.perturbed_answers[i]) for p in forget]
            for i in range(len(forget[0].perturbed_answers))
        ],
    }

    def a_pass(kind: str) -> None:
        for pairs in kinds[kind]:
            for batch in field_way.batches(field_way.rows_of(tokenizer, pairs), BATCH):
                field_way.vocabulary_logprobs(model, batch, pad)

    def a_generation() -> None:
        for batch in field_way.batches(field_way.rows_of(tokenizer, kinds["true"][0]), BATCH):
            field_way.generate(model, tokenizer, batch, MOST)

    theirs = {kind: cpu_seconds(lambda kind=kind: a_pass(kind)) for kind in kinds}  # type: ignore[misc]
    theirs["generation"] = cpu_seconds(a_generation)
    items = [
        item
        for p in everybody
        for key, item in score_items(p).items()
        if p.role == "forget" or key == "answer"
    ]
    scores: dict[int, Any] = {}

    def score() -> None:
        scores.update((part.index, part.scores) for part in ours.score("base", items, lambda: False))

    our_scores = cpu_seconds(score)
    true_answers = [i for i, item in enumerate(items) if item.alternatives][: len(forget)]
    ends = ours.end_ids("base")
    requests = [
        GenerationRequest("base", items[i].prompt, 0, "", *greedy_beginning(scores[i], ends))
        for i in true_answers
    ]
    decoding = Decoding(max_new_tokens=MOST)

    def write() -> None:
        list(ours.generate(requests, decoding, lambda: False))

    our_generation = cpu_seconds(write)
    total = our_scores + our_generation
    print(
        f"(a) {name}: {len(everybody)} questions, {len(items)} answers: here {our_scores:.1f} s for token scores and "
        f"{our_generation:.1f} s for answers; the field's way a pass takes "
        + ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in theirs.items())
    )
    for how, metrics in FIELD.items():
        seconds = sum(theirs[kind] for passes in metrics.values() for kind in passes)
        likelihoods = sum(theirs[k] for passes in metrics.values() for k in passes if k != "generation")
        print(
            f"  {how}: {seconds:.1f} s = {seconds / total:.1f} x (likelihoods alone {likelihoods:.1f} s = "
            f"{likelihoods / our_scores:.1f} x)",
            flush=True,
        )
    alone = [items[i] for i in true_answers]
    our_seven = cpu_seconds(lambda: list(ours.score("base", alone, lambda: False)))
    print(
        f"  seven likelihood metrics of the true answers alone, eight passes: {8 * theirs['true']:.1f} s, here "
        f"{our_seven:.1f} s = {8 * theirs['true'] / our_seven:.1f} x; one generation of at most {MOST} tokens: "
        f"{theirs['generation'] / our_generation:.1f} x"
    )


def _parts(ours: LanguageModels, model: Any, tokenizer: Any, probes: list[Probe]) -> None:
    """(b) What each way gains, beginning with one pass for all metrics in the order of the file."""
    pairs = [(item.prompt, item.answer) for p in probes for item in score_items(p).values()]
    rows = field_way.rows_of(tokenizer, pairs)
    pad = tokenizer.eos_token_id

    def full_logits() -> None:
        for batch in field_way.batches(rows, BATCH):
            for logprobs, labels in field_way.vocabulary_logprobs(model, batch, pad):
                token_statistics(logprobs, labels)

    def answers_only(groups: Sequence[Sequence[field_way.Row]]) -> Callable[[], None]:
        def work() -> None:
            for batch in groups:
                keep = max(len(row.ids) - row.prompt for row in batch) + 1
                ids, mask, positions = left_padded([row.ids for row in batch], pad, "cpu")
                with torch.inference_mode():
                    logits = model(
                        input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=keep
                    ).logits
                    for place, row in enumerate(batch):
                        n = len(row.ids) - row.prompt
                        token_statistics(logits[place, -n - 1 : -1], torch.tensor(row.ids[-n:]))

        return work

    lengths = [len(row.ids) for row in rows]
    by_length = [[rows[i] for i in batch] for batch in batches_by_length(lengths, BATCH, 16_384)]
    shared = [ScoreItem(*pair) for pair in pairs]
    times = {
        "one pass for all metrics, all logits, order of the file": cpu_seconds(full_logits),
        "+ logits at the answer only, in chunks": cpu_seconds(answers_only(field_way.batches(rows, BATCH))),
        "+ batches by length": cpu_seconds(answers_only(by_length)),
        "+ one prompt for all its answers, beginnings once (as it is)": cpu_seconds(
            lambda: list(ours.score("base", shared, lambda: False))
        ),
    }
    first = next(iter(times.values()))
    print(f"(b) {len(pairs)} answers:")
    for name, seconds in times.items():
        print(f"  {seconds:6.1f} s  {first / seconds:4.1f} x  {name}", flush=True)


def _adapters(study: Study, probes: list[Probe]) -> None:
    """(c) Six adapters on one base: decoding in one batch, scoring one after another."""
    from backends.checkpoints.identity import available

    specs = [spec for spec in study.models if available(spec)][:6]
    models = LanguageModels("cpu")
    for spec in specs:
        models.add(replace(spec, fingerprint=""))
    names = [spec.name for spec in specs]
    decoding = Decoding(max_new_tokens=24)
    requests = [GenerationRequest(name, probes[0].prompt) for name in names]
    together = cpu_seconds(lambda: list(models.generate(requests, decoding, lambda: False)))
    apart = sum(
        cpu_seconds(lambda one=one: list(models.generate([one], decoding, lambda: False)))  # type: ignore[misc]
        for one in requests
    )
    print(
        f"(c) {len(names)} adapters, one prompt: decoding in one batch {apart / together:.1f} x one after another"
    )
    items = [ScoreItem(p.prompt, p.answer) for p in probes]
    seconds = sum(
        cpu_seconds(lambda name=name: list(models.score(name, items, lambda: False)))  # type: ignore[misc]
        for name in names
    )
    family = models._families[models._family_of[names[0]]]
    rows = [family.tokenizer.encode(i.prompt, i.answer) for i in items]
    mixed = cpu_seconds(lambda: _mixed(family.module, rows, [family.adapters[name] for name in names]))
    print(
        f"  scoring {len(items)} answers: one after another {mixed / seconds:.2f} x as fast as mixed batches"
    )


def _mixed(module: Any, rows: Sequence[Any], adapters: Sequence[str]) -> None:
    """The same answers through all adapters in mixed batches of 32."""
    pairs = [(row.prompt_ids + row.answer_ids, name) for row in rows for name in adapters]
    for start in range(0, len(pairs), BATCH):
        part = pairs[start : start + BATCH]
        ids, mask, positions = left_padded([row for row, _ in part], 0, "cpu")
        with torch.inference_mode():
            module(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                logits_to_keep=48,
                adapter_names=[name for _, name in part],
            )


def _memory() -> None:
    """(d) Peak memory over the weights at a vocabulary of 128,000, 32 answers of 256 tokens."""
    with tempfile.TemporaryDirectory() as folder:
        print(_again("--memory", folder).strip(), flush=True)


def _print_peak(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.tiny_text import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=128_000,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    models = LanguageModels("cpu")
    models.add(ModelSpec("Model", "original", str(folder)))
    list(models.score("Model", [ScoreItem("Who?", "Ada")], lambda: False))
    before = _memory_line("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    text = "a moored barge on it and so on " * 64
    answers = [ScoreItem(f"Who is {i}?", text[: 256 - len(str(i))]) for i in range(BATCH)]
    tokens = sum(len(part.scores.token_ids) for part in models.score("Model", answers, lambda: False))
    after = _memory_line("VmHWM")
    print(
        f"(d) vocabulary 128,000, {BATCH} answers of {tokens // BATCH} tokens: {(after - before) / 1e6:.2f} GB "
        f"over the weights"
    )


def _memory_line(name: str) -> int:
    """A line of Linux's account of this process, kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _metrics() -> None:
    """(e) All metrics of a cached run of 400 probes, in a process without torch."""
    print(_again("--metrics").strip(), flush=True)


def _print_metrics_of_a_cached_run() -> None:
    from cache.analysis.scoreboard import scoreboard
    from cache.store import open_store
    from tests.benchmarks.bench_store import big_study, evidence, write

    whole = big_study(1, 400)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "evidence.sqlite")
        write(whole, store, {spec.name: evidence(whole, spec) for spec in whole.models})
        started = time.process_time()
        board = scoreboard(whole, store)
        seconds = time.process_time() - started
        count = sum(len(each.probes) for each in whole.probe_sets)
        print(
            f"(e) {len(board.frame)} numbers of one model on {count} probes from the cache: {seconds:.2f} s"
        )


def _again(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.benchmarks.language", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
