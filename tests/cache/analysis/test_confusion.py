"""Confusion and drift counted by hand on the recorded image study; judges' accuracy read from what they said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backends.image.judges.accuracy import read_judgements, write_judgements
from backends.study import JudgeSpec, Study
from cache.analysis.confusion import confusion, domains, drift
from cache.store import Store, open_store
from cache.store.judge_checks import check_judges, judge_accuracy
from cache.store.reading import images_for
from tests.filled_store import fill_images, image_study


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    store = open_store(tmp_path_factory.mktemp("confusion") / "evidence.sqlite")
    study = replace(image_study(), judges=(JudgeSpec("style", "judges/style"),))
    fill_images(study, store)
    return study, store


def by_hand(study: Study, store: Store, model: str, domain: str) -> list[tuple[str, str, str, int]]:
    """Concept asked, label, probe and seed of every picture, in a plain loop."""
    rows = []
    for each in study.probe_sets:
        for probe in each.probes:
            for seed, image in images_for(study, store, model, [probe]).get(probe.id, {}).items():
                if domain in probe.concepts:
                    rows.append((probe.concepts[domain], image.judgements[domain].label, probe.id, seed))
    return rows


def test_every_picture_is_counted_once_where_it_belongs(filled: tuple[Study, Store]) -> None:
    study, store = filled
    for domain in domains(study):
        for model in study.models:
            rows = by_hand(study, store, model.name, domain)
            found = confusion(study, store, model.name, domain)
            assert sum(found.count(a, s) for a in found.asked for s in found.shown) == len(rows)
            for asked, label, probe, _ in rows:
                assert found.count(asked, label) == sum(row[:2] == (asked, label) for row in rows)
                assert probe in found.probes[asked, label]
            assert found.shown[-1] == "none"
    forgotten = study.forget_concepts
    for domain, concept in forgotten.items():
        assert confusion(study, store, study.original.name, domain).asked[0] == concept


def test_drift_compares_the_same_prompts_and_noise(filled: tuple[Study, Store]) -> None:
    study, store = filled
    model = next(spec.name for spec in study.models if spec.part == "unlearned")
    domain = domains(study)[0]
    before = {row[2:]: row[:2] for row in by_hand(study, store, study.original.name, domain)}
    after = {row[2:]: row[:2] for row in by_hand(study, store, model, domain)}
    ranking = drift(study, store, model, domain)
    assert [row.change for row in ranking] == sorted(row.change for row in ranking)
    for row in ranking:
        places = [place for place in after if place in before and after[place][0] == row.concept]
        assert row.n == len(places)
        assert row.before == pytest.approx(sum(before[p][1] == row.concept for p in places) / len(places))
        assert row.after == pytest.approx(sum(after[p][1] == row.concept for p in places) / len(places))
        assert row.low <= row.change + 1e-9 and row.change <= row.high + 1e-9
    same = drift(study, store, study.original.name, domain)
    assert all(row.change == row.low == row.high == 0 for row in same)


def test_accuracy_comes_from_what_a_judge_said(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    write_judgements(path, ["cat", "cat", "dog"], ["cat", "none", "dog"], ["dog/x.png"])
    found = read_judgements(path)
    assert found is not None and (found.n, found.correct, found.rejected) == (3, 2, 1)
    assert found.unreadable == ("dog/x.png",)
    path.write_text(json.dumps({"asked": ["cat"], "shown": []}))
    assert read_judgements(path) is None
    assert read_judgements(tmp_path / "nothing.json") is None


def test_a_judge_is_asked_about_real_pictures_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    from PIL import Image

    from backends.pool import ModelPool
    from tests.tiny_image import write_tiny_judge

    folder = write_tiny_judge(tmp_path / "judge", classes=("fish", "house", "none"))
    (tmp_path / "real" / "fish").mkdir(parents=True)
    Image.fromarray(np.full((24, 24, 3), 90, np.uint8)).save(tmp_path / "real" / "fish" / "1.png")
    spec = JudgeSpec("object", str(folder), real=str(tmp_path / "real"))
    study = replace(image_study(), judges=(spec,))
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    assert judge_accuracy(store, spec) is None
    check_judges(study, store, ModelPool("cpu"))
    found = judge_accuracy(store, spec)
    assert found is not None and found.n == 1

    def refuse(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("backends.image.judges.measuring.judgements_of", refuse)
    check_judges(study, store, ModelPool("cpu"))


def test_a_judge_that_knows_none_of_the_concepts_is_told(tmp_path: Path) -> None:
    from backends.errors import StudyError
    from backends.pool import ModelPool
    from tests.tiny_image import write_tiny_judge

    folder = write_tiny_judge(tmp_path / "judge", domain="style", classes=("oil", "ink", "none"))
    study = replace(image_study(), judges=(JudgeSpec("style", str(folder)),))
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    with pytest.raises(
        StudyError, match="knows none of the study's concepts: it has oil, ink, and the probes ask"
    ):
        check_judges(study, store, ModelPool("cpu"))
