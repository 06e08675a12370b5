"""What networks beside the judges make of stored pictures: vectors and distances, kept by what was looked at.

A picture is known by the hash of its file and a network by the digest of its files, so nothing is looked at twice,
whichever model, study or seed it belongs to, and metrics need no network once its vectors are here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from blake3 import blake3
from sqlalchemy import func, insert, select, update

from backends.checkpoints.resolved import ResolvedModels
from backends.errors import CheckpointError
from backends.evidence import FloatArray, ImageEvidence
from backends.image.networks.named import CLIP, LPIPS, Network, network, pair_subject, text_subject
from backends.study import Probe, Study
from cache.store import keys, reading, schema
from cache.store.cells import replace_rows
from cache.store.interface import Store
from cache.store.real_sets import folders_of, is_real_network, real_stamp, real_subjects

Images = Mapping[str, Mapping[int, ImageEvidence]]
"""Probe id -> seed -> picture."""

SETS_VERSION = 2
"""Raised when what is made of networks' vectors changes: numbers of studies that name networks are computed again."""
UNREADABLE: FloatArray = np.full(1, np.nan, np.float32)
"""Kept in place of the vector of a real picture that cannot be read."""
_AT_ONCE = 500


def networks_of(study: Study, store: Store) -> list[Network]:
    """The networks that a study names; of those whose files are not here, what the cache last knew under the name."""
    return [_known(store, network(kind, source)) for kind, source in study.features.named().items()]


def has_features(store: Store, of: Network) -> bool:
    """Whether anything that the network said is kept."""
    query = select(schema.networks.c.id).where(schema.networks.c.digest == of.digest)
    with store.reading() as connection:
        return bool(of.digest) and connection.execute(query).first() is not None


def subjects_of(kind: str, probes: Sequence[Probe], ours: Images, originals: Images) -> list[str]:
    """What a network of that kind looks at for these pictures of a model, each once."""
    result: list[str] = []
    for probe in probes:
        seeds = ours.get(probe.id, {})
        theirs = originals.get(probe.id, {})
        if kind == LPIPS:
            result += [
                pair_subject(image.image, theirs[seed].image)
                for seed, image in seeds.items()
                if seed in theirs
            ]
            continue
        result += [image.image for image in (*seeds.values(), *theirs.values())]
        if kind == CLIP and seeds:
            result.append(text_subject(probe.prompt))
    return list(dict.fromkeys(result))


def missing_features(
    study: Study, store: Store, model: str, of: Network, resolved: ResolvedModels | None = None
) -> tuple[int, list[str]]:
    """How many subjects a model's stored pictures have for a network, and those that it did not look at yet.

    Pictures of every arithmetic count: which one is shown is decided when all are there.
    """
    probes = list({probe.id: probe for each in study.probe_sets for probe in each.probes}.values())
    subjects: dict[str, None] = {}
    for numerics in sorted(_arithmetics(study, store, model, resolved)):
        ours = reading.images_for(study, store, model, probes, numerics=numerics, resolved=resolved)
        base = study.original.name if of.kind == LPIPS else ""
        # Only distances are of pairs: the original's own pictures are counted with the original, once.
        theirs = (
            reading.images_for(study, store, base, probes, numerics=numerics, resolved=resolved)
            if base
            else {}
        )
        subjects |= dict.fromkeys(subjects_of(of.kind, probes, ours, theirs))
    kept = vectors(store, of, list(subjects))
    return len(subjects), [subject for subject in subjects if subject not in kept]


def features_of(
    study: Study, store: Store, probes: Sequence[Probe], ours: Images, originals: Images
) -> dict[tuple[str, str], FloatArray]:
    """All that is kept of these pictures: (kind, subject) -> vector."""
    return {
        (each.kind, subject): vector
        for each in networks_of(study, store)
        for subject, vector in vectors(store, each, subjects_of(each.kind, probes, ours, originals)).items()
    }


def vectors(store: Store, of: Network, subjects: Sequence[str]) -> dict[str, FloatArray]:
    """What is kept of these subjects; damaged vectors count as missing."""
    table, known = schema.features, schema.networks
    query = (
        select(table.c.subject, table.c.checksum, table.c.vector)
        .join(known, known.c.id == table.c.network)
        .where(known.c.digest == of.digest)
    )
    result: dict[str, FloatArray] = {}
    if not of.digest:
        return result
    with store.reading() as connection:
        for start in range(0, len(subjects), _AT_ONCE):
            part = subjects[start : start + _AT_ONCE]
            for subject, checksum, payload in connection.execute(query.where(table.c.subject.in_(part))):
                if blake3(payload).hexdigest() == checksum:
                    result[subject] = np.frombuffer(payload, "<f4").astype(np.float32)
    return result


