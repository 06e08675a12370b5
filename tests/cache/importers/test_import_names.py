"""What the names of real folders and files say: part, benchmark, base model, split, method, step, settings.

The names are those of open-unlearning's scripts, community methods and released checkpoints, of TOFU's, NPO's, SimNPO's
and UDS' folders, and of MUSE's rows; models and numbers vary.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cache.importers.task_names import method_of, task_name
from cache.importers.tofu_legacy import path_facts

L = "Llama-3.2-1B-Instruct"


@pytest.mark.parametrize(
    ("path", "part", "collection", "method", "step", "settings"),
    [
        # scripts/tofu_finetune.sh, tofu_unlearn.sh, muse_unlearn.sh
        (f"saves/eval/tofu_{L}_retain90", "retained", ("TOFU", L, "forget10"), "", None, {}),
        (f"saves/eval/tofu_{L}_retain95", "retained", ("TOFU", L, "forget05"), "", None, {}),
        (
            f"saves/finetune/tofu_{L}_retain99/checkpoint-20/evals",
            "retained",
            ("TOFU", L, "forget01"),
            "",
            20,
            {},
        ),
        (f"saves/eval/tofu_{L}_retain90_seed1", "retained", ("TOFU", L, "forget10"), "", None, {"seed": "1"}),
        (f"saves/eval/tofu_{L}_full/evals_forget10", "original", ("TOFU", L, "forget10"), "", None, {}),
        (f"saves/eval/tofu_{L}_full_forget05", "original", ("TOFU", L, "forget05"), "", None, {}),
        (f"saves/eval/tofu_{L}_full_lr2e-5", "original", ("TOFU", L, ""), "", None, {"lr": "2e-5"}),
        (
            f"saves/unlearn/tofu_{L}_forget01_GradAscent/evals",
            "unlearned",
            ("TOFU", L, "forget01"),
            "GradAscent",
            None,
            {},
        ),
        (
            "saves/unlearn/tofu_Llama-3.1-8B-Instruct_forget05_DPO/checkpoint-12/evals",
            "unlearned",
            ("TOFU", "Llama-3.1-8B-Instruct", "forget05"),
            "DPO",
            12,
            {},
        ),
        (
            "saves/eval/muse_Llama-2-7b-hf_Books_target",
            "original",
            ("MUSE", "Llama-2-7b-hf", "Books"),
            "",
            None,
            {},
        ),
        (
            "saves/eval/muse_Llama-2-7b-hf_News_retrain",
            "retained",
            ("MUSE", "Llama-2-7b-hf", "News"),
            "",
            None,
            {},
        ),
        (
            "saves/unlearn/muse_Llama-2-7b-hf_News_NPO/evals",
            "unlearned",
            ("MUSE", "Llama-2-7b-hf", "News"),
            "NPO",
            None,
            {},
        ),
        (
            "saves/unlearn/muse_Llama-2-7b-hf_News_NPO_scal_forget_2",
            "unlearned",
            ("MUSE", "Llama-2-7b-hf", "News"),
            "NPO",
            None,
            {"scal": "forget_2"},
        ),
        (
            "saves/unlearn/muse_Llama-2-7b-hf_Books_SimNPO_sust_forget_3/evals",
            "unlearned",
            ("MUSE", "Llama-2-7b-hf", "Books"),
            "SimNPO",
            None,
            {"sust": "forget_3"},
        ),
        # community/methods/*/run.sh
        (
            f"saves/unlearn/tofu_{L}_forget10_AltPO_lr1e-5_beta0.1_alpha1/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "AltPO",
            None,
            {"lr": "1e-5", "beta": "0.1", "alpha": "1"},
        ),
        (
            f"saves/unlearn/tofu_{L}_forget10_SatImp_lr1e-5_beta15.0_beta21.0_alpha0.1/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "SatImp",
            None,
            {"lr": "1e-5", "beta1": "5.0", "beta2": "1.0", "alpha": "0.1"},
        ),
        (
            f"saves/unlearn/tofu_{L}_forget10_WGA_lr1e-5_beta1.0_alpha1/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "WGA",
            None,
            {"lr": "1e-5", "beta": "1.0", "alpha": "1"},
        ),
        (
            f"saves/unlearn/PDU-TOFUretain90-E10-lr1e-5-P1-1-Primal0.3-Step1-Warmup5-model_{L}/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "PDU",
            None,
            {"epoch": "10", "lr": "1e-5", "primal": "0.3", "steps": "1", "warmup": "5"},
        ),
        # released checkpoints, uds/unlearn_models.py and the pools of the meta-evaluation
        (
            f"unlearn_tofu_{L}_forget10_RMU_lr1e-05_layer5_scoeff10_epoch10",
            "unlearned",
            ("TOFU", L, "forget10"),
            "RMU",
            None,
            {"lr": "1e-05", "layer": "5", "scoeff": "10", "epoch": "10"},
        ),
        (
            f"unlearn_tofu_{L}_forget10_SimNPO_lr5e-05_b4.5_a1_d1_g0.125_ep10",
            "unlearned",
            ("TOFU", L, "forget10"),
            "SimNPO",
            None,
            {"lr": "5e-05", "beta": "4.5", "alpha": "1", "delta": "1", "gamma": "0.125", "epoch": "10"},
        ),
        (
            f"unlearn_tofu_{L}_forget10_UNDIAL_lr1e-05_beta3_alpha1_epoch5",
            "unlearned",
            ("TOFU", L, "forget10"),
            "UNDIAL",
            None,
            {"lr": "1e-05", "beta": "3", "alpha": "1", "epoch": "5"},
        ),
        (
            f"pos_tofu_{L}_full_lr1e-05_wd0.01_epoch5",
            "unlearned",
            ("TOFU", L, ""),
            "",
            None,
            {"lr": "1e-05", "wd": "0.01", "epoch": "5", "pool": "pos"},
        ),
        (
            f"neg_tofu_{L}_retain90_forget10_pert_lr1e-05_wd0.01_epoch5",
            "unlearned",
            ("TOFU", L, "forget10"),
            "",
            None,
            {"lr": "1e-05", "wd": "0.01", "epoch": "5", "pool": "neg"},
        ),
        # what people make of them
        (
            f"saves/unlearn/tofu_{L}_forget10_NPO_seed1/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "NPO",
            None,
            {"seed": "1"},
        ),
        (
            f"saves/unlearn/tofu_{L}_forget10_NPO_temp0.7_seed_42/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "NPO",
            None,
            {"temperature": "0.7", "seed": "42"},
        ),
        (
            f"saves/unlearn/tofu_{L}_forget10_GradDiff_para15_ep20/checkpoint-30/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "GradDiff",
            30,
            {"epoch": "20", "variant": "para15"},
        ),
        (
            f"saves/unlearn/tofu_{L}_full_forget10_NPO/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "NPO",
            None,
            {},
        ),
        (
            f"saves/unlearn/tofu_{L}_forget10_PDU_x",
            "unlearned",
            ("TOFU", L, "forget10"),
            "PDU",
            None,
            {"variant": "x"},
        ),
        (
            f"saves/unlearn/tofu_{L}_forget10_OurMethod_lr1e-05/evals",
            "unlearned",
            ("TOFU", L, "forget10"),
            "OurMethod",
            None,
            {"lr": "1e-05"},
        ),
        (
            f"saves/unlearn/tofu_{L}-forget05-NPO-seed3/evals",
            "unlearned",
            ("TOFU", L, "forget05"),
            "NPO",
            None,
            {"seed": "3"},
        ),
        (f"saves/eval/tofu_{L}_full-forget05", "original", ("TOFU", L, "forget05"), "", None, {}),
        ("saves/unlearn/NPO/evals", "unlearned", ("", "", ""), "NPO", None, {}),
        (
            "saves/unlearn/wmdp_zephyr-7b-beta_cyber_RMU/evals",
            "unlearned",
            ("WMDP", "zephyr-7b-beta", ""),
            "RMU",
            None,
            {},
        ),
    ],
)
def test_folders_of_open_unlearning(
    path: str,
    part: str,
    collection: tuple[str, str, str],
    method: str,
    step: float | None,
    settings: dict[str, str],
) -> None:
    found = task_name(Path(path))
    assert (found.part, (found.benchmark, found.base, found.split)) == (part, collection)
    assert (found.method, found.step, found.settings) == (method, step, settings)


@pytest.mark.parametrize(
    ("path", "part", "collection", "method", "step"),
    [
        (
            "data/ft_epoch5_lr1e-05_llama2-7b_retain90_wd0.01/eval_results/ds_size300",
            "retained",
            "TOFU forget10 · llama2-7b · 2024",
            "",
            None,
        ),
        (
            "data/ft_epoch5_lr2e-05_phi_retain95_wd0/eval_results/ds_size300",
            "retained",
            "TOFU forget05 · phi · 2024",
            "",
            None,
        ),
        (
            "data/retain90_llama_wd0.01/eval_results/ds_size300",
            "retained",
            "TOFU forget10 · llama2-7b · 2024",
            "",
            None,
        ),
        (
            "data/retain10_llama_wd0.01/eval_results/ds_size300",
            "retained",
            "TOFU forget90 · llama2-7b · 2024",
            "",
            None,
        ),
        (
            "data/ft_epoch5_lr1e-05_llama2-7b_full_wd0.01/eval_results/ds_size300",
            "original",
            "TOFU · llama2-7b · 2024",
            "",
            None,
        ),
        (
            "paper_models/final_ft_noLORA_5_epochs_inst_lr1e-05_llama2-7b_full_seed42_1/checkpoint-625/grad_ascent_1e-05_forget10_5/"
            "checkpoint-12/eval_results/ds_size300",
            "unlearned",
            "TOFU forget10 · llama2-7b · 2024",
            "GradAscent",
            12,
        ),
        (
            "paper_models/final_ft_noLORA_5_epochs_inst_lr1e-05_llama2-7b_full_seed42_1/checkpoint-625/KL_1e-05_forget05_5",
            "unlearned",
            "TOFU forget05 · llama2-7b · 2024",
            "KL",
            None,
        ),
        (
            "final_ft_noLORA_5_epochs_inst_lr1e-05_llama2-7b_full_seed42_1/checkpoint-625/2GPU_npo_grad_diff_1e-05_forget01_epoch10_"
            "batch4_accum4_beta0.1_reffine_tuned_evalsteps_per_epoch_seed1001_1/checkpoint-62",
            "unlearned",
            "TOFU forget01 · llama2-7b · 2024",
            "NPO",
            62,
        ),
        (
            "final_ft_noLORA_5_epochs_inst_lr1e-05_llama2-7b_full_seed42_1/checkpoint-625/unlearned/8GPU_simnpo_grad_diff_1e-05_"
            "forget05_epoch10_batch1_accum4_beta2.5_gamma0.0_grad_diff_coeff1.0_reffine_tuned_evalsteps_per_epoch_seed1001_1/"
            "checkpoint-125",
            "unlearned",
            "TOFU forget05 · llama2-7b · 2024",
            "SimNPO",
            125,
        ),
        (
            "lr1e-05_llama2-7b_full_seed42_1/dpo_1e-05_forget10_5",
            "unlearned",
            "TOFU forget10 · llama2-7b · 2024",
            "IdkDPO",
            None,
        ),
    ],
)
def test_folders_of_2024(path: str, part: str, collection: str, method: str, step: float | None) -> None:
    found = path_facts(Path(path))
    assert (found.part, found.collection, found.method, found.step) == (part, collection, method, step)


@pytest.mark.parametrize(
    ("name", "method", "settings"),
    [
        ("npo_lr2e5_b01_a1_ep10", "NPO", {"lr": "2e5", "beta": "01", "alpha": "1", "epoch": "10"}),
        (
            "20260106_135444_simnpo_lr5e5_b35_g025_ep5",
            "SimNPO",
            {"lr": "5e5", "beta": "35", "gamma": "025", "epoch": "5"},
        ),
        ("ga_gdr", "GradDiff", {}),
        ("ga_klr", "GradDiffKL", {}),
        ("npo_klr", "NPO", {"retain term": "KL"}),
        ("npo_gdr", "NPO", {"retain term": "GradDiff"}),
        ("GA-GDR", "GradDiff", {}),
        ("ga_quantized", "GradAscent", {"quantisation": "quantized"}),
        ("whp", "WHP", {}),
        ("original_target", "", {}),
        ("SimNPO-TOFU-forget05-Llama-2-7b-chat", "SimNPO", {}),
    ],
)
def test_rows_and_checkpoints(name: str, method: str, settings: dict[str, str]) -> None:
    assert method_of(name) == (method, settings)
