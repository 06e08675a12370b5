"""The one place that reads and writes what a person has chosen: study, probe, prompt, models, view, settings.

It lives in Streamlit's session state; `app/shared/board_link.py` mirrors it in the page's address.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from app.shared.conversation import NOTHING_MORE, Conversation
from app.shared.resources import studies
from app.shared.unlearning_runs import built_names
from backends.metrics.key import MetricKey
from backends.study import RAW_TEXT, Decoding, ModelSpec, Probe, ProtocolName, Role, Sampling, Study
from backends.study.strength import dialled, is_dialled

_PAGES = Path(__file__).resolve().parents[1] / "pages"
BUILD_PAGE, COMPARE_PAGE, EXAMPLES_PAGE, OVERVIEW_PAGE, ROBUSTNESS_PAGE, RUNS_PAGE, TRADEOFFS_PAGE = (
    str(_PAGES / name / "page.py")
    for name in ("build", "compare", "examples", "overview", "robustness", "runs", "tradeoffs")
)
"""Scripts of the pages, as `st.switch_page` takes them."""
MINE = "mine"
MOST_EARLIER = 9
"""Typed prompts that are kept."""


def study_name() -> str:
    """Short name of the study that is shown."""
    name = str(st.session_state.get("board.study", ""))
    return name if name in studies() else next(iter(studies()))


def study() -> Study:
    """The study that is shown, asked under the protocol that was chosen."""
    name = study_name()
    named = studies()[name]
    if not any(st.session_state.get(f"board.{name}.{what}") for what in ("protocol", "retained", "dials")):
        return named  # as nearly always; every part of a page asks this
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


def retained() -> str:
    """Name of the model that a person took for the retained one, where the study names none; else ""."""
    named, chosen = studies()[study_name()], str(_get("retained", ""))
    known = {spec.name for spec in named.models if spec.part == "unlearned"}
    return chosen if named.retained is None and chosen in known else ""


def choose_retained(name: str) -> None:
    """Measure privacy and forget quality against this model; "" against none."""
    _set("retained", name)


def protocol() -> ProtocolName:
    """How language models are prompted and scored: as the study says until somebody changes it."""
    chosen: ProtocolName | None = _get("protocol")
    return chosen or studies()[study_name()].protocol


def show_protocol(name: ProtocolName) -> None:
    """Ask and score in another way from now on."""
    _set("protocol", name)


def board_name() -> str:
    """Short name of the study, its protocol and a chosen retained model: what numbers, runs and plans are of."""
    between = " ".join(f"{name} × {strength:g}" for name, strength in dials())
    built = "".join(f" +{name}" for name in built_names(study().models, study_name()))
    return f"{study_name()} {protocol()} {retained()} {between}{built}".rstrip()


def show_study(name: str) -> None:
    """Turn to another study; what was chosen in this one is kept."""
    st.session_state["board.study"] = name


def _get(name: str, default: Any = None) -> Any:
    return st.session_state.get(f"board.{study_name()}.{name}", default)


def _set(name: str, value: Any) -> None:
    st.session_state[f"board.{study_name()}.{name}"] = value


def in_order(of: Study, names: Iterable[str]) -> list[str]:
    """Those of the names that the study has: original first, then retained, then the others as the file has them."""
    wanted = set(names)
    rank = {"original": 0, "retained": 1, "unlearned": 2}
    return [spec.name for spec in sorted(of.models, key=lambda spec: rank[spec.part]) if spec.name in wanted]


def ticked_models() -> list[str] | None:
    """Names of the models that were ticked, original first; None until somebody did. One set for all pages."""
    chosen = _get("models")
    return None if chosen is None else in_order(study(), chosen)


def choose_models(names: Iterable[str]) -> None:
    """Tick exactly these models; the original always stays, it is what the others are compared with."""
    _set("models", in_order(study(), {*names, study().original.name}))


def choose_default_models() -> None:
    """Tick the models that are ticked until somebody chooses."""
    _set("models", None)


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
    """Turn to another probe, and to its own prompt."""
    _set("probe", probe_id)
    _show_prompt(None)
    _set("conversation", None)


def own_prompt() -> str | None:
    """The prompt that was typed, or None while the probe's own is shown."""
    prompt: str | None = _get("prompt")
    return prompt


