"""Result files that nobody should have made: each gives a line at most, none runs code, hangs, or stops the others."""

from __future__ import annotations

import json
import lzma
import os
import zipfile
from pathlib import Path

import pytest
import torch

from app.cli.import_results import lines
from cache.importers import ImportFindings, import_results, read_results
from cache.store import open_store
from cache.store.results import runs_of
from tests.foreign_more import MODEL, tofu_eval, write_eval, write_harness, write_hydra

GOOD = f"saves/unlearn/tofu_{MODEL}_forget10_RMU/evals"
NUMBERS = {
    "beyond a float": "1" + "0" * 400,
    "beyond 4,300 digits": "9" * 5000,
    "negative and beyond": "-1" + "0" * 400,
    "power": "1e999",
    "not a number": "NaN",
    "flag": "true",
    "text of digits": '"' + "9" * 6000 + '"',
    "lone surrogate": '"\\ud800"',
    "list": "[[]]",
    "object": "{}",
    "nothing": "null",
}


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def imported(folder: Path) -> ImportFindings:
    """Everything in the folder and one good run, kept in a store; the good run always lands."""
    write_eval(folder / GOOD, {"model_utility": 0.5}, "TOFU_SUMMARY.json")
    store = open_store(folder.parent / "evidence.sqlite")
    found, changed = import_results(store, [folder])
    assert any(each.method == "RMU" for each in runs_of(store, f"TOFU forget10 · {MODEL}").values())
    "\n".join(lines(found, changed)).encode()  # can be printed
    return found


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_what_is_no_number_never_stops_an_import(tmp_path: Path, number: str) -> None:
    root = tmp_path / "files"
    files = {
        "saves/unlearn/tofu_A_forget10_NPO/evals/TOFU_EVAL.json": '{"forget_truth_ratio": {"agg_value": N, '
        '"value_by_index": {"0": {"score": N}, "1": {"score": -1e-10}, "2": {"score": 1e308}, "3": {"score": 1e308}}}, '
        '"forget_Q_A_ROUGE": {"agg_value": N, "value_by_index": {"0": {"rougeL_recall": N, "input": N}}}, '
        '"mia_min_k": N, "privleak": N, "extraction_strength": 0.5}',
        "lm/results_1.json": '{"results": {"t": {"acc,none": N, "acc_stderr,none": N}, "u": N, "x": '
        '{"acc,none": 0.5}}, "n-samples": {"x": {"effective": N, "original": N}}, "date": N, '
        '"config": {"limit": N, "model_args": N, '
        '"num_fewshot": N}, "model_name": N, "higher_is_better": {"x": N}}',
        "esd/1/report.json": '{"technique_name": "esd", "timestamp": N, "metric_name": "asr_i2p", "seed": N, '
        '"metric_result": {"value": 0.5, "details": N}, "run_id": N, "erase_concept": N}',
        "uds/method_results.json": '{"models": [{"model": "npo", "uds": 0.5, "mem": N, "method": N, "lr": N}, N]}',
        "uds/r/summary.json": '{"uds": 0.5, "avg_uds": N, "num_examples": N, "method": N}',
        "attack/ESD/attack_idx_0/log.json": '[{"success": N, "prompt": N}, N]',
        "retain90_llama/eval_results/eval_log_aggregated.json": '{"eval_log_forget.json": {"avg_gt_loss": [N, 1], '
        '"average_perturb_loss": [[], N], "avg_paraphrased_loss": [1, N], "rougeL_recall": {"0": N, "1": 0.5}}, '
        '"eval_log.json": N}',
        "rwku/npo_full/llama/X/forget_mia.json": '{"loss": N, "zlib": -0.1, "results": {"loss": [N, 1], "zlib": N}}',
        "a.csv": "model,step,forget/probability,forget/probability_low\nnpo,N,N,N\nb,1,0.5,N\n",
        "checkpoint-5/aggregate_stat.txt": "Model Utility: N\nForget Quality: 0.1\ncurr_step: N\nseed: N\n",
    }  # fmt: skip
    for name, text in files.items():
        put(
            root / name,
            text.replace("N", number)
            if "csv" not in name and "txt" not in name
            else text.replace("N", number.strip('"')),
        )
    found = imported(root)
    assert len(found.results) >= 7


@pytest.mark.parametrize("seconds", ["-1e18", "-5", "1e30", "253402300800", "9" * 400])
def test_time_stamps_outside_the_calendar_are_left_out(tmp_path: Path, seconds: str) -> None:
    path = write_harness(tmp_path / "results_1.json")
    path.write_text(path.read_text().replace("1740823200.0", seconds))
    (found,) = read_results([path]).results
    assert found.created == ""


