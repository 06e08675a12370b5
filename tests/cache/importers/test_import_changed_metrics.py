"""Metrics of open-unlearning that a setting gave another meaning are metrics of their own, with a note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from backends.metrics.foreign import foreign_card
from cache.importers import read_results
from cache.store.results import ImportedRun
from tests.foreign_more import MODEL, tofu_eval, write_eval, write_hydra

R = np.exp(np.random.default_rng(0).normal(-1, 0.4, 30))
SHARES = 1 / (1 + R)
"""The same as `prob_mean` has it: p_true / (p_true + p_wrong)."""
CONFIG = """\
question_key: {question}
eval:
  tofu:
    question_key: ${{question_key}}
    metrics:
      forget_truth_ratio:
        aggregator: {aggregator}
        pre_compute:
          forget_Q_A_PARA_Prob:
            datasets:
              TOFU_QA_forget_para:
                args:
                  question_key: ${{eval.tofu.question_key}}
                  answer_key: paraphrased_answer
      forget_Q_A_ROUGE:
        rouge_type: {rouge}
        generation_args:
          do_sample: {sampled}
          max_new_tokens: {tokens}
      model_utility:
        pre_compute:
          retain_Truth_Ratio:
            aggregator: {retain}
      mia_min_k:
        k: {k}
"""
USUAL = {
    "question": "question",
    "aggregator": "closer_to_1_better",
    "rouge": "rougeL_recall",
    "sampled": "false",
    "tokens": "200",
    "retain": "true_better",
    "k": "0.4",
}
ROUGE = {
    "agg_value": 0.5,
    "value_by_index": {"0": {"rouge1_recall": 0.9, "rougeL_f1": 0.2, "rougeL_recall": 0.5}},
}


def run(tmp_path: Path, content: dict[str, object], **config: str) -> ImportedRun:
    """The one run of a folder, with Hydra's settings beside it where any are given."""
    folder = tmp_path / "saves" / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals"
    write_eval(folder, content)
    if config:
        write_hydra(folder, CONFIG.format(**{**USUAL, **config}))
    (found,) = read_results([tmp_path / "saves"]).results
    return found


def full() -> dict[str, object]:
    return tofu_eval(
        R.tolist(),
        forget_Q_A_ROUGE=ROUGE,
        model_utility={"agg_value": 0.4},
        mia_min_k={"auc": 0.7, "agg_value": 0.7},
    )


def test_usual_settings_change_nothing(tmp_path: Path) -> None:
    found = run(tmp_path, full(), question="question")
    assert set(found.metrics) == {
        "forget/truth_ratio", "forget/rouge_l", "all/model_utility", "forget/mia_min_k",
    }  # fmt: skip
    assert not found.notes


@pytest.mark.parametrize(
    ("config", "usual", "said"),
    [
        ({"aggregator": "prob_mean"}, "forget/truth_ratio", "aggregator=prob_mean"),
        ({"rouge": "rougeL_f1"}, "forget/rouge_l", "rouge_type=rougeL_f1"),
        ({"sampled": "true"}, "forget/rouge_l", "do_sample=True"),
        ({"tokens": "32"}, "forget/rouge_l", "max_new_tokens=32"),
        ({"question": "paraphrased_question"}, "forget/truth_ratio", "question_key=paraphrased_question"),
        ({"retain": "prob_mean"}, "all/model_utility", "retain_Truth_Ratio aggregator=prob_mean"),
        ({"k": "0.2"}, "forget/mia_min_k", "k=0.2"),
    ],
)
def test_a_setting_that_changes_the_meaning_makes_another_metric(
    tmp_path: Path, config: dict[str, str], usual: str, said: str
) -> None:
    found = run(tmp_path, full(), **config)
    assert usual not in found.metrics
    assert [key for key in found.metrics if said in key]
    assert any(said in note for note in found.notes)


def shares_alone() -> dict[str, object]:
    """Truth ratios as shares, with the losses that they are made of and no settings beside them."""
    losses = 1.5 - np.log(R)
    return {
        "forget_truth_ratio": {
            "agg_value": float(SHARES.mean()),
            "value_by_index": {str(place): {"score": float(each)} for place, each in enumerate(SHARES)},
        },
        "forget_Q_A_PARA_Prob": {
            "agg_value": 0.2,
            "value_by_index": {str(place): {"prob": 0.2, "avg_loss": 1.5} for place in range(len(R))},
        },
        "forget_Q_A_PERT_Prob": {
            "agg_value": 0.1,
            "value_by_index": {
                str(place): {"prob": [0.1, 0.1], "avg_loss": [each - 0.1, each + 0.1]}
                for place, each in enumerate(losses)
            },
        },
    }


