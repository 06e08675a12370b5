"""What README says of importable formats, format by format, on files as the tools' own writers write them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch

from app.cli.import_results import lines
from cache.importers import ImportFindings, grouped, import_results, read_results
from cache.importers.findings import Remark
from cache.store import open_store
from cache.store.results import ImportChanges, ImportedRun
from tests.foreign_files import write_others, write_saves
from tests.foreign_more import (
    AGGREGATE,
    MODEL,
    tofu_eval,
    with_indices,
    write_aggregate_csv,
    write_aggregate_text,
    write_eval,
    write_harness,
    write_json,
    write_legacy_lists,
    write_old_harness,
    write_rwku,
)

END = Path("eval_results/ds_size300")


def only(path: Path) -> ImportedRun:
    """The one run under a path, with nothing left out."""
    found = read_results([path])
    assert not found.problems and not found.left_out
    (result,) = found.results
    return result


def value(result: ImportedRun, key: str) -> float:
    return result.metrics[key].value


README = {
    "TOFU_EVAL.json": "open-unlearning",
    "MUSE_EVAL.json": "open-unlearning",
    "LMEval_SUMMARY.json": "open-unlearning",
    "results_*.json": "lm-evaluation-harness",
    "*.pth": "UnlearnCanvas",
    "log.json": "UnlearnDiffAtk",
    "report.json": "eval-unlearn",
    "summary.json": "unlearning-depth-score",
    "method_results.json": "unlearning-depth-score",
    "muse_results.csv": "MUSE",
    "mine.csv": "table",
}
"""File names of README's sentence and the tool that each is of."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("everything")
    write_saves(folder)
    return write_others(folder)


@pytest.mark.parametrize(("pattern", "tool"), README.items())
def test_every_format_that_readme_names_gives_runs(everything: Path, pattern: str, tool: str) -> None:
    files = sorted(everything.rglob(pattern))
    assert files
    found = read_results(files)
    assert {each.tool for each in found.results} == {tool}
    assert all(each.metrics for each in found.results)


def test_lists_of_npo_and_simnpo_give_what_dictionaries_by_index_give(tmp_path: Path) -> None:
    task = "2GPU_npo_grad_diff_1e-05_forget10_epoch10_batch4_accum4_beta0.1_reffine_tuned_seed1001_1"
    listed = write_legacy_lists(tmp_path / "a" / "llama2-7b_full" / task / "checkpoint-12", seed=1)
    with_indices(listed, tmp_path / "b" / "llama2-7b_full" / task / "checkpoint-12" / END)
    one, other = only(tmp_path / "a"), only(tmp_path / "b")
    assert one.metrics == other.metrics
    assert len(one.metrics) == 13
    assert (one.method, one.step, one.collection) == ("NPO", 12, "TOFU forget10 · llama2-7b · 2024")
    assert one.settings["seed"] == "1001"
    assert list(one.examples["generation"][:2]) == ["said 0", "said 1"]


def test_the_four_evaluations_of_2024_are_read_without_their_aggregate(tmp_path: Path) -> None:
    whole = write_legacy_lists(tmp_path / "a" / "retain90_llama_wd0.01" / END, seed=2)
    for name, held in json.loads(whole.read_text()).items():
        write_json(tmp_path / "b" / "retain90_llama_wd0.01" / END / name, held)
    one, other = only(tmp_path / "a"), only(tmp_path / "b")
    assert one.metrics == other.metrics
    assert other.part == "retained"
    beside = read_results([tmp_path])  # beside their aggregate they are no second run
    assert len(beside.results) == 2


def test_tofus_aggregate_has_model_utility_and_forget_quality(tmp_path: Path) -> None:
    found = only(write_aggregate_csv(tmp_path / "aggregate_stat.csv", "grad_ascent"))
    assert value(found, "all/model_utility") == AGGREGATE["Model Utility"]
    assert value(found, "forget/forget_quality") == AGGREGATE["Forget Quality"]
    assert value(found, "utility/choice_probability@real authors") == AGGREGATE["Prob. Real Authors"]
    assert (found.method, found.settings["Submitted By"]) == ("GradAscent", "somebody")
    named = only(write_aggregate_csv(tmp_path / "other" / "mine.csv", "npo"))
    assert value(named, "forget/forget_quality") == 0.03


