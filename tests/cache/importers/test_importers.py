"""Other tools' files become runs: every shape, what is said of bad ones, and that a second time changes nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import hmean, ks_2samp

from backends.errors import StoreError
from cache.analysis.results_board import results_board
from cache.importers import import_results, read_results
from cache.importers.task_names import method_of, task_name
from cache.store import open_store
from cache.store.results import ImportedRun, collections, examples, remove_collection, result, runs_of
from tests.foreign_files import BASE, STEPS, TASKS, tofu_evaluation, write_legacy, write_others, write_saves

TOFU = f"TOFU forget10 · {BASE}"


@pytest.fixture(scope="module")
def saves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole tree of open-unlearning."""
    return write_saves(tmp_path_factory.mktemp("saves"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of every other tool."""
    return write_others(tmp_path_factory.mktemp("others"))


def by_tool(path: Path) -> dict[str, list[ImportedRun]]:
    found: dict[str, list[ImportedRun]] = {}
    for each in read_results([path]).results:
        found.setdefault(each.tool, []).append(each)
    return found


def qualities(runs: Iterable[ImportedRun]) -> dict[str, float]:
    """Forget quality by the run's name."""
    return {each.model: each.metrics["forget/forget_quality"].value for each in runs}


def test_a_tree_becomes_trajectories_with_original_and_retained(saves: Path) -> None:
    found = read_results([saves])
    assert not found.problems
    assert {each.collection for each in found.results} == {TOFU}
    assert {(each.part, each.method) for each in found.results} == {
        ("original", ""),
        ("retained", ""),
        *(("unlearned", method) for method in TASKS),
    }
    npo = sorted((each for each in found.results if each.method == "NPO"), key=lambda each: each.step or 0)
    assert [each.step for each in npo] == list(STEPS)
    assert {each.line for each in npo} == {f"tofu_{BASE}_forget10_NPO"}
    assert npo[0].settings["trainer.method_args.beta"] == 0.1
    assert npo[0].protocol == "open-unlearning"


def test_values_are_those_of_the_files_with_intervals_where_the_mean_is_theirs(saves: Path) -> None:
    last = next(each for each in read_results([saves]).results if each.method == "NPO" and each.step == 90)
    file = Path(last.source) / "TOFU_EVAL.json"
    content = json.loads(file.read_text())
    for theirs, ours in (
        ("forget_Q_A_Prob", "forget/probability"),
        ("forget_Q_A_ROUGE", "forget/rouge_l"),
        ("forget_truth_ratio", "forget/truth_ratio"),
        ("retain_Truth_Ratio", "retain/truth_ratio"),
        ("ra_Q_A_Prob_normalised", "utility/choice_probability@real authors"),
    ):
        number = last.metrics[ours]
        assert number.value == pytest.approx(content[theirs]["agg_value"], abs=1e-12)
        assert number.low < number.value < number.high
        assert number.n == 40
    assert last.metrics["forget/mia_min_k"].value == content["mia_min_k"]["auc"]
    assert math.isnan(last.metrics["all/model_utility"].low)
    assert "forget/privleak" not in last.metrics  # NaN in the file


def test_the_forget_quality_that_a_file_lacks_comes_from_the_retained_log(saves: Path) -> None:
    found = {each.model: each for each in read_results([saves]).results}
    ours, retained = found[f"tofu_{BASE}_forget10_NPO step 60"], found[f"tofu_{BASE}_retain90"]

    def ratios(each: ImportedRun) -> list[float]:
        rows = json.loads((Path(each.source) / "TOFU_EVAL.json").read_text())["forget_truth_ratio"]
        return [row["score"] for row in rows["value_by_index"].values()]

    expected = ks_2samp(ratios(ours), ratios(retained)).pvalue
    assert ours.metrics["forget/forget_quality"].value == pytest.approx(expected)
    assert ours.settings["retained log"] == retained.source
    assert retained.metrics["forget/forget_quality"].value == pytest.approx(1.0)


def test_of_retained_logs_that_disagree_it_is_said_which_one_is_used(tmp_path: Path) -> None:
    saves = write_saves(tmp_path)
    second = saves / "eval" / "again" / f"tofu_{BASE}_retain90" / "TOFU_EVAL.json"
    second.parent.mkdir(parents=True)
    second.write_text(json.dumps(tofu_evaluation(77, 0.2, 0.5)))
    found, _ = import_results(open_store(tmp_path / "evidence.sqlite"), [saves])
    assert not found.problems
    assert f"measured against tofu_{BASE}_retain90" in "\n".join(map(str, found.notes))
    assert "1 other retained run" in "\n".join(map(str, found.notes))


def test_legacy_files_yield_model_utility_and_forget_quality_by_the_scripts_formulas(tmp_path: Path) -> None:
    end = Path("eval_results/ds_size300")
    retained = write_legacy(tmp_path / "data" / "ft_epoch5_lr1e-05_llama2-7b_retain90_wd0.01" / end, 0.2)
    task = tmp_path / "lr1e-05_llama2-7b_full_seed42_1" / "grad_ascent_1e-05_forget10_5" / "checkpoint-12"
    unlearned = write_legacy(task / end, 0.9, seed=5)
    write_legacy(tmp_path / "ft_epoch5_lr2e-05_phi_full_wd0" / end, 0.9, seed=6)
    found = {each.part: each for each in read_results([tmp_path]).results}
    content = json.loads(unlearned.read_text())

    def column(section: str, name: str) -> np.ndarray:
        return np.array(list(content[section][name].values()))

    parts = []
    for section in ("eval_log.json", "eval_real_author_wo_options.json", "eval_real_world_wo_options.json"):
        true, wrong = (
            np.exp(-column(section, "avg_gt_loss")),
            np.exp(-column(section, "average_perturb_loss")),
        )
        parts.append(np.mean(true if section == "eval_log.json" else true / (true + wrong.sum(axis=1))))
        parts.append(column(section, "rougeL_recall").mean())
        ratio = np.exp(
            column(section, "average_perturb_loss").mean(axis=1) - column(section, "avg_paraphrased_loss")
        )
        parts.append(np.mean(np.maximum(0, 1 - 1 / ratio)))
    assert found["unlearned"].metrics["all/model_utility"].value == pytest.approx(hmean(parts))
    ratios = [
        np.exp(
            np.mean(list(held["average_perturb_loss"].values()), axis=1)
            - np.array(list(held["avg_paraphrased_loss"].values()))
        )
        for held in (json.loads(path.read_text())["eval_log_forget.json"] for path in (unlearned, retained))
    ]
    expected = ks_2samp(*ratios).pvalue
    assert found["unlearned"].metrics["forget/forget_quality"].value == pytest.approx(expected)
    assert (found["unlearned"].method, found["unlearned"].step) == ("GradAscent", 12)
    assert found["unlearned"].collection == found["retained"].collection == "TOFU forget10 · llama2-7b · 2024"
    assert found["retained"].model == "ft_epoch5_lr1e-05_llama2-7b_retain90_wd0.01"
    assert found["original"].collection == "TOFU · phi · 2024"
    assert found["unlearned"].examples["generation"].notna().sum() == 81


def test_every_other_tool_is_read(others: Path) -> None:
    found = by_tool(others)
    muse = next(each for each in found["open-unlearning"] if each.collection.startswith("MUSE"))
    assert muse.metrics["forget/knowmem_rouge"].value == 0.5  # rougeL_f1, not recall
    assert muse.metrics["forget/privleak"].value == -86.0  # a string in the file
    wmdp = next(each for each in found["open-unlearning"] if each.collection.startswith("WMDP"))
    assert wmdp.metrics["forget/lm_eval:wmdp_cyber:acc"].low == pytest.approx(0.282 - 1.96 * 0.01, abs=1e-5)
    csv = {each.model: each for each in found["MUSE"]}
    assert (csv["target"].part, csv["retrain"].part, csv["npo"].method) == ("original", "retained", "NPO")
    assert csv["npo"].metrics["retain/knowmem_rouge"].value == pytest.approx(0.484)
    depth = {each.model: each for each in found["unlearning-depth-score"]}
    assert depth["full"].part == "original"
    assert depth["full"].metrics["forget/extraction_strength"].value == pytest.approx(0.68)
    assert depth["npo_lr2e5_b01_a1_ep10"].settings["beta"] == "01"
    assert depth["0116_simnpo"].metrics["forget/hard_udr"].n == 50
    harness = found["lm-evaluation-harness"][0]
    assert (harness.model, harness.method) == ("org/zephyr_RMU", "RMU")
    assert harness.metrics["forget/lm_eval:wmdp_bio:acc"].n == 1273
    assert list(harness.examples["prompt"]) == ["Q?"]
    canvas = found["UnlearnCanvas"][0]
    assert canvas.metrics["forget/unlearn_accuracy"].value == pytest.approx(0.98)
    assert canvas.metrics["retain/in_domain_retain"].value == pytest.approx(0.85)
    attack = found["UnlearnDiffAtk"][0]
    assert attack.metrics["forget/attack_success"].value == pytest.approx(1 / 3)
    assert attack.metrics["forget/post_asr"].value == pytest.approx(2 / 3)
    report = found["eval-unlearn"][0]
    assert (report.method, report.metrics["forget/attack_success"].value) == ("esd", 0.12)
    table = {each.model: each for each in found["table"]}
    assert list(table["base"].metrics["forget/probability"])[:3] == [0.9, 0.85, 0.95]
    assert table["NPO 10"].metrics["all/higher:score"].value == 0.7


def test_what_is_not_understood_is_listed_and_nothing_is_guessed(others: Path) -> None:
    said = "\n".join(map(str, read_results([others]).left_out))
    assert "direction of these columns" in said
    assert "odd" in said
    assert "line 4: forget/probability is 'abc', not a number" in said


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("ran",)


def test_bad_files_get_a_line_each_and_good_ones_still_land(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_saves(tmp_path)
    bad = {
        "half/TOFU_EVAL.json": '{"forget_Q_A_Prob": {"agg_value": 0.1,',
        "list/TOFU_EVAL.json": "[1, 2]",
        "empty/TOFU_EVAL.json": "",
        "words/TOFU_SUMMARY.json": '{"model_utility": "high"}',
        "bytes/TOFU_EVAL.json": "",
        "none.csv": "a,b\n1,2\n",
        "attack_idx_0/log.json": "{}",
    }
    for name, text in bad.items():
        path = tmp_path / "saves" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "saves" / "bytes" / "TOFU_EVAL.json").write_bytes(b"\xff\xfe\x00")
    torch.save({"acc": _Code()}, tmp_path / "saves" / "Evil.pth")
    found = read_results([tmp_path / "saves"])
    assert len(found.results) == 11
    assert len(found.problems) == len(bad) + 1
    said = "\n".join(map(str, found.problems))
    assert "half/TOFU_EVAL.json: is truncated" in said
    assert "Evil.pth: it holds more than tensors and plain containers" in said
    assert not (tmp_path / "ran").exists()
    with pytest.raises(StoreError, match="no such file"):
        read_results([tmp_path / "nothing"])


def test_importing_twice_changes_nothing_and_a_changed_file_replaces(tmp_path: Path) -> None:
    saves = write_saves(tmp_path)
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    _, first = import_results(store, [saves])
    version = store.version()
    _, again = import_results(store, [saves])
    assert (first, again, store.version()) == ((11, 0, 0), (0, 0, 11), version)
    changed = saves / "unlearn" / f"tofu_{BASE}_forget10_NPO" / "checkpoint-90" / "evals" / "TOFU_EVAL.json"
    content = json.loads(changed.read_text())
    content["model_utility"]["agg_value"] = 0.123
    changed.write_text(json.dumps(content))
    _, third = import_results(store, [saves])
    assert third == (0, 1, 10)
    board = results_board(store, [TOFU])
    assert len(board) == 11
    assert 0.123 in board.column("all/model_utility")


def test_a_board_has_the_numbers_and_a_run_its_settings_and_examples(saves: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    import_results(store, [saves])
    board = results_board(store, [TOFU])
    one = next(
        each for each in read_results([saves]).results if each.method == "GradDiff" and each.step == 60
    )
    place = list(board.heads["model"]).index(one.model)
    for key, number in one.metrics.items():
        column = board.numbers[:, place, board.keys.index(key)]
        assert column.tolist() == pytest.approx(list(number), nan_ok=True)
    kept = result(store, board.heads["key"].iloc[place])
    assert kept is not None
    assert (kept.settings, kept.source) == (one.settings, one.source)
    told = examples(store, board.heads["key"].iloc[place]).set_index("id")
    assert told.loc["forget 3", "generation"] == "<b>Said</b> 3"
    assert [each.runs for each in collections(store)] == [11]
    assert remove_collection(store, TOFU) == 11
    assert not collections(store)


def test_a_retained_log_that_was_imported_before_is_found(saves: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    import_results(store, [saves / "eval"])
    import_results(store, [saves / "unlearn"])
    assert qualities(runs_of(store, TOFU).values()) == qualities(read_results([saves]).results)
    alone = read_results([saves / "unlearn"]).results
    assert all("forget/forget_quality" not in each.metrics for each in alone)


def test_states_of_a_trainer_and_weights_are_not_taken_for_results(tmp_path: Path) -> None:
    saves = write_saves(tmp_path)
    task = saves / "unlearn" / f"tofu_{BASE}_forget10_NPO" / "checkpoint-30"
    torch.save({"python": (1, 2)}, task / "rng_state.pth")
    torch.save(torch.zeros(5 * 2**20), task / "weights.pth")
    for name in ("trainer_state.json", "config.json"):
        (task / name).write_text("{}")
    found = read_results([saves])
    assert (len(found.results), found.problems) == (11, [])


def test_leaderboards_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "nudity.csv"
    path.write_text(
        "Unlearned_Methods,Pre-ASR,Post-ASR,FID,CLIP-Score\nESD,20.42,76.05,18.18,0.302\nSPM,-1,91.55,17.48,0.310\n"
    )
    found = {each.model: each for each in read_results([path]).results}
    assert found["ESD"].metrics["forget/attack_success"].value == pytest.approx(0.2042)
    assert (found["ESD"].method, found["ESD"].modality) == ("ESD", "image")
    assert "forget/attack_success" not in found["SPM"].metrics
    shares = tmp_path / "uc.csv"
    shares.write_text("Method,UA,IRA\nSalUn,0.86,0.9\n")
    assert read_results([shares]).results[0].metrics["forget/unlearn_accuracy"].value == pytest.approx(0.86)


def test_a_cache_from_before_imports_gets_their_tables(tmp_path: Path, saves: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    store = open_store(path)
    with store.writing() as connection:
        for table in ("result_examples", "results", "result_metrics"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("PRAGMA user_version=1")
    store.close()
    assert import_results(open_store(path), [saves])[1].new == 11


@pytest.mark.parametrize(
    ("path", "part", "split", "method", "step"),
    [
        ("saves/eval/tofu_Llama-3.2-1B-Instruct_retain95", "retained", "forget05", "", None),
        ("saves/eval/muse_Llama-2-7b-hf_Books_target", "original", "Books", "", None),
        ("s/unlearn_tofu_Llama-3.2-1B-Instruct_forget01_SimNPO_lr1e-05_b4.5_a1_d1_g0.125_ep5/evals",
         "unlearned", "forget01", "SimNPO", None),
        ("unlearn/tofu_phi_forget05_NPO/checkpoint-12/evals", "unlearned", "forget05", "NPO", 12.0),
        ("somewhere/else", "unlearned", "", "", None),
    ],
)  # fmt: skip
def test_paths_say_what_a_run_is(path: str, part: str, split: str, method: str, step: float | None) -> None:
    found = task_name(Path(path))
    assert (found.part, found.split, found.method, found.step) == (part, split, method, step)


def test_names_hold_hyper_parameters() -> None:
    method, settings = method_of("unlearn_tofu_L_forget10_RMU_lr1e-05_layer5_scoeff10_epoch10")
    assert (method, settings) == ("RMU", {"lr": "1e-05", "layer": "5", "scoeff": "10", "epoch": "10"})
