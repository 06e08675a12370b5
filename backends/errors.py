"""Every error a person can act on, drawn once. Anything else is a defect and keeps its traceback.

* BoardError             what was wrong, where, and how to mend it, in one sentence
  x StudyError           study.toml, command-line options, probe files
  x CheckpointError      folders, weights, adapters, tokenizers
  x ModelError           a prompt or setting that a loaded model cannot serve
  x StoreError           the cache: read-only, full, damaged   (raised in `cache`)
* Cancelled              the person pressed Stop; not an error, never shown as one
"""

from __future__ import annotations


class BoardError(Exception):
    """One sentence for a person: what is wrong, where, and how to mend it.

    Args:
        what: what is wrong, without a full stop ("the adapter was trained for another base").
        where: file, line, key or row, empty where the sentence already says it.
        how: what to do about it, as an imperative ("Name its base model in `path`").
    """

    def __init__(self, what: str, *, where: str = "", how: str = "") -> None:
        self.what = what
        self.where = where
        self.how = how
        head = f"{where}: {what}" if where else what[:1].upper() + what[1:]
        super().__init__(f"{head}. {how}".strip() if how else f"{head}.")


class StudyError(BoardError):
    """The study file, the command line or a probe file is not usable."""


class CheckpointError(BoardError):
    """A folder, weight file, adapter or tokenizer is not usable, or is not safe to read."""


class ModelError(BoardError):
    """A loaded model cannot serve this request (prompt too long, nothing to score)."""


class StoreError(BoardError):
    """The cache cannot be read or written."""


class Cancelled(Exception):
    """Work was stopped on request; what was stored before stays stored."""
