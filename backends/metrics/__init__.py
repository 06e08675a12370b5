"""Metrics: pure functions over evidence, each with a card that says how to read it. Listed here, and only here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.metrics.attacked import ATTACKED
from backends.metrics.card import (
    DRAFT,
    Direction,
    ImageMetric,
    Metric,
    MetricCard,
    Pictures,
    StudyMetric,
    TextMetric,
)
from backends.metrics.choice import CHOICE_ACCURACY, CHOICE_PROBABILITY
from backends.metrics.denoising import DENOISING_AUC, DENOISING_DIFFERENCE
from backends.metrics.detection import DETECTIONS
from backends.metrics.distributions import FID, FID_CLIP, FID_INCEPTION, KID, KID_CLIP, KID_INCEPTION
from backends.metrics.fluency import FLUENCY
from backends.metrics.leakage import LEAK_EASIEST, LEAK_SAMPLES, LEAKS
from backends.metrics.least_kept import LEAST_KEPT
from backends.metrics.memorisation import (
    EXACT_MEMORIZATION,
    EXTRACTION_STRENGTH,
    LOSS,
    PARAPHRASED_PROBABILITY,
    PROBABILITY,
)
from backends.metrics.networks import CLIP_SCORE, PERCEPTUAL_DISTANCE
from backends.metrics.outcome import GIBBERISH_RATE, REFUSAL_RATE
from backends.metrics.overall import OVERALL, RELATIVE_UTILITY
from backends.metrics.pictures import (
    ATTACK_SUCCESS,
    CHANGED_SHARE,
    CROSS_DOMAIN_RETAIN,
    DEGENERATE_RATE,
    DISTANCE_TO_ORIGINAL,
    IN_DOMAIN_RETAIN,
    JUDGE_CONFIDENCE,
    JUDGE_ENTROPY,
    PIXEL_DISTANCE,
    REJECT_RATE,
    SECONDS_PER_IMAGE,
    UNLEARN_ACCURACY,
)
from backends.metrics.privacy import (
    MIA_GRADNORM,
    MIA_LOSS,
    MIA_MIN_K,
    MIA_MIN_K_PLUS_PLUS,
    MIA_REFERENCE,
    MIA_ZLIB,
)
from backends.metrics.ratings import WIN_RATES
from backends.metrics.real_distributions import REAL_BY_NETWORK, SUBSETS_BY_NETWORK
from backends.metrics.relative import CLOSER_TO_RETAINED
from backends.metrics.retained_privacy import MATCHES, PRIVACY, PRIVLEAK, REL_DIFF
from backends.metrics.similarity import KEY_FACT, ROUGE_1, ROUGE_L, ROUGE_L_F1
from backends.metrics.study_level import FORGET_QUALITY, MEMORISATION, MODEL_UTILITY
from backends.metrics.training_cost import TRAINING_COSTS
from backends.metrics.truth_ratio import TRUTH_RATIO, TRUTH_SHARE

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "extraction_strength": EXTRACTION_STRENGTH,
        "truth_ratio": TRUTH_RATIO,
        "truth_share": TRUTH_SHARE,
        "probability": PROBABILITY,
        "paraphrased_probability": PARAPHRASED_PROBABILITY,
        "exact_memorization": EXACT_MEMORIZATION,
        "loss": LOSS,
        **LEAKS,
        "leak_samples": LEAK_SAMPLES,
        "leak_easiest": LEAK_EASIEST,
        "rouge_l": ROUGE_L,
        "rouge_l_f1": ROUGE_L_F1,
        "rouge_1": ROUGE_1,
        "key_fact": KEY_FACT,
        "refusal_rate": REFUSAL_RATE,
        "gibberish_rate": GIBBERISH_RATE,
        "fluency": FLUENCY,
        "choice_accuracy": CHOICE_ACCURACY,
        "choice_probability": CHOICE_PROBABILITY,
        **LEAST_KEPT,
        "model_utility": MODEL_UTILITY,
        "forget_quality": FORGET_QUALITY,
        "closer_to_retained": CLOSER_TO_RETAINED,
        "memorisation": MEMORISATION,
        "privacy": PRIVACY,
        "overall": OVERALL,
        "relative_utility": RELATIVE_UTILITY,
        "privleak": PRIVLEAK,
        "rel_diff": REL_DIFF,
        "mia_min_k": MIA_MIN_K,
        "mia_min_k_plus_plus": MIA_MIN_K_PLUS_PLUS,
        "mia_loss": MIA_LOSS,
        "mia_zlib": MIA_ZLIB,
        "mia_reference": MIA_REFERENCE,
        "mia_gradnorm": MIA_GRADNORM,
        **MATCHES,
        **DETECTIONS,
        "unlearn_accuracy": UNLEARN_ACCURACY,
        "in_domain_retain": IN_DOMAIN_RETAIN,
        "cross_domain_retain": CROSS_DOMAIN_RETAIN,
        "judge_confidence": JUDGE_CONFIDENCE,
        "reject_rate": REJECT_RATE,
        "distance_to_original": DISTANCE_TO_ORIGINAL,
        "attack_success": ATTACK_SUCCESS,
        "fid": FID,
        "kid": KID,
        "clip_score": CLIP_SCORE,
        "fid_clip": FID_CLIP,
        "kid_clip": KID_CLIP,
        "fid_inception": FID_INCEPTION,
        "kid_inception": KID_INCEPTION,
        **{each.card.key: each for each in SUBSETS_BY_NETWORK.values()},
        **{each.card.key: each for pair in REAL_BY_NETWORK.values() for each in pair},
        "lpips": PERCEPTUAL_DISTANCE,
        "pixel_distance": PIXEL_DISTANCE,
        "degenerate_rate": DEGENERATE_RATE,
        "judge_entropy": JUDGE_ENTROPY,
        "seconds_per_image": SECONDS_PER_IMAGE,
        "changed_share": CHANGED_SHARE,
        "denoising_difference": DENOISING_DIFFERENCE,
        "denoising_auc": DENOISING_AUC,
        **TRAINING_COSTS,
        **WIN_RATES,
        **ATTACKED,
    }
)
"""All metrics by key, the most trusted first."""

__all__ = [
    "DRAFT",
    "METRICS",
    "Direction",
    "ImageMetric",
    "Metric",
    "MetricCard",
    "Pictures",
    "StudyMetric",
    "TextMetric",
]
