"""Where in a text that was tokenised whole the answer begins, and the text of each of its tokens.

Knows nothing about tokenizers: it sees their offsets, the places (from, to) in the text that each token stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

Offsets = Sequence[tuple[int, int]]


def answer_start(offsets: Offsets, border: int) -> int:
    """Number of the first token that has something of the text after the border in it; all tokens where none has.

    Tokens without a text of their own, and the bytes of a character before the border, come before it.
    """
    return next((number for number, (_, end) in enumerate(offsets) if end > border), len(offsets))


def answer_border(text: str, prefix: str, answer: str) -> int | None:
    """Where in a filled-in chat template an answer goes on behind its prefix; None where it does not stand there.

    Templates may strip the answer, so white space at its ends does not count.

    Args:
        text: what the template made of prefix and answer, and of the turns before.
        prefix: what the answer begins with.
        answer: what follows.
    """
    said = prefix + answer
    place = text.rfind(said.strip())  # the last turn is the answer
    stripped = len(said) - len(said.lstrip())
    return None if place < 0 else place + max(0, len(prefix) - stripped)


def pieces_of(text: str, offsets: Offsets, first: int = 0, border: int = 0) -> tuple[str, ...]:
    """The text of each token from the first one on; one inside a multi-byte character adds no text of its own.

    Args:
        text: that was tokenised.
        offsets: of all tokens.
        first: number of the first token whose text is asked for.
        border: place in the text before which nothing belongs to them.
    """
    pieces: list[str] = []
    done = max([border, *(end for _, end in offsets[:first])])
    for _, end in offsets[first:]:
        pieces.append(text[done:end])
        done = max(done, end)
    return tuple(pieces)
