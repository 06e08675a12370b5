"""Pictures against a set that they are no pairs of: KID as it is usually computed, and both distances to real pictures.

The distances of `distributions.py` compare pictures of the same prompts and noise; these know of no pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backends.image.networks.named import CLIP, INCEPTION
from backends.metrics.card import StudyMetric
from backends.metrics.distributions import (
    FID_CLIP,
    FID_INCEPTION,
    KID_CLIP,
    KID_INCEPTION,
    Features,
    kernel_matrix,
)

SUBSETS = 100
SUBSET_SIZE = 1000
"""As torch-fidelity and clean-fid draw them by default."""
SEED = 0
MOST_KERNEL = 50_000_000
"""Numbers of a kernel matrix that is worked out whole, of which subsets are then parts; 8 bytes each."""
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gaussian:
    """What FID keeps of a set of features.

    Attributes:
        mean: shape (D,).
        root: shape (min(N, D), D); its product with itself, transposed first, is the unbiased covariance.
        count: pictures.
    """

    mean: Features
    root: Features
    count: int


def gaussian_of(features: Features) -> Gaussian:
    """Mean and covariance of features of shape (N, D), the covariance as a root of no more rows than columns."""
    centred = (features - features.mean(0)) / math.sqrt(max(len(features) - 1, 1))
    if len(centred) > centred.shape[1]:
        centred = np.linalg.qr(centred, mode="r")  # the same product, and far fewer rows for many pictures
    return Gaussian(features.mean(0), centred, len(features))


def frechet(left: Gaussian, right: Gaussian) -> float:
    """FID of two sets, as `distributions.frechet_distance`; NaN below two pictures."""
    if left.count < 2 or right.count < 2:
        return math.nan
    root = np.linalg.svd(left.root @ right.root.T, compute_uv=False).sum()
    apart = float(np.sum((left.mean - right.mean) ** 2))
    spread = float(np.sum(left.root**2) + np.sum(right.root**2) - 2 * root)
    return apart + max(0.0, spread)


def drawn_subsets(count: int, size: int, subsets: int, side: int, seed: int = SEED) -> list[Indices]:
    """Which pictures of a set each subset holds; `side` tells the two sets apart, so that neither draws the other's."""
    generator = np.random.default_rng([seed, side])
    return [generator.choice(count, size, replace=False) for _ in range(subsets)]


def within_subsets(features: Features, chosen: Sequence[Indices]) -> NDArray[np.float64]:
    """Mean of the kernel over pairs of different pictures of each subset, shape (subsets,)."""
    whole = kernel_matrix(features, features) if len(features) ** 2 <= MOST_KERNEL else None
    result = []
    for places in chosen:
        part = features[places]
        kernel = kernel_matrix(part, part) if whole is None else whole[np.ix_(places, places)]
        n = len(places)
        result.append(float(kernel.sum() - np.trace(kernel)) / (n * (n - 1)))
    return np.array(result)


def subset_kernel_distances(
    features: Features,
    reference: Features,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = SEED,
    within: Callable[[Sequence[Indices]], NDArray[np.float64]] | None = None,
) -> NDArray[np.float64]:
    """KID of random subsets of two sets, shape (subsets,); their mean is the KID that is usually told.

    Each is the unbiased squared maximum mean discrepancy of as many pictures of each set, drawn without replacement:
    all pairs between the sets count, equal places too.

    Args:
        features: shape (N, D).
        reference: shape (M, D).
        subsets: how many are drawn; one where both sets are used whole.
        size: pictures of each set in a subset, at most the smaller set.
        seed: of the drawing.
        within: `within_subsets` of the reference, where somebody remembers it for several sets.

    Source: Binkowski et al. 2018, section 4.
    """
    size = min(size, len(features), len(reference))
    if size < 2:
        return np.full(1, np.nan)
    if size == len(features) == len(reference):
        subsets = 1
    ours = drawn_subsets(len(features), size, subsets, 0, seed)
    theirs = drawn_subsets(len(reference), size, subsets, 1, seed)
    small = len(features) * len(reference) <= MOST_KERNEL
    between = kernel_matrix(features, reference) if small else None
    across = [
        float(kernel_matrix(features[left], reference[right]).mean())
        if between is None
        else float(between[np.ix_(left, right)].mean())
        for left, right in zip(ours, theirs, strict=True)
    ]
    other = within(theirs) if within is not None else within_subsets(reference, theirs)
    distances: NDArray[np.float64] = within_subsets(features, ours) + other - 2 * np.array(across)
    return distances


