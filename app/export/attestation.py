"""The verdict as an in-toto statement on the weights, for signers of such statements (cosign, in-toto, sigstore).

Layout: in-toto Attestation Framework, Statement v1. The statement is not signed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from backends.checkpoints.sources import parts_of
from backends.errors import StoreError
from backends.study import ModelSpec, Study
from backends.versions import own_version
from cache.analysis.evidence_record import Record, digest, model_identity

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:unlearnboard:unlearning-verdict:v1"
FINGERPRINT = "unlearnboardTensors"
"""Our own algorithm: BLAKE3 over the content of every tensor, see `backends.checkpoints`."""
WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf"})


def statement(study: Study, record: Record, report: Path, printed: Path | None = None) -> dict[str, Any]:
    """The statement on all models of a study that were unlearned.

    Args:
        study: the study.
        record: the evidence record, as it stands in the report.
        report: the HTML file that was written, which `unlearnboard verify` takes.
        printed: the PDF that was printed from it.

    Raises:
        StoreError: no unlearned model can be named by a digest.
    """
    unlearned = [
        (spec, told)
        for spec, told in zip(study.models, record["models"], strict=True)
        if spec.part == "unlearned"
    ]
    subjects = [each for spec, told in unlearned for each in _subjects(spec, told["name"], study)]
    if not subjects:
        raise StoreError(
            "no unlearned model has weights here or a declared fingerprint, so nothing can be attested",
            how="Add fingerprint = ... to the models",
        )
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "study": record["study"],
            "verdicts": {told["name"]: told["verdict"] for _, told in unlearned},
            "thresholds": record["thresholds"],
            "evidence": {"blake3": digest(record)},
            "report": _named(report),
            **({"printed": _named(printed)} if printed else {}),
            "generator": {"name": "unlearnboard", "version": own_version()},
        },
    }


def _named(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    digests = {"sha256": hashlib.sha256(content).hexdigest(), "blake3": blake3(content).hexdigest()}
    return {"name": file.name, "digest": digests}


def _subjects(spec: ModelSpec, name: str, study: Study) -> list[dict[str, Any]]:
    """The model by its fingerprint, and each of its files that are here by SHA-256, which every signer knows."""
    known = model_identity(spec, study)
    found = [{"name": name, "digest": {FINGERPRINT: known.fingerprint}}] if known.fingerprint else []
    own = [part for key, part in parts_of(spec) if key != "source"] or [spec.source]
    files = [file for part in own for file in _weight_files(Path(part))]
    return found + [{"name": f"{name}/{file.name}", "digest": {"sha256": _sha256(file)}} for file in files]


def _weight_files(place: Path) -> Sequence[Path]:
    """Nothing for what is not a path on this machine."""
    if place.is_file():
        return [place]
    found = place.rglob("*") if place.is_dir() else ()
    return sorted(path for path in found if WEIGHTS & set(path.suffixes) and path.is_file())


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
