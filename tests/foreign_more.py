"""More result files of other tools, each as its own writer writes it (looked up in the public sources named below).

Numbers are invented.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MODEL = "Llama-3.2-1B-Instruct"


def write_json(path: Path, content: object) -> Path:
    """As `json.dump(..., indent=4)` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4))
    return path


def tofu_eval(ratios: Sequence[float], **more: Any) -> dict[str, Any]:
    """`TOFU_EVAL.json` of open-unlearning with truth ratios r; forget quality is missing, as without a retained log."""
    r = np.array(ratios)
    return {
        "forget_truth_ratio": {
            "agg_value": float(np.minimum(r, 1 / (r + 1e-10)).mean()),
            "value_by_index": {str(place): {"score": float(each)} for place, each in enumerate(r)},
        },
        "forget_quality": {"agg_value": None},
        **more,
    }


def write_eval(folder: Path, content: Mapping[str, Any], name: str = "TOFU_EVAL.json") -> Path:
    """A folder of results."""
    return write_json(folder / name, content)


def write_hydra(folder: Path, text: str) -> None:
    """`.hydra/config.yaml` as Hydra leaves it: references are not followed in it."""
    path = folder / ".hydra" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_legacy_lists(folder: Path, seed: int, rows: int = 30) -> Path:
    """`eval_log_aggregated.json` with lists, as NPO's and SimNPO's `evaluate_util.py` collect them."""
    random = np.random.default_rng(seed)

    def section(wrong: int) -> dict[str, Any]:
        return {
            "avg_gt_loss": random.uniform(0.1, 1.0, rows).tolist(),
            "gt_loss": random.uniform(5, 9, rows).tolist(),
            "rougeL_recall": random.uniform(0, 1, rows).tolist(),
            "average_perturb_loss": random.uniform(1, 3, (rows, wrong)).tolist(),
            "avg_paraphrased_loss": random.uniform(0.3, 1.5, rows).tolist(),
            "generated_text": [[f"Q{place}", f"said {place}", f"true {place}"] for place in range(rows)],
        }

    content = {
        "eval_log.json": section(5),
        "eval_log_forget.json": section(5),
        "eval_real_author_wo_options.json": section(3),
        "eval_real_world_wo_options.json": section(3),
    }
    return write_json(folder / "eval_log_aggregated.json", content)


def with_indices(path: Path, target: Path) -> Path:
    """The same as locuslab/tofu writes it: a dictionary by index in place of every list."""
    content = json.loads(path.read_text())
    turned = {
        section: {
            name: dict(enumerate(column)) if name != "generated_text" else column
            for name, column in held.items()
        }
        for section, held in content.items()
    }
    return write_json(target / "eval_log_aggregated.json", turned)


AGGREGATE: Mapping[str, Any] = {
    **{f"ROUGE {name}": 0.9 for name in ("Real Authors", "Real World", "Retain", "Forget")},
    **{f"Prob. {name}": 0.5 for name in ("Real Authors", "Real World", "Retain", "Forget")},
    **{f"Truth Ratio {name}": 0.6 for name in ("Real Authors", "Real World", "Retain", "Forget")},
    "Model Utility": 0.61,
    "Forget Quality": 0.03,
}


def write_aggregate_csv(path: Path, method: str) -> Path:
    """As `aggregate_eval_stat.py` of locuslab/tofu ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {**AGGREGATE, "Method": method, "Submitted By": "somebody"}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return path


def write_aggregate_text(folder: Path, step: int) -> Path:
    """`aggregate_stat.txt` of NPO's and SimNPO's `dataloader.py`."""
    row = {
        "Real Authors ROUGE": 0.9,
        "Real Authors Probability": 0.5,
        "Real Authors Truth Ratio": 0.6,
        "Model Utility": 0.55,
        "Forget Quality": 0.07,
        "KS Test PVal Forget": 0.07,
        "KS Test Forget": 0.2,
        "curr_step": step,
        "seed": 1001,
        "loss_type": "npo_grad_diff",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "aggregate_stat.txt").write_text("".join(f"{name}: {value}\n" for name, value in row.items()))
    return folder / "aggregate_stat.txt"


def write_rwku(root: Path, method: str = "npo_full", model: str = "llama3_8b_instruct") -> Path:
    """The nine files of one subject, as RWKU's `llmtuner/eval` writes them."""
    folder = root / "results" / "RWKU" / "Target" / "1_Ada_Quill" / method / model / "1_Ada_Quill"
    rouge = {"rouge-l": {"r": 0.25, "p": 0.2, "f": 0.22}}

    def asked(levels: Sequence[str]) -> list[dict[str, str]]:
        return [
            {
                "subject": "Ada Quill",
                "level": level,
                "query": "Q ___",
                "type": "cloze",
                "answer": "a",
                "prediction": "b",
            }
            for level in levels
        ]

    write_json(
        folder / "forget.json",
        {
            **{f"level_{level}_rouge_l_r": level / 10 for level in (1, 2, 3)},
            **{f"level_{level}_rouge": rouge for level in (1, 2, 3)},
            "results": asked(["1", "1", "2", "3"]),
        },
    )
    write_json(
        folder / "neighbor.json",
        {
            "level_1_rouge_l_r": 0.7,
            "level_2_rouge_l_r": 0.6,
            "level_1_rouge": rouge,
            "results": asked(["1", "2"]),
        },
    )
    write_json(folder / "mmlu.json", {"acc": 0.5, "all_acc": [True, False, True, False], "results": []})
    write_json(folder / "bbh.json", {"EM": 0.4, "results": [{"task": "x"}]})
    write_json(folder / "truthful.json", {"MC1": 0.3, "MC2": 0.45, "results": [{"question": "x"}]})
    write_json(folder / "triviaqa.json", {"EM": 0.2, "F1": 0.35, "results": [{"question": "x"}]})
    write_json(folder / "fluency.json", {"entropy": 6.5, "results": [{"instruction": "x"}]})
    scores = {"loss": [-2.0, -4.0], "zlib": [-0.01, -0.03], "mink++_0.2": [-5.0, -7.0]}
    for name in ("forget_mia", "retain_mia"):
        write_json(folder / f"{name}.json", {"loss": -3.0, "zlib": -0.02, "mink20": -6.0, "results": scores})
    return folder


def write_harness(path: Path, **more: Any) -> Path:
    """A result file of lm-evaluation-harness 0.4."""
    content = {
        "results": {"wmdp_bio": {"alias": "wmdp_bio", "acc,none": 0.25, "acc_stderr,none": 0.01}},
        "configs": {},
        "n-samples": {"wmdp_bio": {"original": 1273, "effective": 1273}},
        "config": {"model": "hf", "model_args": "pretrained=org/base,dtype=bfloat16"},
        "date": 1740823200.0,
    }
    return write_json(path, content | more)


def write_old_harness(path: Path) -> Path:
    """One of 0.3: bare names of measures, any file name."""
    return write_json(
        path,
        {
            "results": {
                "arc_easy": {"acc": 0.71, "acc_stderr": 0.01, "acc_norm": 0.66, "acc_norm_stderr": 0.02}
            },
            "versions": {"arc_easy": 0},
            "config": {"model": "hf-causal", "model_args": "pretrained=org/old,dtype=float16", "limit": None},
        },
    )
