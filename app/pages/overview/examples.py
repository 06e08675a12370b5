"""The telling examples as the component draws them: prompt, what the original and the model did, the way to Compare."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.looks.safe_text import visible
from app.pages.overview.subject import Subject
from backends.errors import StoreError
from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import Modality, Probe, Study
from cache.analysis.verdict.questions import SAYS
from cache.analysis.verdict.telling import RULES, STATED, Rule, Telling
from cache.store import Store
from cache.store.reading import answers_for, images_for

TITLES: Mapping[Rule, str] = {
    "leak": "Worst leak",
    "hide": "Clearest hiding",
    "kept": "Best kept neighbour",
    "lost": "What the best choice lost",
    "damage": "Worst collateral damage",
}
POINTS: Mapping[str, Mapping[Rule, str]] = {
    "text": {
        "leak": "{model} still has some of it.",
        "hide": "{model} does not answer, but rates the true answer high.",
        "kept": "{model} still answers as before.",
        "lost": "{model} no longer answers this.",
        "damage": "{model} no longer answers this.",
    },
    "image": {
        "leak": "{model} still has some of it.",
        "hide": "{model} no longer draws it, but still fits real pictures of it.",
        "kept": "{model} still draws this.",
        "lost": "{model} no longer draws this.",
        "damage": "{model} no longer draws this.",
    },
}
VIEWS: Mapping[str, Mapping[Rule, str]] = {
    "text": {"leak": "leak", "hide": "leak", "kept": "answers", "lost": "diff_original", "damage": "answers"},
    "image": {},
}
"""View of Compare that shows the point; pictures are best seen side by side."""
LONGEST = 180
"""Characters of an answer that are shown; the whole is one click away."""

Link = Callable[[str, Sequence[str], str], str]
"""Probe, models, view -> address of Compare."""


def shown_by(found: Telling, modality: Modality) -> dict[str, str]:
    """What Compare is to show of an example: probe and view."""
    return {"probe": found.probe, "view": VIEWS[modality].get(found.rule, "")}


def example_cards(
    found: Sequence[Telling], study: Study, store: Store, subject: Subject, link: Link, *, dark: bool
) -> list[dict[str, Any]]:
    """One card an example.

    Args:
        found: the examples.
        study, store: where probes and answers are.
        subject: for looks and names.
        link: to Compare.
        dark: the theme.
    """
    probes: dict[tuple[str, str], Probe] = {
        (each.role, probe.id): probe for each in study.probe_sets for probe in each.probes
    }
    # To a model with a target of its own a probe may have another role than its set says.
    asked = {probe.id: probe for probe in probes.values()}
    cards = []
    for each in found:
        probe = probes.get((MetricKey.parse(each.key).role, each.probe), asked.get(each.probe))
        if probe is None:
            continue
        beside = [study.original.name, *([subject.retained] if subject.retained else [])]
        models = list(dict.fromkeys([*beside, each.model]))
        shown = (study.original.name, each.model)
        view = VIEWS[study.modality].get(each.rule, "")
        cards.append(
            {
                "title": TITLES[each.rule],
                "rule": RULES[each.rule],
                "model": visible(each.model),
                "point": visible(_point(each, study.modality)),
                "prompt": visible(_cut(probe.label)),
                "shows": _shows(each, subject),
                "answers": [_answer(name, probe, study, store, subject, dark) for name in shown],
                "open": {"probe": probe.id, "models": models, "view": view},
                "href": link(probe.id, models, view),
            }
        )
    return cards


def _point(each: Telling, modality: Modality) -> str:
    if each.rule == "leak" and each.value >= STATED and each.key in SAYS[modality, True]:
        return f"{each.model} still {'says' if modality == 'text' else 'draws'} this one."
    return POINTS[modality][each.rule].format(model=each.model)


def _shows(each: Telling, subject: Subject) -> str:
    """The number that it was chosen by; where that only tells of silence, the one that shows the hiding."""
    if each.rule == "hide" and each.key in SAYS[subject.modality, bool(subject.retained)]:
        found = next((f for f in subject.verdicts[each.model].findings if f.question == "denoising"), None)
        if found is not None and found.measured is not None:
            measured = found.measured
            title = METRICS[MetricKey.parse(measured.key).name].card.title
            return f"{title} {measured.value:.2g}, {visible(measured.against)} {measured.base:.2g}"
    metric = METRICS[MetricKey.parse(each.key).name].card.title
    text = f"{metric} {each.value:.2f}"
    return text if math.isnan(each.base) else f"{text}, {visible(subject.yardstick)} {each.base:.2f}"


def _answer(
    name: str, probe: Probe, study: Study, store: Store, subject: Subject, dark: bool
) -> dict[str, Any]:
    look = subject.looks[name]
    shown: dict[str, Any] = {
        "name": visible(name),
        "look": {"symbol": look.symbol, "colour": look.on(dark)},
    }
    if study.modality == "text":
        written = answers_for(study, store, name, [probe]).get(probe.id, ())
        text = visible(_cut(written[0])) if written else ""
        return shown | {"text": text.strip() or ("(nothing)" if written else "not recorded")}
    pictures = images_for(study, store, name, [probe]).get(probe.id, {})
    first = next(iter(pictures.values()), None)
    return shown | {"picture": "" if first is None else _picture(store, first.image)}


def _picture(store: Store, digest: str) -> str:
    try:
        path = store.thumbnail_path(digest)
        kind = path.suffix.removeprefix(".") or "png"
        return f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    except (OSError, StoreError):  # the picture was cleaned away; its numbers stay
        return ""


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
