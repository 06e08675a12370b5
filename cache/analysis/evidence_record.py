"""What a report stands on, as plain data: models, probe sets, settings, evidence, numbers; and how two differ.

The digest of a record is BLAKE3 of its canonical JSON. Two records that are equal were made of the same evidence and
have the same numbers. Knows neither pages nor files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from blake3 import blake3

from backends.checkpoints.identity import ModelIdentity
from backends.errors import CheckpointError
from backends.study import ModelSpec, ProbeSet, Study
from cache.analysis.contract import check_contract, outcome_of
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_board import study_protocol
from cache.analysis.verdict.rules import Verdict
from cache.store.keys import canonical, decoding_settings, sampling_settings
from cache.store.reading import identity_to_read

Record = dict[str, Any]

FORM = 1
"""Version of the record."""
TOLERANCE = 1e-9
"""Numbers of two machines that differ by less, relatively, are the same."""


def evidence_record(study: Study, board: Scoreboard, verdicts: Mapping[str, Verdict]) -> Record:
    """The record of a study as it stands in the cache.

    Args:
        study: the study.
        board: its numbers.
        verdicts: on its models, by name.
    """
    return {
        "form": FORM,
        "study": study.name,
        "modality": study.modality,
        "protocol": study_protocol(study),
        "numerics": board.numerics,
        "settings": _settings(study),
        "thresholds": asdict(study.verdict),
        "models": [_model(spec, board, verdicts.get(spec.name)) for spec in study.models],
        "probe_sets": [_probe_set(each) for each in study.probe_sets],
        **_contract(study, board),
    }


def _contract(study: Study, board: Scoreboard) -> Record:
    """Every condition with its outcome for every unlearned model; nothing in a study without a contract."""
    if not study.contract:
        return {}
    known = set(board.frame["model"])
    names = [spec.name for spec in study.models if spec.part == "unlearned" and spec.name in known]
    checked = check_contract(study, board, names)
    return {
        "contract": [
            {
                "name": name,
                "outcome": outcome_of([each for each in checked if each.model == name]),
                "conditions": [
                    [each.condition.key, each.condition.text, each.outcome]
                    for each in checked
                    if each.model == name
                ],
            }
            for name in names
        ]
    }


def digest(record: Record) -> str:
    """BLAKE3 of the canonical JSON, 64 hexadecimal digits."""
    return blake3(canonical(record).encode()).hexdigest()


def differences(reported: Record, found: Record) -> list[str]:
    """A sentence for each thing that differs between a report's record and the one that the cache gives now."""
    called = _now_called(reported["models"], found["models"])
    renamed = [f"model {name!r} is now called {now!r}" for name, now in called.items()]
    reported = reported | {"models": _under(called, reported["models"])}
    promised = _under(called, reported.get("contract", ()))
    return [
        *_changed("the study", reported, found, ("form", "study", "modality", "protocol", "numerics")),
        *_changed("the settings", reported["settings"], found["settings"]),
        *_changed("the thresholds", reported["thresholds"], found["thresholds"]),
        *_compared("probe set", reported["probe_sets"], found["probe_sets"], _other_probes),
        *renamed,
        *_compared("model", reported["models"], found["models"], _other_model),
        *_compared("contract of", promised, found.get("contract", ()), _other_contract),
    ]


def _now_called(reported: Sequence[Record], found: Sequence[Record]) -> dict[str, str]:
    """Models of the report that the study has under another name: by their fingerprints, where only one has each."""
    ours, theirs = ({each["name"]: each["fingerprint"] for each in several} for several in (reported, found))
    gone = {name: mark for name, mark in ours.items() if name not in theirs and mark}
    come = {name: mark for name, mark in theirs.items() if name not in ours and mark}
    called = {}
    for name, mark in gone.items():
        before = [each for each, other in gone.items() if other == mark]
        after = [each for each, other in come.items() if other == mark]
        if len(before) == len(after) == 1:
            called[name] = after[0]
    return called


def _under(called: Mapping[str, str], several: Sequence[Record]) -> list[Record]:
    return [each | {"name": called.get(each["name"], each["name"])} for each in several]


def model_identity(spec: ModelSpec, study: Study) -> ModelIdentity:
    """What is known of the weights; empty where they are neither declared nor here."""
    try:
        return identity_to_read(spec, study)
    except CheckpointError:
        return ModelIdentity("", "")


