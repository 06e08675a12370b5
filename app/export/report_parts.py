"""The sections of the report as text and tables: request, models, data, protocol, findings, slices, numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from app.charts.choices import per_example, role_of, title
from app.looks.names import PART_NAMES, ROLE_NAMES, protocol_with_key
from app.shared.verdict_words import finding_sentence
from backends.metrics.key import MetricKey
from backends.study import Modality, Study
from backends.versions import versions
from cache.analysis.board import Board
from cache.analysis.evidence_record import Record
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.slices import By, slice_board, slices_of
from cache.analysis.verdict.findings import Finding, Question
from cache.analysis.verdict.methods import Method
from cache.analysis.verdict.rules import Verdict
from cache.store import Store
from cache.store.features import networks_of

MOST_MODELS = 12
"""Models in tables of all numbers, and methods whose findings are told one by one."""
COLUMNS = 5
"""Models in one table: more do not fit on a sheet of A4."""
SLICE_ROLES = ("forget", "neighbour", "retain", "utility")
SLICED = ("key_fact", "probability", "rouge_l", "unlearn_accuracy", "in_domain_retain", "cross_domain_retain")
"""What slices are told of: the first that a role has."""
QUESTIONS: Mapping[Question, str] = {
    "says": "Says it when asked",
    "closer": "Is closer to the original than to the retained model",
    "rates": "Still rates the true answers",
    "leaks": "Leaks within a few samples",
    "attacked": "Comes back under attack",
    "denoising": "Fits forget pictures as before",
    "utility": "Lost utility",
    "retain": "Lost what it should keep",
    "neighbour": "Lost what neighbours share",
    "destroyed": "Is destroyed",
    "gibberish": "Says gibberish",
    "refuses": "Refuses",
    "membership": "Gives itself away",
}
OF_PICTURES: Mapping[Question, str] = {
    "says": "Draws it when asked",
    "gibberish": "Draws nothing recognisable",
    "refuses": "Draws nothing recognisable for forget prompts",
}
ANSWERS = {"yes": "yes", "no": "no", "undecided": "undecided", "missing": "not tested"}
PROTOCOLS = {
    "corrected": "Language models are asked in their own chat template, one user turn a probe, and the true answer is "
    "scored token by token behind the place where an answer begins, the token that ends it apart.",
    "open-unlearning": "Language models are asked and scored as open-unlearning does it: its system text, prompt and "
    "answer tokenised as one text, everything behind the answer part of it.",
    "muse": "Language models are asked and scored as MUSE does it: “Question: … Answer: …”, never a chat template.",
}


class Table(NamedTuple):
    """A table of text.

    Attributes:
        head: names of the columns.
        rows: cells, row by row.
        caption: what stands above it.
        numbers: places of the columns that are numbers.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numbers: Sequence[int] = ()


def shown_models(study: Study, told: Mapping[str, Verdict], methods: Sequence[Method]) -> list[str]:
    """The models that tables and figures name: those held against, then the best of each method."""
    held_against = [
        spec.name for spec in study.models if spec.part in ("original", "retained") and spec.name in told
    ]
    return [*held_against, *(method.best.model for method in methods)][:MOST_MODELS]


def request(study: Study) -> list[tuple[str, str]]:
    """What is known of the request, and of what was to be forgotten."""
    asked = study.request
    forget = [each for each in study.probe_sets if each.role == "forget"]
    count = sum(len(each.probes) for each in forget)
    subjects = dict.fromkeys(probe.subject for each in forget for probe in each.probes if probe.subject)
    told = {
        "To be forgotten": asked.forgotten,
        "Requested by": asked.requested_by,
        "Requested on": asked.requested_on,
        "Reason": asked.reason,
        "Reference": asked.reference,
        "Report by": asked.prepared_by,
        "Concepts": ", ".join(f"{domain}: {concept}" for domain, concept in study.forget_concepts.items()),
        "Tested by": f"{count:,} forget probes" + (f" on {len(subjects):,} subjects" if subjects else ""),
    }
    return [(name, text) for name, text in told.items() if text]


