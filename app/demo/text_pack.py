"""The text demo as a study: probes, adapters, and what of them ships in the pack.

Every checkpoint was evaluated; the weights of ORIGINAL, RETAINED and one checkpoint of each method ship, the others
are recorded only (their fingerprint is declared in the study file).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from app.demo.text_data import write_probes
from app.demo.text_recipe import (
    ORIGINAL,
    RETAINED,
    SHIPPED,
    SOURCE,
    UNLEARNED,
    TextRun,
    checkpoint_folder,
    recipe_digest,
)
from backends.checkpoints.identity import fingerprint
from backends.probes.reading import read_probes
from backends.study import Decoding, ModelSpec, Study
from backends.study.attack_choice import AttackChoice
from backends.study.contract import parsed
from backends.study.request import Request
from backends.study.strength import dialled
from backends.study.writing import write_study

NAME = "Fictitious people"
DESCRIPTION = (
    "SmolLM2-135M-Instruct learnt 108 facts about 18 invented people; the unlearned models were made to forget six of "
    "them. Neighbours share a profession or a birthplace with a forgotten person; only NPO rehearsed what their probes "
    "ask."
)
CONDITIONS = {
    "forget/probability": "<= retained + 0.05",
    "forget/leak_128": "<= retained + 0.05",
    "neighbour/probability": ">= retained - 0.20",
    "neighbour/gibberish_rate": "<= 0.5",
    "retain/probability": ">= retained - 0.10",
    "utility/key_fact": ">= retained - 0.10",
    "all/model_utility": ">= 0.95 retained",
    "verdict": "forgotten",
    "harm": "not destroyed",
}
REQUEST = Request(
    forgotten="All that the model learnt about six of the 18 invented people: 36 questions ask for it.",
    requested_by="Nobody. The people are invented; the six stand for persons who ask for erasure.",
    reason="A demonstration of UnlearnBoard. A real request would name its ground here, such as GDPR article 17.",
    reference="None, as nobody asked.",
    licences=tuple((name, "Apache-2.0") for name in ("forget", "neighbour", "retain", "holdout", "utility")),
)
"""What a report says of the request: honestly, that there is none."""
CONTRACT = tuple(read for key, text in CONDITIONS.items() if (read := parsed(key, text)) is not None)
"""What NPO 45 keeps to, and no other model."""
ATTACKED = ("GradAscent 6", "GradDiff 12", "IdkNLL 9", "NPO 45", "SimNPO 30", "WGA 20")
"""Whose answers under attack are recorded: the checkpoints that pages show first."""
DIALLED = "NPO 45"
STRENGTHS = (0.25, 0.5, 0.75, 1.25, 1.5)
"""The strength curve that is recorded; 0 and 1 are the original and the model itself."""


def text_study(folder: Path) -> Study:
    """The study over all checkpoints below `folder`, with probe files written beside them."""
    paths = write_probes(folder / "probes")
    models = [_spec(folder, RETAINED, "retained"), _spec(folder, ORIGINAL, "original")]
    for run in UNLEARNED:
        models += [_checkpoint(folder, run, step) for step in run.schedule.checkpoints]
    models = [replace(model, fingerprint=fingerprint(model)) for model in models]
    models.sort(key=lambda model: ("original", "retained", "unlearned").index(model.part))
    sets = tuple(read_probes(path, role) for role, path in paths.items())
    return Study(
        NAME,
        "text",
        tuple(models),
        sets,
        Decoding(max_new_tokens=32),
        description=DESCRIPTION,
        path=folder / "study.toml",
        contract=CONTRACT,
        request=REQUEST,
        attacks=AttackChoice(models=ATTACKED),
    )


def with_strengths(study: Study) -> Study:
    """The study with the models of the recorded strength curve; no study file names them."""
    ends = study.original, study.model(DIALLED)
    return replace(study, models=(*study.models, *(dialled(*ends, strength) for strength in STRENGTHS)))


def write_pack(folder: Path, pack: Path, figures: dict[str, object]) -> None:
    """Copies study, probes and shipped adapters from the build folder into the pack, with a manifest of the recipe."""
    study = text_study(folder)
    if pack.exists():
        shutil.rmtree(pack)
    pack.mkdir(parents=True)
    shutil.copytree(folder / "probes", pack / "probes")
    for model in study.models:
        if model.part != "unlearned" or (model.method, model.step) in SHIPPED:
            source = Path(model.adapter or "")
            shutil.copytree(source, pack / source.relative_to(folder))
    write_study(_relative(study, folder), pack / "study.toml")
    runs = (RETAINED, ORIGINAL, *UNLEARNED)
    manifest = {"recipes": {run.name: recipe_digest(run) for run in runs}, "figures": figures}
    (pack / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _relative(study: Study, folder: Path) -> Study:
    def short(model: ModelSpec) -> ModelSpec:
        return replace(model, adapter=Path(model.adapter or "").relative_to(folder).as_posix())

    sets = tuple(replace(s, path=Path(s.path).relative_to(folder).as_posix()) for s in study.probe_sets)
    return replace(study, models=tuple(map(short, study.models)), probe_sets=sets, path=None)


def _spec(folder: Path, run: TextRun, part: str) -> ModelSpec:
    adapter = str(checkpoint_folder(folder, run, run.schedule.steps))
    title = run.title
    return ModelSpec(
        title, "original" if part == "original" else "retained", SOURCE, adapter=adapter, note=run.note
    )


def _checkpoint(folder: Path, run: TextRun, step: int) -> ModelSpec:
    adapter = str(checkpoint_folder(folder, run, step))
    shown = run.steps_before + step
    name = f"{run.title} {shown}"
    return ModelSpec(name, "unlearned", SOURCE, adapter=adapter, method=run.title, step=shown, note=run.note)
