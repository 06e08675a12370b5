"""Token scores out of the columns of one cell: only what is looked at is cut out, and every mean is made at once.

Most metrics ask for the mean of an answer alone, and few for tokens as text. Knows nothing of bytes or databases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backends.evidence import AveragedScores, TokenScores

TOKEN_COLUMNS = ("token_ids", "logprobs", "ranks", "argmax_ids", "mean", "variance", "entropy")
"""Columns with one value a token."""


class ScoreReader:
    """Token scores of single rows out of the flat columns of a cell."""

    def __init__(self, batch: Any, pieces: bool) -> None:
        names, lengths, widths = (_column(batch, name) for name in ("names", "lengths", "widths"))
        self._first: list[int] = names.offsets.tolist()  # entry of each row
        self._names: list[str] = names.values.tolist()
        self._ends: list[float] = _column(batch, "end_logprobs").values.tolist()
        tokens = np.concatenate([[0], np.cumsum(lengths.values)])
        self._tokens: list[int] = tokens.tolist()  # first token of each entry
        columns = {name: _column(batch, name) for name in TOKEN_COLUMNS if name in batch.schema.names}
        for column in columns.values():
            if not np.array_equal(column.offsets, tokens[names.offsets]):
                raise ValueError("lengths and token columns do not agree")
        self._columns = {name: column.values for name, column in columns.items()}
        self._columns.setdefault("entropy", -self._columns["mean"])
        self._means: list[float] = _means(self._columns["logprobs"], tokens).tolist()
        self._pieces = _PieceReader(batch, lengths.values, widths.values) if pieces else None
        self._none = np.zeros((int(lengths.values.max(initial=0)), 0), np.float32)

    def scores(self, row: int) -> Mapping[str, TokenScores]:
        """Of one row, by the name of the answer."""
        entries = range(self._first[row], self._first[row + 1])
        return _RowScores(self, {self._names[entry]: entry for entry in entries}) if entries else {}

    def mean(self, entry: int) -> float:
        """Mean log-probability of one answer's tokens, nats; NaN without tokens."""
        return self._means[entry]

    def entry(self, entry: int) -> TokenScores:
        """One answer."""
        start, end = self._tokens[entry], self._tokens[entry + 1]
        pieces, rivals, rival_logprobs = (
            ((), (), self._none[: end - start])
            if self._pieces is None
            else self._pieces.entry(entry, start, end)
        )
        columns = self._columns
        return TokenScores(
            columns["token_ids"][start:end],
            pieces,
            columns["logprobs"][start:end],
            columns["ranks"][start:end],
            columns["argmax_ids"][start:end],
            columns["mean"][start:end],
            columns["variance"][start:end],
            columns["entropy"][start:end],
            rivals,
            rival_logprobs,
            self._ends[entry],
        )


def _means(values: NDArray[np.float32], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the values between each of these places and the next; NaN where there are none."""
    means = np.full(len(first) - 1, np.nan)
    some = np.flatnonzero(np.diff(first))
    if len(some):
        with np.errstate(invalid="ignore"):  # infinities of both signs
            means[some] = np.add.reduceat(values, first[some], dtype=np.float64) / np.diff(first)[some]
    return means


class _PieceReader:
    """Tokens as text and the rivals of single entries, of which a cell has few distinct ones."""

    def __init__(self, batch: Any, lengths: NDArray[np.int32], widths: NDArray[np.int32]) -> None:
        self._texts, self._rival_texts = _looked_up(batch, "pieces"), _looked_up(batch, "top_pieces")
        self._rival_logprobs = _column(batch, "top_logprobs").values
        self._widths: list[int] = widths.tolist()
        rivals = np.concatenate([[0], np.cumsum(lengths * widths)])
        self._rivals: list[int] = rivals.tolist()  # first rival of each entry
        if not len(self._rival_logprobs) == len(self._rival_texts.places) == rivals[-1]:
            raise ValueError("lengths and rivals do not agree")
        if len(self._texts.places) != lengths.sum():
            raise ValueError("lengths and pieces do not agree")

    def entry(
        self, entry: int, start: int, end: int
    ) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], NDArray[np.float32]]:
        """Pieces of the tokens from `start` to `end`, their rivals, and the log-probabilities of these."""
        width, first, last = self._widths[entry], self._rivals[entry], self._rivals[entry + 1]
        rivals = self._rival_texts.between(first, last).reshape(end - start, width) if width else ()
        logprobs = self._rival_logprobs[first:last].reshape(end - start, width)
        return tuple(self._texts.between(start, end)), tuple(map(tuple, rivals)), logprobs


class _LookedUp(NamedTuple):
    """Strings that repeat: value i is strings[places[i]]."""

    strings: NDArray[Any]
    places: NDArray[np.int32]

    def between(self, start: int, end: int) -> NDArray[Any]:
        return self.strings[self.places[start:end]]


def _looked_up(batch: Any, name: str) -> _LookedUp:
    values = batch.column(name).values
    places = values.indices.to_numpy(zero_copy_only=False)
    strings = values.dictionary.to_numpy(zero_copy_only=False)
    if len(places) and not 0 <= places.min() <= places.max() < len(strings):
        raise ValueError(f"{name} are not among the strings of their cell")
    return _LookedUp(strings, places)


class _RowScores(AveragedScores):
    """Token scores of one row, each cut out of the cell when it is looked at: most are asked for their mean alone."""

    __slots__ = ("_cut", "_entries", "_means", "_reader")

    def __init__(self, reader: ScoreReader, entries: Mapping[str, int]) -> None:
        self._reader, self._entries = reader, entries
        self._cut: dict[str, TokenScores] = {}
        self._means: dict[str, float] | None = None

    @property
    def mean_logprobs(self) -> Mapping[str, float]:
        if self._means is None:
            self._means = {name: self._reader.mean(entry) for name, entry in self._entries.items()}
        return self._means

    def __getitem__(self, name: str) -> TokenScores:
        if name not in self._cut:
            self._cut[name] = self._reader.entry(self._entries[name])
        return self._cut[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class _ListColumn(NamedTuple):
    """A list column as flat values and offsets: row i is values[offsets[i]:offsets[i + 1]]."""

    offsets: NDArray[np.int32]
    values: NDArray[Any]


def _column(batch: Any, name: str) -> _ListColumn:
    column = batch.column(name)
    values = column.values
    if isinstance(values, pa.DictionaryArray):
        # Few distinct strings, many tokens: look each up once, then index with numpy.
        strings = values.dictionary.to_numpy(zero_copy_only=False)
        flat = strings[values.indices.to_numpy(zero_copy_only=False)] if len(values) else strings[:0]
    else:
        flat = values.to_numpy(zero_copy_only=False)
    return _ListColumn(column.offsets.to_numpy(), flat)
