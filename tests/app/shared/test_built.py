"""Models that were made here join the study they were made of, and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.shared.unlearning import add_to_study
from app.shared.unlearning_runs import built_folder, built_names, with_built
from backends.study import ModelSpec, Study
from tests.tiny_text import write_tiny_adapter, write_tiny_model


def test_built_models_join_the_study_of_their_original_only(tmp_path: Path) -> None:
    base, other = write_tiny_model(tmp_path / "base"), write_tiny_model(tmp_path / "other", seed=1)
    folder = tmp_path / "unlearned"
    adapter = write_tiny_adapter(base, folder / "npo" / "checkpoint-2")
    study = Study("Tiny", "text", (ModelSpec("Original", "original", str(base)),), ())
    made = ModelSpec("NPO 2", "unlearned", str(base), adapter=str(adapter), method="NPO", step=2)
    assert with_built(study, folder) is study
    add_to_study(study, folder, [made])
    assert [spec.name for spec in with_built(study, folder).models] == ["Original", "NPO 2"]
    namesake = replace(study, models=(ModelSpec("Original", "original", str(other)),))
    assert with_built(namesake, folder) is namesake
    taken = replace(study, models=(*study.models, replace(made, adapter=None)))
    assert with_built(taken, folder) is taken
    (folder / "study.toml").write_text("no study")
    assert with_built(study, folder) is study


def test_models_that_were_made_here_are_known_by_where_they_lie() -> None:
    here, elsewhere = built_folder("tiny"), built_folder("tiny-2")
    specs = [
        ModelSpec("Original", "original", "base"),
        ModelSpec("made", "unlearned", "base", adapter=str(here / "npo" / "checkpoint-2")),
        ModelSpec("whole", "unlearned", "base", weights=str(here / "esd" / "checkpoint-2")),
        ModelSpec("of another study", "unlearned", "base", adapter=str(elsewhere / "npo")),
        ModelSpec("given", "unlearned", "base", adapter="adapters/npo"),
    ]
    assert built_names(specs, "tiny") == ["made", "whole"]
