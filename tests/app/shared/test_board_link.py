"""Links as earlier versions wrote them open the same, on the demo's study files; no model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.shared import link
from app.shared.resources import studies

TIMEOUT = 120


def page() -> None:
    import streamlit as st

    from app.shared import link, state
    from app.shared.board_link import read_link, write_link
    from app.shared.chosen_models import chosen_models

    with link.whole_page("compare"):
        link.say(read_link())
        write_link()
    probe = state.probe()
    st.session_state["told"] = {
        "study": state.study_name(),
        "protocol": state.protocol(),
        "probe": probe.id if probe else "",
        "models": chosen_models(),
        "prompt": state.own_prompt(),
        "earlier": state.earlier_prompts(),
        "view": state.chosen_view(),
        "dials": state.dials(),
        "decoding": state.decoding(),
        "sampling": state.sampling(),
    }


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path))
    studies.clear()
    yield
    studies.clear()


def opened(address: dict[str, str | list[str]]) -> tuple[AppTest, dict[str, Any]]:
    app = AppTest.from_function(page, default_timeout=TIMEOUT)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app, app.session_state["told"]


def names() -> tuple[str, str]:
    """Short names of the demo's text and image study."""
    kinds = {study.modality: name for name, study in studies().items()}
    return kinds["text"], kinds["image"]


def test_a_link_restores_study_probe_models_prompt_view_and_settings() -> None:
    name, _ = names()
    study = studies()[name]
    probe, models = study.probe_sets[0].probes[2].id, [study.original.name, study.models[-1].name]
    address: dict[str, str | list[str]] = {
        "study": name,
        "protocol": "muse",
        "probe": probe,
        "models": models,
        "prompt": "Who are you?",
        "view": "leak",
        "tokens": "12",
        "temperature": "0.5",
        "seeds": "1 2 3",
    }
    app, told = opened(address)
    assert told["study"] == name
    assert (told["protocol"], told["probe"], told["models"]) == ("muse", probe, models)
    assert (told["prompt"], told["view"]) == ("Who are you?", "leak")
    decoding = told["decoding"]
    assert (decoding.max_new_tokens, decoding.temperature, decoding.seeds) == (12, 0.5, (1, 2, 3))
    assert dict(app.query_params) == address
    assert not app.toast


def test_a_link_to_image_settings_restores_them() -> None:
    _, name = names()
    app, told = opened({"study": name, "steps": "7", "guidance": "2.5", "size": "64 x 32", "negative": "fog"})
    sampling = told["sampling"]
    assert (sampling.steps, sampling.guidance, sampling.size) == (7, 2.5, (64, 32))
    assert sampling.negative_prompt == "fog"
    assert app.query_params["size"] == "64 x 32"


def test_a_strength_of_a_link_becomes_a_model() -> None:
    name, _ = names()
    made = next(spec for spec in studies()[name].models if spec.part == "unlearned")
    app, told = opened({"study": name, "dial": f"0.5 {made.name}"})
    assert told["dials"] == ((made.name, 0.5),)
    assert app.query_params["dial"] == f"0.5 {made.name}"


def test_what_is_not_here_is_said_in_a_sentence_each() -> None:
    name, _ = names()
    app, told = opened(
        {
            "study": name,
            "probe": "gone",
            "models": ["away"],
            "protocol": "unheard",
            "temperature": "99",
            "dial": "9 away",
            "retained": "away",
        }
    )
    assert len(app.toast) == 6
    assert told["probe"] != "gone"
    assert told["decoding"] == studies()[name].decoding


def test_a_link_to_a_study_that_is_not_open_changes_nothing() -> None:
    app, told = opened({"study": "elsewhere", "probe": "gone", "temperature": "99"})
    assert [toast.value for toast in app.toast] == [
        "The link names the study elsewhere, which is not open here\\."
    ]
    assert told["study"] == next(iter(studies()))
    assert app.query_params["study"] == told["study"]


def test_a_link_without_models_shows_the_default_and_one_with_them_keeps_them() -> None:
    name, _ = names()
    app, told = opened({"study": name})
    assert "models" not in app.query_params
    again, kept = opened({"study": name, "models": told["models"]})
    assert again.query_params["models"] == told["models"] == kept["models"]


def test_back_gives_up_what_its_address_does_not_name(monkeypatch: pytest.MonkeyPatch) -> None:
    name, _ = names()
    study = studies()[name]
    first = study.probe_sets[0].probes[0].id
    made = next(spec for spec in study.models if spec.part == "unlearned")
    app, told = opened(
        {
            "study": name,
            "protocol": "muse",
            "dial": f"0.5 {made.name}",
            "probe": study.probe_sets[0].probes[2].id,
            "models": [study.original.name],
            "prompt": "Who are you?",
            "view": "leak",
            "tokens": "12",
        }
    )
    assert told["prompt"] == "Who are you?" and told["decoding"] != study.decoding
    for key in list(app.query_params):
        del app.query_params[key]
    app.query_params["study"], app.query_params["probe"] = name, first
    monkeypatch.setattr(link, "by_history", lambda: True)
    app.run()
    told = app.session_state["told"]
    assert (told["protocol"], told["dials"], told["probe"]) == (study.protocol, (), first)
    assert len(told["models"]) > 1
    assert (told["prompt"], told["view"], told["decoding"]) == (None, "", study.decoding)
    assert told["earlier"] == ("Who are you?",)
    assert dict(app.query_params) == {"study": name, "probe": first}
    assert not app.toast
