"""The report on a study: one page that opens and prints without a server, and says what its verdict stands on.

Everything that a model or a file said is escaped; nothing is loaded from anywhere and no script is in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.charts.choices import in_order, without_value
from app.export import report_parts as parts
from app.export.redaction import Redaction
from app.export.report_contract import contract_result, contract_tables
from app.export.report_curves import curves
from app.export.report_examples import RULE, chosen_examples
from app.export.report_gaps import Gap, gaps, unanswered, untested
from app.export.report_template import STYLE, TEMPLATE
from app.export.seal import EMPTY, sealed
from app.looks.html_page import render
from app.shared.verdict_badges import badges
from app.shared.verdict_sureness import how_sure
from app.shared.verdict_words import TITLES, changed_thresholds, headline, threshold_lines, verdict_sentence
from backends.errors import StoreError
from backends.study import Study
from backends.study.targets import concept_of
from backends.versions import own_version
from cache.analysis.contract import check_contract
from cache.analysis.evidence_record import Record, digest, evidence_record
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_board import study_board
from cache.analysis.verdict.methods import Method, study_methods
from cache.analysis.verdict.verdicts import verdicts
from cache.store import Store

MOST_BYTES = 5_000_000
SECTIONS = (
    ("request", "What was to be forgotten"),
    ("models", "Models"),
    ("data", "Data"),
    ("protocol", "How it was measured"),
    ("findings", "Findings"),
    ("contract", "Contract"),
    ("curves", "Forgetting against what it cost"),
    ("examples", "Examples"),
    ("untested", "What was not tested"),
    ("numbers", "All numbers"),
    ("reproduce", "How to check and reproduce this"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report and what it stands on.

    Attributes:
        page: HTML.
        record: the evidence record in it.
    """

    page: str
    record: Record


def study_record(study: Study, board: Scoreboard, *, redact: bool = False) -> Record:
    """The evidence record as it stands in a report of the study."""
    record = evidence_record(study, board, verdicts(study, board))
    if not redact:
        return record
    hidden: Record = Redaction(study).value(record)
    return hidden


def study_report(study: Study, store: Store, board: Scoreboard, *, redact: bool = False) -> Report:
    """The report.

    Args:
        study: the study.
        store: the cache, for examples.
        board: its numbers.
        redact: hide what was to be forgotten; its numbers stay.

    Raises:
        StoreError: nothing is evaluated, or the report is too large.
    """
    runs = study_board(study, board.frame)
    keys = in_order(runs.known())
    if len(keys) < 2:
        raise StoreError(f"nothing of {study.name!r} is evaluated, so there is nothing to report")
    told = verdicts(study, board)
    methods = study_methods(study, told)
    shown = parts.shown_models(study, told, methods)
    destroyed = {name for name, each in told.items() if each.kind == "destroyed"}
    first = [method.best.model for method in methods]
    partly = gaps(study, store, shown)
    checked = check_contract(study, board, [name for name in shown if name in first])
    record = study_record(study, board, redact=redact)
    evidence = digest(record)
    hide = Redaction(study) if redact else None
    told_of = {
        "study": {"name": study.name, "description": study.description},
        "summary": _summary(study, methods, partly),
        "verdict_rows": _verdict_rows(study, methods, partly),
        "loosened": changed_thresholds(study.verdict),
        "request": parts.request(study),
        "unsaid": parts.unsaid(study),
        "models": parts.models(study, record),
        "data": parts.data(study, record),
        "protocol": parts.protocol(study, board, complete=not partly),
        "rules": threshold_lines(study.verdict, study.modality, retained=study.retained is not None),
        "findings": [
            {
                "model": m.best.model,
                "title": TITLES[m.best.kind],
                "table": parts.findings(m.best, study.modality),
            }
            for m in methods[: parts.MOST_MODELS]
        ],
        "contract": contract_tables(checked, first),
        "contract_result": contract_result(checked, first),
        "plots": curves(study, runs, keys, shown, destroyed),
        "slices": parts.slices(study, board, runs, keys, shown, redact=redact),
        "examples": chosen_examples(study, store, board, keys, shown, redact=redact),
        "untested": untested(study, told, first, partly, without_value(keys, study.modality)),
        "numbers": parts.numbers(runs, keys, shown),
        "provenance": parts.provenance(study, store),
        "commands": parts.commands(study, redact=redact),
    }
    page = _page(_hidden(told_of, hide), record, evidence, study, len(runs) - len(shown), redact=redact)
    if len(page.encode()) > MOST_BYTES:
        raise StoreError(
            f"the report is larger than {MOST_BYTES / 1e6:.0f} MB", how="Make a study of fewer models"
        )
    return Report(page, record)


