"""Taking over another store loses nothing of either, changes nothing the second time, and never touches the other."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from backends.errors import StoreError
from backends.evidence import ImageEvidence
from backends.image.networks.named import Network
from cache.analysis.scoreboard import scoreboard
from cache.importers import import_results
from cache.importers.imported_runs import choices, choose_reference, reference, settle
from cache.store import Store, open_store, schema
from cache.store.features import put_vectors, vectors
from cache.store.image_files import ImageFiles
from cache.store.merge import EVIDENCE, OWN, RULES, Counts, MergeResult, merge
from cache.store.other import database_of, opened
from cache.store.results import collections, examples, runs_of
from tests.cache.store.test_store import IMAGES, RUN, SCORES, corrupt_cell, digests, evidence, fill
from tests.filled_store import fill_images, fill_text, image_study, text_study

FIRST = digests(0, 1)[0]


def picture(content: bytes = b"picture") -> tuple[ImageEvidence, bytes]:
    return ImageEvidence(blake3(content).hexdigest(), 1, {}, np.zeros(1, np.float32), 0.1), content


def new_store(folder: Path) -> Store:
    store = open_store(folder / "evidence.sqlite")
    store.register(SCORES)
    store.register(IMAGES)
    return store


@pytest.fixture
def theirs(tmp_path: Path) -> Store:
    return new_store(tmp_path / "theirs")


@pytest.fixture
def mine(tmp_path: Path) -> Store:
    return new_store(tmp_path / "mine")


def state(folder: Path) -> dict[str, str]:
    """Every file of a cache and what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the tables but the store's own name."""
    with store.reading() as connection:
        return {
            name: sorted(map(tuple, connection.execute(table.select())), key=repr)
            for name, table in schema.metadata.tables.items()
        }


def change(store: Store, statement: str, values: tuple[object, ...] = ()) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute(statement, values)
    connection.close()


def test_every_table_has_a_rule() -> None:
    """Who adds a table says here what becomes of its rows when caches are merged, or what they hold is lost."""
    named = [*RULES, *EVIDENCE, *OWN]
    assert sorted(named) == sorted(schema.metadata.tables)
    for name, rule in RULES.items():
        table = schema.metadata.tables[name]
        unique = [{column.name} for column in table.columns if column.unique] + [
            set(table.primary_key.columns.keys())
        ]
        assert set(rule.key) in unique, f"{name}: {rule.key} does not tell its rows apart"


def test_everything_comes_and_the_second_time_nothing_changes(mine: Store, theirs: Store) -> None:
    seen, png = picture()
    fill(theirs)
    theirs.put_images(IMAGES.key, [(FIRST, seen, png)])
    theirs.put_memo("numbers", b"1 2 3")
    theirs.put_run(RUN)
    network = Network("clip", "CLIP", "digest")
    put_vectors(theirs, network, {seen.image: np.ones(3, np.float32)})
    mine.put_text(SCORES.key, [(FIRST, evidence(77))])  # newer than theirs
    merged = merge(mine, theirs)
    assert merged.tables["evidence"] == Counts(new=8, older=1)  # seven answers and an image
    assert merged.tables["runs"].new == merged.tables["memos"].new == merged.pictures.new == 1
    found = mine.text(SCORES.key, digests(0, 8))
    assert len(found) == 8
    assert found[FIRST].answers == evidence(77).answers
    assert found[digests(7, 1)[0]].answers == evidence(7).answers
    assert mine.images(IMAGES.key, [FIRST])[FIRST].image == seen.image
    assert mine.image_path(seen.image).read_bytes() == png
    assert mine.memo("numbers") == b"1 2 3"
    assert mine.runs("study") == [RUN]
    assert list(vectors(mine, network, [seen.image])) == [seen.image]
    mine.close()
    before = rows(mine), mine.version()
    assert merge(mine, theirs).taken == 0
    assert (rows(mine), mine.version()) == before


def test_stores_that_number_their_rows_otherwise_are_told_by_what_the_rows_say(
    mine: Store, theirs: Store
) -> None:
    other = replace(SCORES, fingerprint="another")
    for store, order in ((mine, (SCORES, other)), (theirs, (other, SCORES))):
        for context in order:
            store.register(context)
    change(mine, "UPDATE contexts SET id = id + 100")
    theirs.put_text(other.key, [(FIRST, evidence(1))])
    theirs.put_text(SCORES.key, [(FIRST, evidence(2))])
    merge(mine, theirs)
    assert mine.text(other.key, [FIRST])[FIRST].answers == evidence(1).answers
    assert mine.text(SCORES.key, [FIRST])[FIRST].answers == evidence(2).answers


