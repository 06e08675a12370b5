"""The one place that reads and writes what a person has chosen: study, probe, prompt, models, view, settings.

It lives in Streamlit's session state and is mirrored in the page's address, so that a reload or a link
`?study=..&probe=..&models=..` shows the same. Nothing else in `app` touches `st.query_params` for these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import streamlit as st

from app.looks.model_looks import family
from app.shared.built import is_built
from app.shared.resources import studies
from app.shared.typed_settings import setting_in, size_name
from backends.errors import StudyError
from backends.study import PROTOCOLS, Decoding, ModelSpec, Probe, ProtocolName, Role, Sampling, Study
from backends.study.strength import LIMIT, dialled, is_dialled

BUILD_PAGE = "pages/build/page.py"
COMPARE_PAGE = "pages/compare/page.py"
EXAMPLES_PAGE = "pages/examples/page.py"
MINE = "mine"
MOST_LINK_PROMPT = 2000
"""Characters of a prompt that the address carries; a much longer address is refused by browsers and servers."""
_SETTINGS = {
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
_LINK_NAMES = (
    "study",
    "protocol",
    "retained",
    "dial",
    "probe",
    "models",
    "prompt",
    "view",
    *(_SETTINGS["text"] | _SETTINGS["image"]),
)


def study_name() -> str:
    """Short name of the study that is shown."""
    name = str(st.session_state.get("board.study", ""))
    return name if name in studies() else next(iter(studies()))


def study() -> Study:
    """The study that is shown, asked under the protocol that was chosen."""
    named = studies()[study_name()]
    chosen = retained()
    if protocol() == named.protocol and not chosen and not dials():
        return named
    models = tuple(replace(m, part="retained") if m.name == chosen else m for m in named.models)
    return replace(named, models=(*models, *_dialled(named)), protocol=protocol())


def dials() -> tuple[tuple[str, float], ...]:
    """Unlearned models and strengths at which they are shown besides, as models of the study."""
    chosen: tuple[tuple[str, float], ...] = _get("dials", ())
    return chosen


def set_dials(chosen: Iterable[tuple[str, float]]) -> None:
    """Show these models between the original and an unlearned one, and no others."""
    _set("dials", tuple(dict.fromkeys(chosen)))


def _dialled(named: Study) -> list[ModelSpec]:
    known = {spec.name: spec for spec in named.models if spec.part == "unlearned"}
    made = [dialled(named.original, known[name], strength) for name, strength in dials() if name in known]
    return [spec for spec in made if is_dialled(spec)]  # at 0 and 1 they are models of the study already


def _read_dials(texts: Iterable[str]) -> list[str]:
    """Take over `0.75 NPO 45`; returns what cannot be dialled, a sentence each."""
    named = studies()[study_name()]
    asked: list[tuple[str, float]] = []
    missing = []
    for text in texts:
        number, _, name = text.partition(" ")
        usable = re.fullmatch(r"-?\d{1,2}(\.\d{1,4})?", number) and abs(float(number)) <= LIMIT
        spec = next((each for each in named.models if each.name == name), None)
        try:
            if not usable or spec is None:
                raise StudyError(f"{text} is no strength and model of this study")
            dialled(named.original, spec, float(number))
            asked.append((name, float(number)))
        except StudyError as error:
            missing.append(f"The link asks for a strength that is not to be had: {error.what}.")
    set_dials(asked)
    return missing


def retained() -> str:
    """Name of the model that a person took for the retained one, where the study names none; else ""."""
    named, chosen = studies()[study_name()], str(_get("retained", ""))
    known = {spec.name for spec in named.models if spec.part == "unlearned"}
    return chosen if named.retained is None and chosen in known else ""


def take_for_retained(name: str) -> None:
    """Measure privacy and forget quality against this model; "" against none."""
    _set("retained", name)


def protocol() -> ProtocolName:
    """How language models are asked and scored: as the study says until somebody changes it."""
    chosen: ProtocolName | None = _get("protocol")
    return chosen or studies()[study_name()].protocol


def show_protocol(name: ProtocolName) -> None:
    """Ask and score in another way from now on."""
    _set("protocol", name)


def board_name() -> str:
    """Short name of the study, its protocol and a chosen retained model: what numbers, runs and plans are of."""
    between = " ".join(f"{name} × {strength:g}" for name, strength in dials())
    built = "".join(f" +{spec.name}" for spec in study().models if is_built(spec, study_name()))
    return f"{study_name()} {protocol()} {retained()} {between}{built}".rstrip()


def show_study(name: str) -> None:
    """Turn to another study; what was chosen in this one is kept."""
    st.session_state["board.study"] = name


def _get(name: str, default: Any = None) -> Any:
    return st.session_state.get(f"board.{study_name()}.{name}", default)


def _set(name: str, value: Any) -> None:
    st.session_state[f"board.{study_name()}.{name}"] = value


def default_models(of: Study) -> list[str]:
    """The original, the retained model, and the last checkpoint of every method."""
    last: dict[str, str] = {}
    steps: dict[str, int] = {}
    for spec in of.models:
        if (
            spec.part == "unlearned"
            and not is_dialled(spec)
            and (spec.step or 0) >= steps.get(family(spec), -1)
        ):
            last[family(spec)], steps[family(spec)] = spec.name, spec.step or 0
    names = {spec.name for spec in of.models if spec.part != "unlearned"} | set(last.values())
    return in_order(of, names)


def in_order(of: Study, names: Iterable[str]) -> list[str]:
    """Those of the names that the study has: original first, then retained, then the others as the file has them."""
    wanted = set(names)
    rank = {"original": 0, "retained": 1, "unlearned": 2}
    return [spec.name for spec in sorted(of.models, key=lambda spec: rank[spec.part]) if spec.name in wanted]


def chosen_models() -> list[str]:
    """Names of the ticked models, original first. One set for all pages."""
    chosen = _get("models")
    return default_models(study()) if chosen is None else in_order(study(), chosen)


def choose_models(names: Iterable[str]) -> None:
    """Tick exactly these models; the original always stays, it is what the others are compared with."""
    _set("models", in_order(study(), {*names, study().original.name}))


def probes(role: Role | None = None) -> list[Probe]:
    """Probes of the study, of one role or all."""
    sets = [probe_set for probe_set in study().probe_sets if role in (None, probe_set.role)]
    return [probe for probe_set in sets for probe in probe_set.probes]


def roles() -> list[Role]:
    """Roles for which the study has probes, forget first."""
    return list(dict.fromkeys(probe_set.role for probe_set in study().probe_sets if probe_set.probes))


def probe() -> Probe | None:
    """The probe that is shown, or None in a study without probes."""
    wanted = _get("probe")
    found = next((probe for probe in probes() if probe.id == wanted), None)
    return found or next(iter([*probes("forget"), *probes()]), None)


def show_probe(probe_id: str) -> None:
    """Turn to another probe; a prompt of one's own makes way for it."""
    _set("probe", probe_id)
    _set("prompt", None)


