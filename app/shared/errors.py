"""Errors that a person can act on, shown in place of what they stopped; everything else keeps its traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from app.looks.safe_text import literal
from backends.errors import BoardError
from backends.extras import missing_packages_named


@contextmanager
def show_errors() -> Iterator[None]:
    """Shows a BoardError as one sentence. Fragments need their own: they also run outside the page."""
    try:
        with missing_packages_named():
            yield
    except BoardError as error:
        st.error(literal(str(error)), icon=":material/error:")
