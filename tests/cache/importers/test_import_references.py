"""What imported runs are compared with: retained checkpoints, the order of imports, the person's choice, equal runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from backends.errors import StoreError
from cache.analysis.results_board import results_board
from cache.importers import import_results, read_results
from cache.importers.imported_runs import (
    choose_reference,
    collection_notes,
    reference,
    without_intermediate_steps,
)
from cache.store import Store, open_store
from cache.store.results import ImportedRun, runs_of
from tests.foreign_more import MODEL, tofu_eval, write_eval, write_hydra

COLLECTION = f"TOFU forget10 · {MODEL}"
QUALITY = "forget/forget_quality"


def ratios(seed: int, centre: float) -> list[float]:
    return np.exp(np.random.default_rng(seed).normal(centre, 0.4, 40)).tolist()


UNTRAINED, HALFWAY, TRAINED, UNLEARNED = (
    ratios(seed, centre) for seed, centre in enumerate((-2.5, -1.5, -0.4, -0.35))
)


def p_value(one: Sequence[float], other: Sequence[float]) -> float:
    return float(ks_2samp(one, other).pvalue)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "cache" / "evidence.sqlite")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A retained model with its checkpoints, of which the first sorts first, and a run without forget quality."""
    saves = tmp_path / "saves"
    for step, held in ((0, UNTRAINED), (60, HALFWAY), (120, TRAINED)):
        write_eval(
            saves / "finetune" / f"tofu_{MODEL}_retain90" / f"checkpoint-{step}" / "evals", tofu_eval(held)
        )
    write_eval(saves / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals", tofu_eval(UNLEARNED))
    return saves


def by_name(store: Store) -> dict[str, ImportedRun]:
    return {each.model: each for each in runs_of(store, COLLECTION).values()}


def test_checkpoints_of_a_retained_model_keep_their_steps_and_the_last_one_is_the_reference(
    store: Store, trained: Path
) -> None:
    found, _ = import_results(store, [trained])
    runs = by_name(store)
    retained = sorted(each.step or 0 for each in runs.values() if each.part == "retained")
    assert retained == [0, 60, 120]
    npo = runs[f"tofu_{MODEL}_forget10_NPO"]
    assert npo.metrics[QUALITY].value == pytest.approx(p_value(UNLEARNED, TRAINED))
    assert npo.metrics[QUALITY].value > 0.05 > p_value(UNLEARNED, UNTRAINED)
    assert str(npo.settings["retained log"]).endswith("checkpoint-120/evals")
    said = "\n".join(map(str, found.notes))
    assert f"measured against tofu_{MODEL}_retain90 step 120 (the last step" in said
    assert "2 other retained runs" in said


def test_a_finished_run_is_later_than_every_checkpoint(store: Store, trained: Path) -> None:
    write_eval(trained / "finetune" / f"tofu_{MODEL}_retain90" / "evals", tofu_eval(ratios(9, -0.3)))
    import_results(store, [trained])
    found = reference(store, COLLECTION).run
    assert found is not None and found.step is None


def test_the_order_of_imports_does_not_matter(tmp_path: Path, trained: Path) -> None:
    pieces = [
        *sorted((trained / "finetune" / f"tofu_{MODEL}_retain90").iterdir()),
        trained / "unlearn",
    ]
    seen = []
    for place, order in enumerate(permutations(pieces)):
        store = open_store(tmp_path / f"{place}.sqlite")
        for path in order:
            import_results(store, [path])
        seen.append({name: each.metrics[QUALITY].value for name, each in by_name(store).items()})
    assert len(seen) == 24
    assert all(each == seen[0] for each in seen)
    together = {each.model: each.metrics[QUALITY].value for each in read_results([trained]).results}
    assert together == seen[0]


def test_importing_again_changes_nothing(store: Store, trained: Path) -> None:
    import_results(store, [trained / "unlearn"])
    import_results(store, [trained / "finetune"])
    before, version = by_name(store), store.version()
    _, changed = import_results(store, [trained])
    assert changed == (0, 0, 4)
    assert store.version() == version
    assert {name: each.settings for name, each in by_name(store).items()} == {
        name: each.settings for name, each in before.items()
    }


def test_the_log_that_a_run_names_goes_before_the_last_checkpoint(store: Store, trained: Path) -> None:
    folder = trained / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals"
    log = f"/elsewhere/saves/finetune/tofu_{MODEL}_retain90/checkpoint-60/evals/TOFU_EVAL.json"
    write_hydra(
        folder, f"retain_logs_path: {log}\neval:\n  tofu:\n    retain_logs_path: ${{retain_logs_path}}\n"
    )
    import_results(store, [trained])
    npo = by_name(store)[f"tofu_{MODEL}_forget10_NPO"]
    assert npo.settings["retain_logs_path"] == log
    assert npo.metrics[QUALITY].value == pytest.approx(p_value(UNLEARNED, HALFWAY))


def test_a_named_log_that_is_not_here_is_said(store: Store, trained: Path) -> None:
    folder = trained / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals"
    write_hydra(folder, "eval:\n  tofu:\n    retain_logs_path: saves/eval/another_model/TOFU_EVAL.json\n")
    found, _ = import_results(store, [trained])
    assert "saves/eval/another_model/TOFU_EVAL.json, which was not imported" in "\n".join(
        map(str, found.notes)
    )


def test_a_person_chooses_another_reference_and_takes_the_choice_back(store: Store, trained: Path) -> None:
    import_results(store, [trained])
    choose_reference(store, COLLECTION, f"tofu_{MODEL}_retain90 step 60")
    npo = by_name(store)[f"tofu_{MODEL}_forget10_NPO"]
    assert npo.metrics[QUALITY].value == pytest.approx(p_value(UNLEARNED, HALFWAY))
    import_results(store, [trained])  # the choice outlives an import
    assert reference(store, COLLECTION).chosen
    choose_reference(store, COLLECTION, "")
    npo = by_name(store)[f"tofu_{MODEL}_forget10_NPO"]
    assert npo.metrics[QUALITY].value == pytest.approx(p_value(UNLEARNED, TRAINED))
    with pytest.raises(StoreError, match="no retained run"):
        choose_reference(store, COLLECTION, f"tofu_{MODEL}_forget10_NPO")
    with pytest.raises(StoreError, match="No collection"):
        choose_reference(store, "nothing", "")


def test_a_retained_log_that_changed_changes_what_was_measured_against_it(
    store: Store, trained: Path
) -> None:
    import_results(store, [trained])
    folder = trained / "finetune" / f"tofu_{MODEL}_retain90" / "checkpoint-120" / "evals"
    write_eval(folder, tofu_eval(HALFWAY))
    _, changed = import_results(store, [trained])
    assert changed.replaced == 1
    npo = by_name(store)[f"tofu_{MODEL}_forget10_NPO"]
    assert npo.metrics[QUALITY].value == pytest.approx(p_value(UNLEARNED, HALFWAY))


def test_forget_quality_that_a_file_states_is_kept(store: Store, trained: Path) -> None:
    stated = tofu_eval(UNLEARNED, forget_quality={"agg_value": 0.123})
    write_eval(trained / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals", stated)
    import_results(store, [trained])
    assert by_name(store)[f"tofu_{MODEL}_forget10_NPO"].metrics[QUALITY].value == 0.123


def test_of_a_retained_model_the_reference_alone_is_drawn(store: Store, trained: Path) -> None:
    import_results(store, [trained])
    board = without_intermediate_steps(store, results_board(store, [COLLECTION]))
    kept = board.heads[board.heads["part"] == "retained"]
    assert list(kept["step"]) == [120]
    assert len(board) == 2
    choose_reference(store, COLLECTION, f"tofu_{MODEL}_retain90 step 60")
    board = without_intermediate_steps(store, results_board(store, [COLLECTION]))
    assert list(board.heads.loc[board.heads["part"] == "retained", "step"]) == [60]


def test_of_several_seeds_none_is_taken_by_chance(store: Store, tmp_path: Path) -> None:
    for name, held in (("retain90_seed2", HALFWAY), ("retain90", TRAINED), ("retain90_seed1", UNTRAINED)):
        write_eval(tmp_path / "saves" / "eval" / f"tofu_{MODEL}_{name}", tofu_eval(held))
    found, _ = import_results(store, [tmp_path / "saves"])
    kept = reference(store, COLLECTION)
    assert kept.run is not None and kept.run.model == f"tofu_{MODEL}_retain90"
    assert "the shortest name" in "\n".join(map(str, found.notes))


def test_equal_runs_and_an_unlearned_run_that_is_the_retained_one_are_said(
    store: Store, tmp_path: Path
) -> None:
    saves = tmp_path / "saves"
    write_eval(saves / "eval" / f"tofu_{MODEL}_retain90", tofu_eval(TRAINED))
    for method in ("NPO", "GradAscent"):
        write_eval(saves / "unlearn" / f"tofu_{MODEL}_forget10_{method}" / "evals", tofu_eval(TRAINED))
    write_eval(saves / "unlearn" / f"tofu_{MODEL}_forget10_RMU" / "evals", tofu_eval(UNLEARNED))
    import_results(store, [saves])
    said = "\n".join(collection_notes(store, COLLECTION))
    assert "equals the retained run" in said
    assert "have exactly the same numbers" in said
    assert "RMU" not in said