def probes_digest(probe_set: ProbeSet) -> str:
    """BLAKE3 of everything in a probe set that can change a number, 64 hexadecimal digits."""
    rows = [
        [each.id, each.digest(), each.key_fact, each.subject, list(each.tags), list(each.accepted)]
        for each in probe_set.probes
    ]
    return blake3(canonical({"role": probe_set.role, "probes": rows}).encode()).hexdigest()


def _settings(study: Study) -> dict[str, object]:
    if study.modality == "text":
        seeds = [0] if study.decoding.temperature == 0 else list(study.decoding.seeds)
        return decoding_settings(study.decoding, 0) | {"seed": seeds, "date": study.date}
    return sampling_settings(study.sampling, 0) | {"seed": list(study.sampling.seeds)}


def _model(spec: ModelSpec, board: Scoreboard, verdict: Verdict | None) -> Record:
    rows = board.frame[board.frame["model"] == spec.name]
    known = model_identity(spec, board.study)
    columns = (rows[name] for name in ("key", "value", "low", "high", "n"))
    return {
        "name": spec.name,
        "part": spec.part,
        "fingerprint": known.fingerprint,
        "tokenizer": known.tokenizer,
        "evidence": board.evidence_stamp(spec.name),
        "verdict": verdict.kind if verdict else "not tested",
        "numbers": {
            key: [_plain(value), _plain(low), _plain(high), int(n)]
            for key, value, low, high, n in zip(*columns, strict=True)
        },
    }


def _probe_set(probe_set: ProbeSet) -> Record:
    return {
        "name": probe_set.name,
        "role": probe_set.role,
        "probes": len(probe_set.probes),
        "digest": probes_digest(probe_set),
    }


def _plain(number: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return float(number) if math.isfinite(number) else None


def _changed(what: str, reported: Record, found: Record, keys: Sequence[str] = ()) -> Iterator[str]:
    for key in keys or sorted(reported.keys() | found.keys()):
        ours, theirs = reported.get(key), found.get(key)
        if ours != theirs:
            yield f"{what}: {key} was {ours!r} and is {theirs!r}"


def _compared(what: str, reported: Sequence[Record], found: Sequence[Record], other: Any) -> Iterator[str]:
    ours, theirs = ({each["name"]: each for each in several} for several in (reported, found))
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in theirs:
            yield f"{what} {name!r} is in the report and not in the study"
        elif name not in ours:
            yield f"{what} {name!r} is in the study and not in the report"
        else:
            yield from other(name, ours[name], theirs[name])


def _other_probes(name: str, reported: Record, found: Record) -> Iterator[str]:
    if reported["digest"] != found["digest"]:
        yield f"probe set {name!r}: its {found['probes']} probes are not the {reported['probes']} of the report"


def _other_model(name: str, reported: Record, found: Record) -> Iterator[str]:
    for key, words in (("part", "part"), ("fingerprint", "weights"), ("tokenizer", "tokenizer")):
        if reported[key] != found[key]:
            yield f"model {name!r}: its {words} were {reported[key] or 'unknown'} and are {found[key] or 'unknown'}"
    numbers = list(_other_numbers(name, reported["numbers"], found["numbers"]))
    if reported["evidence"] != found["evidence"]:
        same = "" if numbers else "; all its numbers are the same"
        yield f"model {name!r}: its evidence is not what the report was made of{same}"
    yield from numbers
    if reported["verdict"] != found["verdict"]:
        yield f"model {name!r}: the verdict was {reported['verdict']!r} and is {found['verdict']!r}"


def _other_contract(name: str, reported: Record, found: Record) -> Iterator[str]:
    ours, theirs = (
        {(key, text): outcome for key, text, outcome in each["conditions"]} for each in (reported, found)
    )
    for key, text in dict.fromkeys([*ours, *theirs]):
        before, now = ours.get((key, text), "not there"), theirs.get((key, text), "not there")
        if before != now:
            yield f"contract of {name!r}: {key} {text} was {before} and is {now}"


def _other_numbers(name: str, reported: Record, found: Record) -> Iterator[str]:
    for key in dict.fromkeys([*reported, *found]):
        ours, theirs = reported.get(key), found.get(key)
        if ours is None or theirs is None:
            yield f"number {key} of {name!r} is only in the {'report' if theirs is None else 'cache'}"
        elif not all(map(_same, ours, theirs)):
            yield f"number {key} of {name!r} was {_interval(ours)} and is {_interval(theirs)}"


def _same(ours: float | None, theirs: float | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _interval(number: Sequence[float | None]) -> str:
    value, low, high, n = ("–" if each is None else f"{each:.6g}" for each in number)
    return f"{value} [{low}, {high}], n = {n}"