def test_forget_quality_of_a_changed_truth_ratio_is_not_the_usual_one(tmp_path: Path) -> None:
    content = {**full(), "forget_quality": {"agg_value": 0.3}}
    config = CONFIG.format(**{**USUAL, "aggregator": "prob_mean"})
    config += "      forget_quality:\n        pre_compute:\n          forget_truth_ratio:\n"
    config += "            aggregator: closer_to_1_better\n"
    folder = tmp_path / "saves" / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals"
    write_eval(folder, content)
    write_hydra(folder, config)
    (found,) = read_results([tmp_path / "saves"]).results
    assert "forget/forget_quality" not in found.metrics
    (key,) = (key for key in found.metrics if "forget_truth_ratio aggregator=prob_mean" in key)
    assert found.metrics[key].value == 0.3


def test_prob_mean_is_seen_in_the_numbers_where_no_settings_are_there(tmp_path: Path) -> None:
    found = run(tmp_path, shares_alone())
    (key,) = (key for key in found.metrics if "prob_mean" in key)
    assert key.startswith("forget/lower:")
    assert found.metrics[key].value == pytest.approx(SHARES.mean())
    assert "forget/truth_ratio" not in found.metrics


def test_forget_quality_compares_ratios_of_both_forms(tmp_path: Path) -> None:
    other = np.exp(np.random.default_rng(5).normal(-0.8, 0.4, 30))
    write_eval(tmp_path / "saves" / "eval" / f"tofu_{MODEL}_retain90", tofu_eval(other.tolist()))
    write_eval(tmp_path / "saves" / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals", shares_alone())
    runs = {each.part: each for each in read_results([tmp_path / "saves"]).results}
    quality = runs["unlearned"].metrics["forget/forget_quality"].value
    assert quality == pytest.approx(ks_2samp(R, other).pvalue)


def test_ratios_on_paraphrased_questions_are_not_compared_with_a_retained_log(tmp_path: Path) -> None:
    write_eval(tmp_path / "saves" / "eval" / f"tofu_{MODEL}_retain90", tofu_eval(R.tolist()))
    run_of = {"question": "paraphrased_question"}
    folder = tmp_path / "saves" / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals"
    write_eval(folder, tofu_eval(R.tolist()))
    write_hydra(folder, CONFIG.format(**{**USUAL, **run_of}))
    runs = {each.part: each for each in read_results([tmp_path / "saves"]).results}
    assert "forget/forget_quality" not in runs["unlearned"].metrics
    assert "forget/forget_quality" in runs["retained"].metrics


def test_another_rouge_column_is_seen_in_the_numbers(tmp_path: Path) -> None:
    found = run(tmp_path, {"forget_Q_A_ROUGE": {**ROUGE, "agg_value": 0.9}})
    assert [key for key in found.metrics if "rouge_type=rouge1_recall" in key]
    assert "forget/rouge_l" not in found.metrics


def test_privleak_without_a_retained_log_is_a_metric_of_its_own(tmp_path: Path) -> None:
    attack = {"mia_min_k": {"auc": 0.9, "agg_value": 0.9}}
    half = {"agg_value": (0.1 - 0.5) / (0.5 + 1e-10) * 100}
    alone = run(tmp_path / "a", {**attack, "privleak": half, "rel_diff": {"agg_value": 0.4 / 0.5 * 100}})
    assert any("AUC of 0.5" in note for note in alone.notes)
    assert "forget/privleak" not in alone.metrics and "forget/rel_diff" not in alone.metrics
    marked = [key for key in alone.metrics if "against an AUC of 0.5" in key]
    assert [key.partition(":")[0] for key in marked] == ["forget/zero", "forget/zero"]
    assert marked[0] == "forget/zero:PrivLeak (%) (against an AUC of 0.5)"
    against = run(tmp_path / "b", {**attack, "privleak": {"agg_value": (0.1 - 0.62) / 0.62 * 100}})
    assert against.metrics["forget/privleak"].value == pytest.approx(-83.87, abs=0.01)
    assert [note for note in against.notes if "no interval" in note and "retained model" in note] == list(
        against.notes
    )
    assert np.isnan(against.metrics["forget/privleak"].low)


def test_privleak_against_one_half_has_the_interval_of_its_auc(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    sides = {
        name: {
            "value_by_index": {
                str(i): {"score": float(score)} for i, score in enumerate(random.normal(at, 1, 30))
            }
        }
        for name, at in (("forget", -1.0), ("holdout", 0.0))
    }
    scores = [[row["score"] for row in side["value_by_index"].values()] for side in sides.values()]
    area = float(np.mean([[ours < theirs for theirs in scores[1]] for ours in scores[0]]))
    content = {
        "mia_min_k": {**sides, "auc": area, "agg_value": area},
        "privleak": {"agg_value": ((1 - area) - 0.5) / 0.5 * 100},
    }
    found = run(tmp_path, content)
    attack, leak = (
        next(number for key, number in found.metrics.items() if name in key)
        for name in ("mia_min_k", "PrivLeak")
    )
    assert attack.low < area < attack.high
    assert (leak.low, leak.high) == pytest.approx(((0.5 - attack.high) * 200, (0.5 - attack.low) * 200))
    assert leak.low < leak.value < leak.high and leak.n == 60
    assert not any("no interval" in note for note in found.notes)


def test_where_the_auc_is_not_in_the_file_the_settings_tell_what_privleak_is_relative_to(
    tmp_path: Path,
) -> None:
    content: dict[str, object] = {"privleak": {"agg_value": -12.0}}
    config = "eval:\n  tofu:\n    retain_logs_path: {log}\n"
    for place, log, own in (("a", "null", True), ("b", "saves/eval/retain/TOFU_EVAL.json", False)):
        folder = tmp_path / place / "saves" / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals"
        write_eval(folder, content)
        write_hydra(folder, config.format(log=log))
        (found,) = read_results([tmp_path / place / "saves"]).results
        assert ("forget/privleak" not in found.metrics) == own
    plain = run(tmp_path / "c", content)
    assert "forget/privleak" in plain.metrics  # nothing says that there was none


def test_an_attack_has_the_interval_of_the_scores_in_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    forget, holdout = random.normal(0, 1, 40), random.normal(1, 1, 30)

    def side(scores: np.ndarray) -> dict[str, object]:
        return {"agg_value": 1.0, "value_by_index": {str(n): {"score": s} for n, s in enumerate(scores)}}

    known = float(np.mean(holdout[:, None] > forget))
    attack = {"forget": side(forget), "holdout": side(holdout), "auc": known, "agg_value": known}
    found = run(tmp_path / "a", {"mia_loss": attack}).metrics["forget/mia_loss"]
    assert (found.value, found.n) == (known, 70)
    assert 0.05 < found.high - found.low < 0.3
    assert found.low < known < found.high
    other = run(tmp_path / "b", {"mia_loss": attack | {"agg_value": 0.4}}).metrics["forget/mia_loss"]
    assert (other.value, other.n) == (0.4, 70) and np.isnan(other.low)  # the scores are of something else
    perfect = {"forget": side(np.zeros(12)), "holdout": side(np.ones(12)), "auc": 1.0, "agg_value": 1.0}
    found = run(tmp_path / "c", {"mia_loss": perfect}).metrics["forget/mia_loss"]
    assert found.low < 0.98 and found.high == 1
    one = {"forget": side(np.zeros(1)), "holdout": side(np.ones(1)), "auc": 1.0, "agg_value": 1.0}
    assert np.isnan(run(tmp_path / "d", {"mia_loss": one}).metrics["forget/mia_loss"].low)


def test_rouge_against_paraphrased_answers_is_known(tmp_path: Path) -> None:
    found = run(tmp_path, {"forget_Q_A_PARA_ROUGE": ROUGE})
    assert found.metrics["forget/paraphrased_rouge"].value == 0.5
    card = foreign_card("paraphrased_rouge")
    assert card is not None and card.direction("forget") == "lower"
    assert "forget/rouge_l" not in found.metrics


def test_the_muse_scripts_folder_is_named_by_the_settings_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "saves" / "unlearn" / "NPO" / "evals"
    write_eval(folder, {"forget_knowmem_ROUGE": 0.4}, "MUSE_SUMMARY.json")
    write_hydra(
        folder,
        "task_name: muse_Llama-2-7b-hf_Books_NPO\ndata_split: Books\neval:\n  muse:\n    data_split: x\n",
    )
    (found,) = read_results([tmp_path / "saves"]).results
    assert (found.collection, found.method) == ("MUSE Books · Llama-2-7b-hf", "NPO")


def test_a_split_that_nobody_names_is_told_by_the_rows_or_said_to_be_the_tools_own(tmp_path: Path) -> None:
    rows = tofu_eval(np.exp(np.random.default_rng(3).normal(-1, 0.3, 200)).tolist())
    write_eval(tmp_path / "saves" / "eval" / f"tofu_{MODEL}_full", rows)
    (found,) = read_results([tmp_path / "saves"]).results
    assert found.collection == f"TOFU forget05 · {MODEL}"
    assert any("its 200 forget examples are" in note for note in found.notes)
    write_eval(
        tmp_path / "other" / "eval" / f"tofu_{MODEL}_full", {"model_utility": 0.6}, "TOFU_SUMMARY.json"
    )
    (found,) = read_results([tmp_path / "other"]).results
    assert found.collection == f"TOFU forget10 · {MODEL}"
    assert any("the tool's default" in note for note in found.notes)