def test_a_table_of_aggregates_has_a_run_a_row(tmp_path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["", "Model Utility", "Forget Quality", "curr_step"])  # as SimNPO's script collects them
    for seed in (1001, 2002):
        writer.writerow([f"8GPU_simnpo_1e-05_forget05_epoch10_seed{seed}_1", 0.5, 0.1, 62])
    (tmp_path / "aggregated_metrics_pandas_62.csv").write_text(text.getvalue())
    found = read_results([tmp_path]).results
    assert [each.settings["seed"] for each in found] == ["1001", "2002"]
    assert {(each.method, each.step) for each in found} == {("SimNPO", 62)}
    assert {each.collection for each in found} == {"TOFU forget05 · 2024"}


def test_npos_text_and_its_evaluation_are_one_run_with_the_stated_forget_quality(tmp_path: Path) -> None:
    folder = tmp_path / "llama2-7b_full" / "npo_1e-05_forget10_seed1001" / "checkpoint-12"
    write_legacy_lists(folder, seed=3)
    write_aggregate_text(folder, step=12)
    found = read_results([tmp_path])
    (run,) = found.results
    assert value(run, "forget/forget_quality") == 0.07
    assert value(run, "all/model_utility") != 0.55  # of the evaluation, which has the examples
    assert len(run.examples) == 120
    alone = read_results([write_aggregate_text(tmp_path / "b" / "npo_1e-05_forget10" / "checkpoint-12", 12)])
    assert value(alone.results[0], "all/model_utility") == 0.55
    assert alone.results[0].step == 12


def test_rwkus_files_of_one_subject_are_one_run(tmp_path: Path) -> None:
    write_rwku(tmp_path)
    found = only(tmp_path)
    assert found.collection == "RWKU · 1_Ada_Quill · llama3_8b_instruct"
    assert (found.method, found.protocol) == ("NPO", "RWKU")
    assert [value(found, f"forget/rouge_l@level {level}") for level in (1, 2, 3)] == [0.1, 0.2, 0.3]
    assert found.metrics["forget/rouge_l@level 1"].n == 2
    assert value(found, "neighbour/rouge_l@level 1") == 0.7
    mmlu = found.metrics["utility/higher:MMLU accuracy"]
    assert (mmlu.value, mmlu.n) == (0.5, 4)
    assert mmlu.low < 0.5 < mmlu.high
    assert value(found, "utility/higher:TriviaQA F1") == 0.35
    assert value(found, "utility/higher:Fluency (n-gram entropy)") == 6.5
    assert value(found, "forget/lower:Log-likelihood of texts about the target") == -3.0
    assert len(found.examples) == 6


def test_rwkus_variants_of_one_model_are_on_one_chart(tmp_path: Path) -> None:
    for model in ("llama3_8b_instruct", "llama3_8b_instruct_lowlr"):
        write_rwku(tmp_path, "ga_lora", model)
    write_rwku(tmp_path, "original")
    found = read_results([tmp_path]).results
    assert len({each.collection for each in found}) == 1
    assert {each.model for each in found} == {"ga_lora", "ga_lora lowlr", "original"}
    assert {each.part for each in found} == {"unlearned", "original"}


def test_a_harness_run_with_an_adapter_is_named_by_it(tmp_path: Path) -> None:
    arguments = "pretrained=org/base,peft=./npo/checkpoint-60,dtype=bfloat16"
    base = write_harness(tmp_path / "results_2026-01-01T00-00-00.0.json", model_name="org/base")
    with_adapter = write_harness(
        tmp_path / "results_2026-01-02T00-00-00.0.json",
        model_name="org/base",
        config={"model": "hf", "model_args": arguments},
    )
    as_object = write_harness(
        tmp_path / "results_2026-01-03T00-00-00.0.json",
        config={"model": "hf", "model_args": {"pretrained": "org/base", "peft": "runs/simnpo_lr1e-5"}},
    )
    one, other, third = (only(path) for path in (base, with_adapter, as_object))
    assert one.model == "org/base"
    assert (other.model, other.method, other.step, other.line) == ("npo/checkpoint-60", "NPO", 60, "npo")
    assert other.settings["adapter of"] == "org/base"
    assert (third.model, third.method) == ("runs/simnpo_lr1e-5", "SimNPO")
    assert len({each.collection for each in (one, other, third)}) == 1