def _page(
    told: dict[str, Any], record: Record, evidence: str, study: Study, more_models: int, *, redact: bool
) -> str:
    sections = [each for each in SECTIONS if each[0] != "contract" or study.contract]
    style_hash = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    page = render(
        TEMPLATE,
        **told,
        style=STYLE,
        style_hash=style_hash,
        seal=EMPTY,
        version=own_version(),
        names=_names(study),
        made=datetime.now(UTC).strftime("%Y-%m-%d"),
        redacted=redact,
        retained=study.retained is not None,
        text=study.modality == "text",
        sections=sections,
        number={name: place for place, (name, _) in enumerate(sections, 1)},
        evidence_digest=evidence,
        example_rule=RULE,
        more_models=more_models,
        no_licence=len(study.request.licences) < len(study.probe_sets),
        record=json.dumps({"redacted": redact, "record": record}, sort_keys=True),
    )
    return sealed(page)


def _names(study: Study) -> list[str]:
    """What may stand in a sentence and be written from right to left."""
    subjects = [probe.subject for each in study.probe_sets for probe in each.probes if probe.subject]
    return [
        *(name for spec in study.models for name in (spec.name, spec.method) if name),
        *(each.name for each in study.probe_sets),
        *study.forget_concepts,
        *(concept_of(study, spec.name) for spec in study.models),
        *(judge.domain for judge in study.judges),
        *dict.fromkeys(subjects),
    ]


def _hidden(told: dict[str, Any], hide: Redaction | None) -> dict[str, Any]:
    """Everything that is said, with the forgotten content hidden in all of its texts."""
    return told if hide is None else {name: _without_secrets(value, hide) for name, value in told.items()}


def _without_secrets(value: Any, hide: Redaction) -> Any:
    """Dataclasses and named tuples are read by the template like mappings."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "__dataclass_fields__"):
        names = [name for name in dir(value) if not name.startswith("_")]
        value = {name: getattr(value, name) for name in names}
    if isinstance(value, dict):
        return {name: _without_secrets(each, hide) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(each, hide) for each in value]
    return hide.text(value) if isinstance(value, str) and not value.startswith("data:image/") else value


def _summary(study: Study, methods: Sequence[Method], partly: Sequence[Gap]) -> list[str]:
    """The best choice with what it cost and what else is known of it, and what became of the others."""
    if not methods:
        return ["No unlearned model has numbers."]
    best = methods[0].best
    missed = unanswered(partly, best.model)
    said = headline(methods, study.modality, concept_of(study, best.model), unanswered=missed)
    beside = badges(best, study.modality)
    more = [f"Beside that, of {best.model}: {'; '.join(beside)}."] if beside else []
    more += [sure] if (sure := how_sure(best, study.modality)) else []
    return [*said[:1], *more, *said[1:]]


def _verdict_rows(study: Study, methods: Sequence[Method], partly: Sequence[Gap]) -> list[dict[str, Any]]:
    return [
        {
            "model": method.best.model,
            "more": f"best of {len(method.checkpoints)} checkpoints" if method.others else "",
            "css": method.best.kind.replace(" ", "-"),
            "title": TITLES[method.best.kind],
            "badges": badges(method.best, study.modality),
            "sentence": verdict_sentence(
                method.best,
                study.modality,
                concept_of(study, method.best.model),
                unanswered=unanswered(partly, method.best.model),
            ),
        }
        for method in methods
    ]
