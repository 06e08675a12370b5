"""The address: what a link says is taken over once, what the session wrote itself is known already, nothing is lost."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.shared import link

TIMEOUT = 60


def page() -> None:
    import streamlit as st

    from app.shared import link
    from app.shared.link import LinkSetting, Parameter

    # What the frame has: a number of pixels, called as a setting of the page.
    pixels = st.session_state.setdefault("pixels", [])

    def take(texts: list[str]) -> str:
        if not texts[0].isdigit():
            return f"no {texts[0]}"
        pixels[:] = texts
        return ""

    frame = (
        Parameter(
            "study",
            lambda texts: "" if texts == ["here"] else f"no study {texts[0]}",
            lambda: ["here"],
            lambda: None,
            decisive=True,
        ),
        Parameter("size", take, lambda: list(pixels), pixels.clear, foreign=lambda texts: "/" in texts[0]),
    )
    settings = {
        "size": LinkSetting("none", {"none", "forget/rouge_l"}, shared=True),
        "axis": LinkSetting("a", ("a", "b")),
        "turn": LinkSetting(True),
        "run": LinkSetting([], ("one", "two")),
        "role": LinkSetting("forget", ("forget", "retain"), always=True),
    }
    with link.whole_page(st.session_state.setdefault("shown_page", "one")):
        link.say(link.read("frame", frame))
        if st.session_state.pop("stopped", False):
            st.stop()
        link.write(frame)
        link.settle("page", settings, "page_")
        link.write_settings(settings, "page_")
        st.session_state["sent_meanwhile"] = link.address()
        st.selectbox("Axis", ("a", "b"), key="page_axis")


def opened(**address: str | list[str]) -> AppTest:
    app = AppTest.from_function(page, default_timeout=TIMEOUT)
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def back(app: AppTest, monkeypatch: pytest.MonkeyPatch, **address: str | list[str]) -> AppTest:
    """The browser's Back, to an entry with this address."""
    for name in list(app.query_params):
        del app.query_params[name]
    for name, value in address.items():
        app.query_params[name] = value
    with monkeypatch.context() as patched:
        patched.setattr(link, "by_history", lambda: True)
        return app.run()


def said(app: AppTest) -> list[str]:
    assert not app.exception
    return [toast.value for toast in app.toast]


def test_a_link_is_taken_over_and_stays_in_the_address() -> None:
    app = opened(axis="b", turn="no", run=["two", "one"])
    assert app.session_state["page_axis"] == "b"
    assert app.session_state["page_turn"] is False
    assert app.session_state["page_run"] == ["two", "one"]
    assert app.query_params["run"] == ["two", "one"]
    assert app.query_params["turn"] == "no"
    assert said(app) == []


def test_what_is_as_usual_stays_out_of_the_address_unless_it_always_stands_there() -> None:
    app = opened()
    assert "axis" not in app.query_params
    assert "turn" not in app.query_params
    assert app.query_params["role"] == "forget"


def test_what_does_not_exist_is_said_once_and_the_usual_is_shown() -> None:
    app = opened(axis="z", run=["one", "gone"])
    assert app.session_state["page_axis"] == "a"
    assert app.session_state["page_run"] == ["one"]
    assert len(said(app)) == 2
    assert any("axis z" in sentence for sentence in said(app))
    assert any("run gone" in sentence for sentence in said(app))
    assert said(app.run()) == []


def test_what_a_person_chose_is_not_undone_by_the_address_of_before() -> None:
    app = opened(axis="b")
    app.selectbox[0].set_value("a").run()
    assert app.session_state["page_axis"] == "a"
    assert "axis" not in app.query_params


def test_one_name_of_frame_and_page_reaches_the_one_that_can_read_it() -> None:
    assert opened(size="forget/rouge_l").session_state["page_size"] == "forget/rouge_l"
    app = opened(size="512")
    assert app.session_state["pixels"] == ["512"]
    assert app.session_state["page_size"] == "none"
    assert said(app) == []


def test_an_unusable_value_of_the_frame_is_said() -> None:
    assert said(opened(size="large")) == ["no large"]


def test_nothing_else_of_a_link_to_another_study_is_taken_over() -> None:
    app = opened(study="elsewhere", size="512")
    assert said(app) == ["no study elsewhere"]
    assert app.session_state["pixels"] == []


def test_back_shows_what_the_address_says_and_the_usual_where_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = opened(size="512", axis="b", run="one")
    app.session_state["page_turn"] = False
    app.run()
    back(app, monkeypatch, study="here", run="two", role="retain")
    assert app.session_state["page_axis"] == "a"
    assert app.session_state["page_turn"] is True
    assert app.session_state["page_run"] == ["two"]
    assert app.session_state["pixels"] == []
    assert dict(app.query_params) == {"study": "here", "run": "two", "role": "retain"}
    back(app, monkeypatch, study="here", size="512", axis="b", run="one", role="forget")
    assert app.session_state["page_axis"] == "b"
    assert app.session_state["pixels"] == ["512"]
    assert said(app) == []


def test_an_address_of_a_step_before_undoes_nothing_whoever_wrote_it() -> None:
    app = opened(axis="b")
    app.selectbox[0].set_value("a").run()
    app.query_params["axis"] = "b"  # the browser had not heard of the last step
    app.run()
    assert app.session_state["page_axis"] == "a"
    assert "axis" not in app.query_params


def test_back_that_was_stopped_half_way_is_carried_on_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = opened(axis="b")
    app.selectbox[0].set_value("a").run()
    app.session_state["stopped"] = True
    back(app, monkeypatch, study="here", axis="b", role="forget")
    assert app.session_state["page_axis"] == "a"
    app.run()
    assert app.session_state["page_axis"] == "b"
    app.selectbox[0].set_value("a").run()
    assert app.session_state["page_axis"] == "a"


def test_another_page_keeps_what_was_chosen_there_whatever_stands_in_the_address() -> None:
    app = opened(axis="b", turn="no")
    app.session_state["shown_page"] = "two"
    for name in list(app.query_params):
        del app.query_params[name]
    app.query_params["turn"] = "yes"
    app.run()
    assert app.session_state["page_axis"] == "b"
    assert app.session_state["page_turn"] is False
    assert app.query_params["axis"] == "b"


def test_a_whole_page_writes_its_address_once_at_its_end() -> None:
    app = opened(axis="b")
    assert app.session_state["sent_meanwhile"] == {"axis": ["b"]}
    assert dict(app.query_params) == {"axis": "b", "study": "here", "role": "forget"}
