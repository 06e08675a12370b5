"""The evidence record inside a report, and the digest by which an edited report is known."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from backends.errors import StoreError
from cache.analysis.evidence_record import FORM, Record, digest

EMPTY = "0" * 64
"""Stands in the place of the seal while it is computed."""
LARGEST_BYTES = 50_000_000
_SEAL = re.compile(r'<meta name="unlearnboard-seal" content="([0-9a-f]{64})">')
_DIGEST = re.compile(r'<meta name="unlearnboard-evidence" content="([0-9a-f]{64})">')
_RECORD = re.compile(r'<pre id="evidence-record">(.*?)</pre>', re.DOTALL)
_PARTS = {"study", "modality", "protocol", "numerics", "settings", "thresholds", "models", "probe_sets"}


class Sealed(NamedTuple):
    """What a report says that it was made of.

    Attributes:
        record: the evidence record.
        redacted: what should be forgotten was hidden in it.
        faults: sentences on what was changed in the file after it was written.
    """

    record: Record
    redacted: bool
    faults: list[str]


def sealed(page: str) -> str:
    """The page with its digest in the place of EMPTY."""
    seal = f'<meta name="unlearnboard-seal" content="{EMPTY}">'
    return page.replace(seal, seal.replace(EMPTY, blake3(page.encode()).hexdigest()), 1)


def read_report(path: Path) -> Sealed:
    """What a report stands on.

    Raises:
        StoreError: the file cannot be read or is no report.
    """
    page = _text(path)
    seal, stated, record = (pattern.search(page) for pattern in (_SEAL, _DIGEST, _RECORD))
    if seal is None or stated is None or record is None:
        raise StoreError(
            "this is no report of UnlearnBoard",
            where=str(path),
            how="Name an HTML file that `unlearnboard report` wrote",
        )
    try:
        found = json.loads(html.unescape(record[1]))
    except (ValueError, RecursionError) as error:
        raise StoreError("the evidence record in this report is damaged", where=str(path)) from error
    known = found.get("record") if isinstance(found, dict) else None
    if not isinstance(known, dict) or known.get("form") != FORM or not known.keys() >= _PARTS:
        raise StoreError(
            "the evidence record in this report has another form",
            where=str(path),
            how="Check it with the version of UnlearnBoard that wrote it",
        )
    faults = []
    if blake3(page.replace(seal[1], EMPTY, 1).encode()).hexdigest() != seal[1]:
        faults.append("the report was changed after it was written")
    if digest(known) != stated[1]:
        faults.append("the evidence record in the report was changed after it was written")
    return Sealed(known, bool(found.get("redacted")), faults)


def _text(path: Path) -> str:
    if path.suffix.lower() == ".pdf":
        raise StoreError(
            "a PDF carries no evidence record",
            where=str(path),
            how="Name the HTML file that was written beside it",
        )
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise StoreError("this file is too large for a report", where=str(path))
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise StoreError(f"the report cannot be read ({error.strerror})", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise StoreError("this is no report of UnlearnBoard: it is not UTF-8", where=str(path)) from error