def test_a_single_results_json_and_the_form_of_03_are_read(tmp_path: Path) -> None:
    single = only(write_harness(tmp_path / "a" / "results.json").parent)
    assert value(single, "forget/lm_eval:wmdp_bio:acc") == 0.25
    old = only(write_old_harness(tmp_path / "b" / "old-model.json"))
    assert old.model == "org/old"
    accuracy = old.metrics["all/lm_eval:arc_easy:acc"]
    assert accuracy.value == 0.71
    assert accuracy.high == pytest.approx(0.71 + 1.959964 * 0.01)
    assert value(old, "all/lm_eval:arc_easy:acc_norm") == 0.66


def test_a_harness_run_over_the_first_examples_is_no_run_over_the_task(tmp_path: Path) -> None:
    path = write_harness(
        tmp_path / "results_x.json",
        config={"model_args": "pretrained=org/base", "limit": 10.0},
        **{"n-samples": {"wmdp_bio": {"original": 1273, "effective": 10}}},
    )
    found = only(path)
    assert found.collection.endswith("limit 10")
    assert "first examples of wmdp_bio" in found.notes[0]
    assert only(write_harness(tmp_path / "b" / "results_y.json")).collection != found.collection


def test_harness_groups_and_perplexities_are_read_with_their_direction(tmp_path: Path) -> None:
    path = write_harness(
        tmp_path / "results_z.json",
        results={
            "wikitext": {"word_perplexity,none": 12.3, "word_perplexity_stderr,none": "N/A"},
            "odd": {"distance,none": 3.0},
            "gsm8k": {"exact_match,strict-match": 0.2, "exact_match,flexible-extract": 0.3},
        },
        groups={"mmlu": {"acc,none": 0.6, "acc_stderr,none": 0.01}},
        higher_is_better={"odd": {"distance": False}},
    )
    found = only(path)
    assert value(found, "all/lm_eval:wikitext:word_perplexity") == 12.3
    assert value(found, "all/lower:odd: distance") == 3.0
    assert value(found, "all/lm_eval:mmlu:acc") == 0.6
    assert value(found, "all/lm_eval:gsm8k:exact_match strict-match") == 0.2


MUSE = "name,verbmem_f,privleak,knowmem_f,knowmem_r\n"


def test_a_muse_table_in_per_cent_and_one_in_fractions_give_the_same_run(tmp_path: Path) -> None:
    for name, rows in {
        "per cent": "target,58.29,-98.2,63.9,55.2\nnpo,32.1,-99.9,55.3,48.3\n",
        "fractions": "target,0.5829,-98.2,0.639,0.552\nnpo,0.321,-99.9,0.553,0.483\n",
        "all fractions": "target,0.5829,-0.982,0.639,0.552\nnpo,0.321,-0.999,0.553,0.483\n",
    }.items():
        path = tmp_path / name / "out.csv"
        path.parent.mkdir()
        path.write_text(MUSE + rows)
    runs = [read_results([tmp_path / name]) for name in ("per cent", "fractions", "all fractions")]
    keys = [{each.key for each in found.results} for found in runs]
    assert keys[0] == keys[1] == keys[2]
    assert not runs[0].notes
    assert "read as fractions" in str(runs[1].notes[0])


def test_what_others_added_to_muses_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text(
        MUSE.strip()
        + ',gen,tru,fac,flu\nnpo,32,-99,55,48,0.28,"(0.2, 0.34)","(0.0, 0.09)",5.9\nga,1,2,3,4,,,,\n'
    )
    found = read_results([path])
    assert not found.left_out
    npo, ga = found.results
    assert value(npo, "utility/higher:TruthfulQA MC2") == 0.34
    assert value(npo, "utility/higher:TriviaQA F1") == 0.09
    assert len(ga.metrics) == 4