_STANDARD = (
    "Binkowski et al. 2018, section 4: the unbiased MMD, mean over 100 subsets of at most 1000 images drawn without "
    "replacement, as torch-fidelity and clean-fid compute it"
)


def _standard(kid: StudyMetric, extractor: str) -> StudyMetric:
    return StudyMetric(
        replace(
            kid.card,
            key=f"kid_subsets_{extractor.lower()}",
            title=f"KID to the original's images over subsets, {extractor} features",
            reading="KID as other tools compute it, without pairing: an image is also compared with the "
            "original's of the same prompt and noise, so an unchanged model is below 0; the paired KID is "
            "then exactly 0. n is the number of the model's images.",
            source=_STANDARD,
            trust="pairs from the same noise are similar, which biases it below 0; the paired KID has no such bias",
            interval="no resamples",
        )
    )


def _real_fid(fid: StudyMetric, extractor: str) -> StudyMetric:
    needs = tuple(need for need in fid.card.needs if need != "the original's images")
    return StudyMetric(
        replace(
            fid.card,
            key=f"fid_real_{extractor.lower()}",
            title=f"FID to real pictures, {extractor} features",
            reading="Distance between the model's images and the real pictures of the folder that the study names, as "
            "sets; n is the number of the model's images. Compare with the original's value, and only for the same "
            "folder, n and network.",
            needs=(*needs, "[features] real"),
            ideal="the original's value",
            source="Heusel et al. 2017, eq. 6, with unbiased covariances; images resized as pytorch-fid resizes them "
            "(CLIP: by its own preprocessor); papers of unlearning take 10,000 to 30,000 pictures of COCO",
            trust="biased upward while there are fewer images than features, and the more so the fewer; KID is not",
        )
    )


def _real_kid(kid: StudyMetric, extractor: str) -> StudyMetric:
    needs = tuple(need for need in kid.card.needs if need != "the original's images")
    return StudyMetric(
        replace(
            kid.card,
            key=f"kid_real_{extractor.lower()}",
            title=f"KID to real pictures, {extractor} features",
            reading="As FID to real pictures, but unbiased for few images. n is the number of the model's images.",
            on_forget="lower",
            elsewhere="lower",
            needs=(*needs, "[features] real"),
            ideal="the original's value",
            source=_STANDARD,
            interval="no resamples",
        )
    )


KID_SUBSETS_CLIP, KID_SUBSETS_INCEPTION = _standard(KID_CLIP, "CLIP"), _standard(KID_INCEPTION, "Inception")
FID_REAL_CLIP, FID_REAL_INCEPTION = _real_fid(FID_CLIP, "CLIP"), _real_fid(FID_INCEPTION, "Inception")
KID_REAL_CLIP, KID_REAL_INCEPTION = _real_kid(KID_CLIP, "CLIP"), _real_kid(KID_INCEPTION, "Inception")

SUBSETS_BY_NETWORK: Mapping[str, StudyMetric] = MappingProxyType(
    {CLIP: KID_SUBSETS_CLIP, INCEPTION: KID_SUBSETS_INCEPTION}
)
"""Kind of network -> KID to the original's images over subsets."""
REAL_BY_NETWORK: Mapping[str, tuple[StudyMetric, StudyMetric]] = MappingProxyType(
    {CLIP: (FID_REAL_CLIP, KID_REAL_CLIP), INCEPTION: (FID_REAL_INCEPTION, KID_REAL_INCEPTION)}
)
"""Kind of network -> FID and KID to real pictures."""
