"""How far two sets of pictures are apart as sets: Frechet and kernel distance between features.

Both depend on the extractor, the number of pictures and the reference set, so these stand beside every value.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backends.image.networks.named import CLIP, INCEPTION
from backends.metrics.card import MetricCard, StudyMetric

Features = NDArray[np.float64]
LEAST_PROMPTS = 3
"""Below, leaving one out says nothing of how much prompts differ."""
NORMAL_975 = 1.959963984540054
ROUNDING = 1e-12


def frechet_distance(features: Features, reference: Features) -> float:
    """FID: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), 0 and more; 0 means alike, NaN below two pictures.

    The trace of the root is the sum of the singular values of S1^(1/2) S2^(1/2), which also exists for singular
    covariances (fewer pictures than features, where the value is biased upward) and needs no complex matrix root.

    Args:
        features: shape (N, D).
        reference: shape (M, D).

    Source: Heusel et al. 2017, eq. 6; covariances unbiased, as pytorch-fid computes them.
    """
    if len(features) < 2 or len(reference) < 2:
        return math.nan
    # A centred data matrix is a root of its covariance: no eigenvalues of a D x D matrix are needed.
    left = (features - features.mean(0)) / math.sqrt(len(features) - 1)
    right = (reference - reference.mean(0)) / math.sqrt(len(reference) - 1)
    root = np.linalg.svd(left @ right.T, compute_uv=False).sum()
    apart = float(np.sum((features.mean(0) - reference.mean(0)) ** 2))
    spread = float(np.sum(left**2) + np.sum(right**2) - 2 * root)
    return apart + max(0.0, spread)


def kernel_matrix(left: Features, right: Features) -> Features:
    """Polynomial kernel (x.y / D + 1)^3 of KID, shape (N, M) for inputs (N, D) and (M, D)."""
    values: Features = (left @ right.T / left.shape[1] + 1.0) ** 3
    return values


def kernel_distance(features: Features, reference: Features) -> float:
    """KID: the unbiased squared maximum mean discrepancy. Near 0 means alike; it may be a little negative.

    Where both sets have as many pictures, row i of both is taken to be of the same prompt and noise, and only pairs of
    different rows count (Gretton et al. 2012, lemma 6, eq. 4): a model's picture is like the original's of the same
    noise, which the usual mean over all pairs would take for two sets that are nearer than equal ones. Identical sets
    give exactly 0.

    Args:
        features: shape (N, D).
        reference: shape (M, D).

    Source: Binkowski et al. 2018, section 4; over all pairs instead of a mean over random subsets.
    """
    n, m = len(features), len(reference)
    if n < 2 or m < 2:
        return math.nan
    if n == m:
        return _mean_of_pairs(_paired_kernel(features, reference))
    within = sum(_mean_of_pairs(kernel_matrix(side, side)) for side in (features, reference))
    return within - 2 * float(kernel_matrix(features, reference).mean())


def drawn_kernel_distance(
    features: Features, reference: Features, prompts: Sequence[Hashable], resamples: int, seed: int
) -> NDArray[np.float64]:
    """KID of two equally large sets, then its values on resamples of the prompts, shape (1 + resamples,).

    Pictures of one prompt are alike, so they are drawn together; a picture that is drawn twice is not compared with
    itself. How far the resamples lie from the value is set by the jackknife over prompts: their percentiles are then as
    far apart as a t interval with its standard error is wide, and as skewed as the resamples are.

    Args:
        features: shape (N, D).
        reference: shape (N, D), row i of the same prompt and noise.
        prompts: of each row.
        resamples: how many; NaN where there are fewer than `LEAST_PROMPTS` prompts, and where all differ alike; 0 where
            both sets are the same.
        seed: of the resamples.

    Source: Arvesen 1969 (jackknife of a U-statistic, with t); the percentiles of resamples (Efron 1979) in place of its
    two equal sides are ours.
    """
    numbers: dict[Hashable, int] = {}
    of = np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts])
    drawn, count = np.full(1 + resamples, math.nan), len(numbers)
    drawn[0] = kernel_distance(features, reference)
    if count < LEAST_PROMPTS or not resamples or not math.isfinite(drawn[0]):
        return drawn
    kernel = _paired_kernel(features, reference)
    np.fill_diagonal(kernel, 0.0)
    member = (of == np.arange(count)[:, None]).astype(np.float64)  # (prompts, N)
    sums, sizes = member @ kernel @ member.T, member.sum(axis=1)
    weights = (
        np.random.default_rng(seed)
        .multinomial(count, np.full(count, 1 / count), resamples)
        .astype(np.float64)
    )
    pairs = (weights @ sizes) ** 2 - weights**2 @ sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(pairs > 0, np.einsum("bi,ij,bj->b", weights, sums, weights) / pairs, math.nan)
    spread = float(np.nanstd(found))
    if spread > ROUNDING * float(np.abs(kernel).max()):
        wider = _half_width(sums, sizes) / (NORMAL_975 * spread)
        drawn[1:] = drawn[0] + wider * (found - np.nanmean(found))
    elif np.array_equal(features, reference):
        drawn[1:] = 0.0
    return drawn


def _half_width(sums: Features, sizes: Features) -> float:
    """Of the t interval by the jackknife over prompts.

    Args:
        sums: of the kernel between the pictures of two prompts, shape (prompts, prompts).
        sizes: pictures of each prompt.
    """
    from scipy.special import stdtrit

    count, left = len(sizes), sizes.sum() - sizes
    without = (sums.sum() - 2 * sums.sum(axis=1) + np.diag(sums)) / (left * (left - 1))
    error = math.sqrt((count - 1) / count * float(np.sum((without - without.mean()) ** 2)))
    return float(stdtrit(count - 1, 0.975)) * error


def _paired_kernel(features: Features, reference: Features) -> Features:
    """H of the U-statistic (Gretton et al. 2012, eq. 4) for each two rows, shape (N, N)."""
    between = kernel_matrix(features, reference)
    return kernel_matrix(features, features) + kernel_matrix(reference, reference) - between - between.T


def _mean_of_pairs(kernel: Features) -> float:
    """Mean of the kernel over pairs of different pictures."""
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


_KEPT = frozenset({"retain", "neighbour", "utility"})

FID = StudyMetric(
    MetricCard(
        key="fid",
        title="FID to the original's images, judge features",
        question="side effects",
        modality="image",
        formula=r"\lVert \mu_1 - \mu_2 \rVert^2 + "
        r"\mathrm{tr}\left(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2}\right)",
        reading="Distance between the sets of the model's and the original's images of the same prompts; n is "
        "the number of the model's images. Features are those of the study's judges, so compare "
        "values within one study only.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=None,
        ideal="0",
        needs=("judge features", "the original's images", "two images or more"),
        source="Heusel et al. 2017, eq. 6; reference and prompts as FID_SD of HUB (Park et al. 2025); not comparable "
        "with Inception features",
        trust="biased upward while there are fewer images than features; KID is not",
        roles=_KEPT,
        by_count=True,
        interval="no resamples",
    )
)

KID = StudyMetric(
    MetricCard(
        key="kid",
        title="KID to the original's images, judge features",
        question="side effects",
        modality="image",
        formula=r"\widehat{\mathrm{MMD}}^2_u,\quad k(x, y) = \left(\tfrac{x \cdot y}{D} + 1\right)^3",
        reading="As FID, but unbiased for few images; around 0 the two sets are indistinguishable, and it may "
        "be slightly negative.",
        on_forget="zero",
        elsewhere="zero",
        low=-math.inf,
        high=None,
        ideal="0",
        needs=("judge features", "the original's images", "two images or more"),
        source="Binkowski et al. 2018; over all pairs of different prompts (Gretton et al. 2012, eq. 4), since pairs "
        "from one noise are alike",
        roles=_KEPT,
        by_count=True,
        interval="pictures",
    ),
    version=2,
)

FID_CLIP = StudyMetric(
    replace(
        FID.card,
        key="fid_clip",
        title="FID to the original's images, CLIP features",
        reading="Distance between the sets of the model's and the original's images of the same prompts; n is "
        "the number of the model's images. Features are image embeddings of the CLIP model that the "
        "study names.",
        needs=("[features] clip", "the image files", "the original's images", "two images or more"),
        source="Heusel et al. 2017, eq. 6, on CLIP's image embeddings before they are normalised, as clean-fid takes "
        "them; reference and prompts as FID_SD of HUB (Park et al. 2025)",
    )
)

KID_CLIP = StudyMetric(
    replace(
        KID.card,
        key="kid_clip",
        title="KID to the original's images, CLIP features",
        needs=FID_CLIP.card.needs,
    ),
    version=2,
)

FID_INCEPTION = StudyMetric(
    replace(
        FID.card,
        key="fid_inception",
        title="FID to the original's images, Inception features",
        reading="Distance between the sets of the model's and the original's images of the same prompts; n is "
        "the number of the model's images. Features are the 2048 of InceptionV3's last pooling, with "
        "the weights the study names.",
        needs=("[features] inception", "the image files", "the original's images", "two images or more"),
        source="Heusel et al. 2017, eq. 6; images resized as pytorch-fid resizes them, not as clean-fid; reference and "
        "prompts as FID_SD of HUB (Park et al. 2025), so not comparable with FID to COCO",
        trust="biased upward while there are fewer images than its 2048 features; KID is not",
    )
)

KID_INCEPTION = StudyMetric(
    replace(
        KID.card,
        key="kid_inception",
        title="KID to the original's images, Inception features",
        needs=FID_INCEPTION.card.needs,
    ),
    version=2,
)

BY_NETWORK: Mapping[str, tuple[StudyMetric, StudyMetric]] = MappingProxyType(
    {CLIP: (FID_CLIP, KID_CLIP), INCEPTION: (FID_INCEPTION, KID_INCEPTION)}
)
"""Kind of network -> FID and KID of its features; those of the judges are FID and KID."""
