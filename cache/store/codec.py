"""Evidence to bytes and back: one Arrow IPC stream (zstd) with one row for each probe of a cell, or a list in JSON.

Token values of all answers of a probe lie behind one another in list columns; `lengths` says where each answer ends.
Strings that repeat (token pieces) are kept once in each cell. Knows nothing of databases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from blake3 import blake3
from numpy.typing import NDArray

from backends.evidence import Answer, ImageEvidence, Judgement, TextEvidence, TokenScores
from cache.store.score_reader import TOKEN_COLUMNS, ScoreReader

_ANSWER_COLUMNS = ("texts", "n_tokens", "finishes", "seeds", "seconds")
_ONE_THREAD = pa.ipc.IpcReadOptions(use_threads=False)  # cells are small: threads cost more than they save
TextPart = Literal["", "scores", "answers", "gradients"]
"""Part of the evidence of a probe; "" is all of it."""
_COLUMNS_OF: Mapping[TextPart, frozenset[str]] = MappingProxyType(
    {
        "": frozenset(),
        "scores": frozenset(
            (
                *TOKEN_COLUMNS,
                "names",
                "lengths",
                "widths",
                "end_logprobs",
                "pieces",
                "top_pieces",
                "top_logprobs",
            )
        ),
        "answers": frozenset(_ANSWER_COLUMNS),
        "gradients": frozenset(("gradient_norms",)),
    }
)
_TYPES = {"token_ids": np.int32, "ranks": np.int32, "argmax_ids": np.int32}


class DamagedCell(Exception):
    """The bytes are not a cell of this kind. Raised and caught inside `cache` only."""


def encode_text(rows: Sequence[TextEvidence]) -> bytes:
    """One cell of text evidence."""
    scored = [list(row.scores.items()) for row in rows]
    entries = _offsets([len(items) for items in scored])
    tokens = _offsets([sum(len(item.token_ids) for _, item in items) for items in scored])
    alternatives = _offsets([sum(item.top_logprobs.size for _, item in items) for items in scored])
    flat = [(name, item) for items in scored for name, item in items]
    columns = {
        "names": _lists(entries, pa.array([name for name, _ in flat], pa.string()).dictionary_encode()),
        "lengths": _lists(entries, pa.array([len(item.token_ids) for _, item in flat], pa.int32())),
        "widths": _lists(entries, pa.array([_width(item) for _, item in flat], pa.int32())),
        "end_logprobs": _lists(entries, pa.array([item.end_logprob for _, item in flat], pa.float64())),
        "pieces": _lists(tokens, _strings(piece for _, item in flat for piece in item.pieces)),
        "top_pieces": _lists(
            alternatives,
            _strings(piece for _, item in flat for pieces in item.top_pieces for piece in pieces),
        ),
        "top_logprobs": _lists(
            alternatives, _numbers([item.top_logprobs.ravel() for _, item in flat], np.float32)
        ),
    }
    for name in TOKEN_COLUMNS:
        values = [getattr(item, name) for _, item in flat]
        columns[name] = _lists(tokens, _numbers(values, _TYPES.get(name, np.float32)))
    if np.array_equal(_flat(columns["entropy"]), -_flat(columns["mean"])):
        del columns["entropy"]  # E_p[log p] is minus the entropy: an eighth of the bytes
    norms = [row.gradient_norm for row in rows]
    if not np.isnan(norms).all():
        columns["gradient_norms"] = pa.array(norms, pa.float64())
    return _write(columns | _answer_columns(rows))


def decode_text(
    payload: bytes, wanted: Sequence[int], *, pieces: bool = True, only: TextPart = ""
) -> list[TextEvidence]:
    """The wanted rows of a cell.

    Args:
        payload: bytes of `encode_text`.
        wanted: positions of probes in the cell.
        pieces: False leaves out tokens as text and the rivals, which most metrics do not need.
        only: the part that is looked at; the others are as if nobody had asked for them, and are not unpacked.

    Raises:
        DamagedCell: the payload cannot be read.
    """
    batch = _read(payload, _COLUMNS_OF[only])
    try:
        reader = ScoreReader(batch, pieces) if only in ("", "scores") else None
        answers = _AnswerReader(batch) if only in ("", "answers") else None
        has_norms = "gradient_norms" in batch.schema.names
        norms = batch.column("gradient_norms").to_numpy() if has_norms else np.full(batch.num_rows, np.nan)
        return [
            TextEvidence(
                {} if reader is None else reader.scores(row),
                () if answers is None else answers.answers(row),
                float(norms[row]),
            )
            for row in wanted
        ]
    except (KeyError, IndexError, ValueError) as error:
        raise DamagedCell(str(error)) from error


def encode_images(rows: Sequence[ImageEvidence]) -> bytes:
    """One cell of image evidence; the pictures themselves are files."""
    judgements = [
        json.dumps(
            {domain: [said.label, dict(said.probabilities)] for domain, said in row.judgements.items()}
        )
        for row in rows
    ]
    features = _offsets([row.features.size for row in rows])
    return _write(
        {
            "image": pa.array([row.image for row in rows], pa.string()),
            "seed": pa.array([row.seed for row in rows], pa.int64()),
            "judgements": pa.array(judgements, pa.string()),
            "features": _lists(features, _numbers([row.features for row in rows], np.float32)),
            "seconds": pa.array([row.seconds for row in rows], pa.float64()),
        }
    )


def decode_images(payload: bytes, wanted: Sequence[int]) -> list[ImageEvidence]:
    """The wanted rows of a cell of image evidence.

    Raises:
        DamagedCell: the payload cannot be read.
    """
    batch = _read(payload)
    try:
        return [_image(batch, row) for row in wanted]
    except (KeyError, IndexError, ValueError) as error:
        raise DamagedCell(str(error)) from error


def image_names(payload: bytes, wanted: Sequence[int]) -> list[str]:
    """Hashes of the pictures of the wanted rows of a cell of image evidence.

    Raises:
        DamagedCell: the payload cannot be read.
    """
    batch = _checked(payload, wanted)
    try:
        names = batch.column("image").to_pylist()
    except KeyError as error:
        raise DamagedCell(str(error)) from error
    return [str(names[row]) for row in wanted]


def check_rows(payload: bytes, wanted: Sequence[int]) -> None:
    """Whether a cell of evidence that came from elsewhere is safe to read and has these rows, without decoding them.

    Raises:
        DamagedCell: the payload cannot be read, says what is not so of its buffers, or has no such rows.
    """
    _checked(payload, wanted)


def _answer_columns(rows: Sequence[TextEvidence]) -> dict[str, Any]:
    offsets = _offsets([len(row.answers) for row in rows])
    answers = [answer for row in rows for answer in row.answers]
    return {
        "texts": _lists(offsets, pa.array([answer.text for answer in answers], pa.string())),
        "n_tokens": _lists(offsets, pa.array([answer.n_tokens for answer in answers], pa.int32())),
        "finishes": _lists(offsets, pa.array([answer.finish for answer in answers], pa.string())),
        "seeds": _lists(offsets, pa.array([answer.seed for answer in answers], pa.int64())),
        "seconds": _lists(offsets, pa.array([answer.seconds for answer in answers], pa.float64())),
    }


class _AnswerReader:
    """Answers of single rows; the columns of a cell of scores are empty."""

    def __init__(self, batch: Any) -> None:
        columns = [batch.column(name) for name in _ANSWER_COLUMNS]
        self._first: list[int] = columns[0].offsets.to_pylist()
        rows = zip(*(column.values.to_pylist() for column in columns), strict=True)
        self._flat = [Answer(*row) for row in rows]

    def answers(self, row: int) -> tuple[Answer, ...]:
        return tuple(self._flat[self._first[row] : self._first[row + 1]])


def _image(batch: Any, row: int) -> ImageEvidence:
    values = {name: batch.column(name)[row] for name in batch.schema.names}
    said = json.loads(values["judgements"].as_py())
    return ImageEvidence(
        image=values["image"].as_py(),
        seed=values["seed"].as_py(),
        judgements={domain: Judgement(label, shares) for domain, (label, shares) in said.items()},
        features=np.asarray(values["features"].values.to_numpy(), np.float32),
        seconds=values["seconds"].as_py(),
    )


def _width(item: TokenScores) -> int:
    return int(item.top_logprobs.shape[1]) if item.top_logprobs.ndim == 2 else 0


def _offsets(counts: Sequence[int]) -> list[int]:
    return [0, *accumulate(counts)]


def _lists(offsets: Sequence[int], values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _strings(values: Any) -> Any:
    return pa.array(list(values), pa.string()).dictionary_encode()


def _numbers(parts: Sequence[NDArray[Any]], dtype: type) -> Any:
    flat = np.concatenate(parts) if parts else np.zeros(0)
    return pa.array(flat.astype(dtype, copy=False))


def _flat(column: Any) -> NDArray[Any]:
    return np.asarray(column.values.to_numpy(zero_copy_only=False))


def encode_values(values: Sequence[object]) -> bytes:
    """One cell of what is said in JSON."""
    return json.dumps(list(values)).encode()


def decode_values(payload: bytes, wanted: Sequence[int]) -> list[object]:
    """The wanted rows of a cell.

    Raises:
        DamagedCell: the payload cannot be read.
    """
    try:
        found = json.loads(payload)
        return [found[row] for row in wanted]
    except (ValueError, TypeError, IndexError, KeyError, RecursionError) as error:
        raise DamagedCell(str(error)) from error


def checksum(payload: bytes) -> str:
    """What tells whether a cell's bytes are those that were written."""
    return blake3(payload).hexdigest()


def uncompressed(payload: bytes) -> bytes:
    """The same cell without compression of its own: many cells in one compressed file are smaller so.

    Raises:
        DamagedCell: the payload cannot be read.
    """
    return _stream(_read(payload), None)


def _write(columns: dict[str, Any]) -> bytes:
    return _stream(pa.record_batch(list(columns.values()), names=list(columns)), "zstd")


def _stream(batch: Any, compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _checked(payload: bytes, wanted: Sequence[int]) -> Any:
    batch = _read(payload)
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DamagedCell(str(error)) from error
    if not all(0 <= row < batch.num_rows for row in wanted):
        raise DamagedCell("it has no such row")
    return batch


def _read(payload: bytes, columns: frozenset[str] = frozenset()) -> Any:
    """The batch of a cell, or only these of its columns."""
    try:
        options = _ONE_THREAD
        if columns:
            names = pa.ipc.read_schema(pa.py_buffer(payload)).names
            places = [place for place, name in enumerate(names) if name in columns]
            # Without any the reader would take all of them; one is enough to count the rows.
            options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=places or [0])
        return pa.ipc.open_stream(payload, options=options).read_next_batch()
    except (pa.ArrowInvalid, OSError, StopIteration) as error:
        raise DamagedCell(str(error)) from error
