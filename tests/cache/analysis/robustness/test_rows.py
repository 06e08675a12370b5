"""What came out under attack as numbers of the scoreboard, and as evidence of the verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backends.attacks import ATTACKS
from backends.metrics import METRICS
from backends.metrics.attacked import plain_key
from cache.analysis.robustness.kept import kept_ladder
from cache.analysis.robustness.ladder import STRONGEST
from cache.analysis.robustness.trials import trials
from cache.analysis.scoreboard import scoreboard
from cache.analysis.verdict.verdicts import verdicts
from cache.store import Store, open_store
from tests.filled_store import ATTACKED, attack_study, fill_attacks, fill_text

USED = [ATTACKS[key] for key in ("paraphrase", "role_play", "form", "samples_16")]
STUDY = attack_study()
HIDES = next(name for name in ATTACKED if name.startswith("IdkDPO"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = open_store(tmp_path_factory.mktemp("rows") / "evidence.sqlite")
    fill_text(STUDY, made)
    return made


def test_attacks_become_rows_and_join_the_verdict_once_a_ladder_is_known(store: Store) -> None:
    before = scoreboard(STUDY, store)
    assert not before.frame["key"].str.contains("attacked_|strongest_|recovered_").any()
    assert "attacked" in verdicts(STUDY, before)[HIDES].untested
    fill_attacks(STUDY, store, ATTACKED, USED)
    ladder = kept_ladder(STUDY, store, trials(STUDY, store, ATTACKED, USED))
    after = scoreboard(STUDY, store)
    assert after.stamp != before.stamp
    rows = after.frame.set_index(["model", "key"])["value"]
    for rung in ladder.of(HIDES, "says"):
        if rung.attack in ("role_play", "paraphrase"):
            assert rows[HIDES, f"forget/attacked_{rung.attack}"] == pytest.approx(rung.value)
    strongest = ladder.rung(HIDES, "rates", STRONGEST)
    assert strongest is not None
    assert rows[HIDES, "forget/recovered_rates"] == pytest.approx(strongest.found.share)
    ceiling = ladder.rung(HIDES, "says", "role_play")
    assert ceiling is not None
    assert rows["Original", "forget/attacked_role_play"] == pytest.approx(ceiling.found.ceiling)
    verdict = verdicts(STUDY, after)[HIDES]
    assert "attacked" not in verdict.untested
    assert verdict.finding("attacked").excess == pytest.approx(
        max(e.found.share for e in ladder.rungs if e.model == HIDES and e.attack == STRONGEST)
    )


def test_a_ladder_of_other_plain_evidence_is_not_told(tmp_path: Path) -> None:
    made = open_store(tmp_path / "evidence.sqlite")
    fill_text(STUDY, made)
    fill_attacks(STUDY, made, ATTACKED, USED)
    kept_ladder(STUDY, made, trials(STUDY, made, ATTACKED, USED))
    fewer = tuple(each for each in STUDY.models if each.name != "Retained")
    alone = scoreboard(replace(STUDY, models=fewer), made)
    assert not alone.attacked


@pytest.mark.parametrize("key", [key for key in METRICS if key.startswith(("attacked_", "strongest_"))])
def test_every_such_metric_names_what_tells_the_same_of_the_plain_question(key: str) -> None:
    assert plain_key(key) in METRICS and METRICS[plain_key(key)].card.modality == METRICS[key].card.modality
