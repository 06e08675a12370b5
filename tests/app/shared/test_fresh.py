"""A part of a page that is drawn alone shows no other numbers than the page around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.shared.resources import store
from cache.store import Store
from tests.filled_store import fill_text, text_study

TIMEOUT = 120


def page() -> None:
    import streamlit as st

    from app.shared.fresh import Numbers, rerun_unless

    st.session_state["begun"] = st.session_state.get("begun", 0) + 1
    drawn = st.session_state.get("drawn") or Numbers.now()
    st.session_state["drawn"] = None  # the page that runs again draws what is there by then
    rerun_unless(drawn.still_shown())
    st.session_state["shown"] = drawn


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path))
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def drawn_again(app: AppTest) -> int:
    """How often the page runs when a part of it that was drawn before is drawn again."""
    app.session_state["begun"], app.session_state["drawn"] = 0, app.session_state["shown"]
    app.run()
    assert not app.exception
    return int(app.session_state["begun"])


def test_a_part_is_drawn_alone_while_nothing_came_and_with_its_page_when_evidence_did() -> None:
    app = AppTest.from_function(page, default_timeout=TIMEOUT).run()
    assert drawn_again(app) == 1
    kept: Store = store()
    fill_text(text_study(), kept)
    assert drawn_again(app) == 2
    assert drawn_again(app) == 1


def test_a_part_is_drawn_with_its_page_when_another_protocol_or_study_was_chosen() -> None:
    app = AppTest.from_function(page, default_timeout=TIMEOUT).run()
    name = app.session_state["shown"].board.split()[0]
    app.session_state[f"board.{name}.protocol"] = "muse"
    assert drawn_again(app) == 2
    assert "muse" in app.session_state["shown"].board