def test_the_newest_evidence_stays_whichever_store_it_is_in(mine: Store, theirs: Store) -> None:
    mine.put_text(SCORES.key, [(FIRST, evidence(1))])
    theirs.put_text(SCORES.key, [(FIRST, evidence(2))])
    assert merge(mine, theirs).tables["evidence"] == Counts(newer=1)
    assert mine.text(SCORES.key, [FIRST])[FIRST].answers == evidence(2).answers
    assert merge(theirs, mine).taken == 0
    mine.put_text(SCORES.key, [(FIRST, evidence(3))])
    assert merge(mine, theirs).tables["evidence"] == Counts(older=1)
    assert mine.text(SCORES.key, [FIRST])[FIRST].answers == evidence(3).answers


def test_a_run_that_was_carried_further_goes_before_a_newer_one_that_was_stopped(
    mine: Store, theirs: Store
) -> None:
    stopped = replace(RUN, created="2026-02-01T00:00:00+00:00", n_done=0, status="partial")
    mine.put_run(RUN)
    theirs.put_run(stopped)
    assert merge(mine, theirs).tables["runs"] == Counts(older=1)
    assert mine.runs() == [RUN]
    assert merge(theirs, mine).tables["runs"] == Counts(newer=1)
    assert theirs.runs() == [RUN]


def test_what_the_other_store_got_since_comes_the_next_time(mine: Store, theirs: Store) -> None:
    fill(theirs, count=4)
    assert merge(mine, theirs).tables["evidence"].new == 4
    fill(theirs, start=4, count=4)
    assert merge(mine, theirs).tables["evidence"].new == 4
    assert mine.missing(SCORES.key, digests(0, 8)) == []


def test_what_is_damaged_here_is_mended(mine: Store, theirs: Store) -> None:
    seen, png = picture()
    fill(theirs)
    theirs.put_images(IMAGES.key, [(FIRST, seen, png)])
    theirs.put_memo("numbers", b"1 2 3")
    theirs.put_run(RUN)
    merge(mine, theirs)
    corrupt_cell(mine.path, 1)
    change(mine, "UPDATE memos SET payload = x'00'")
    change(mine, "UPDATE runs SET record = 'nonsense'")
    mine.image_path(seen.image).write_bytes(b"pict")
    again = open_store(mine.path)
    assert len(again.missing(SCORES.key, digests(0, 8))) == 4  # found damaged
    merged = merge(again, theirs)
    assert merged.tables["evidence"] == Counts(mended=4)
    assert merged.tables["memos"].mended == merged.tables["runs"].mended == 1
    assert again.missing(SCORES.key, digests(0, 8)) == []
    assert again.memo("numbers") == b"1 2 3"
    assert again.runs() == [RUN]
    assert list(again.images(IMAGES.key, [FIRST])) == [FIRST]


def test_what_is_damaged_there_does_not_come_and_the_rest_does(mine: Store, theirs: Store) -> None:
    fill(theirs)
    seen, png = picture()
    theirs.put_images(IMAGES.key, [(FIRST, seen, png), (digests(1, 1)[0], *picture(b"another"))])
    theirs.put_memo("good", b"1")
    theirs.put_memo("bad", b"2")
    corrupt_cell(theirs.path, 1)
    change(theirs, "UPDATE memos SET payload = x'00' WHERE key = 'bad'")
    change(theirs, "UPDATE contexts SET settings = '{}' WHERE kind = 'nothing'")
    theirs.image_path(seen.image).write_bytes(b"pict")
    merged = merge(mine, theirs)
    assert merged.tables["evidence"] == Counts(new=5, damaged=5)
    assert (merged.tables["memos"].new, merged.tables["memos"].damaged) == (1, 1)
    assert (merged.pictures.new, merged.pictures.damaged) == (1, 1)
    assert mine.missing(SCORES.key, digests(0, 8)) == digests(0, 4)
    assert mine.memo("bad") is None and mine.memo("good") == b"1"
    assert list(mine.images(IMAGES.key, digests(0, 2))) == digests(1, 1)


def test_newer_evidence_that_is_damaged_does_not_take_the_place_of_ours(mine: Store, theirs: Store) -> None:
    mine.put_images(IMAGES.key, [(FIRST, *picture(b"ours"))])
    theirs.put_images(IMAGES.key, [(FIRST, *picture(b"theirs"))])
    theirs.image_path(picture(b"theirs")[0].image).unlink()
    assert merge(mine, theirs).tables["evidence"] == Counts(damaged=1)
    assert mine.images(IMAGES.key, [FIRST])[FIRST].image == picture(b"ours")[0].image


