"""Result files of other tools, made to the shapes that their sources write. Numbers are random but consistent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

BASE = "Llama-3.2-1B-Instruct"
TASKS = {"NPO": (0.35, 0.46), "GradDiff": (0.02, 0.49), "GradAscent": (0.0, 0.0)}
STEPS = (30, 60, 90)


def tofu_evaluation(seed: int, known: float, useful: float, rows: int = 40) -> dict[str, Any]:
    """`TOFU_EVAL.json` of one model: how much it still knows and how useful it is, 0 to 1."""
    random = np.random.default_rng(seed)

    def near(centre: float, count: int = rows) -> np.ndarray:
        return np.clip(centre + random.normal(0, 0.05, count), 0, 1)

    def indexed(name: str, values: np.ndarray, **more: Any) -> dict[str, Any]:
        return {
            "agg_value": float(values.mean()),
            "value_by_index": {str(i): {name: float(v), **more} for i, v in enumerate(values)},
        }

    ratios = np.exp(random.normal(-1.2 * known, 0.4, rows))
    kept = np.exp(random.normal(-1.0, 0.3, rows))
    rouge = near(known)
    return {
        "extraction_strength": indexed("score", near(known * 0.7)),
        "forget_Q_A_Prob": indexed("prob", near(known), avg_loss=0.5),
        "forget_Q_A_PARA_Prob": indexed("prob", near(known * 0.5), avg_loss=0.9),
        "forget_Q_A_PERT_Prob": {
            "agg_value": 0.1,
            "value_by_index": {"0": {"prob": [0.1] * 5, "avg_loss": [2.3] * 5}},
        },
        "forget_Q_A_ROUGE": {
            "agg_value": float(rouge.mean()),
            "value_by_index": {
                str(i): {
                    "rouge1_recall": float(v),
                    "rougeL_f1": float(v),
                    "rougeL_recall": float(v),
                    "input": f"Question {i}?",
                    "ground_truth": f"The answer {i}.",
                    "generation": f"<b>Said</b> {i}",
                }
                for i, v in enumerate(rouge)
            },
        },
        "forget_quality": {"agg_value": None},
        "forget_truth_ratio": {
            "agg_value": float(np.minimum(ratios, 1 / (ratios + 1e-10)).mean()),
            "value_by_index": {str(i): {"score": float(v)} for i, v in enumerate(ratios)},
        },
        "mia_min_k": {
            "forget": {"agg_value": 1.0, "value_by_index": {"0": {"score": 1.0}}},
            "holdout": {"agg_value": 2.0, "value_by_index": {"0": {"score": 2.0}}},
            "auc": 0.5 + known / 2,
            "agg_value": 0.5 + known / 2,
        },
        "model_utility": {"agg_value": useful},
        "privleak": {"agg_value": float("nan")},
        "retain_Q_A_Prob": indexed("prob", near(useful), avg_loss=0.4),
        "retain_Truth_Ratio": {
            "agg_value": float(np.maximum(0, 1 - kept).mean()),
            "value_by_index": {str(i): {"score": float(v)} for i, v in enumerate(kept)},
        },
        "ra_Q_A_Prob_normalised": indexed("prob", near(useful)),
    }


def write_saves(root: Path) -> Path:
    """A whole `saves/` tree: original, retained, three methods with checkpoints on the way."""
    saves = root / "saves"
    _write(saves / f"eval/tofu_{BASE}_full/evals_forget10/TOFU_EVAL.json", tofu_evaluation(1, 0.95, 0.6))
    _write(saves / f"eval/tofu_{BASE}_retain90/TOFU_EVAL.json", tofu_evaluation(2, 0.1, 0.59))
    for place, (method, (known, useful)) in enumerate(TASKS.items()):
        task = saves / "unlearn" / f"tofu_{BASE}_forget10_{method}"
        for number, step in enumerate(STEPS, start=1):
            share = number / len(STEPS)
            evaluation = tofu_evaluation(
                10 * place + number, 0.95 + share * (known - 0.95), 0.6 + share * (useful - 0.6)
            )
            folder = task / f"checkpoint-{step}" / "evals"
            _write(folder / "TOFU_EVAL.json", evaluation)
            _write(folder / "TOFU_SUMMARY.json", {"model_utility": evaluation["model_utility"]["agg_value"]})
        config = {"trainer": {"handler": method, "method_args": {"alpha": 1.0, "beta": 0.1}}}
        (task / ".hydra").mkdir(parents=True, exist_ok=True)
        (task / ".hydra" / "config.yaml").write_text(json.dumps(config))
    return saves


def write_legacy(folder: Path, known: float, seed: int = 0) -> Path:
    """`eval_log_aggregated.json` of TOFU's first scripts."""
    random = np.random.default_rng(seed)

    def section(rows: int, wrong: int) -> dict[str, Any]:
        true = random.uniform(0.1, 1.0, rows) + 2 * (1 - known)
        return {
            "avg_gt_loss": {str(i): float(v) for i, v in enumerate(true)},
            "average_perturb_loss": {str(i): random.uniform(1, 3, wrong).tolist() for i in range(rows)},
            "avg_paraphrased_loss": {str(i): float(v) for i, v in enumerate(true + 0.2)},
            "rougeL_recall": {str(i): float(v) for i, v in enumerate(random.uniform(0, 1, rows))},
            "generated_text": [[f"Q{i}", f"said {i}", f"true {i}"] for i in range(rows)],
        }

    content = {
        "eval_log.json": section(30, 5),
        "eval_log_forget.json": section(30, 5),
        "eval_real_author_wo_options.json": section(10, 3),
        "eval_real_world_wo_options.json": section(11, 3),
    }
    return _write(folder / "eval_log_aggregated.json", content)


