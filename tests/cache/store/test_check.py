"""Looking through a cache finds every kind of damage, marks what can be made again, and touches nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.image.networks.named import Network
from cache.store import Store, open_store
from cache.store.check import CheckFindings, check
from cache.store.features import put_vectors
from tests.cache.store.test_merge import change, picture
from tests.cache.store.test_store import IMAGES, RUN, SCORES, corrupt_cell, digests, fill


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Eight pieces of text evidence in two cells, two pictures in one, a run, a memo and a vector."""
    store = open_store(tmp_path / "evidence.sqlite")
    store.register(SCORES)
    store.register(IMAGES)
    fill(store)
    drawn = [(digest, *picture(digest.encode())) for digest in digests(0, 2)]
    store.put_images(IMAGES.key, drawn)
    store.put_run(RUN)
    store.put_memo("numbers", b"1 2 3")
    put_vectors(store, Network("clip", "CLIP", "digest"), {"text": np.ones(3, np.float32)})
    return store


def test_a_whole_cache_is_whole(store: Store) -> None:
    version = store.version()
    checked = check(store)
    assert checked.is_whole and checked.faults == ()
    assert checked.kinds["evidence"] == CheckFindings(whole=10)
    assert checked.kinds["pictures"] == CheckFindings(whole=2)
    assert {name: each.whole for name, each in checked.kinds.items() if each.whole} == {
        **{"evidence": 10, "pictures": 2, "contexts": 2, "runs": 1, "memos": 1, "networks": 1, "features": 1}
    }
    assert store.version() == version


def test_a_damaged_cell_is_found_and_marked_so_that_it_is_made_again(store: Store) -> None:
    corrupt_cell(store.path, 1)
    checked = check(store)
    assert checked.kinds["evidence"] == CheckFindings(whole=6, damaged=4)
    assert not checked.is_whole
    again = open_store(store.path)
    assert again.damaged() == 4
    assert again.missing(SCORES.key, digests(0, 8)) == digests(0, 4)
    assert check(again).kinds["evidence"] == CheckFindings(whole=6, damaged=4)
    fill(again, count=4)
    assert check(again).kinds["evidence"] == CheckFindings(whole=10)


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("runs", "UPDATE runs SET record = '{}'"),
        ("memos", "UPDATE memos SET payload = x'00'"),
        ("features", "UPDATE features SET vector = x'00000000'"),
        ("contexts", "UPDATE contexts SET settings = 'other' WHERE kind = 'scores'"),
    ],
)
def test_a_damaged_row_of_any_table_is_found(store: Store, kind: str, statement: str) -> None:
    change(store, statement)
    checked = check(open_store(store.path))
    assert checked.kinds[kind].damaged == 1
    assert sum(each.damaged for each in checked.kinds.values()) == 1
    assert not checked.is_whole


def test_pictures_that_are_gone_or_changed_are_told_apart(store: Store) -> None:
    gone, changed = (picture(digest.encode())[0].image for digest in digests(0, 2))
    store.image_path(gone).unlink()
    store.image_path(changed).write_bytes(b"pict")
    assert check(open_store(store.path)).kinds["pictures"] == CheckFindings(damaged=1, missing=1)


def test_what_nothing_needs_is_counted_and_is_no_damage(store: Store) -> None:
    fill(store, count=4)  # takes the place of a cell
    folder = store.path.parent / "images" / "aa"
    folder.mkdir(exist_ok=True)
    (folder / f"{'a' * 64}.png").write_bytes(b"12345")
    checked = check(store)
    assert (checked.kinds["evidence"].whole, checked.kinds["evidence"].unused) == (10, 1)
    assert (checked.kinds["pictures"].unused, checked.kinds["pictures"].unused_bytes) == (1, 5)
    assert checked.is_whole


def test_broken_pages_are_told_and_what_lies_elsewhere_is_whole(store: Store) -> None:
    fill(store, count=400, cell=4)
    store.seal()
    content = bytearray(store.path.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    middle = len(content) // page // 2 * page
    content[middle : middle + page] = b"\xff" * page
    store.path.write_bytes(content)
    checked = check(open_store(store.path))
    assert checked.faults
    assert checked.kinds["evidence"].damaged > 0
    assert checked.kinds["evidence"].whole > 100