def test_values_of_wrong_types_do_not_come(mine: Store, theirs: Store) -> None:
    fill(theirs, count=4)
    theirs.put_memo("bad", b"2")
    change(theirs, "UPDATE memos SET payload = 'text'")
    change(theirs, "UPDATE cells SET created = 'yesterday'")
    change(theirs, "INSERT INTO runs VALUES ('run', 'study', '2026', '[]')")
    merged = merge(mine, theirs)
    assert merged.taken == 0
    assert merged.tables["evidence"].damaged == 4
    assert merged.tables["memos"].damaged == merged.tables["runs"].damaged == 1


def test_a_cell_that_lies_about_its_buffers_does_not_come(mine: Store, theirs: Store) -> None:
    fill(theirs, count=4)
    with sqlite3.connect(theirs.path) as connection:
        payload = bytes(connection.execute("SELECT payload FROM cells").fetchone()[0])[:-400]
        checksum = blake3(payload).hexdigest()
        connection.execute("UPDATE cells SET payload = ?, checksum = ?", (payload, checksum))
    connection.close()
    assert merge(mine, theirs).tables["evidence"] == Counts(damaged=4)


def test_where_the_disk_is_full_nothing_has_come(
    mine: Store, theirs: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, png = picture()
    theirs.put_images(IMAGES.key, [(FIRST, seen, png)])

    def full(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"the disk is full.*Free some space"):
        merge(mine, theirs)
    assert not [path for path in (mine.path.parent / "images").rglob("*") if path.is_file()]


def test_ctrl_c_leaves_no_row(mine: Store, theirs: Store) -> None:
    fill(theirs, count=8)
    theirs.put_run(RUN)
    before = rows(mine)

    def interrupted(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(mine, theirs, progress=interrupted)
    assert rows(mine) == before
    assert merge(mine, theirs).tables["evidence"].new == 8


def test_numbers_are_the_same_after_two_halves_were_merged(tmp_path: Path) -> None:
    whole, first, second = (
        open_store(tmp_path / name / "evidence.sqlite") for name in ("whole", "first", "second")
    )
    fill_text(text_study(), whole)
    fill_images(image_study(), whole)
    fill_text(text_study(), first)
    fill_images(image_study(), second)
    merge(first, second)
    for study in (text_study(), image_study()):
        ours, theirs = scoreboard(study, first).frame, scoreboard(study, whole).frame
        assert np.allclose(ours["value"], theirs["value"], rtol=0, atol=1e-12, equal_nan=True)
        assert list(ours["key"]) == list(theirs["key"])


# Imported results


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    from tests.foreign_more import MODEL, tofu_eval, write_eval

    folder = tmp_path / "saves"
    random = np.random.default_rng(0)
    for step, centre in ((30, -2.0), (60, -0.4)):
        held = np.exp(random.normal(centre, 0.4, 40)).tolist()
        run = folder / "finetune" / f"tofu_{MODEL}_retain90" / f"checkpoint-{step}" / "evals"
        write_eval(run, tofu_eval(held))
    unlearned = tofu_eval(np.exp(random.normal(-0.4, 0.4, 40)).tolist(), forget_Q_A_Prob=0.2)
    write_eval(folder / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals", unlearned)
    return folder


def take(store: Store, other: Store) -> MergeResult:
    ours = choices(store)
    merged = merge(store, other)
    settle(store, ours, choices(other))
    return merged


def test_imported_runs_come_with_examples_numbers_and_their_reference(
    saves: Path, mine: Store, theirs: Store
) -> None:
    import_results(theirs, [saves])
    (collection,) = collections(theirs)
    first = next(run.model for run in runs_of(theirs, collection.name).values() if run.step == 30)
    choose_reference(theirs, collection.name, first)
    merged = take(mine, theirs)
    assert merged.tables["results"].new == 3
    assert collections(mine) == collections(theirs)
    held, kept = runs_of(theirs, collection.name), runs_of(mine, collection.name)
    assert {key: str(run) for key, run in kept.items()} == {key: str(run) for key, run in held.items()}
    for key in held:
        assert examples(mine, key).equals(examples(theirs, key))
    found = reference(mine, collection.name)
    assert found.run is not None and found.run.model == first and found.chosen
    before = rows(mine), mine.version()
    assert take(mine, theirs).taken == 0
    assert (rows(mine), mine.version()) == before


def test_our_own_choice_of_a_reference_stays(saves: Path, mine: Store, theirs: Store) -> None:
    for store, step in ((mine, 60), (theirs, 30)):
        import_results(store, [saves])
        (collection,) = collections(store)
        chosen = next(run.model for run in runs_of(store, collection.name).values() if run.step == step)
        choose_reference(store, collection.name, chosen)
    ours = choices(mine)
    assert ours != choices(theirs)
    take(mine, theirs)
    assert choices(mine) == ours


def test_a_reference_in_one_store_measures_the_runs_of_the_other(
    saves: Path, mine: Store, theirs: Store
) -> None:
    import_results(mine, [saves / "unlearn"])
    import_results(theirs, [saves / "finetune"])
    (collection,) = collections(mine)
    (before,) = runs_of(mine, collection.name).values()
    assert "forget/forget_quality" not in before.metrics
    take(mine, theirs)
    after = next(run for run in runs_of(mine, collection.name).values() if run.part == "unlearned")
    assert "forget/forget_quality" in after.metrics


# Opening the other store


def test_the_other_cache_is_never_written_to(mine: Store, theirs: Store) -> None:
    fill(theirs)
    change(theirs, "DROP TABLE features")  # as caches of the first version are
    change(theirs, "DROP TABLE networks")
    change(theirs, "PRAGMA user_version=1")
    theirs.close()
    folder = theirs.path.parent
    before = state(folder)
    for name in (folder, theirs.path):
        with opened(database_of(name), mine.path.parent) as other:
            merge(mine, other.store)
    assert state(folder) == before
    assert mine.missing(SCORES.key, digests(0, 8)) == []
    assert not list(mine.path.parent.glob(".other-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_taken_over(mine: Store, theirs: Store) -> None:
    fill(theirs)
    theirs.seal()
    theirs.path.parent.chmod(0o500)
    try:
        with opened(theirs.path, mine.path.parent) as other:
            assert merge(mine, other.store).tables["evidence"].new == 8
    finally:
        theirs.path.parent.chmod(0o700)


def test_what_a_live_cache_holds_in_its_log_comes(mine: Store, theirs: Store) -> None:
    fill(theirs)
    assert theirs.path.with_name("evidence.sqlite-wal").stat().st_size > 0
    with opened(theirs.path, mine.path.parent) as other:
        assert merge(mine, other.store).tables["evidence"].new == 8


def nowhere(folder: Path) -> Path:
    return folder / "nowhere"


def no_database(folder: Path) -> Path:
    (folder / "text.sqlite").write_text("hello " * 500)
    return folder / "text.sqlite"


def another_program(folder: Path) -> Path:
    with sqlite3.connect(folder / "other.sqlite") as connection:
        connection.execute("CREATE TABLE books (title TEXT)")
    connection.close()
    return folder / "other.sqlite"


def newer(folder: Path) -> Path:
    store = open_store(folder / "newer" / "evidence.sqlite")
    store.seal()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    return store.path


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (nowhere, "there is no such cache"),
        (no_database, "not an UnlearnBoard cache"),
        (another_program, "another program's database"),
        (newer, "written by a newer UnlearnBoard"),
    ],
)
def test_what_is_no_cache_of_ours_says_so(
    made: Callable[[Path], Path], said: str, mine: Store, tmp_path: Path
) -> None:
    path = made(tmp_path)
    with pytest.raises(StoreError, match=said) as raised, opened(database_of(path), mine.path.parent):
        pass
    assert str(path) in str(raised.value)


def test_a_store_that_does_not_say_which_it_is_comes_all_the_same(mine: Store, theirs: Store) -> None:
    fill(theirs)
    change(theirs, "DELETE FROM meta")
    with opened(theirs.path, mine.path.parent) as other:
        assert merge(mine, other.store).tables["evidence"].new == 8


def test_a_store_with_broken_pages_gives_what_can_be_read(mine: Store, theirs: Store) -> None:
    fill(theirs, count=400, cell=4)
    theirs.seal()
    content = bytearray(theirs.path.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    middle = len(content) // page // 2 * page
    content[middle : middle + page] = b"\xff" * page
    theirs.path.write_bytes(content)
    with opened(theirs.path, mine.path.parent) as other:
        merged = merge(mine, other.store)
    assert 0 < merged.tables["evidence"].new < 400


def test_pictures_are_taken_by_what_they_hold(tmp_path: Path) -> None:
    good, bad = ImageFiles(tmp_path / "good"), tmp_path / "bad"
    digest = good.write(b"picture")
    shutil.copytree(good.folder, bad)
    lie = bad / "aa" / f"{'a' * 64}.png"
    lie.parent.mkdir()
    lie.write_bytes(b"something else")
    os.mkfifo(bad / "aa" / f"{'b' * 64}.png")
    mine = ImageFiles(tmp_path / "mine")
    assert mine.copy_from(bad) == (1, 2)
    assert mine.intact(digest) and not mine.path("a" * 64).exists()