def earlier_prompts() -> tuple[str, ...]:
    """Prompts that were typed and that something else took the place of, the latest first."""
    kept: tuple[str, ...] = _get("earlier_prompts", ())
    return kept


def keep_prompt(prompt: str) -> None:
    """Have a typed prompt among the earlier ones."""
    if prompt.strip():
        others = [each for each in earlier_prompts() if each != prompt]
        _set("earlier_prompts", (prompt, *others)[:MOST_EARLIER])


def ask(prompt: str) -> None:
    """Ask a prompt: the probe's own, or another."""
    current = probe()
    _show_prompt(None if current and prompt == current.prompt else prompt)


def type_prompt(prompt: str) -> None:
    """Ask this prompt, also where it is the probe's own."""
    _show_prompt(prompt)


def _show_prompt(prompt: str | None) -> None:
    typed = own_prompt()
    if typed is not None and typed != prompt:
        keep_prompt(typed)
    _set("prompt", prompt)


def conversation() -> Conversation:
    """What surrounds the prompt: as it was typed, or as the probe brings it; nothing around a typed prompt."""
    return typed_conversation() or brought_conversation()


def typed_conversation() -> Conversation | None:
    """What was typed around the prompt, or None while nothing was."""
    typed: Conversation | None = _get("conversation")
    return typed


def set_conversation(value: Conversation | None) -> None:
    """Ask with this around the prompt; None, and what would be there anyway, is as the probe says."""
    _set("conversation", None if value == brought_conversation() else value)


def brought_conversation() -> Conversation:
    """What surrounds the prompt without anything typed: what the probe brings, nothing around a typed prompt."""
    return Conversation.of(probe()) if own_prompt() is None else NOTHING_MORE


def asked() -> Probe | None:
    """What is put to the models: the probe, or what was typed as a probe without a reference answer."""
    typed, current = own_prompt(), probe()
    if typed is None and typed_conversation() is None:
        return current
    prompt = typed if typed is not None else (current.prompt if current else "")
    own_format = current.format if typed is None and current and current.format != RAW_TEXT else ""
    more = conversation()
    return Probe(
        id=MINE,
        role="mine",
        prompt=prompt,
        format=RAW_TEXT if more.raw else own_format,
        turns=more.all_turns,
        answer_prefix=more.begun,
    )


def view(options: Sequence[str]) -> str:
    """The chosen way to look at results, one of the options."""
    chosen = _get("view")
    return chosen if chosen in options else options[0]


def chosen_view() -> str:
    """The view that was chosen, whether or not it is one of this study's; "" until somebody chooses."""
    return _get("view") or ""


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


def open_in_compare(probe_id: str, models: Iterable[str] | None = None, asked: Probe | None = None) -> None:
    """Turn to Compare with a probe, and with these models ticked beside the original. Ends the running script.

    Args:
        probe_id: the probe.
        models: None leaves the ticked ones.
        asked: the same probe asked in another way, which is typed in: prompt, system text, turns, begun answer.
    """
    show_probe(probe_id)
    if asked is not None:
        ask(asked.prompt)
        set_conversation(Conversation.of(asked))
    if models is not None:
        choose_models(models)
    st.switch_page(COMPARE_PAGE)


def open_in_examples(key: str, models: Iterable[str]) -> None:
    """Turn to Examples with a metric on a role ("forget/probability"). Ends the running script."""
    st.session_state["examples_role"], st.session_state["examples_metric"] = MetricKey.parse(key).role, key
    choose_models(models)
    st.switch_page(EXAMPLES_PAGE)


def open_in_tradeoffs(run: str, layer: str = "") -> None:
    """Turn to Trade-offs with a run chosen, of an imported layer or of the study. Ends the running script."""
    st.session_state["run"] = [run]
    if layer:
        st.session_state["layer"] = [layer]
    st.switch_page(TRADEOFFS_PAGE)


def open_in_overview(model: str) -> None:
    """Turn to Overview, at the row of a model. Ends the running script."""
    st.session_state["overview_row"] = model
    st.switch_page(OVERVIEW_PAGE)


def overview_row() -> str:
    """The model whose row Overview is to show: of a click, once, or of a link; "" for none."""
    return str(st.session_state.pop("overview_row", "") or st.query_params.get("row", ""))
