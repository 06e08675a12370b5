"""Whether what a fragment was drawn from is still what is shown: a fragment runs alone, long after the page around it.

Numbers may have come since, or another study, protocol or retained model been chosen. Then the whole page runs anew, so
that no part of it shows other numbers than the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.shared import state
from app.shared.resources import store


@dataclass(frozen=True, slots=True)
class Numbers:
    """Which numbers were drawn: of what (`state.board_name`), and at which state of the cache."""

    board: str
    version: int

    @classmethod
    def now(cls) -> Numbers:
        """Those that are shown now."""
        return cls(state.board_name(), store().version())

    def still_shown(self) -> bool:
        """Whether nothing has come since."""
        return self == Numbers.now()


def rerun_unless(fresh: bool) -> None:
    """Run the whole page again, which ends the running fragment, unless what it was drawn from is what is shown."""
    if not fresh:
        st.rerun()