def own_prompt() -> str | None:
    """The prompt that was typed, or None while the probe's own is shown."""
    prompt: str | None = _get("prompt")
    return prompt


def ask(prompt: str) -> None:
    """Ask a prompt: the probe's own, or another."""
    current = probe()
    _set("prompt", None if current and prompt == current.prompt else prompt)


def asked() -> Probe | None:
    """What is put to the models: the probe, or the typed prompt as a probe without a reference answer."""
    typed = own_prompt()
    return probe() if typed is None else Probe(id=MINE, role="mine", prompt=typed)


def view(options: Sequence[str]) -> str:
    """The chosen way to look at results, one of the options."""
    chosen = _get("view")
    return chosen if chosen in options else options[0]


def show_view(name: str) -> None:
    """Look at results in another way."""
    _set("view", name)


def decoding() -> Decoding:
    """How text is generated: as the study says until somebody changes it."""
    chosen: Decoding = _get("decoding") or study().decoding
    return chosen


def set_decoding(value: Decoding) -> None:
    """Generate text in another way from now on."""
    _set("decoding", value)


def sampling() -> Sampling:
    """How images are sampled: as the study says until somebody changes it."""
    chosen: Sampling = _get("sampling") or study().sampling
    return chosen


def set_sampling(value: Sampling) -> None:
    """Sample images in another way from now on."""
    _set("sampling", value)


def _read_settings(link: Mapping[str, Sequence[str]]) -> None:
    """Take over decoding or sampling: the study's, apart from what the link says within the limits."""
    names = _SETTINGS[study().modality]
    said = {field: setting_in(field, link[name][0]) for name, field in names.items() if name in link}
    usable: dict[str, Any] = {field: value for field, value in said.items() if value is not None}
    if usable and study().modality == "text":
        set_decoding(replace(study().decoding, **usable))
    elif usable:
        set_sampling(replace(study().sampling, **usable))


