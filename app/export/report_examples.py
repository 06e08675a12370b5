"""Which examples a report shows, by a stated rule, and what every model said or drew there."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from app.charts.choices import title
from app.export.redaction import BLOCKS
from app.export.report_parts import first_key
from backends.errors import StoreError
from backends.study import Probe, Study
from cache.analysis.derive import role_probes
from cache.analysis.scoreboard import Scoreboard
from cache.store import Store
from cache.store.reading import answers_for, images_for

RULE = (
    "Of each role the probes whose value moved most from the original’s, on the mean of the models shown. They are the "
    "extremes, not a sample."
)
BY_ROLE = {"forget": 3, "neighbour": 3, "retain": 2, "utility": 1}
MOVED = ("probability", "key_fact", "unlearn_accuracy", "in_domain_retain", "cross_domain_retain")
LONGEST = 700
"""Characters of an answer."""
MOST_PICTURE_BYTES = 3_000_000


@dataclass(frozen=True, slots=True)
class Said:
    """What a model made of a probe: its answer or its picture as a data URI, and its value."""

    model: str
    text: str
    picture: str
    value: str


@dataclass(frozen=True, slots=True)
class Example:
    """A probe with what every shown model made of it."""

    metric: str
    prompt: str
    reference: str
    said: Sequence[Said]


def chosen_examples(
    study: Study, store: Store, board: Scoreboard, keys: Sequence[str], shown: Sequence[str], *, redact: bool
) -> list[Example]:
    """Examples of each role that has a metric with values on single probes."""
    found = []
    room = MOST_PICTURE_BYTES
    for role, count in BY_ROLE.items():
        key = first_key(keys, role, MOVED)
        if key is None:
            continue
        values = pd.DataFrame({name: board.per_probe(name, key) for name in shown})
        probes = _moved_most(study, role, values, count)
        told = _told(study, store, shown, probes)
        for probe in probes:
            hidden = redact and role == "forget"
            said = []
            for name in shown:
                text, picture = told[name].get(probe.id, ("–", ""))
                picture = "" if hidden or len(picture) > room else picture
                room -= len(picture)
                text = BLOCKS if hidden else _cut(text)
                number = values.at[probe.id, name]
                said.append(Said(name, text, picture, "–" if pd.isna(number) else f"{number:.3f}"))
            prompt, reference = (BLOCKS, "") if hidden else (_cut(probe.label), _cut(probe.answer))
            found.append(Example(title(key), prompt, reference, said))
    return found


def _moved_most(study: Study, role: str, values: pd.DataFrame, count: int) -> list[Probe]:
    asked = {probe.id: probe for probe in role_probes(study).get(role, []) if probe.id in values.index}
    original = study.original.name
    if original in values:
        moved = values.drop(columns=original).sub(values[original], axis=0).abs().mean(axis=1)
    else:
        moved = values.std(axis=1)
    order = moved[list(asked)].fillna(-1).sort_values(ascending=False, kind="stable").index
    return [asked[each] for each in order[:count]]


def _told(
    study: Study, store: Store, names: Sequence[str], probes: Sequence[Probe]
) -> dict[str, dict[str, tuple[str, str]]]:
    """Model -> probe id -> text, picture."""
    if study.modality == "text":
        answers = {name: answers_for(study, store, name, probes) for name in names}
        return {name: {p: (texts[0], "") for p, texts in each.items()} for name, each in answers.items()}
    drawn = {name: images_for(study, store, name, probes) for name in names}
    return {
        name: {
            p: ("–", _picture(store, next(iter(seeds.values())).image)) for p, seeds in each.items() if seeds
        }
        for name, each in drawn.items()
    }


def _picture(store: Store, digest: str) -> str:
    try:
        content = store.thumbnail_path(digest).read_bytes()
    except (OSError, StoreError):
        return ""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