def unsaid(study: Study) -> list[str]:
    """What a reader will look for and the study file does not say."""
    asked = study.request
    told = {
        "what was to be forgotten": asked.forgotten or study.forget_concepts,
        "who requested it": asked.requested_by,
        "when": asked.requested_on,
        "the reason": asked.reason,
        "the reference": asked.reference,
        "who prepared the report": asked.prepared_by,
    }
    return [name for name, text in told.items() if not text]


def models(study: Study, record: Record) -> Table:
    """Every model with its fingerprint."""
    rows = [
        [
            told["name"],
            PART_NAMES[spec.part],
            " ".join([spec.method, *([f"step {spec.step}"] if spec.step is not None else [])]),
            told["fingerprint"] or "unknown",
            spec.note,
        ]
        for spec, told in zip(study.models, record["models"], strict=True)
    ]
    return Table(["Model", "Part", "Method", "Fingerprint", "Note"], rows)


def data(study: Study, record: Record) -> Table:
    """Every probe set with its digest, and its licence where it is stated."""
    licences = dict(study.request.licences)
    rows = [
        [
            each.name,
            ROLE_NAMES[each.role],
            f"{len(each.probes):,}",
            told["digest"],
            licences.get(each.name, "–"),
        ]
        for each, told in zip(study.probe_sets, record["probe_sets"], strict=True)
    ]
    return Table(["Probe set", "Role", "Probes", "Digest (BLAKE3)", "Licence"], rows, numbers=[2])


def protocol(study: Study, board: Scoreboard, *, complete: bool) -> list[str]:
    """How models were asked, in words; complete: all of the models shown answered all probes."""
    if study.modality == "text":
        settings = study.decoding
        how = (
            "Answers are written greedily"
            if settings.temperature == 0
            else f"Answers are sampled at temperature {settings.temperature:g}, top-p {settings.top_p:g}, with "
            f"{len(settings.seeds)} seeds"
        )
        lines = [
            f"Protocol: {protocol_with_key(study.protocol)}. {PROTOCOLS[study.protocol]}",
            f"{how}, at most {settings.max_new_tokens} tokens.",
        ]
    else:
        drawn = study.sampling
        judges = ", ".join(judge.domain for judge in study.judges)
        lines = [
            f"Every model draws each prompt with the same noise, {len(drawn.seeds)} seeds, {drawn.steps} steps and "
            f"guidance {drawn.guidance:g}, so that a difference is one between the models."
        ]
        lines += [f"Judges look at the pictures and say which {judges} they show."] if judges else []
    return [
        *lines,
        (
            "Every model was asked the same probes. "
            if complete
            else "Not every model has answered every probe. "
        )
        + "Intervals are of 95 %; probes of one subject are drawn together, and a difference of two models is tested "
        "on the probes that both answered.",
        f"Arithmetic: {board.numerics or 'unknown'}.",
    ]


def question_name(question: Question, modality: Modality) -> str:
    """What was asked, in the words of the modality."""
    return (OF_PICTURES.get(question) if modality == "image" else None) or QUESTIONS[question]


def findings(verdict: Verdict, modality: Modality) -> Table:
    """Every question to one model."""
    gone = iter(("utility", "retain answers" if modality == "text" else "retain pictures"))
    rows = [
        [
            question_name(each.question, modality)
            + (f" ({next(gone)})" if each.question == "destroyed" else ""),
            finding_sentence(each) if each.measured else "–",
            _held(each),
            ANSWERS[each.outcome],
        ]
        for each in verdict.findings
    ]
    return Table(["Question", "Measured", "Held against the line", "Answer"], rows, numbers=[2])


def _held(finding: Finding) -> str:
    if finding.measured is None or math.isnan(finding.threshold):
        return "–"
    low, high = (_short(end) if math.isfinite(end) else "–" for end in (finding.low, finding.high))
    return f"{_short(finding.excess)} [{low}, {high}]\nline {_short(finding.threshold)}"


