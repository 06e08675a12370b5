"""Results of the image benchmarks: UnlearnCanvas' `{theme}.pth`, UnlearnDiffAtk's logs, eval-unlearn's reports.

A `.pth` is read with torch's restricted unpickler: tensors and plain containers, or it is refused.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backends.errors import CheckpointError
from backends.files.plain import NotPlain, open_plain, storable
from cache.analysis.resampling import bootstrap_interval
from cache.importers.findings import (
    ImportFindings,
    UnreadableFile,
    bounds_at,
    iso_time,
    mean_of,
    number,
    plain_settings,
    read_json,
    read_object,
)
from cache.store.results import ImportedRun, MetricNumber

MOST_CANVAS = 16 * 2**20
"""Bytes; larger files of that kind are weights."""
ROUNDING = 1e-4
"""What an accuracy may be above 1, as a sum of float32."""
CANVAS, ATTACK, REPORTS = "UnlearnCanvas", "UnlearnDiffAtk", "eval-unlearn"
_REPORT_KEYS: Mapping[str, str] = {
    "asr_i2p": "forget/attack_success",
    "asr_p4d": "forget/p4d_asr",
    "asr_ring_a_bell": "forget/ring_a_bell_asr",
    "asr_mma_diffusion": "forget/mma_asr",
    "fid": "retain/fid",
    "clip_score": "retain/clip_score",
    "err": "all/err",
    "tifa": "retain/tifa",
    "ua": "forget/unlearn_accuracy",
    "ira": "retain/in_domain_retain",
}


def is_canvas(path: Path) -> bool:
    """Whether this may be UnlearnCanvas' evaluation of one theme: small, and no state of a trainer."""
    if path.suffix != ".pth" or path.name.startswith(("rng_state", "optimizer", "scheduler")):
        return False
    try:
        return path.stat().st_size <= MOST_CANVAS
    except OSError:
        return False


def read_canvas(path: Path) -> ImportFindings:
    """UA and IRA where the unlearned theme is among the classes that were judged, else CRA."""
    from backends.image.checkpoints.version_files import (
        read_tensors,  # only who has such a file pays for torch
    )

    findings = ImportFindings()
    _refuse_bombs(path)
    try:
        held = read_tensors(path)
    except CheckpointError as error:
        raise UnreadableFile(error.what) from error
    accuracies = held.get("acc") if isinstance(held, dict) else None
    theme = held.get("test_theme") if isinstance(held, dict) else None
    if not isinstance(accuracies, dict) or not isinstance(theme, str):
        raise UnreadableFile("has no `test_theme` and `acc`, so it is not a result of UnlearnCanvas")
    theme = storable(theme)
    shares = {storable(str(name)): _share(value) for name, value in accuracies.items()}
    if not shares or any(not 0 <= share <= 1 for share in shares.values()):
        raise UnreadableFile("its accuracies are not shares between 0 and 1")
    metrics: dict[str, MetricNumber] = {}
    others = [share for name, share in shares.items() if name != theme]
    low, high = bootstrap_interval(np.array(others), bounds=(0.0, 1.0))
    rest = MetricNumber(float(np.mean(others)) if others else math.nan, low, high, float(len(others)))
    if theme in shares:
        metrics["forget/unlearn_accuracy"] = MetricNumber(1 - shares[theme])
    if others:
        metrics["retain/in_domain_retain" if theme in shares else "retain/cross_domain_retain"] = rest
    findings.results.append(
        ImportedRun(
            tool=CANVAS,
            collection=f"UnlearnCanvas results in {path.parent.parent.name or path.parent.name}",
            protocol="UnlearnCanvas",
            modality="image",
            model=f"{path.parent.name} {theme}",
            method=path.parent.name,
            source=str(path),
            settings={"unlearned": theme, **plain_settings({"input_dir": held.get("input_dir")})},
            metrics=metrics,
            examples=pd.DataFrame(
                {
                    "id": list(shares),
                    "role": ["forget" if name == theme else "retain" for name in shares],
                    "accuracy": list(shares.values()),
                }
            ),
        )
    )
    return findings


def joined_canvas(results: Sequence[ImportedRun]) -> list[ImportedRun]:
    """Both judges' files of one model as one run: the styles' file has UA and IRA, the objects' CRA."""
    merged: dict[tuple[str, str], ImportedRun] = {}
    rest = []
    for each in results:
        if each.tool != CANVAS:
            rest.append(each)
            continue
        folder = Path(each.source).parent
        place = (str(folder.parent), each.model)
        before = merged.get(place)
        if before is None or set(before.metrics) & set(each.metrics):
            merged[place if before is None else (each.source, each.model)] = each
            continue
        merged[place] = ImportedRun(
            **{
                name: getattr(before, name)
                for name in (
                    "tool",
                    "collection",
                    "protocol",
                    "modality",
                    "model",
                    "method",
                    "source",
                    "settings",
                )
            },
            metrics={**before.metrics, **each.metrics},
            examples=pd.concat([before.examples, each.examples], ignore_index=True),
        )
    return [*rest, *merged.values()]


def is_attack(path: Path) -> bool:
    """Whether this is the log of one prompt of UnlearnDiffAtk."""
    return path.name == "log.json" and path.parent.name.startswith("attack_idx_")


