"""Values that were derived from a model's evidence before, each with the version of the definition that gave it.

All columns of a model lie under one key, which says what they were made of: its evidence, the probes, the protocol. By
which definition stands beside each column and not in the key, so that a metric that is new, or whose definition has
changed, is computed alone, and one that was removed costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backends.metrics import METRICS
from cache.store import Store, keys
from cache.store.arrow import packed, unpacked

VALUES_VERSION = 1
"""Raised when evidence becomes values otherwise for all metrics alike; every value is then computed again."""

ROWS_VERSION = 3
"""Raised when values become the rows of a scoreboard otherwise: metrics of whole models, means, intervals."""

ONE_VERSION = 8
"""The last version that all definitions had together, before each had its own."""
_NAMES = """
extraction_strength truth_ratio truth_share probability paraphrased_probability exact_memorization
loss rouge_l rouge_l_f1 rouge_1 key_fact refusal_rate gibberish_rate fluency choice_accuracy
choice_probability model_utility forget_quality memorisation privacy overall relative_utility privleak
rel_diff mia_min_k mia_min_k_plus_plus mia_loss mia_zlib mia_reference mia_gradnorm mia_loss_match
mia_zlib_match mia_min_k_match mia_min_k_plus_plus_match mia_loss_tpr1 mia_loss_tpr5 mia_zlib_tpr1
mia_zlib_tpr5 mia_min_k_tpr1 mia_min_k_tpr5 mia_min_k_plus_plus_tpr1 mia_min_k_plus_plus_tpr5
mia_reference_tpr1 mia_reference_tpr5 mia_gradnorm_tpr1 mia_gradnorm_tpr5 unlearn_accuracy
in_domain_retain cross_domain_retain judge_confidence reject_rate distance_to_original attack_success
fid kid clip_score fid_clip kid_clip fid_inception kid_inception kid_subsets_clip
kid_subsets_inception fid_real_clip kid_real_clip fid_real_inception kid_real_inception lpips
pixel_distance degenerate_rate judge_entropy seconds_per_image changed_share denoising_difference
denoising_auc training_seconds training_peak_bytes training_changed_parameters training_tokens
unlearning_seconds unlearning_peak_bytes unlearning_changed_parameters unlearning_images
"""
OF_ONE_VERSION = frozenset(_NAMES.split())
"""The metrics of that time, whose version is 1 since: caches hold numbers of them that were kept in one piece."""


class KeptValues(NamedTuple):
    """Values of one column, none where it has no value at all, and the version of the definition that gave them."""

    version: int
    values: NDArray[np.float64]


class _Column(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def metric(self) -> str: ...


def read(store: Store, made_of: Sequence[object], columns: Iterable[_Column]) -> dict[str, KeptValues]:
    """What is kept by key, whatever its version.

    Args:
        store: the cache.
        made_of: what the values were computed from; `keys.Said` where it is in JSON already.
        columns: those that are of interest.
    """
    payload = store.memo(key_of(made_of))
    if payload is None:
        return _of_one_version(store, made_of, columns)
    table = unpacked(payload)
    listed = table.column("values").combine_chunks()
    values, ends = listed.values.to_numpy(), listed.offsets.to_numpy()
    names, versions = (table.column(name).to_pylist() for name in ("key", "version"))
    return {
        key: KeptValues(version, values[ends[place] : ends[place + 1]])
        for place, (key, version) in enumerate(zip(names, versions, strict=True))
    }


def write(store: Store, made_of: Sequence[object], kept: Mapping[str, KeptValues]) -> None:
    """Keep these columns in place of all that were kept of the same evidence.

    Raises:
        StoreError: the store cannot be written.
    """
    rows = [each.values for each in kept.values()]
    ends = np.cumsum([0, *map(len, rows)])
    columns = {
        "key": pa.array(list(kept), pa.string()),
        "version": pa.array([each.version for each in kept.values()], pa.int64()),
        "values": pa.ListArray.from_arrays(
            pa.array(ends, pa.int32()), pa.array(np.concatenate([np.zeros(0), *rows]), pa.float64())
        ),
    }
    store.put_memo(key_of(made_of), packed(pa.table(columns)))


def definitions() -> list[object] | int:
    """What the rows of a scoreboard are made by; changes when the definition of any metric does, or a metric comes."""
    versions = {key: metric.version for key, metric in METRICS.items()}
    if VALUES_VERSION == ROWS_VERSION == 1 and versions == dict.fromkeys(OF_ONE_VERSION, 1):
        return ONE_VERSION  # rows that were kept under it are the same
    return [VALUES_VERSION, ROWS_VERSION, sorted(versions.items())]


def key_of(made_of: Sequence[object]) -> str:
    """Under which key everything is kept that was made of this."""
    return keys.digest_of(["columns", VALUES_VERSION, *made_of])


def _of_one_version(
    store: Store, made_of: Sequence[object], columns: Iterable[_Column]
) -> dict[str, KeptValues]:
    """What was kept while one version stood for all definitions: columns without any value were left out then."""
    payload = store.memo(keys.digest_of(["values", ONE_VERSION, *made_of])) if VALUES_VERSION == 1 else None
    if payload is None:
        return {}
    table = unpacked(payload)
    held = dict(zip(table.column("key").to_pylist(), table.column("values").to_pylist(), strict=True))
    return {
        column.key: KeptValues(1, np.array(held.get(column.key, []), np.float64))
        for column in columns
        if column.metric in OF_ONE_VERSION
    }
