"""Reading `study.toml`: strict, so that a misspelt key is named with its line instead of being ignored.

Relative paths in a study file are relative to its folder. Whether a named model can be used is checked elsewhere
(`checkpoints.py`); this module only knows the file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from backends.checkpoints import HUB, HUB_ID, is_package
from backends.errors import StudyError
from backends.probe_sources import is_on_hub, probe_file
from backends.probes import read_probes
from backends.study import (
    PROTOCOLS,
    QUANTIZATIONS,
    RAW_TEXT,
    ROLES,
    Decoding,
    JudgeSpec,
    Modality,
    ModelSpec,
    Part,
    ProbeSet,
    ProtocolName,
    Quantization,
    Reading,
    Sampling,
    Study,
)
from backends.study_lines import line_of

PARTS: tuple[str, ...] = get_args(Part)
MODALITIES: tuple[str, ...] = get_args(Modality)
TOP = (
    "name",
    "modality",
    "description",
    "protocol",
    "gradients",
    "decoding",
    "sampling",
    "models",
    "probes",
    "judges",
    "forget",
)
MODEL = tuple(field.name for field in fields(ModelSpec))
DECODING = tuple(field.name for field in fields(Decoding))
READING = tuple(field.name for field in fields(Reading))
SAMPLING = tuple(field.name for field in fields(Sampling))
LARGEST = 2**63 - 1
"""What 64 bits hold: generators take no larger seed."""

LONG_NUMBER = re.compile(r"[0-9_]{4000,}")
KINDS: Mapping[type, str] = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    bool: "true or false",
}


def read_study(path: Path) -> Study:
    """The study that a file describes, its probe files read.

    Raises:
        StudyError: names the file, the line and the key; or the probe file and the row.
    """
    path = path.expanduser().resolve()
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"this is no valid TOML: {error}", where=str(path)) from error
    except RecursionError:
        raise StudyError("the TOML is nested too deeply", where=str(path), how="Flatten it") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        long = LONG_NUMBER.search(text)
        where = f"{path}, line {text.count(chr(10), 0, long.start()) + 1}" if long else str(path)
        raise StudyError("a number here has thousands of digits", where=where, how="Shorten it") from None
    top = _Table(document, (), text, path)
    top.only(TOP, "study")
    modality = cast(Modality, top.choice("modality", MODALITIES))
    study = Study(
        name=top.need("name"),
        modality=modality,
        description=top.get("description", str, ""),
        models=_models(top),
        probe_sets=_probe_sets(top),
        decoding=_decoding(top),
        sampling=_sampling(top),
        judges=_judges(top),
        forget_concepts=_concepts(top),
        path=path,
        protocol=cast(
            ProtocolName, top.choice("protocol", PROTOCOLS) if "protocol" in document else "corrected"
        ),
        gradients=top.get("gradients", bool, False),
    )
    _check_whole(study, top)
    return study


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise StudyError(
            "this is a folder, a study file was expected", where=str(path), how="Name its study.toml"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StudyError("there is no such study file", where=str(path), how="Check the path") from None
    except UnicodeDecodeError as error:
        raise StudyError(
            f"byte {error.start} is not UTF-8", where=str(path), how="Save the study file as UTF-8"
        ) from error
    except OSError as error:
        raise StudyError(f"the file cannot be read ({error.strerror})", where=str(path)) from error


@dataclass(frozen=True, slots=True)
class _Table:
    """One TOML table with its place in the file: reads values of a stated type, names line and key where it cannot."""

    values: Mapping[str, Any]
    place: tuple[str | int, ...]
    text: str
    path: Path

    def where(self, key: str = "") -> str:
        line = line_of(self.text, self.place, key)
        return f"{self.path}, line {line}" + (f", key `{key}`" if key else "")

    def only(self, known: Sequence[str], what: str) -> None:
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                how = f"Did you mean `{close[0]}`?" if close else f"Known are: {', '.join(known)}"
                raise StudyError(f"a {what} has no such key", where=self.where(key), how=how)

    def need(self, key: str) -> str:
        value = self.get(key, str, None)
        if value is None:
            raise StudyError(f"the key `{key}` is missing", where=self.where(), how=f'Add {key} = "..."')
        if not value.strip():
            raise StudyError("this is empty", where=self.where(key), how="Write something")
        return cast(str, value)

    def get(self, key: str, kind: type, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is default and key not in self.values:
            return default
        right = isinstance(value, (int, float) if kind is float else kind) and not (
            isinstance(value, bool) and kind is not bool
        )
        if not right:
            raise StudyError(f"{KINDS[kind]} was expected, not {_shown(value)}", where=self.where(key))
        try:
            return float(value) if kind is float else value
        except OverflowError:
            raise StudyError(f"{_shown(value)} is too large", where=self.where(key)) from None

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.need(key)
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            meant = f"Did you mean `{close[0]}`?" if close else ""
            raise StudyError(
                f"this must be {_either(choices)}, not {_shown(value)}", where=self.where(key), how=meant
            )
        return value

    def number(self, key: str, kind: type, default: Any, wanted: str, fits: Callable[[Any], bool]) -> Any:
        value = self.get(key, kind, default)
        if key in self.values and not fits(value):
            raise StudyError(f"{wanted} was expected, not {_shown(value)}", where=self.where(key))
        return value

    def seeds(self, default: tuple[int, ...]) -> tuple[int, ...]:
        value = self.values.get("seeds", list(default))
        good = (
            isinstance(value, list)
            and value
            and all(type(seed) is int and 0 <= seed <= LARGEST for seed in value)
        )
        if not good or len(set(value)) < len(value):
            wanted = "a list of different whole numbers from 0 to 2^63 - 1, such as [1, 2, 3]"
            raise StudyError(f"{wanted}, was expected, not {_shown(value)}", where=self.where("seeds"))
        return tuple(value)

    def table(self, key: str) -> _Table:
        return _Table(self.get(key, dict, {}), (*self.place, key), self.text, self.path)

    def tables(self, key: str) -> list[_Table]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise StudyError(f"[[{key}]] tables were expected, not {_shown(value)}", where=self.where(key))
        return [_Table(item, (*self.place, key, n), self.text, self.path) for n, item in enumerate(value)]

    def local(self, key: str) -> str:
        """A path of this table, made absolute."""
        return str(_absolute(self.need(key), self.path.parent))

    def source(self, key: str) -> str:
        """A folder made absolute, or a hub id or package file as it stands."""
        value = self.need(key)
        folder = _absolute(value, self.path.parent)
        if folder.exists() or not (is_package(value) or HUB_ID.match(value)):
            return str(folder)
        return value


def _absolute(value: str, folder: Path) -> Path:
    return (folder / Path(value).expanduser()).absolute()


def _models(top: _Table) -> tuple[ModelSpec, ...]:
    models = []
    for table in top.tables("models"):
        table.only(MODEL, "model")
        models.append(
            ModelSpec(
                name=table.need("name"),
                part=cast(Part, table.choice("part", PARTS)),
                source=table.source("source"),
                adapter=table.source("adapter") if "adapter" in table.values else None,
                weights=_weights(table) if "weights" in table.values else None,
                subfolder=table.get("subfolder", str, ""),
                revision=table.get("revision", str, ""),
                method=table.get("method", str, ""),
                step=table.number(
                    "step", int, None, "a whole number from 0 to 2^63 - 1", lambda step: 0 <= step <= LARGEST
                ),
                fingerprint=table.get("fingerprint", str, ""),
                note=table.get("note", str, ""),
                quantization=cast(
                    Quantization,
                    table.choice("quantization", QUANTIZATIONS[1:]) if "quantization" in table.values else "",
                ),
                ema=table.get("ema", bool, False),
            )
        )
        _unique([model.name for model in models], table, "name")
    return tuple(models)


def _weights(table: _Table) -> str:
    value = table.need("weights")
    return value if value.startswith(HUB) else table.local("weights")


def _probe_sets(top: _Table) -> tuple[ProbeSet, ...]:
    sets = []
    for table in top.tables("probes"):
        table.only(("file", "role", "name", *READING), "probe set")
        role = cast(Any, table.choice("role", ROLES))
        found = read_probes(probe_file(_file(table)), role, _reading(table))
        name = table.need("name") if "name" in table.values else found.name
        sets.append(replace(found, name=name))
        _unique([probe_set.name for probe_set in sets], table, "name" if "name" in table.values else "file")
    return _own_ids(sets)


def _file(table: _Table) -> str:
    value = table.need("file")
    return value if is_on_hub(value) else table.local("file")


def _reading(table: _Table) -> Reading:
    columns = table.table("columns")
    form = table.get("format", str, "")
    if "format" in table.values and RAW_TEXT not in form:
        raise StudyError(
            f"a prompt format must hold {RAW_TEXT}, where the prompt goes",
            where=table.where("format"),
            how='Write it as "Question: {prompt}\\nAnswer:"',
        )
    return Reading(
        {name: columns.get(name, str, "") for name in columns.values},
        form,
        table.get("skip_bad_rows", bool, False),
    )


def _own_ids(sets: Sequence[ProbeSet]) -> tuple[ProbeSet, ...]:
    """The sets, with `SET/ID` as ids where an earlier set has the same ones: files often count from 0 each."""
    taken: set[str] = set()
    result = []
    for probe_set in sets:
        probes = probe_set.probes
        if not taken.isdisjoint(probe.id for probe in probes):
            probes = tuple(replace(probe, id=f"{probe_set.name}/{probe.id}") for probe in probes)
        taken.update(probe.id for probe in probes)
        result.append(replace(probe_set, probes=probes))
    return tuple(result)


def _decoding(top: _Table) -> Decoding:
    table, default = top.table("decoding"), Decoding()
    table.only(DECODING, "decoding")
    return Decoding(
        max_new_tokens=table.number(
            "max_new_tokens",
            int,
            default.max_new_tokens,
            "a whole number from 1 to 4096",
            lambda n: 1 <= n <= 4096,
        ),
        temperature=table.number(
            "temperature", float, default.temperature, "a number from 0 to 10", lambda t: 0 <= t <= 10
        ),
        top_p=table.number(
            "top_p", float, default.top_p, "a number above 0, at most 1", lambda p: 0 < p <= 1
        ),
        seeds=table.seeds(default.seeds),
    )


def _sampling(top: _Table) -> Sampling:
    table, default = top.table("sampling"), Sampling()
    table.only(SAMPLING, "sampling")
    return Sampling(
        steps=table.number(
            "steps", int, default.steps, "a whole number from 1 to 1000", lambda n: 1 <= n <= 1000
        ),
        guidance=table.number(
            "guidance", float, default.guidance, "a number from 0 to 100", lambda g: 0 <= g <= 100
        ),
        size=table.number(
            "size", int, default.size, "a whole number from 8 to 4096", lambda n: 8 <= n <= 4096
        ),
        seeds=table.seeds(default.seeds),
    )


def _judges(top: _Table) -> tuple[JudgeSpec, ...]:
    judges = []
    for table in top.tables("judges"):
        table.only(("domain", "path"), "judge")
        judges.append(JudgeSpec(table.need("domain"), table.local("path")))
        _unique([judge.domain for judge in judges], table, "domain")
    return tuple(judges)


def _concepts(top: _Table) -> dict[str, str]:
    table = top.table("forget")
    return {domain: table.need(domain) for domain in table.values}


def _unique(names: Sequence[str], table: _Table, key: str) -> None:
    if names[-1] in names[:-1]:
        raise StudyError(
            f"{_shown(names[-1])} is there twice", where=table.where(key), how="Give each its own"
        )


def _check_whole(study: Study, top: _Table) -> None:
    parts = [model.part for model in study.models]
    if parts.count("original") != 1:
        found = "no model" if "original" not in parts else f"{parts.count('original')} models"
        raise StudyError(
            f'{found} with part = "original"; a study compares everything with exactly one',
            where=str(top.path),
            how='Mark one of the [[models]] with part = "original"',
        )
    if parts.count("retained") > 1:
        raise StudyError(
            'more than one model with part = "retained"',
            where=str(top.path),
            how="Keep one, or make two studies",
        )
    if study.modality == "text" and (study.judges or study.forget_concepts):
        key = "judges" if study.judges else "forget"
        raise StudyError("this belongs to image studies only", where=top.where(key), how="Remove it")


def _shown(value: object) -> str:
    try:
        text = repr(value).replace("'", '"') if isinstance(value, str) else str(value)
    except ValueError:  # hexadecimal numbers may be of any length, but are not written out in decimal
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def _either(choices: Sequence[str]) -> str:
    return ", ".join(choices[:-1]) + " or " + choices[-1]
