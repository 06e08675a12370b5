"""What every page has in its address: study, probe, prompt, models, view, protocol, settings of generation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any
from urllib.parse import quote

import streamlit as st

from app.shared import link, state
from app.shared.conversation import Conversation, turns_as_text, turns_in
from app.shared.link import Parameter
from app.shared.resources import studies
from app.shared.typed_settings import setting_in, size_name
from backends.errors import StudyError
from backends.study import PROTOCOL_NAMES
from backends.study.strength import LIMIT, dialled

GROUP = "board"
CONVERSATION = ("system", "turns", "begun", "raw")
"""Names in the address of what surrounds a typed prompt: fields of `Conversation`."""
MOST_LINK_PROMPT = 2000
"""Characters of a prompt that the address carries; a much longer address is refused by browsers and servers."""
SETTINGS = {
    "text": {"tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p", "seeds": "seeds"},
    "image": {
        "steps": "steps",
        "guidance": "guidance",
        "seeds": "seeds",
        "size": "size",
        "negative": "negative_prompt",
        "scheduler": "scheduler",
    },
}
"""Name in a link -> field of Decoding or Sampling, by what the study is about."""


def read_link(*, whole: bool = True) -> list[str]:
    """Take over what an address says that the browser brought; not the whole where no prompt is shown.

    Returns:
        What the link asks for and is not here, a sentence each; the usual is shown instead.
    """
    return link.read(GROUP, _parameters(whole=whole))


def write_link(*, whole: bool = True) -> None:
    """Put what is shown into the address; not the whole where no prompt is shown, so that a link leads back there."""
    link.write(_parameters(whole=whole))


def asks_for_compare() -> bool:
    """Whether a link says what only Compare shows; not after Back, so that it does not lead there again."""
    return link.is_new() and any(name in st.query_params for name in OF_COMPARE)


def _parameters(*, whole: bool) -> list[Parameter]:
    return [each for each in PARAMETERS if whole or each.name not in OF_COMPARE]


def _take_study(texts: list[str]) -> str:
    if texts[0] not in studies():
        # Probes and models of the link are the other study's, and would only be missed here one by one.
        return f"The link names the study {texts[0]}, which is not open here."
    state.show_study(texts[0])
    return ""


def _take_protocol(texts: list[str]) -> str:
    if state.study().modality != "text":
        return ""
    asked = next((name for name in PROTOCOL_NAMES if name == texts[0]), None)
    if asked is None:
        return f"Unknown protocol {texts[0]} in the link."
    state.show_protocol(asked)
    return ""


def _give_protocol() -> list[str]:
    return [] if state.protocol() == studies()[state.study_name()].protocol else [state.protocol()]


def _reset_protocol() -> None:
    state.show_protocol(studies()[state.study_name()].protocol)


def _take_retained(texts: list[str]) -> str:
    state.choose_retained(texts[0])
    if state.retained():
        return ""
    return f"The link names {texts[0]} as the retained model, which is not possible in this study."


def _take_dials(texts: list[str]) -> str:
    """Take over `0.75 NPO 45`; what cannot be dialled is said, a sentence each."""
    named = studies()[state.study_name()]
    asked: list[tuple[str, float]] = []
    missing = []
    for text in texts:
        number, _, name = text.partition(" ")
        usable = re.fullmatch(r"-?\d{1,2}(\.\d{1,4})?", number) and abs(float(number)) <= LIMIT
        spec = next((each for each in named.models if each.name == name), None)
        try:
            if not usable or spec is None:
                raise StudyError(f"{text} is not a strength and a model of this study")
            dialled(named.original, spec, float(number))
            asked.append((name, float(number)))
        except StudyError as error:
            missing.append(f"The link asks for a strength that is not available: {error.what}.")
    state.set_dials(asked)
    return " ".join(missing)


def _take_probe(texts: list[str]) -> str:
    if all(probe.id != texts[0] for probe in state.probes()):
        return f"The link names the probe {texts[0]}, which this study does not have."
    state.show_probe(texts[0])
    return ""


def _give_probe() -> list[str]:
    current = state.probe()
    return [] if current is None else [current.id]


def _take_models(texts: list[str]) -> str:
    unknown = sorted(set(texts) - set(state.in_order(state.study(), texts)))
    if len(unknown) < len(set(texts)):
        state.choose_models(texts)
    return f"The link names models that this study does not have: {', '.join(unknown)}." if unknown else ""


def _give_models() -> list[str]:
    """Models that somebody ticked, also where the default is the same today: it can be another one tomorrow."""
    return state.ticked_models() or []


def _take_prompt(texts: list[str]) -> str:
    state.type_prompt(texts[0])
    return ""


def _give_prompt() -> list[str]:
    typed = state.own_prompt()
    return [typed] if typed is not None and len(quote(typed)) <= MOST_LINK_PROMPT else []


def _take_conversation(name: str, texts: list[str]) -> str:
    asked = state.conversation()
    if name == "turns":
        turns = turns_in(texts[0])
        if turns is None:
            return "The link has earlier turns in a form that cannot be read."
        state.set_conversation(replace(asked, turns=turns))
    elif name == "raw":
        state.set_conversation(replace(asked, raw=texts[0] == "yes"))
    elif name == "system":
        state.set_conversation(replace(asked, system=texts[0]))
    else:
        state.set_conversation(replace(asked, begun=texts[0]))
    return ""


def _reset_conversation(name: str) -> None:
    """One part as the probe has it; the others stay."""
    typed, brought = state.typed_conversation(), state.brought_conversation()
    if typed is None:
        return
    kept = {each.name: getattr(typed, each.name) for each in fields(Conversation)}
    state.set_conversation(Conversation(**(kept | {name: getattr(brought, name)})))


def _give_conversation(name: str) -> list[str]:
    """What was typed around the prompt, empty where the probe has something; not what is too long for an address."""
    typed = state.typed_conversation()
    if typed is None:
        return []
    value = getattr(typed, name)
    own = getattr(state.brought_conversation(), name)
    if value == own:
        return []
    text = turns_as_text(value) if name == "turns" else ("yes" if value else "no") if name == "raw" else value
    return [text] if len(quote(text)) <= MOST_LINK_PROMPT else []


def _reset_prompt() -> None:
    """The probe's own; one that is too long for an address is offered again."""
    current = state.probe()
    state.show_probe("" if current is None else current.id)


