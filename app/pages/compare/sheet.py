"""A sheet of pictures over two axes: prompts, seeds, steps, guidance and models, all from the same noise.

A prompt may have places in braces, "a {object} in {style} style", each with a list of values: it stands for all their
combinations. Pure functions on plain values; knows no pages and no store.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from backends.study import Probe, Sampling, Study
from backends.study.targets import concepts_to_forget

Axis = Literal["model", "prompt", "seed", "pair", "steps", "guidance"]
AXES: tuple[Axis, ...] = get_args(Axis)
AXIS_NAMES: Mapping[Axis, str] = {
    "model": "Model",
    "prompt": "Prompt",
    "seed": "Seed",
    "pair": "Prompt and seed",
    "steps": "Steps",
    "guidance": "Guidance",
}
MOST_CELLS = 1000
"""More pictures than a person compares by eye; longer lists belong in a probe file."""

_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, slots=True)
class SheetCell:
    """What one picture of a sheet is made from."""

    model: str
    probe: Probe
    sampling: Sampling

    @property
    def seed(self) -> int:
        """The one seed of its sampling."""
        return self.sampling.seeds[0]


@dataclass(frozen=True, slots=True)
class AxisValues:
    """What each axis can run over; the first of each is taken where the axis is not on the sheet."""

    model: tuple[str, ...]
    prompt: tuple[Probe, ...]
    seed: tuple[int, ...]
    steps: tuple[int, ...]
    guidance: tuple[float, ...]

    def of(self, axis: Axis) -> tuple[object, ...]:
        """Values of one axis; prompt and seed together are all their pairs."""
        if axis == "pair":
            return tuple(itertools.product(self.prompt, self.seed))
        return tuple(getattr(self, axis))


def places(prompt: str) -> tuple[str, ...]:
    """Names in braces, in order, each once."""
    return tuple(dict.fromkeys(_PLACE.findall(prompt)))


def listed(text: str) -> tuple[str, ...]:
    """The values in "cat, rocket" or one a line, without repetition."""
    return tuple(dict.fromkeys(part.strip() for part in re.split(r"[,;\n]", text) if part.strip()))


def numbers(text: str, low: float, high: float) -> tuple[float, ...] | None:
    """The numbers in "1, 4, 7.5" within limits, None where something else is written."""
    parts = listed(text)
    if not parts or not all(re.fullmatch(r"\d{1,6}(\.\d{1,4})?", part) for part in parts):
        return None
    found = tuple(dict.fromkeys(float(part) for part in parts))
    return found if all(low <= number <= high for number in found) else None


def prompts(study: Study, template: str, values: Mapping[str, Sequence[str]]) -> tuple[Probe, ...]:
    """Every combination of the values in the template's places, as probes.

    A prompt that the study has too is the study's own probe, so that what is recorded of it is found. Names of the
    study's judged domains ("object") become concepts, which judges then look for.
    """
    names = places(template)
    known = {probe.prompt: probe for each in study.probe_sets for probe in each.probes}
    domains = {judge.domain for judge in study.judges} | {domain for domain, _ in concepts_to_forget(study)}
    result: dict[str, Probe] = {}
    for combination in itertools.product(*(values.get(name) or ("{" + name + "}",) for name in names)):
        filled = dict(zip(names, combination, strict=True))
        prompt = _with_values(template, filled)
        concepts = {name: value for name, value in filled.items() if name in domains}
        # What asks for the forgotten concept is judged by its absence, as the study's own forget probes are.
        forgotten = not concepts_to_forget(study).isdisjoint(concepts.items())
        own = Probe(id=prompt, role="forget" if forgotten else "mine", prompt=prompt, concepts=concepts)
        result[prompt] = known.get(prompt, own)
    return tuple(result.values())


def _with_values(template: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: values[place[1]], template)


def without_own(probe: Probe, axes: Collection[Axis]) -> Probe:
    """The probe without its own seed or guidance where an axis runs over them."""
    seed = None if not {"seed", "pair"}.isdisjoint(axes) else probe.seed
    return replace(probe, seed=seed, guidance=None if "guidance" in axes else probe.guidance)


def label(axis: Axis, value: object) -> str:
    """Words for one value of an axis."""
    if isinstance(value, tuple):
        return f"{label('seed', value[1])}: {value[0].prompt}"
    if isinstance(value, Probe):
        return value.prompt
    if isinstance(value, float):
        return f"guidance {value:g}"
    return str(value) if axis == "model" else f"{axis} {value}" if axis == "seed" else f"{value} steps"


def cells(columns: Axis, rows: Axis, values: AxisValues, base: Sampling) -> list[list[SheetCell]]:
    """The sheet, column by column.

    Args:
        columns: axis from left to right.
        rows: another axis, from top to bottom.
        values: of all axes.
        base: settings that are not on the sheet (the size).
    """
    first: dict[Axis, object] = {axis: values.of(axis)[0] for axis in AXES if axis != "pair"}
    sheet = []
    for column in values.of(columns):
        sheet.append([_cell(first | {columns: column, rows: row}, base) for row in values.of(rows)])
    return sheet


def _cell(chosen: Mapping[Axis, object], base: Sampling) -> SheetCell:
    model, pair = chosen["model"], chosen.get("pair", (chosen["prompt"], chosen["seed"]))
    assert isinstance(pair, tuple)
    probe, seed = pair
    steps, guidance = chosen["steps"], chosen["guidance"]
    assert isinstance(model, str) and isinstance(probe, Probe) and isinstance(seed, int)
    assert isinstance(steps, int) and isinstance(guidance, float)
    return SheetCell(model, probe, replace(base, steps=steps, guidance=guidance, seeds=(seed,)).of(probe))


def batches(wanted: Sequence[SheetCell]) -> list[tuple[Probe, Sampling, tuple[str, ...]]]:
    """The pictures as calls that make many at once: for each prompt and setting all its models and seeds.

    Models x seeds of one call is what is wanted or more only where the sheet is not a full grid, which it always is.
    """
    grouped: dict[tuple[str, Sampling], list[SheetCell]] = {}
    for cell in wanted:
        grouped.setdefault((cell.probe.digest(), replace(cell.sampling, seeds=(0,))), []).append(cell)
    result = []
    for (_, sampling), group in grouped.items():
        seeds = tuple(dict.fromkeys(cell.seed for cell in group))
        models = tuple(dict.fromkeys(cell.model for cell in group))
        result.append((group[0].probe, replace(sampling, seeds=seeds), models))
    return result