def write_others(root: Path) -> Path:
    """One file of every other tool."""
    import torch

    _write(
        root / "muse_like" / "muse_Llama-2-7b-hf_News_NPO" / "evals" / "MUSE_EVAL.json",
        {
            "forget_knowmem_ROUGE": {
                "agg_value": 0.5,
                "value_by_index": {
                    "0": {"rougeL_f1": 0.4, "rougeL_recall": 0.9},
                    "1": {"rougeL_f1": 0.6, "rougeL_recall": 0.8},
                },
            },
            "privleak": {"agg_value": "-86.0"},
        },
    )
    _write(
        root / "wmdp" / "wmdp_zephyr-7b-beta_cyber_RMU" / "evals" / "LMEval_SUMMARY.json",
        {"wmdp_cyber/acc": 0.282, "wmdp_cyber/acc_stderr": 0.01, "mmlu/acc": 0.571},
    )
    (root / "muse_results.csv").write_text(
        "name,verbmem_f,privleak,knowmem_f,knowmem_r\ntarget,58.4,-99.8,63.9,55.2\nretrain,20.8,0.0,33.1,55.0\n"
        "npo,0.0,24.4,0.0,48.4\n"
    )
    _write(
        root / "uds" / "method_results.json",
        {
            "models": [
                {"model": "full", "method": "full", "uds": 0.0, "mem": 0.1, "one_minus_es": 0.32, "lr": None},
                {"model": "retain", "method": "retain", "uds": 1.0, "mem": 0.58, "one_minus_es": 0.94},
                {
                    "model": "npo_lr2e5_b01_a1_ep10",
                    "method": "npo",
                    "uds": 0.8,
                    "mem": 0.5,
                    "lr": 2e-05,
                    "alpha": 1,
                },
            ]
        },
    )
    _write(
        root / "uds" / "runs" / "0116_simnpo" / "summary.json",
        {"method": "simnpo", "num_examples": 50, "hard_avg_udr": 0.85, "soft_avg_retention": 0.2},
    )
    moment = "2025-03-01T10-00-00.123456"
    _write(
        root / "harness" / "org__model" / f"results_{moment}.json",
        {
            "results": {"wmdp_bio": {"alias": "wmdp_bio", "acc,none": 0.312, "acc_stderr,none": 0.013}},
            "n-samples": {"wmdp_bio": {"original": 1273, "effective": 1273}},
            "config": {"model": "hf", "model_args": "pretrained=org/zephyr_RMU,dtype=bfloat16"},
            "date": 1740823200.0,
        },
    )
    samples = root / "harness" / "org__model" / f"samples_wmdp_bio_{moment}.jsonl"
    samples.write_text(json.dumps({"doc_id": 0, "doc": {"question": "Q?"}, "target": "B", "acc": 1.0}) + "\n")
    canvas = root / "canvas" / "ESD"
    canvas.mkdir(parents=True)
    held = {"test_theme": "Van_Gogh", "input_dir": "x", "loss": {}, "acc": {}, "misclassified": {}}
    torch.save({**held, "acc": {"Van_Gogh": 0.02, "Monet": 0.8, "Sketch": 0.9}}, canvas / "Van_Gogh.pth")
    objects = canvas / "objects"
    objects.mkdir()
    for place, success in enumerate(((True,), (False, False, True), (False, False))):
        folder = root / "attack" / "ESD-nudity" / f"attack_idx_{place}"
        _write(folder / "log.json", [{"prompt": f"p{place}", "success": each} for each in success])
        _write(folder / "config.json", {"attacker": {"name": "text_grad", "attack_idx": place}})
    _write(
        root / "reports" / "esd" / "a1b2c3d4" / "report.json",
        {
            "run_id": "a1b2c3d4",
            "timestamp": 1712345678.0,
            "technique_name": "esd",
            "erase_concept": "nudity",
            "metric_name": "asr_i2p",
            "technique_config": {"train_method": "noxattn"},
            "metric_result": {"name": "asr_i2p", "value": 0.12, "details": {}},
        },
    )
    (root / "mine.csv").write_text(
        "model,method,step,forget/probability,forget/probability_low,forget/probability_high,score (higher),odd\n"
        "base,,,0.9,0.85,0.95,0.5,1\nNPO 10,NPO,10,0.4,0.3,0.5,0.7,2\n=cmd|' /C calc'!A0,NPO,20,abc,,,0.6,3\n"
    )
    return root


def _write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4, sort_keys=True))
    return path