def _take_view(texts: list[str]) -> str:
    state.show_view(texts[0])
    return ""


def _take_setting(name: str, texts: list[str]) -> str:
    """A setting of generation, within the limits; that of the other kind of study means nothing here."""
    field = SETTINGS[state.study().modality].get(name)
    if field is None:
        return ""
    value = setting_in(field, texts[0])
    if value is None:
        return f"The link asks for {name} {texts[0]}, which cannot be used here."
    _set_setting(field, value)
    return ""


def _set_setting(field: str, value: Any) -> None:
    changed: dict[str, Any] = {field: value}
    if state.study().modality == "text":
        state.set_decoding(replace(state.decoding(), **changed))
    else:
        state.set_sampling(replace(state.sampling(), **changed))


def _reset_setting(name: str) -> None:
    """As the study says."""
    study = state.study()
    field = SETTINGS[study.modality].get(name)
    if field is not None:
        _set_setting(field, getattr(study.decoding if study.modality == "text" else study.sampling, field))


def _give_setting(name: str) -> list[str]:
    """A setting, where it is not as the study says."""
    study = state.study()
    field = SETTINGS[study.modality].get(name)
    if field is None:
        return []
    written = study.modality == "text"
    shown, usual = (state.decoding(), study.decoding) if written else (state.sampling(), study.sampling)
    value = getattr(shown, field)
    if value == getattr(usual, field):
        return []
    text = size_name(value) if field == "size" else str(value)
    return [" ".join(map(str, value)) if field == "seeds" else text]


def _is_metric(texts: list[str]) -> bool:
    """Trade-offs has a `size` too: the metric that points are as large as, or none."""
    return "/" in texts[0] or texts[0] == "none"


def _setting(name: str) -> Parameter:
    foreign: Callable[[list[str]], bool] | None = _is_metric if name == "size" else None
    return Parameter(
        name,
        partial(_take_setting, name),
        partial(_give_setting, name),
        partial(_reset_setting, name),
        foreign=foreign,
    )


PARAMETERS = (
    Parameter(
        "study",
        _take_study,
        lambda: [state.study_name()],
        lambda: state.show_study(next(iter(studies()))),
        decisive=True,
    ),
    Parameter("protocol", _take_protocol, _give_protocol, _reset_protocol),
    Parameter(
        "retained",
        _take_retained,
        lambda: [name] if (name := state.retained()) else [],
        lambda: state.choose_retained(""),
    ),
    Parameter(
        "dial",
        _take_dials,
        lambda: [f"{strength:g} {name}" for name, strength in state.dials()],
        lambda: state.set_dials([]),
    ),
    Parameter("probe", _take_probe, _give_probe, lambda: state.show_probe("")),
    Parameter("models", _take_models, _give_models, state.choose_default_models),
    Parameter("prompt", _take_prompt, _give_prompt, _reset_prompt),
    *(
        Parameter(
            name,
            partial(_take_conversation, name),
            partial(_give_conversation, name),
            partial(_reset_conversation, name),
        )
        for name in CONVERSATION
    ),
    Parameter(
        "view",
        _take_view,
        lambda: [name] if (name := state.chosen_view()) else [],
        lambda: state.show_view(""),
    ),
    *(_setting(name) for name in dict.fromkeys([*SETTINGS["text"], *SETTINGS["image"]])),
)
OF_COMPARE = ("probe", "prompt", *CONVERSATION, "view", *(each for of in SETTINGS.values() for each in of))
"""Names in the address of what a prompt is, and how it is asked and looked at."""
