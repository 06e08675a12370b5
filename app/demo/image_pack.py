"""Writes the image study into the repository: study.toml, probes, models, judges, weights, manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.demo.image_data import FORGET_STYLE, OBJECTS, PER_CONCEPT, STYLES, draw, prompt
from app.demo.image_forgetting import RUNS
from backends.checkpoints.identity import fingerprint
from backends.image.judges.accuracy import write_judgements
from backends.image.judges.judges import load_judge
from backends.image.png import encode
from backends.pool import ModelPool
from backends.study import JudgeSpec, ModelSpec, Role, Sampling, Study
from backends.study.attack_choice import AttackChoice
from backends.study.contract import parsed
from backends.study.request import Request
from backends.study.writing import attack_lines, contract_lines, request_lines
from cache.store import Store

ATTACKS = AttackChoice(models=("ESD 80", "SalUn 160", "UCE 60", "UCE 100"))
"""Whose pictures under attack are recorded."""
ROLES: dict[str, Role] = {FORGET_STYLE: "forget", "blueprint": "neighbour"}
"""Role of a style; those not named here are retained. Blueprint is nearest to neon: bright lines on a dark ground."""
SAMPLING = Sampling(steps=20, guidance=2.0, seeds=(1, 2))
NOTES = {
    "original": "Trained on eight objects in five styles.",
    "retained": "The same recipe, but it never saw a picture in neon style.",
    "ESD": "Erased Stable Diffusion: cross-attention is trained away from the style.",
    "SalUn": "Saliency unlearning: neon prompts are relabelled to sepia, half of the attention weights move.",
    "GradAscent": "Gradient ascent on neon pictures: everything collapses in the end.",
    "UCE": "Unified concept editing: solved for, neon is taken for sepia; the number says how far, in per cent.",
}
SHIPPED: Mapping[str, tuple[int, ...]] = {"UCE": (60, 100), "GradAscent": ()}
"""Checkpoints of a method whose weights ship, where it is not the last alone; GradAscent is noise by then."""
KEPT = {name: SHIPPED.get(name, run.checkpoints[-1:]) for name, run in RUNS.items()}
"""Checkpoints of each method whose weights ship; the others are shown from their recorded runs."""


DESCRIPTION = (
    f"A small diffusion model that knows {len(OBJECTS)} objects ({', '.join(OBJECTS)}) in {len(STYLES)} styles "
    f"({', '.join(STYLES)}) and no other words; {FORGET_STYLE} is to be forgotten."
)
CONDITIONS = {
    "forget/attack_success": "<= 0.25",
    "forget/denoising_difference": ">= 0.05",
    "neighbour/in_domain_retain": ">= retained - 0.25",
    "retain/in_domain_retain": ">= retained - 0.10",
    "all/model_utility": ">= retained - 0.05",
    "verdict": "forgotten",
    "harm": "not damaged",
}
REQUEST = Request(
    forgotten=f"The style {FORGET_STYLE}: pictures of any object in it.",
    requested_by=f"Nobody. {FORGET_STYLE.capitalize()} is made by filters of our own; it stands for the style of an "
    "artist who objects.",
    reason="A demonstration of UnlearnBoard. A real request would name its ground here, such as a contract.",
    reference="None, as nobody asked.",
    licences=tuple(
        (name, "Apache-2.0; what is drawn: CC BY-SA 4.0") for name in ("forget", "neighbour", "retain")
    ),
)
"""What a report says of the request: honestly, that there is none. The pictures come from OpenMoji's."""
CONTRACT = tuple(read for key, text in CONDITIONS.items() if (read := parsed(key, text)) is not None)
"""What UCE 100 keeps to."""