def test_lone_surrogates_in_names_are_replaced(tmp_path: Path) -> None:
    root = tmp_path / "files"
    put(
        root / "results_1.json",
        '{"results": {"wmdp\\ud800": {"acc,none": 0.5}}, "model_name": "a\\udfff", "config": {"k\\ud800": "v\\ud800"}}',
    )
    put(
        root / "saves/unlearn/tofu_A_forget10_NPO/evals/TOFU_EVAL.json",
        '{"forget_Q_A_ROUGE": {"agg_value": 0.5, "value_by_index": {"\\ud800": {"rougeL_recall": 0.5, '
        '"input": "\\ud800", "generation": "x\\ud800"}}}, "\\ud800": 1}',
    )
    put(root / os.fsdecode(b"tofu_A_forget10_\xff") / "TOFU_SUMMARY.json", '{"model_utility": 0.5}')
    assert len(imported(root).results) == 4


def test_a_cell_longer_than_pythons_limit_is_a_cell(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "model,note,forget/probability\nNPO," + "x" * 200_000 + ",0.5\nRMU,y,0.6\n")
    assert [each.model for each in read_results([tmp_path]).results] == ["NPO", "RMU"]


def test_a_name_of_megabytes_is_cut(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "model,forget/probability\n" + "x" * 2_000_000 + ",0.5\n")
    (found,) = read_results([tmp_path]).results
    assert len(found.model) == 4096


def test_thousands_of_columns_are_one_line(tmp_path: Path) -> None:
    names = ",".join(f"c{place}" for place in range(20_000))
    put(tmp_path / "a.csv", f"model,forget/probability,{names}\nNPO,0.5,{'1,' * 20_000}\n")
    found = read_results([tmp_path])
    assert len(found.results) == 1
    assert "and 19,988 more" in str(found.left_out[0])
    assert len(str(found.left_out[0])) < 1000


def test_tens_of_thousands_of_rows_are_a_run_each(tmp_path: Path) -> None:
    rows = "".join(f"run {place},{place / 2e4}\n" for place in range(20_000))
    put(tmp_path / "a.csv", f"model,forget/probability\n{rows}")
    store = open_store(tmp_path / "evidence.sqlite")
    assert import_results(store, [tmp_path / "a.csv"])[1] == (20_000, 0, 0)


def test_a_column_or_name_that_is_there_twice_is_not_chosen_from(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "model,forget/probability,forget/probability,retain/probability\na,0.1,0.2,0.9\n")
    folder = tmp_path / GOOD
    put(folder / "TOFU_SUMMARY.json", '{"model_utility": 0.5, "forget_quality": 0.1, "model_utility": 0.6}')
    found = read_results([tmp_path])
    runs = {each.tool: each for each in found.results}
    assert set(runs["table"].metrics) == {"retain/probability"}
    assert set(runs["open-unlearning"].metrics) == {"forget/forget_quality"}
    said = "\n".join(map(str, found.left_out))
    assert "twice, so none of them is used: forget/probability" in said
    assert "twice with different values, so neither is used: model_utility" in said


TEXTS = {
    "a number": "5",
    "a list": "[]",
    "empty": "",
    "half": '{"results": {',
    "a text": '"x"',
    "deep list": "[" * 100_000,
    "deep object": '{"a":' * 100_000,
    "null byte": "\x00",
    "another object": '{"results": 5, "models": 5}',
}
NAMES = ("TOFU_EVAL.json", "MUSE_SUMMARY.json", "results_1.json", "report.json", "method_results.json", "summary.json",
         "attack_idx_0/log.json", "eval_log_aggregated.json", "forget_mia.json", "any.json", "a.csv")  # fmt: skip


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_holds_something_else_gets_a_line(tmp_path: Path, text: str) -> None:
    for place, name in enumerate(NAMES):
        put(tmp_path / "files" / str(place) / name, text)
    found = imported(tmp_path / "files")
    assert len(found.results) == 1
    assert len({each.where for each in [*found.problems, *found.left_out]}) >= len(NAMES)


def test_where_json_breaks_is_said_with_line_and_column(tmp_path: Path) -> None:
    put(tmp_path / GOOD / "TOFU_EVAL.json", '{"model_utility": 0.5,\n "forget_quality": oops}')
    assert "line 2, column 20" in str(read_results([tmp_path]).problems[0])


YAML = {
    "aliases of lists": "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)) + "trainer: *j\n",
    "aliases of objects": "a: &a {x: 1}\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} {{{', '.join(f'k{q}: *{chr(97 + n)}' for q in range(9))}}}\n" for n in range(9))
        + "trainer: *j\neval: {tofu: {metrics: {model_utility: *j}}}\n",
    "code": "trainer: !!python/object/apply:os.system ['touch ran']\n",
    "a circle": "a: ${b}\nb: ${a}\ntask_name: ${a}\neval: {tofu: {forget_split: '${a}'}}\n",
    "deep in brackets": "trainer: " + "[" * 50_000,
    "deep in dashes": "- " * 50_000 + "x",
    "deep by indentation": "\n".join(" " * depth + "a:" for depth in range(2000)),
    "no settings": "5",
    "empty": "",
}  # fmt: skip