def _changed_settings() -> dict[str, list[str]]:
    """Decoding or sampling for a link, where it is not as the study says."""
    written = study().modality == "text"
    shown, usual = (decoding(), study().decoding) if written else (sampling(), study().sampling)
    changed = {}
    for name, field in _SETTINGS[study().modality].items():
        value = getattr(shown, field)
        if value != getattr(usual, field):
            text = size_name(value) if field == "size" else str(value)
            changed[name] = [" ".join(map(str, value)) if field == "seeds" else text]
    return changed


def read_link() -> list[str]:
    """Take over what a link says. An address that this session wrote itself is old news and changes nothing.

    Returns:
        What the link asks for and is not here, a sentence each; the usual is shown instead.
    """
    link = {name: st.query_params.get_all(name) for name in _LINK_NAMES if name in st.query_params}
    if not link or link in st.session_state.setdefault("board.written", []):
        return []
    st.session_state["board.written"].append(link)
    missing = []
    if "study" in link:
        if link["study"][0] not in studies():
            # Probes and models of the link are the other study's, and would only be missed here one by one.
            return [f"The link is to the study {link['study'][0]}, which is not open here."]
        show_study(link["study"][0])
    if "protocol" in link and study().modality == "text":
        asked = next((name for name in PROTOCOLS if name == link["protocol"][0]), None)
        if asked is None:
            missing.append(f"The link asks for the protocol {link['protocol'][0]}, which there is not.")
        else:
            show_protocol(asked)
    if "retained" in link:
        take_for_retained(link["retained"][0])
        if not retained():
            missing.append(
                f"The link takes {link['retained'][0]} for the retained model, which it cannot be here."
            )
    if "dial" in link:
        missing += _read_dials(link["dial"])
    if "probe" in link:
        if all(probe.id != link["probe"][0] for probe in probes()):
            missing.append(f"The link is to the probe {link['probe'][0]}, which this study does not have.")
        else:
            show_probe(link["probe"][0])
    if "models" in link:
        unknown = sorted(set(link["models"]) - set(in_order(study(), link["models"])))
        if unknown:
            missing.append(f"The link names models that this study does not have: {', '.join(unknown)}.")
        if len(unknown) < len(set(link["models"])):
            choose_models(link["models"])
    if "prompt" in link:
        _set("prompt", link["prompt"][0])
    if "view" in link:
        show_view(link["view"][0])
    _read_settings(link)
    return missing


def write_link() -> None:
    """Put what is shown into the address, leaving out what is as it would be anyway."""
    current, typed, models = probe(), own_prompt(), chosen_models()
    link: dict[str, list[str]] = {"study": [study_name()]}
    if protocol() != studies()[study_name()].protocol:
        link["protocol"] = [protocol()]
    if retained():
        link["retained"] = [retained()]
    if dials():
        link["dial"] = [f"{strength:g} {name}" for name, strength in dials()]
    if current is not None:
        link["probe"] = [current.id]
    if models != default_models(study()):
        link["models"] = models
    if typed is not None and len(quote(typed)) <= MOST_LINK_PROMPT:
        link["prompt"] = [typed]
    if _get("view"):
        link["view"] = [_get("view")]
    link |= _changed_settings()
    for name in _LINK_NAMES:
        if name not in link and name in st.query_params:
            del st.query_params[name]
        elif name in link and st.query_params.get_all(name) != link[name]:
            st.query_params[name] = link[name]
    written = st.session_state.setdefault("board.written", [])
    if link not in written:
        written.append(link)


def open_in_compare(probe_id: str, models: Iterable[str] | None = None) -> None:
    """Turn to Compare with a probe, and with these models ticked beside the original. Ends the running script."""
    show_probe(probe_id)
    if models is not None:
        choose_models(models)
    st.switch_page(COMPARE_PAGE)


def open_in_examples(key: str, models: Iterable[str]) -> None:
    """Turn to Examples with a metric on a role ("forget/probability"). Ends the running script."""
    st.session_state["examples_role"], st.session_state["examples_metric"] = key.partition("/")[0], key
    choose_models(models)
    st.switch_page(EXAMPLES_PAGE)