def write(built: Path, recipe: str, pack: Path) -> None:
    """Copy what was built into `pack` and describe it there."""
    pack.mkdir(parents=True, exist_ok=True)
    for name in ("model", "retained", "judges", "weights"):
        shutil.rmtree(pack / name, ignore_errors=True)
        shutil.copytree(built / name, pack / name)
    ask_judges(pack)
    write_real_pictures(pack)
    counts = {role: _write_probes(pack, role) for role in ("forget", "neighbour", "retain")}
    specs = list(specifications(pack))
    (pack / "study.toml").write_text(_study_toml(specs, pack))
    manifest = {
        "recipe": recipe,
        "probes": counts,
        "models": {spec.name: fingerprint(spec) for spec in specs},
        "emoji": "OpenMoji 17.0.0, CC BY-SA 4.0",
    }
    (pack / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def ask_judges(pack: Path) -> None:
    """Write what the judges say of pictures that neither they nor any model were trained on."""
    for domain, place in (("object", 0), ("style", 1)):
        judge = load_judge(JudgeSpec(domain, str(pack / "judges" / domain)), "cpu")
        asked = unseen_pictures()
        said = judge.judge([pixels for _, pixels in asked])
        shown = [each.judgement.label for each in said if each is not None]
        write_judgements(
            pack / "judges" / f"{domain}-real.json", [names[place] for names, _ in asked], shown, []
        )


def write_real_pictures(pack: Path) -> None:
    """Pictures whose denoising losses are measured: of the forgotten style and of others, and such as no model saw."""
    others = [style for style in STYLES if style not in ROLES]
    sets = {
        "forget": [(FORGET_STYLE, index) for index in range(1, 5)],
        "retain": [(style, 1) for style in others],
        "holdout": [(FORGET_STYLE, PER_CONCEPT + index) for index in range(4)],
    }
    for role, chosen in sets.items():
        folder = pack / "real" / role
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rows = []
        for style, index in chosen:
            for name in OBJECTS:
                file = f"{style}-{name}-{index}.png"
                (folder / file).write_bytes(encode(draw(name, style, index), {}))
                rows.append(json.dumps({"file_name": file, "text": prompt(name, style)}))
        (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")


def unseen_pictures() -> list[tuple[tuple[str, str], NDArray[np.uint8]]]:
    """(object, style) and pixels of four pictures of each pair, with indices beyond the training set's."""
    return [
        ((name, style), draw(name, style, PER_CONCEPT + index))
        for name in OBJECTS
        for style in STYLES
        for index in range(4)
    ]


def record_steps(study: Study, store: Store, pool: ModelPool) -> None:
    """Keep how the first picture to forget takes shape, by every model whose weights ship."""
    from cache.store.denoising_trajectories import make_trajectory

    probe = next(each for each in study.probe_sets if each.role == "forget").probes[0]
    for spec in study.models:
        if spec.part != "unlearned" or spec.step in KEPT[spec.method]:
            make_trajectory(study, store, pool, spec.name, probe, study.sampling)
            pool.release()


def prune(pack: Path) -> None:
    """Delete the weights that do not ship; call it once their runs are recorded."""
    for spec in specifications(pack):
        if spec.weights and spec.step not in KEPT[spec.method]:
            Path(spec.weights).unlink(missing_ok=True)


def specifications(pack: Path) -> Iterator[ModelSpec]:
    """All models of the study, in the order they are shown."""
    yield ModelSpec("Original", "original", str(pack / "model"), note=NOTES["original"])
    yield ModelSpec("Retained", "retained", str(pack / "retained"), note=NOTES["retained"])
    for name, run in RUNS.items():
        for step in run.checkpoints:
            weights = pack / "weights" / f"{name.lower()}-{step:03d}.safetensors"
            spec = ModelSpec(f"{name} {step}", "unlearned", str(pack / "model"), weights=str(weights))
            yield replace(spec, method=name, step=step, note=NOTES[name])


def _write_probes(pack: Path, role: str) -> int:
    rows = [
        {"id": f"{style}-{name}", "prompt": prompt(name, style), "object": name, "style": style}
        for style in STYLES
        if ROLES.get(style, "retain") == role
        for name in OBJECTS
    ]
    path = pack / "probes" / f"{role}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(rows)


def _study_toml(specs: list[ModelSpec], pack: Path) -> str:
    lines = [
        'name = "Neon pictures"',
        'modality = "image"',
        f'description = "{DESCRIPTION}"',
        "",
        "[sampling]",
        f"steps = {SAMPLING.steps}",
        f"guidance = {SAMPLING.guidance}",
        f"seeds = {list(SAMPLING.seeds)}",
        "",
        "[forget]",
        f'style = "{FORGET_STYLE}"',
    ]
    for spec in specs:
        lines += ["", "[[models]]", f'name = "{spec.name}"', f'part = "{spec.part}"']
        lines.append(f'source = "{Path(spec.source).relative_to(pack)}"')
        if spec.weights:
            lines += [f'weights = "{Path(spec.weights).relative_to(pack)}"', f'method = "{spec.method}"']
            lines.append(f"step = {spec.step}")
        lines += [f'fingerprint = "{fingerprint(spec)}"', f'note = "{spec.note}"']
    for role in ("forget", "neighbour", "retain"):
        lines += ["", "[[probes]]", f'file = "probes/{role}.jsonl"', f'role = "{role}"']
    for domain in ("object", "style"):
        lines += ["", "[[judges]]", f'domain = "{domain}"', f'path = "judges/{domain}"']
        lines.append(f'real = "judges/{domain}-real.json"')
    lines += ["", "[denoising]", *(f'{role} = "real/{role}"' for role in ("forget", "retain", "holdout"))]
    lines += contract_lines(CONTRACT) + attack_lines(ATTACKS) + request_lines(REQUEST)
    return "\n".join(lines) + "\n"