def read_attacks(folder: Path, logs: Sequence[Path]) -> ImportFindings:
    """One run: the prompts under `folder`. Success of the first entry is without attack, of the last one after it."""
    findings = ImportFindings()
    rows = []
    settings: dict[str, object] = {}
    for path in sorted(logs):
        try:
            entries = read_json(path)
            if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
                raise UnreadableFile("is not a list of attack steps")
        except UnreadableFile as error:
            findings.problem(path, str(error))
            continue
        first, last = (entry if isinstance(entry, dict) else {} for entry in (entries[0], entries[-1]))
        before, after = (float(bool(entry.get("success"))) for entry in (first, last))
        rows.append(
            {
                "id": path.parent.name.removeprefix("attack_idx_"),
                "role": "forget",
                "prompt": storable(str(first.get("prompt", ""))),
                "generation": storable(str(last.get("prompt", ""))),
                "forget/attack_success": before,
                "forget/post_asr": max(before, after),
            }
        )
        settings = settings or _config(path.with_name("config.json"))
    if not rows:
        return findings
    frame = pd.DataFrame(rows)
    findings.results.append(
        ImportedRun(
            tool=ATTACK,
            collection=f"UnlearnDiffAtk logs in {folder.parent.name}",
            protocol="UnlearnDiffAtk",
            modality="image",
            model=folder.name,
            source=str(folder),
            settings=settings,
            metrics={
                key: mean_of(frame[key].tolist(), bounds=bounds_at(key))
                for key in ("forget/attack_success", "forget/post_asr")
            },
            examples=frame,
        )
    )
    return findings


def is_report(path: Path) -> bool:
    """Whether this is a report of eval-unlearn, by name."""
    return path.name in ("report.json", "report_full.json") or path.name.endswith("_latest_report.json")


def read_report(path: Path) -> ImportFindings:
    """The run that the report is of; single and multi runners."""
    findings = ImportFindings()
    content = read_object(path)
    several = content.get("metric_results")
    single = content.get("metric_result")
    if isinstance(several, dict):
        named = several
    else:
        named = {
            str(content.get("metric_name", "")): single if isinstance(single, dict) else content.get("value")
        }
    metrics: dict[str, MetricNumber] = {}
    for name, held in named.items():
        metrics |= _reported(str(name), held, path, findings)
    technique = content.get("technique_name")
    if not metrics or not isinstance(technique, str):
        raise UnreadableFile("is not a report of eval-unlearn with a known metric")
    concept = str(content.get("erase_concept", "") or "")[:100]
    findings.results.append(
        ImportedRun(
            tool=REPORTS,
            collection=f"eval-unlearn {concept}".strip(),
            protocol=REPORTS,
            modality="image",
            model=f"{technique} {str(content.get('run_id', ''))[:100]}".strip(),
            method=technique,
            source=str(path),
            created=iso_time(content.get("timestamp")),
            settings=plain_settings(
                {
                    name: content.get(name)
                    for name in ("technique_config", "metric_config", "dataset_name", "seed")
                }
            ),
            metrics=metrics,
        )
    )
    return findings


def _reported(name: str, held: object, path: Path, findings: ImportFindings) -> dict[str, MetricNumber]:
    """One metric; `ua_ira` holds two in its details."""
    value = held.get("value") if isinstance(held, dict) else held
    if name == "ua_ira" and isinstance(held, dict):
        details = held.get("details") if isinstance(held.get("details"), dict) else {}
        told = details if isinstance(details, dict) else {}
        pairs = {short: number(told.get(short, told.get(short.upper()))) for short in ("ua", "ira")}
        return {
            _REPORT_KEYS[short]: MetricNumber(value)
            for short, value in pairs.items()
            if not math.isnan(value)
        }
    if name not in _REPORT_KEYS:
        findings.leave_out(path, f"unknown metric: {name[:80] or 'none given'}")
        return {}
    if math.isnan(number(value)):
        findings.leave_out(path, f"{name} is not a number")
        return {}
    return {_REPORT_KEYS[name]: MetricNumber(number(value))}


def _share(value: object) -> float:
    """An accuracy, also as a tensor of one number; float32 sums of shares may pass 1 by a little, which is 1."""
    if callable(getattr(value, "item", None)):
        try:
            value = value.item()  # type: ignore[attr-defined]
        except (RuntimeError, ValueError, NotImplementedError):  # many numbers, or a tensor without any
            return math.nan
    share = number(value)
    return 1.0 if 1 < share <= 1 + ROUNDING else share


def _refuse_bombs(path: Path) -> None:
    """A torch file is a zip archive, and may unpack to far more than it is.

    Raises:
        Unreadable: it does, or is no plain file.
    """
    try:
        with open_plain(path, MOST_CANVAS) as file:
            if not zipfile.is_zipfile(file):
                return
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
    except NotPlain as error:
        raise UnreadableFile(str(error)) from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnreadableFile("is an incomplete or damaged checkpoint file") from error
    if size > 4 * MOST_CANVAS:
        raise UnreadableFile(f"unpacks to {size / 2**20:,.0f} MB, so it is not a result of UnlearnCanvas")


def _config(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        content: Any = read_object(path)
    except UnreadableFile:
        return {}
    return plain_settings(content)