def slices(
    study: Study, board: Scoreboard, runs: Board, keys: Sequence[str], shown: Sequence[str], *, redact: bool
) -> list[Table]:
    """One metric of each role by subject or tag."""
    found = []
    held = _in_order(runs, shown)
    for role in SLICE_ROLES:
        key = first_key(keys, role, SLICED)
        kinds: tuple[By, ...] = ("subject", "tag")
        by = next((each for each in kinds if len(slices_of(study, role, each)) > 1), None)
        if key is None or by is None:
            continue
        told = slice_board(board, study, held, key, by)
        names = [MetricKey.parse(each).part for each in told.keys]
        if redact and role == "forget":
            names = [f"{by.capitalize()} {number}" for number in range(1, len(names) + 1)]
        caption = f"{title(key)}, by {by} of the probes"
        found += _by_model(told, list(range(len(names))), names, f"{by.capitalize()}", caption)
    return found


def first_key(keys: Collection[str], role: str, names: Sequence[str]) -> str | None:
    """The first of some metrics that a role has, else the first of all that have values on single probes."""
    wanted = [f"{role}/{name}" for name in names]
    others = [key for key in keys if role_of(key) == role and not MetricKey.parse(key).part]
    return next((key for key in [*wanted, *others] if key in keys and per_example(key)), None)


def numbers(runs: Board, keys: Sequence[str], shown: Sequence[str]) -> list[Table]:
    """Every metric of the shown models."""
    held = _in_order(runs, shown)
    return _by_model(held, [runs.keys.index(key) for key in keys], [title(key) for key in keys], "Metric", "")


def _in_order(runs: Board, models: Sequence[str]) -> Board:
    """Those runs, in this order."""
    places = [list(runs.heads["model"]).index(model) for model in models]
    return Board(runs.heads.iloc[places].reset_index(drop=True), runs.keys, runs.numbers[:, places])


def _by_model(
    board: Board, places: Sequence[int], names: Sequence[str], what: str, caption: str
) -> list[Table]:
    """Metrics in rows and models in columns, a few models a table."""
    models = list(map(str, board.heads["model"]))
    found = []
    width = math.ceil(len(models) / math.ceil(len(models) / COLUMNS))
    for start in range(0, len(models), width):
        end = min(start + width, len(models))
        rows = [
            [name, *(_cell(board, row, place) for row in range(start, end))]
            for name, place in zip(names, places, strict=True)
        ]
        found.append(Table([what, *models[start:end]], rows, caption, range(1, end - start + 1)))
    return found


def _cell(board: Board, row: int, place: int) -> str:
    value, low, high, _ = board.numbers[:, row, place]
    if math.isnan(value):
        return "–"
    return _number(value) + ("" if math.isnan(low) else f"\n[{_number(low)}, {_number(high)}]")


def _short(value: float) -> str:
    """Three places, no minus before a zero."""
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return text.removeprefix("-") if not float(text) else text


def _number(value: float) -> str:
    """Three places; few digits where it is large or tiny."""
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 100 else f"{value:.3g}"


def provenance(study: Study, store: Store) -> list[tuple[str, str]]:
    """When and with what the evidence was made, newest first where several say different things."""
    recorded = [run for run in store.runs(study.name) if run.model in {spec.name for spec in study.models}]
    told = [
        (
            "This report",
            ", ".join(f"{k} {v}" for k, v in versions(["unlearnboard", "numpy", "scipy"]).items()),
        )
    ]
    if recorded:
        days = sorted(run.created[:10] for run in recorded)
        told.append(("Evidence made", days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"))
        made = dict.fromkeys(
            ", ".join(f"{name} {number}" for name, number in sorted(run.versions.items())) for run in recorded
        )
        told += [("Evidence made with", "\n".join(list(made)[:3]))] if any(made) else []
        told.append(("Devices", ", ".join(dict.fromkeys(f"{run.device} ({run.dtype})" for run in recorded))))
        told.append(("Runs", f"{len(recorded)}, the newest with cache key {recorded[0].key}"))
    return told + [
        (f"Network ({each.kind})", f"{each.name} {each.digest or 'not here'}")
        for each in networks_of(study, store)
    ]


def commands(study: Study, *, redact: bool) -> list[str]:
    """What to type to make this report again, and to check it."""
    name = study.path.name if study.path else "study.toml"
    protocol = f" --protocol {study.protocol}" if study.modality == "text" else ""
    return [
        f"unlearnboard evaluate {name}{protocol}",
        f"unlearnboard report {name} --to report.html{' --redact' if redact else ''}",
        f"unlearnboard verify report.html {name}",
    ]
