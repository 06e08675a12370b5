"""Numbers that are kept show whatever changes: the study, its models, evidence, and what another process writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from backends.evidence import Answer, TextEvidence
from backends.study import Study
from cache.analysis import derive, model_rows
from cache.analysis.scoreboard import keep_numbers, scoreboard
from cache.store import Store, open_store
from cache.store.keys import answers_context
from cache.store.reading import identity_to_read
from tests.filled_store import fill_text, text_study

STUDY = text_study()
SMALL = replace(STUDY, models=STUDY.models[:4])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(SMALL, store)
    return store


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models whose values are derived from evidence from now on, and "rows of MODEL" where its rows are made."""
    result: list[str] = []
    values, rows = derive._text_values, model_rows._rows

    def counted_values(*given: object) -> object:
        result.append(given[2].name)  # type: ignore[attr-defined]
        return values(*given)  # type: ignore[arg-type]

    def counted_rows(*given: object) -> object:
        result.append(f"rows of {given[2]}")
        return rows(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(derive, "_text_values", counted_values)
    monkeypatch.setattr(model_rows, "_rows", counted_rows)
    return result


def answer_anew(study: Study, store: Store, model: str, text: str, role: str = "forget") -> None:
    """Another answer of a model to the first probe of a role."""
    known = identity_to_read(study.model(model))
    context = store.register(
        answers_context(known.fingerprint, known.tokenizer, study.decoding, 0, "float32")
    )
    probe = next(p for each in study.probe_sets for p in each.probes if p.role == role)
    store.put_text(context, [(probe.digest(), TextEvidence({}, (Answer(text, 3, "stop", 0, 0.5),)))])


def value(study: Study, store: Store, model: str, key: str) -> float:
    frame: pd.DataFrame = scoreboard(study, store).frame
    return float(frame.set_index(["model", "key"]).loc[(model, key), "value"])


def test_everything_is_derived_once(store: Store, derived: list[str]) -> None:
    names = [spec.name for spec in SMALL.models]
    first = scoreboard(SMALL, store).frame
    assert sorted(derived) == sorted([*names, *(f"rows of {name}" for name in names)])
    derived.clear()
    pd.testing.assert_frame_equal(scoreboard(SMALL, store).frame, first)
    store.close()
    pd.testing.assert_frame_equal(scoreboard(SMALL, open_store(store.path)).frame, first)
    assert derived == []


@pytest.mark.parametrize("writer", [lambda store: store, lambda store: open_store(store.path)])
def test_new_evidence_is_shown_whichever_process_wrote_it(
    store: Store, derived: list[str], writer: Callable[[Store], Store]
) -> None:
    model = SMALL.models[2].name
    before = scoreboard(SMALL, store)
    drawn = before.drawn([model], "forget/rouge_l")[0, 0]
    derived.clear()
    answer_anew(SMALL, writer(store), model, "zzz")
    after = scoreboard(SMALL, store)
    assert after.drawn([model], "forget/rouge_l")[0, 0] != drawn
    assert after.per_probe(model, "forget/rouge_l").iloc[0] == 0.0
    assert set(derived) == {model, f"rows of {model}"}


def test_what_others_are_measured_against_changes_their_rows_too(store: Store, derived: list[str]) -> None:
    scoreboard(SMALL, store)
    derived.clear()
    answer_anew(SMALL, store, SMALL.original.name, "zzz")
    scoreboard(SMALL, store)
    assert [name for name in derived if not name.startswith("rows")] == [SMALL.original.name]
    assert len([name for name in derived if name.startswith("rows")]) == len(SMALL.models)


def test_a_changed_study_is_another_one(store: Store) -> None:
    model, key = SMALL.models[2].name, "forget/key_fact"
    before = value(SMALL, store, model, key)
    first = SMALL.probe_sets[0]
    never = tuple(replace(probe, key_fact="never said by anybody") for probe in first.probes)
    other = replace(SMALL, probe_sets=(replace(first, probes=never), *SMALL.probe_sets[1:]))
    assert value(other, store, model, key) == 0.0
    fewer = replace(SMALL, probe_sets=(replace(first, probes=first.probes[:2]), *SMALL.probe_sets[1:]))
    frame = scoreboard(fewer, store).frame
    assert set(frame.loc[frame["key"] == key, "n"]) == {2}
    assert value(SMALL, store, model, key) == before


def test_a_model_more_is_derived_alone(store: Store, derived: list[str]) -> None:
    scoreboard(SMALL, store)
    larger = replace(STUDY, models=STUDY.models[:5])
    fill_text(replace(larger, models=larger.models[4:]), store)
    derived.clear()
    shown = set(scoreboard(larger, store).frame["model"])
    assert shown == {spec.name for spec in larger.models}
    new = larger.models[4].name
    assert set(derived) == {new, f"rows of {new}"}


def test_the_same_name_with_other_weights_is_another_model(store: Store) -> None:
    model = SMALL.models[2]
    scoreboard(SMALL, store)
    rebuilt = replace(model, fingerprint=f"{'e' * 32}:{'0' * 16}")
    other = replace(SMALL, models=(*SMALL.models[:2], rebuilt, *SMALL.models[3:]))
    assert model.name not in set(scoreboard(other, store).frame["model"])


def test_numbers_of_one_model_are_kept_before_the_others_are_evaluated(
    tmp_path: Path, derived: list[str]
) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    for spec in SMALL.models:
        fill_text(replace(SMALL, models=(spec,)), store)
        keep_numbers(SMALL, store, spec.name)
    original, retained = SMALL.models[0].name, SMALL.models[1].name
    derived.clear()
    page = open_store(store.path)
    scoreboard(SMALL, page)
    assert derived == [f"rows of {original}"], "its rows had to wait for the retained model"
    assert retained not in derived
