"""The leak heat map of an answer as the answer-cards component draws it: a colour and the facts of every token.

Nothing is computed about models here; pages that show what a model still knows share it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.looks.safe_text import visible
from app.looks.scales import LEAST_LIKELY, likelihood_ink
from backends.evidence import TokenScores

NO_TEXT = "◦"  # stands for a token without text of its own: the end of a turn, the rest of a character
ALTERNATIVES_SHOWN = 5
LEGEND_STOPS = 9
POWERS = tuple(math.log(10) * -power for power in range(4, -1, -1))


def heat_rows(
    scores: TokenScores, base: TokenScores | None, fact: str, *, dark: bool
) -> list[dict[str, Any]]:
    """How likely each token is, and how much of the original's likelihood it has kept.

    In both, and in both themes, what stands out of the background is still known.

    Args:
        scores: of the reference answer by one model.
        base: of the same by the original; None for the original itself.
        fact: the key fact, whose tokens are outlined, or "".
        dark: theme.
    """
    key = key_tokens(scores.pieces, fact)
    rows = [{"title": "Likelihood of each token", "tokens": _likelihoods(scores, key, dark)}]
    if base is not None and np.array_equal(base.token_ids, scores.token_ids):
        rows.append({"title": "Kept of the original’s likelihood", "tokens": _kept(scores, base, key, dark)})
    return rows


def key_tokens(pieces: Sequence[str], fact: str) -> frozenset[int]:
    """Places of the tokens that spell the key fact, letter case aside; none where the text does not have it."""
    text, wanted = "".join(pieces).casefold(), fact.casefold().strip()
    start = text.find(wanted) if wanted else -1
    if start < 0:
        return frozenset()
    ends = list(itertools.accumulate(len(piece.casefold()) for piece in pieces))
    return frozenset(
        place
        for place, (piece, end) in enumerate(zip(pieces, ends, strict=True))
        if end > start and end - len(piece.casefold()) < start + len(wanted) and piece.strip()
    )


def _likelihoods(scores: TokenScores, key: frozenset[int], dark: bool) -> list[dict[str, Any]]:
    return [
        _token(
            piece,
            likelihood_ink(float(logprob), dark=dark),
            _facts(scores, i),
            _alternatives(scores, i),
            i in key,
        )
        for i, (piece, logprob) in enumerate(zip(scores.pieces, scores.logprobs, strict=True))
    ]


def _kept(scores: TokenScores, base: TokenScores, key: frozenset[int], dark: bool) -> list[dict[str, Any]]:
    gain = scores.logprobs - base.logprobs  # (N,) nats
    tokens = []
    for i, piece in enumerate(scores.pieces):
        facts = [
            ["this model", share(float(np.exp(scores.logprobs[i])))],
            ["original", share(float(np.exp(base.logprobs[i])))],
            ["difference", f"{gain[i]:+.2f} nats"],
        ]
        tokens.append(_token(piece, likelihood_ink(min(0.0, float(gain[i])), dark=dark), facts, [], i in key))
    return tokens


def _token(
    piece: str, ink: tuple[str, str], facts: list[list[str]], alternatives: list[list[Any]], key: bool
) -> dict[str, Any]:
    text = visible(piece).replace("\n", "↵\n").replace("\t", "⇥\t") or NO_TEXT
    return {
        "text": text,
        "background": ink[0],
        "ink": ink[1],
        "facts": facts,
        "rivals": alternatives,
        "key": key,
    }


def _facts(scores: TokenScores, index: int) -> list[list[str]]:
    logprob = float(scores.logprobs[index])
    rank = int(scores.ranks[index])
    return [
        ["probability", share(math.exp(logprob))],
        ["log-probability", f"{logprob:.2f} nats"],
        ["rank", "top-1" if rank == 0 else f"{rank + 1:,}"],
    ]


def _alternatives(scores: TokenScores, index: int) -> list[list[Any]]:
    """The model's first choices: text, probability, width of its bar in percent."""
    if not scores.top_pieces:
        return []
    chances = np.exp(scores.top_logprobs[index][:ALTERNATIVES_SHOWN])
    pieces = scores.top_pieces[index][:ALTERNATIVES_SHOWN]
    return [
        [visible(piece).replace("\n", "↵"), share(float(chance)), round(100 * float(chance), 1)]
        for piece, chance in zip(pieces, chances, strict=False)
    ]


def share(value: float) -> str:
    """A probability with as many digits as matter: 0.98, 0.042, 0.0031, 3e-05."""
    if value >= 0.1:
        return f"{value:.2f}"
    return f"{value:.3f}" if value >= 0.0095 else f"{value:.4f}" if value >= 0.00095 else f"{value:.0e}"


def heat_legends(dark: bool, key_fact: bool) -> list[dict[str, Any]]:
    """One scale for both rows, and what the outline means."""
    places = [index / (LEGEND_STOPS - 1) for index in range(LEGEND_STOPS)]
    scale = [likelihood_ink(LEAST_LIKELY * (1 - place), dark=dark).background for place in places]
    return [
        {
            "title": "Stands out = still known",
            "colours": scale,
            "ticks": ["≤ 0.0001", *(f"{math.exp(value):g}" for value in POWERS[1:])],
            "note": "probability, or share kept of the original’s"
            + (" · outlined: the key fact" if key_fact else ""),
        },
    ]