def test_accuracies_that_float32_sums_to_a_little_more_than_one_are_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "ESD"
    folder.mkdir()
    accuracies = {"Van_Gogh": torch.tensor(1.0000013), "Monet": torch.tensor(0.5), "Sketch": 0.75}
    torch.save({"test_theme": "Van_Gogh", "acc": accuracies}, folder / "Van_Gogh.pth")
    found = only(folder)
    assert value(found, "forget/unlearn_accuracy") == 0.0
    assert value(found, "retain/in_domain_retain") == pytest.approx(0.625)


def test_compressed_files_are_read_as_what_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "saves" / "eval" / f"tofu_{MODEL}_retain90"
    plain = write_eval(folder, tofu_eval(np.linspace(0.1, 0.9, 20).tolist()))
    expected = only(tmp_path)
    packed = lzma.compress(plain.read_bytes())
    plain.unlink()
    (folder / "TOFU_EVAL.json.xz").write_bytes(packed)
    assert only(tmp_path).key == expected.key
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"model,forget/probability\na,0.5\n"))
    assert only(tmp_path / "t.csv.gz").collection == "t"


def test_seeds_and_parts_of_one_model_and_split_are_in_one_collection(tmp_path: Path) -> None:
    saves = tmp_path / "saves"
    for place, folder in enumerate((
        f"eval/tofu_{MODEL}_full/evals_forget10",
        f"eval/tofu_{MODEL}_full_lr2e-5",
        f"eval/tofu_{MODEL}_retain90_seed1",
        f"unlearn/tofu_{MODEL}_forget10_NPO_seed1/evals",
        f"unlearn/tofu_{MODEL}_forget10_NPO_seed2/evals",
        f"unlearn/tofu_{MODEL}_forget10_SimNPO_lr1e-05_b4.5_a1_d1_g0.125_ep5/evals",
    )):  # fmt: skip
        write_eval(saves / folder, {"model_utility": 0.1 * place}, "TOFU_SUMMARY.json")
    found = read_results([saves]).results
    assert {each.collection for each in found} == {f"TOFU forget10 · {MODEL}"}


def test_values_that_are_none_are_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "saves" / "unlearn" / "tofu_A_forget10_NPO" / "evals"
    rows = {"0": {"prob": 0.4}, "1": None, "2": {"prob": 0.4}}
    content = {
        "forget_Q_A_Prob": {"agg_value": 0.4, "value_by_index": rows},
        "forget_Q_A_ROUGE": {"agg_value": float("nan"), "value_by_index": {}},
        "privleak": {"agg_value": float("inf")},
    }
    write_eval(folder, content)
    found = read_results([tmp_path])
    assert set(found.results[0].metrics) == {"forget/probability"}
    assert not found.problems
    said = "\n".join(map(str, found.left_out))
    assert "forget_Q_A_Prob: 1 of 3 examples have no value" in said
    assert "forget_Q_A_ROUGE is nan" in said and "privleak is inf" in said


def test_files_that_lack_the_same_are_one_line(tmp_path: Path) -> None:
    for place in range(60):
        (tmp_path / f"{place}.json").write_text("{}")
    found = read_results([tmp_path])
    (line,) = grouped(found.left_out)
    assert line.startswith("60 files and folders: is not a result file of a supported tool")
    said = lines(found, ImportChanges(0, 0, 0))
    assert said[-2] == "60 entries were not recognised and left out:"
    assert len(said) == 3


def test_one_thing_is_said_in_the_singular() -> None:
    found = ImportFindings(problems=[Remark("a.json", "is half a file")], notes=[Remark("here", "is a note")])
    said = lines(found, ImportChanges(1, 0, 0))
    assert said[1:] == [
        "1 note:",
        "  here: is a note",
        "1 file could not be used:",
        "  a.json: is half a file",
    ]


def test_every_note_reaches_the_person_who_imports(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text(MUSE + "target,0.5829,-98.2,0.639,0.552\n")
    found, changed = import_results(open_store(tmp_path / "evidence.sqlite"), [tmp_path / "out.csv"])
    assert any("read as fractions" in line for line in lines(found, changed))
