"""What could change evidence unseen changes its key, or cannot change it: the table `cache.keys.UNSEEN`, row by row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from backends.checkpoints.identity import identity
from backends.interfaces import GenerationRequest, ScoreItem
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from backends.text.models import LanguageModels
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.evaluate.plan import contexts, plan
from cache.store import open_store
from cache.store.identities import identity_in
from cache.store.keys import UNSEEN, scores_context
from cache.store.reading import score_contexts
from tests.tiny_text import tiny_tokenizer, write_tiny_model

LIKE_LLAMA = (
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
    "<|im_start|>system\nToday Date: {{ date_string }}<|im_end|>\n"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROBE = Probe("p", "forget", "Who wrote it?", "Ada Quill.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model")


def spec(folder: Path) -> ModelSpec:
    return ModelSpec("m", "original", str(folder))


def study(folder: Path, **settings: str) -> Study:
    sets = (ProbeSet("forget", "forget", (PROBE,)),)
    return Study("s", "text", (spec(folder),), sets, **settings)  # type: ignore[arg-type]


def key(asked: Study) -> set[str]:
    found = contexts(asked, identity_in(asked, asked.original), "float32", [PROBE])
    return {context.key for ways in found.values() for context in ways.values()}


def numbers(folder: Path, items: list[ScoreItem]) -> list[Any]:
    models = LanguageModels("cpu")
    models.add(spec(folder))
    found = {each.index: each.scores.logprobs for each in models.score("m", items, lambda: False)}
    return [found[i] for i in range(len(items))]


def answer(folder: Path, **decoding: float) -> str:
    models = LanguageModels("cpu")
    models.add(spec(folder))
    settings = replace(Decoding(max_new_tokens=12), **decoding)  # type: ignore[arg-type]
    parts = list(models.generate([GenerationRequest("m", "Who wrote it?", 3)], settings, lambda: False))
    return parts[-1].answer.text


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_table_says_of_each_what_becomes_of_it() -> None:
    assert all(said.startswith(("key: ", "cannot", "not in the key: ")) for said in UNSEEN.values())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config.json", {"rms_norm_eps": 1e-3}),
        ("config.json", {"attn_implementation": "eager"}),
        ("generation_config.json", {"eos_token_id": [2, 0]}),
        ("generation_config.json", {"repetition_penalty": 2.0}),
    ],
)
def test_settings_beside_the_weights_change_the_key(
    folder: Path, name: str, values: dict[str, object]
) -> None:
    before = key(study(folder))
    edit(folder / name, **values)
    assert key(study(folder)).isdisjoint(before)


def test_the_tokenizer_and_its_template_change_the_key(folder: Path) -> None:
    before = identity(spec(folder)).tokenizer
    tiny_tokenizer(LIKE_LLAMA).save_pretrained(folder)
    after = identity(spec(folder)).tokenizer
    edit(
        folder / "tokenizer.json",
        truncation={"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
    )
    assert len({before, after, identity(spec(folder)).tokenizer}) == 3


@pytest.mark.parametrize(
    "defaults",
    [
        {"do_sample": True, "temperature": 5.0, "top_k": 3, "top_p": 0.2},
        {"repetition_penalty": 5.0, "no_repeat_ngram_size": 1},
        {"forced_bos_token_id": 7, "forced_eos_token_id": 9},
        {"suppress_tokens": list(range(3, 200)), "begin_suppress_tokens": [5, 6]},
        {"bad_words_ids": [[n] for n in range(3, 200)]},
        {"min_length": 200, "min_new_tokens": 200, "max_new_tokens": 1, "num_beams": 4},
    ],
)
def test_defaults_of_generation_are_not_used(folder: Path, defaults: dict[str, object]) -> None:
    before = answer(folder), answer(folder, temperature=0.7)
    edit(folder / "generation_config.json", **defaults)
    assert (answer(folder), answer(folder, temperature=0.7)) == before


def test_neighbours_in_a_batch_change_no_number(folder: Path) -> None:
    asked = ScoreItem("Who wrote it?", "Ada Quill.")
    others = [ScoreItem(f"Where was number {'very ' * n}{n} born?", "In March. " * n) for n in range(1, 9)]
    (alone,), crowd = numbers(folder, [asked]), numbers(folder, [*others, asked])
    assert crowd[-1] == pytest.approx(alone, abs=1e-4)


def test_implementations_of_attention_agree(folder: Path) -> None:
    items = [ScoreItem("Who wrote it?", "Ada Quill."), ScoreItem("Where?", "On a moored barge, in March.")]
    before = numbers(folder, items)
    edit(folder / "config.json", attn_implementation="eager")
    for ours, theirs in zip(numbers(folder, items), before, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_threads_zone_and_language_of_the_machine_change_no_number(folder: Path) -> None:
    tiny_tokenizer(LIKE_LLAMA).save_pretrained(folder)
    script = (
        "import sys, json\nfrom pathlib import Path\nfrom tests.cache.store.test_unseen import *\n"
        "f = Path(sys.argv[1])\nassert torch.get_num_threads() == int(sys.argv[2])\n"
        "print(json.dumps([sorted(key(study(f))), numbers(f, [ScoreItem('Who?', 'Ada Quill.')])[0].tolist()]))\n"
    )
    found = []
    for zone, language, threads in (("UTC", "C", "1"), ("Pacific/Kiritimati", "tr_TR.UTF-8", "2")):
        env = os.environ | {"TZ": zone, "LC_ALL": language, "LANG": language, "OMP_NUM_THREADS": threads}
        run = [sys.executable, "-c", script, str(folder), threads]
        said = subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout
        found.append(json.loads(said.splitlines()[-1]))
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-4)
    assert torch.get_num_threads() > 0


def test_a_template_with_a_date_has_keys_of_its_own_for_each_date(folder: Path) -> None:
    plain = key(study(folder))
    assert key(study(folder, date="2025-01-31")) == plain  # it prints no date
    tiny_tokenizer(LIKE_LLAMA).save_pretrained(folder)
    asked = study(folder)
    known = identity(spec(folder))
    old = scores_context(known.fingerprint, known.tokenizer, "float32").key
    pinned, other = key(asked), key(study(folder, date="2025-01-31"))
    assert old not in pinned | other and pinned.isdisjoint(other)


def test_evidence_of_any_day_is_not_mixed_with_that_of_a_date(folder: Path, tmp_path: Path) -> None:
    tiny_tokenizer(LIKE_LLAMA).save_pretrained(folder)
    store = open_store(tmp_path / "evidence.sqlite")
    here = identity_in(study(folder), spec(folder))
    any_day = scores_context(here.fingerprint, here.tokenizer, "float32")
    store.register(any_day)
    assert score_contexts(store, here) == []
    gone = replace(here, asked=None)  # a reviewer's machine: declared in the study, no files
    assert score_contexts(store, gone) == [any_day]
    pinned = scores_context(here.fingerprint, here.tokenizer, "float32", asked=here.asked or "")
    day = study(folder, date="2025-01-31")
    told = scores_context(
        here.fingerprint, here.tokenizer, "float32", asked=identity_in(day, spec(folder)).asked or ""
    )
    store.register(pinned)
    store.register(told)
    assert score_contexts(store, here) == [pinned] == score_contexts(store, gone)
    assert score_contexts(store, gone, date="2025-01-31") == [told]


def test_a_format_that_writes_the_beginning_itself_is_another_question() -> None:
    plain = Probe("p", "forget", "q", "a", format="[INST] {prompt}")
    assert plain.digest() == replace(plain, id="x").digest()
    assert replace(plain, format="<s>[INST] {prompt}").digest() != plain.digest()


def test_every_run_says_which_date_was_told(folder: Path, tmp_path: Path) -> None:
    tiny_tokenizer(LIKE_LLAMA).save_pretrained(folder)
    asked = study(folder)
    other = replace(PROBE, id="q", prompt="Where was it written?")
    sets = (*asked.probe_sets, ProbeSet("retain", "retain", (other,)))
    twice = (spec(folder), replace(spec(folder), name="again", part="unlearned"))
    asked = replace(asked, models=twice, probe_sets=sets, decoding=Decoding(max_new_tokens=4))
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    evaluate(EvaluationContext.of(replace(asked, models=twice[:1]), store, ModelPool("cpu")))
    runs = store.runs(asked.name)
    assert len(runs) == 2
    assert all(sum("it is set to 2024-07-26" in note for note in run.notes) == 1 for run in runs)
    # The second model equals the first: nothing is missing, on whatever day it is asked.
    assert plan(asked, store, "float32").missing == 0
    assert plan(replace(asked, date="2025-01-31"), store, "float32").missing == 8