def put_vectors(store: Store, of: Network, rows: Mapping[str, FloatArray]) -> None:
    """Keep what a network made of some subjects, all of it or, when killed, nothing; damaged vectors are replaced.

    Raises:
        StoreError: the store cannot be written.
    """
    if not of.digest:
        raise ValueError(
            f"the files of {of.name} are not on this machine, so its results cannot be attributed"
        )
    known, table = schema.networks, schema.features
    with store.writing(size=sum(vector.nbytes for vector in rows.values())) as connection:
        named = {"kind": of.kind, "name": of.name, "digest": of.digest}
        # The name last used is the one that the files' successors are looked for under.
        same = known.c.digest == of.digest
        owner = connection.execute(select(known.c.id).where(same)).scalar_one_or_none()
        if owner is None:
            owner = connection.execute(insert(known).values(**named).returning(known.c.id)).scalar_one()
        else:
            connection.execute(update(known).where(same).values(**named))
        now = time.time()
        payloads = {subject: vector.astype("<f4").tobytes() for subject, vector in rows.items()}
        replace_rows(
            connection,
            table,
            [
                {
                    "network": owner,
                    "subject": subject,
                    "created": now,
                    "checksum": blake3(payload).hexdigest(),
                    "vector": payload,
                }
                for subject, payload in payloads.items()
            ],
        )


def stamp(study: Study, store: Store) -> str:
    """Changes when what is kept of any of the study's networks does; "" where it names none."""
    networks = networks_of(study, store)
    result = [[each.kind, each.digest, *_said(store, each)] for each in networks]
    known_any = any(count for *_, count, _ in result)
    return keys.digest([SETS_VERSION, result, real_stamp(study, store)]) if known_any else ""


def _said(store: Store, of: Network) -> tuple[int, float]:
    """How many vectors of a network are kept, and when the latest came: changes with any of them."""
    table, known = schema.features, schema.networks
    query = select(func.count(), func.max(table.c.created)).join(known, known.c.id == table.c.network)
    with store.reading() as connection:
        count, latest = connection.execute(query.where(known.c.digest == of.digest)).one()
    return int(count), float(latest or 0)


def real_vectors(study: Study, store: Store, of: Network, role: str) -> FloatArray:
    """What a network makes of the real pictures of a role, shape (M, D); no rows where not all are kept."""
    folder = study.features.real_for(role)
    subjects = real_subjects(store, folder) if folder and is_real_network(of) else ()
    return _stacked(store, of, subjects, _said(store, of))


@lru_cache(maxsize=4)
def _stacked(store: Store, of: Network, subjects: tuple[str, ...], _state: tuple[int, float]) -> FloatArray:
    """Kept for the next model, for as long as nothing new is said."""
    held = vectors(store, of, subjects)
    if not subjects or len(held) < len(subjects):
        return np.zeros((0, 0), np.float32)
    readable = [held[subject] for subject in subjects if np.isfinite(held[subject]).all()]
    return np.stack(readable) if readable else np.zeros((0, 0), np.float32)


def missing_real_features(study: Study, store: Store, of: Network) -> tuple[int, list[str]]:
    """How many real pictures a study has for a network, and those that it did not look at yet."""
    folders = folders_of(study) if is_real_network(of) else []
    subjects = list(dict.fromkeys(each for folder in folders for each in real_subjects(store, folder)))
    kept = vectors(store, of, subjects)
    return len(subjects), [subject for subject in subjects if subject not in kept]


def _arithmetics(study: Study, store: Store, model: str, resolved: ResolvedModels | None) -> set[str]:
    try:
        mine = reading.identity_to_read(study.model(model), models=resolved)
        reading.identity_to_read(study.original, models=resolved)
    except CheckpointError:
        return set()  # evaluating says why; nothing of it is stored
    judges = reading.judges_digest(study.judges)
    probes = [probe for each in study.probe_sets for probe in each.probes]
    return {
        context.numerics
        for way in keys.image_seed_settings(study.sampling, probes)
        for context in reading.image_contexts(store, mine, study.sampling, way, judges)
    }


def _known(store: Store, wanted: Network) -> Network:
    if wanted.digest:
        return wanted
    table = schema.networks
    query = (
        select(table.c.digest)
        .where(table.c.kind == wanted.kind, table.c.name == wanted.name)
        .order_by(table.c.id.desc())
    )
    with store.reading() as connection:
        digest = connection.execute(query.limit(1)).scalar_one_or_none()
    return Network(wanted.kind, wanted.name, digest or "")
