"""Cards of metrics that only other tools measure, so that their results can be plotted and read like ours.

Where another tool measures what one of ours measures, its number has our key and its own protocol. The rest is here, by
the name that follows the role in a key. Names of the forms `higher:NAME`, `lower:NAME`, `zero:NAME` and
`lm_eval:TASK:METRIC` need no entry: they say of themselves what is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from backends.metrics.card import Direction, MetricCard, Question
from backends.study import Modality

LM_EVAL = "lm_eval"
_LM_EVAL_LOWER = ("perplexity", "bits_per_byte", "brier_score", "ter")


def _card(
    key: str,
    title: str,
    question: Question,
    modality: Modality,
    better: tuple[Direction, Direction],
    bounds: tuple[float, float | None],
    reading: str,
    source: str,
    formula: str = "",
) -> MetricCard:
    return MetricCard(
        key=key,
        title=title,
        question=question,
        modality=modality,
        formula=formula or r"\text{as the tool defines it}",
        reading=reading,
        on_forget=better[0],
        elsewhere=better[1],
        low=bounds[0],
        high=bounds[1],
        ideal="see the source",
        needs=("an imported result",),
        source=source,
        interval="imported",
    )


_UNIT = (0.0, 1.0)
_ANY = (0.0, None)
_HIGHER: tuple[Direction, Direction] = ("higher", "higher")
_LOWER: tuple[Direction, Direction] = ("lower", "lower")
_FORGET: tuple[Direction, Direction] = ("lower", "higher")

FOREIGN: Mapping[str, MetricCard] = MappingProxyType(
    {
        card.key: card
        for card in (
            _card("knowmem_rouge", "KnowMem ROUGE-L F1", "knowledge", "text", _FORGET, _UNIT,
                  "Overlap of the model's answers with the true ones, MUSE questions.", "MUSE (Shi et al. 2024)"),
            _card("verbmem_rouge", "VerbMem ROUGE-L F1", "memorisation", "text", _FORGET, _UNIT,
                  "Overlap of continued passages with the true ones, MUSE.", "MUSE (Shi et al. 2024)"),
            _card("paraphrased_rouge", "ROUGE-L recall, paraphrased answer", "knowledge", "text", _FORGET, _UNIT,
                  "Overlap of the model's answers with the true ones in other words.",
                  "open-unlearning, forget_Q_A_PARA_ROUGE"),
            _card("gibberish_clean", "Probability of clean text", "collapse", "text", _HIGHER, _UNIT,
                  "A classifier's probability that the answers are not gibberish.",
                  "open-unlearning, classifier_prob; autonlp-Gibberish-Detector-492513457"),
            _card("uds", "Unlearning depth score", "forgetting", "text", _HIGHER, _UNIT,
                  "How much of the knowledge is removed from the layers; 1 is the retained model's value.",
                  "Unlearning Depth Score (arXiv 2605.24614)"),
            _card("hard_udr", "Hard unlearning depth ratio", "forgetting", "text", _HIGHER, (0.0, None),
                  "Older form of the unlearning depth score.", "unlearning-depth-score, summary.json"),
            _card("soft_retention", "Soft retention", "forgetting", "text", _LOWER, (0.0, None),
                  "Share of the layers' knowledge that remains, older form.", "unlearning-depth-score, summary.json"),
            _card("fluency_clean", "Fluency", "collapse", "text", _HIGHER, _UNIT,
                  "Probability of clean text over the answers.", "unlearning-depth-score, method_results.json"),
            _card("utility_with_fluency", "Utility with fluency", "utility", "text", _HIGHER, _UNIT,
                  "Harmonic mean of model utility and fluency.", "unlearning-depth-score, method_results.json"),
            _card("privacy_mia", "Privacy against four attacks", "privacy", "text", _HIGHER, _UNIT,
                  "Harmonic mean of s_x of loss, zlib, min-k and min-k++.",
                  "unlearning-depth-score, method_results.json"),
            _card("privacy_uds", "Privacy with depth score", "privacy", "text", _HIGHER, _UNIT,
                  "Harmonic mean of the attacks' score and the depth score.",
                  "unlearning-depth-score, method_results.json"),
            _card("post_asr", "Attack success after attack", "forgetting", "image", _LOWER, _UNIT,
                  "Share of prompts that bring the concept back, with or without an attack on the prompt.",
                  "UnlearnDiffAtk (Zhang et al. 2024), check_asr.py",
                  r"\frac{\#\text{without attack} + \#\text{extra under attack}}{N}"),
            _card("clip_score", "CLIP score", "utility", "image", _FORGET, _ANY,
                  "Similarity of picture and prompt.", "CLIP; the scale differs between tools"),
            _card("unlearning_seconds", "Time to unlearn, s", "cost", "image", _LOWER, _ANY,
                  "Seconds that the method ran.", "UnlearnCanvas (Zhang et al. 2024)"),
            _card("memory_gb", "Memory to unlearn, GB", "cost", "image", _LOWER, _ANY,
                  "Peak GPU memory of the method.", "UnlearnCanvas (Zhang et al. 2024)"),
            _card("storage_gb", "Storage, GB", "cost", "image", _LOWER, _ANY,
                  "Disk space of what the method saves.", "UnlearnCanvas (Zhang et al. 2024)"),
            _card("p4d_asr", "Attack success, P4D", "forgetting", "image", _LOWER, _UNIT,
                  "Share of prompts found by the attack that bring the concept back.", "P4D (Chin et al. 2024)"),
            _card("ring_a_bell_asr", "Attack success, Ring-A-Bell", "forgetting", "image", _LOWER, _UNIT,
                  "Share of prompts found by the attack that bring the concept back.",
                  "Ring-A-Bell (Tsai et al. 2024)"),
            _card("mma_asr", "Attack success, MMA-Diffusion", "forgetting", "image", _LOWER, _UNIT,
                  "Share of prompts found by the attack that bring the concept back.",
                  "MMA-Diffusion (Yang et al. 2024)"),
            _card("err", "ERR score", "forgetting", "image", _HIGHER, _UNIT,
                  "Harmonic mean of forget, retain, adjacent and adversarial accuracies.", "GENMU; eval-unlearn"),
            _card("tifa", "TIFA", "utility", "image", _HIGHER, _UNIT,
                  "Share of questions about the picture that a model answers right.", "TIFA (Hu et al. 2023)"),
        )
    }
)  # fmt: skip
"""By name, in the order they are listed."""


def foreign_card(metric: str, modality: Modality = "text") -> MetricCard | None:
    """The card of another tool's metric; None where its name says nothing."""
    if metric in FOREIGN:
        return FOREIGN[metric]
    kind, _, name = metric.partition(":")
    if kind == LM_EVAL and name:
        task, _, measure = name.partition(":")
        lower = measure.endswith(_LM_EVAL_LOWER)
        better: tuple[Direction, Direction] = ("higher", "lower") if lower else ("lower", "higher")
        unit = (0.0, None) if lower else _UNIT
        about = f"{task}: {measure.replace('_', ' ')}"
        return _card(metric, about, "knowledge", "text", better, unit,
                     "As lm-evaluation-harness measures it.", "lm-evaluation-harness")  # fmt: skip
    if kind in get_args(Direction) and name:
        way: Direction = kind  # type: ignore[assignment]  # checked one line above
        low = float("-inf")
        return _card(metric, name, "utility", modality, (way, way), (low, None),
                     "A column of an imported table.", "an imported table")  # fmt: skip
    return None
