"""Where a method comes from: what a reader needs to find it in its paper, and what is done otherwise here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """A method's paper.

    Attributes:
        paper: authors, year, title, where to find it.
        equation: what is minimised or solved, in the paper's symbols, on one line; also in the file's docstring.
        differs: known differences from the paper's code, a sentence each; `docs/methods.md` lists them.
    """

    paper: str
    equation: str
    differs: tuple[str, ...] = ()
