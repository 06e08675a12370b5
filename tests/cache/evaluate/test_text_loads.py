"""What loading a language model did stays with its run and is shown; a broken one leaves no number in the cache."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.cli import main as cli
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from backends.study.writing import write_study
from backends.text.vocabulary_share import TEXT
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.evaluate.incomplete import IncompleteEvaluation
from cache.store import Store, open_store
from cache.store.model_checks import check_models, model_check
from tests.backends.checkpoints.test_vocabularies import with_padding
from tests.tiny_text import write_tiny_adapter, write_tiny_model

PROBES = (Probe("1", "forget", "Who wrote it?", "Ada Quill"), Probe("2", "forget", "Where?", "In Zug"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "base")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "cache" / "evidence.sqlite")


def study_of(base: Path, *unlearned: ModelSpec) -> Study:
    models = (ModelSpec("Original", "original", str(base)), *unlearned)
    sets = (ProbeSet("forget", "forget", PROBES),)
    return Study("Loads", "text", models, sets, decoding=Decoding(max_new_tokens=3))


def rewritten(base: Path, folder: Path, part: str = "", prefix: str = "") -> ModelSpec:
    """A copy of the base without the tensors with `part` in their names, all others with a prefix."""
    shutil.copytree(base, folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {prefix + name: tensor + 0.01 for name, tensor in tensors.items() if not part or part not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return ModelSpec("Unlearned", "unlearned", str(folder))


@pytest.mark.parametrize("part", ["layers.1", "lm_head", "up_proj", "embed_tokens"])
def test_a_model_that_lacks_weights_leaves_no_number(
    base: Path, store: Store, tmp_path: Path, part: str
) -> None:
    study = study_of(base, rewritten(base, tmp_path / "broken", part))
    with pytest.raises(IncompleteEvaluation, match=f"missing: .*{part}"):
        evaluate(EvaluationContext.of(study, store, ModelPool("cpu")), ["Unlearned"])
    for context in store.contexts():
        assert len(store.missing(context.key, [probe.digest() for probe in PROBES])) == len(PROBES)
    assert not [run for run in store.runs() if run.model == "Unlearned"]


def test_what_loading_did_stays_with_the_run(base: Path, store: Store, tmp_path: Path) -> None:
    adapter = write_tiny_adapter(base, tmp_path / "adapter")
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "owner/elsewhere"}))
    compiled = rewritten(base, tmp_path / "compiled", prefix="_orig_mod.")
    study = study_of(base, compiled, ModelSpec("LoRA", "unlearned", str(base), adapter=str(adapter)))
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    runs = {run.model: run for run in store.runs()}
    assert runs["Original"].notes == ()
    assert runs["Unlearned"].notes == ("Loaded: _orig_mod. was removed from the names of its tensors",)
    assert runs["LoRA"].notes == (f"Loaded: trained on owner/elsewhere, loaded on {base}",)
    form = "LoRA adapter of rank 4 and alpha 8 on 6 modules (1,664 parameters)"
    loaded = runs["LoRA"].settings["loaded"]
    assert isinstance(loaded, list)
    assert loaded[0] == {"form": "whole model", "matched": 21}
    assert (loaded[1]["form"], loaded[1]["matched"]) == (form, 12)


def test_another_vocabulary_is_said_with_the_share_that_the_added_tokens_take(
    base: Path, store: Store, tmp_path: Path
) -> None:
    study = study_of(base, ModelSpec("Padded", "unlearned", str(with_padding(base, tmp_path / "padded"))))
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    runs = {run.model: run for run in store.runs()}
    assert runs["Original"].notes == ()
    (note,) = runs["Padded"].notes
    told = re.fullmatch(
        r"Vocabulary: its tokenizer has 1 token more than Original's \(<pad>\), .* common vocabulary, .*; this model "
        r"gives ([\d.]+)% of them to tokens that only it has",
        note,
    )
    assert told is not None
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "padded")
    ids = AutoTokenizer.from_pretrained(base)(TEXT, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        share = model(ids).logits[0].softmax(-1)[:, 259:].sum(-1).mean()
    assert float(told[1]) == pytest.approx(100 * float(share), abs=0.01)


def test_an_evaluation_compares_what_shares_the_originals_base_and_reads_nothing_for_it(
    base: Path, store: Store, tmp_path: Path
) -> None:
    adapter = write_tiny_adapter(base, tmp_path / "adapter")
    whole = rewritten(base, tmp_path / "whole")
    study = study_of(base, ModelSpec("LoRA", "unlearned", str(base), adapter=str(adapter)), whole)
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    check = model_check(study, store, "LoRA")
    assert check is not None and check.report is not None
    assert (check.report.changed, len(check.report.blocks)) == (6, 2)
    assert model_check(study, store, "Unlearned") is None
    assert check_models(study, store, ModelPool("cpu"), ["Original", "Unlearned"]) == []
    check = model_check(study, store, "Unlearned")
    assert check is not None and check.report is not None
    assert check.report.changed == 21


def test_a_model_that_equals_the_original_is_told_of(base: Path, store: Store, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "same")
    study = study_of(base, ModelSpec("Same", "unlearned", str(tmp_path / "same")))
    (warning,) = check_models(study, store, ModelPool("cpu"), ["Original", "Same"])
    assert warning == "Same: 0 % of its parameters differ from Original, so nothing was unlearned"


def test_models_prints_it_for_language_models(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f.jsonl").write_text('{"question": "Who?", "answer": "Ada"}\n')
    study = study_of(base, rewritten(base, tmp_path / "compiled", prefix="module._orig_mod."))
    sets = (replace(study.probe_sets[0], path=str(tmp_path / "f.jsonl")),)
    write_study(replace(study, probe_sets=sets), tmp_path / "study.toml")
    cache = ["--cache", str(tmp_path / "cache")]
    assert cli.run(["models", str(tmp_path / "study.toml"), *cache]) == 0
    said = capsys.readouterr().out
    assert "Original   whole model: 21 tensors matched, none differs from the original's\n" in said
    assert "Unlearned  whole model: 21 tensors matched, 21 differ, 100.00 % of the parameters" in said
    assert "- _orig_mod. and module. was removed" in said
    assert cli.run(["models", str(tmp_path / "study.toml"), "--json", *cache]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["report"]["changed"] for row in rows] == [0, 21]