@pytest.mark.parametrize("text", YAML.values(), ids=YAML)
def test_settings_beside_results_cannot_harm_them(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "files" / "saves" / "unlearn" / "tofu_A_forget10_NPO" / "evals"
    write_eval(folder, {"model_utility": 0.4}, "TOFU_SUMMARY.json")
    write_hydra(folder, text)
    assert len(imported(tmp_path / "files").results) == 2
    assert not (tmp_path / "ran").exists()


def test_pipes_devices_and_links_are_not_opened(tmp_path: Path) -> None:
    root = tmp_path / "files"
    special = root / "special"
    special.mkdir(parents=True)
    for name in ("TOFU_EVAL.json", "a.csv", "results_1.json", "b.pth"):
        os.mkfifo(special / name)
        (special / f"zero {name}").symlink_to("/dev/zero")
    (special / "circle").symlink_to(special)
    (special / "gone.csv").symlink_to("/nowhere/at/all")
    os.mkfifo(put(root / GOOD / ".hydra" / "x", "").with_name("config.yaml"))
    samples = write_harness(root / "lm" / "results_7.json")
    os.mkfifo(samples.with_name("samples_wmdp_bio_7.jsonl"))
    found = imported(root)
    assert len(found.results) == 2
    said = "\n".join(map(str, found.problems))
    assert said.count("a pipe, a device or a socket") == 8
    assert "a broken link" in said
    with_pipe = read_results([special / "a.csv"])
    assert "a pipe, a device or a socket" in str(with_pipe.problems[0])


def test_what_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "files"
    bomb = lzma.compress(b" " * 2**20, preset=1) * 300
    put(root / "one" / "TOFU_EVAL.json.xz", bomb)
    put(root / "broken.csv.gz", b"\x1f\x8bnope")
    with zipfile.ZipFile(root / "z.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"x")
        archive.writestr("archive/data/0", bytes(2**27))
    said = "\n".join(map(str, imported(root).problems))
    assert "unpacks to more than the 128 MB" in said
    assert "cannot be unpacked" in said
    assert "unpacks to 128 MB, so it is not a result" in said


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("ran",)


def test_tensors_where_a_number_is_due_are_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    endless = torch.zeros(1).expand(10**12)
    folder = tmp_path / "files" / "ESD"
    folder.mkdir(parents=True)
    for name, held in {
        "endless accuracy": {"test_theme": "A", "acc": {"A": endless, "B": 0.5}},
        "endless theme": {"test_theme": endless, "acc": {"A": 0.5}},
        "endless accuracies": {"test_theme": "A", "acc": endless},
        "only a tensor": endless,
        "without numbers": {
            "test_theme": "A",
            "acc": {"A": torch.zeros(1, device="meta"), "B": torch.empty(0)},
        },
        "complex": {"test_theme": "A", "acc": {"A": torch.tensor(1 + 2j)}},
        "huge": {"test_theme": "A", "acc": {"A": 10**400}},
        "code": {"test_theme": "A", "acc": _Code()},
    }.items():
        torch.save(held, folder / f"{name}.pth")
    torch.save(
        {"test_theme": "A", "acc": {"A": torch.tensor([0.25]), "B": 0.5}, "input_dir": endless},
        folder / "A.pth",
    )
    found = imported(tmp_path / "files")
    assert len(found.problems) == 8
    assert [each.model for each in found.results if each.tool == "UnlearnCanvas"] == ["ESD A"]
    assert not (tmp_path / "ran").exists()


def test_ten_thousand_metrics_of_unknown_names_are_one_line(tmp_path: Path) -> None:
    content = {f"metric {place}": place for place in range(10_000)} | {"model_utility": 0.5}
    put(tmp_path / GOOD / "TOFU_SUMMARY.json", json.dumps(content))
    found = read_results([tmp_path])
    assert len(found.results) == 1
    assert len(found.left_out) == 1 and len(str(found.left_out[0])) < 1000


def test_half_a_retained_log_leaves_the_others_their_reference(tmp_path: Path) -> None:
    saves = tmp_path / "saves"
    held = [0.2, 0.4, 0.5, 0.7]
    write_eval(saves / "eval" / f"tofu_{MODEL}_retain90", tofu_eval(held))
    put(saves / "eval" / f"tofu_{MODEL}_retain90_seed2" / "TOFU_EVAL.json", '{"forget_truth_ratio": {"agg')
    write_eval(saves / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals", tofu_eval(held))
    found = read_results([saves])
    assert len(found.problems) == 1
    assert {each.metrics["forget/forget_quality"].value for each in found.results} == {1.0}
