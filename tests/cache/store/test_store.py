"""The store keeps what it was given through kills, damage, other processes and full disks, and says what is wrong."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from backends.errors import StoreError
from backends.evidence import Answer, ImageEvidence, TextEvidence
from cache.store import Store, open_store, values
from cache.store.keys import Context
from cache.store.runs import RunRecord
from cache.store.schema import SCHEMA_VERSION
from cache.store.shipping import decompress_cells, forget_own_machine
from tests.damage import damage
from tests.filled_store import token_scores

RUN = RunRecord(
    key="run",
    study="study",
    model="Model",
    part="unlearned",
    method="NPO",
    step=None,
    fingerprint="f",
    probe_set="forget",
    role="forget",
    settings={},
    numerics="float32",
    device="cpu",
    dtype="float32",
    created="2026-01-01T00:00:00+00:00",
    seconds=1.0,
    n_probes=1,
    n_done=1,
    status="complete",
)
ROOT = Path(__file__).resolve().parents[3]
SCORES = Context("scores", "weights", "tokenizer", "corrected/1", "{}", "float32", 1)
IMAGES = Context("images", "weights", "", "same-noise/1", '{"seed": 1}', "float32", 1)


def evidence(number: int) -> TextEvidence:
    random = np.random.default_rng(number)
    return TextEvidence(
        {"answer": token_scores(f"word{number} and more of it", 0.5, random, 5)},
        (Answer(f"text {number}", 3, "stop", 0, 0.5),),
    )


def digests(start: int, count: int) -> list[str]:
    return [f"{number:032x}" for number in range(start, start + count)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "evidence.sqlite")
    store.register(SCORES)
    store.register(IMAGES)
    return store


def fill(store: Store, start: int = 0, count: int = 8, cell: int = 4) -> None:
    for first in range(start, start + count, cell):
        store.put_text(SCORES.key, [(d, evidence(first + i)) for i, d in enumerate(digests(first, cell))])


def corrupt_cell(path: Path, cell: int) -> None:
    with sqlite3.connect(path) as connection:
        payload = bytearray(
            connection.execute("SELECT payload FROM cells WHERE id = ?", (cell,)).fetchone()[0]
        )
        payload[len(payload) // 2] ^= 0xFF
        connection.execute("UPDATE cells SET payload = ? WHERE id = ?", (bytes(payload), cell))
    connection.close()


def test_what_was_put_is_found_by_another_store_and_nothing_else_is(store: Store) -> None:
    fill(store)
    again = open_store(store.path)
    found = again.text(SCORES.key, digests(2, 10))
    assert list(found) == digests(2, 6)
    assert found[digests(5, 1)[0]].answers == evidence(5).answers
    assert again.missing(SCORES.key, digests(2, 10)) == digests(8, 4)
    assert again.text(IMAGES.key, digests(0, 8)) == {}
    assert again.contexts() == [SCORES, IMAGES]


def test_the_newest_evidence_wins(store: Store) -> None:
    fill(store)
    digest = digests(1, 1)[0]
    store.put_text(SCORES.key, [(digest, evidence(99))])
    assert store.text(SCORES.key, [digest])[digest].answers == evidence(99).answers
    assert len(store.text(SCORES.key, digests(0, 8))) == 8


def test_missing_names_each_probe_once_in_order(store: Store) -> None:
    fill(store, count=4)
    wanted = [*digests(6, 1), *digests(0, 2), *digests(6, 1), *digests(5, 1)]
    assert store.missing(SCORES.key, wanted) == [*digests(6, 1), *digests(5, 1)]


def test_version_grows_with_what_another_process_writes(store: Store) -> None:
    before = store.version()
    fill(open_store(store.path))
    assert store.version() > before
    assert store.version() == store.version()


def test_a_damaged_cell_is_missing_counted_and_can_be_computed_again(store: Store) -> None:
    fill(store)
    corrupt_cell(store.path, 1)
    again = open_store(store.path)
    assert again.missing(SCORES.key, digests(0, 8)) == digests(0, 4)
    assert again.damaged() == 4
    assert list(again.text(SCORES.key, digests(0, 8))) == digests(4, 4)
    again.put_text(SCORES.key, [(d, evidence(i)) for i, d in enumerate(digests(0, 4))])
    assert again.damaged() == 0
    assert again.missing(SCORES.key, digests(0, 8)) == []


def test_reading_a_damaged_cell_gives_the_others(store: Store) -> None:
    fill(store)
    corrupt_cell(store.path, 2)
    again = open_store(store.path)
    assert list(again.text(SCORES.key, digests(0, 8))) == digests(0, 4)
    assert again.damaged() == 4


def test_a_page_that_sqlite_cannot_read_costs_only_its_cell(store: Store) -> None:
    for first in range(0, 12, 4):  # larger than a page, so that payloads lie on overflow pages
        rows = [
            TextEvidence({"answer": token_scores("w " * 900, 0.5, np.random.default_rng(first + i))})
            for i in range(4)
        ]
        store.put_text(SCORES.key, list(zip(digests(first, 4), rows, strict=True)))
    store.seal()
    with sqlite3.connect(store.path) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        payload = bytes(connection.execute("SELECT payload FROM cells WHERE id = 2").fetchone()[0])
    connection.close()
    image = bytearray(store.path.read_bytes())
    at = image.index(payload[size * 2 : size * 2 + 64])
    page = at // size * size
    image[page : page + 4] = b"\xff\xff\xff\xff"  # the chain to the next overflow page
    store.path.write_bytes(image)
    again = open_store(store.path)
    assert list(again.text(SCORES.key, digests(0, 12))) == [*digests(0, 4), *digests(8, 4)]
    assert again.missing(SCORES.key, digests(0, 12)) == digests(4, 4)


def test_images_are_files_named_by_their_hash_and_a_damaged_one_is_missing(store: Store) -> None:
    pngs = [b"first picture", b"second picture"]
    rows = [
        (digest, ImageEvidence(blake3(png).hexdigest(), 1, {}, np.zeros(2, np.float32), 0.1), png)
        for digest, png in zip(digests(0, 2), pngs, strict=True)
    ]
    store.put_images(IMAGES.key, rows)
    first = store.image_path(rows[0][1].image)
    assert first.read_bytes() == pngs[0]
    assert first.parent.name == rows[0][1].image[:2]
    first.write_bytes(b"first pict")
    again = open_store(store.path)
    assert list(again.images(IMAGES.key, digests(0, 2))) == digests(1, 1)
    assert again.missing(IMAGES.key, digests(0, 2)) == digests(0, 1)
    again.put_images(IMAGES.key, rows[:1])
    assert again.missing(IMAGES.key, digests(0, 2)) == []
    assert not list((store.path.parent / "images").rglob("*.tmp"))


def test_evidence_needs_a_registered_context(store: Store) -> None:
    with pytest.raises(ValueError, match="not registered"):
        store.put_text("0" * 32, [(digests(0, 1)[0], evidence(0))])


def test_threads_share_one_store(store: Store) -> None:
    threads = [threading.Thread(target=fill, args=(store, 100 * n, 16)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.missing(SCORES.key, digests(100 * n, 16)) == [] for n in range(4))


WRITER = """
import sys
from pathlib import Path
from tests.cache.store.test_store import SCORES, digests, evidence
from cache.store import Store, open_store
store = open_store(Path(sys.argv[1]))
store.register(SCORES)
for cell in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    store.put_text(SCORES.key, [(d, evidence(i)) for i, d in enumerate(digests(cell * 4, 4))])
    print(cell, flush=True)
"""


def writer(path: Path, start: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_a_killed_writer_loses_nothing_it_had_stored(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    process = writer(path, 0)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(7)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    said += process.stdout.readlines()
    process.stdout.close()
    stored = open_store(path)
    done = int([line for line in said if line.endswith("\n")][-1]) + 1
    missing = stored.missing(SCORES.key, digests(0, 160))
    assert set(missing).isdisjoint(digests(0, done * 4))
    assert len(missing) % 4 == 0, "a cell is there as a whole or not at all"
    assert stored.damaged() == 0


def test_two_processes_write_a_new_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    processes = [writer(path, start) for start in (0, 40)]
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0]
    assert open_store(path).missing(SCORES.key, digests(0, 320)) == []


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    path.write_text("My diary. " * 200)
    with pytest.raises(StoreError, match="not an UnlearnBoard cache"):
        open_store(path)
    assert path.read_text() == "My diary. " * 200


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program's database"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_refused(store: Store) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer UnlearnBoard"):
        open_store(store.path)


def test_a_full_disk_is_said_and_what_was_stored_stays(store: Store) -> None:
    fill(store)
    with store.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        engine = connection.engine

    from sqlalchemy import event

    store.close()
    few = f"PRAGMA max_page_count={pages + 1}"
    event.listen(engine, "connect", lambda raw, _: raw.execute(few))
    with pytest.raises(StoreError, match="disk is full"):
        fill(store, start=100, count=400)
    assert open_store(store.path).missing(SCORES.key, digests(0, 8)) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_said_in_one_sentence() -> None:
    with pytest.raises(StoreError, match="UNLEARNBOARD_CACHE"):
        open_store(Path("/proc/self/cache/evidence.sqlite"))


def test_a_database_that_became_read_only_is_said_in_one_sentence(store: Store) -> None:
    from sqlalchemy import event

    with store.reading() as connection:
        engine = connection.engine
    store.close()
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only=1"))
    with pytest.raises(StoreError, match="cannot be written"):
        fill(store)


def test_a_sealed_store_is_one_file_and_opens_again(store: Store) -> None:
    fill(store)
    store.put_text(SCORES.key, [(d, evidence(50 + i)) for i, d in enumerate(digests(0, 4))])
    store.seal()
    assert [path.name for path in store.path.parent.iterdir()] == ["evidence.sqlite"]
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT count(*) FROM cells").fetchone()[0] == 2, (
            "replaced cells are dropped"
        )
    connection.close()
    assert open_store(store.path).missing(SCORES.key, digests(0, 8)) == []


def cells_of(path: Path) -> list[bytes]:
    with sqlite3.connect(path) as connection:
        found = [payload for (payload,) in connection.execute("SELECT payload FROM cells")]
    connection.close()
    return found


def test_a_store_that_is_shipped_holds_the_same_in_cells_that_compress_together(store: Store) -> None:
    fill(store)
    store.put_memo("numbers", b"1 2 3")
    kept = store.text(SCORES.key, digests(0, 8))
    store.seal()
    zstd = b"\x28\xb5\x2f\xfd"  # what each of its frames begins with
    assert any(zstd in cell for cell in cells_of(store.path))
    decompress_cells(store.path)
    assert not any(zstd in cell for cell in cells_of(store.path))
    again = open_store(store.path)
    assert again.memo("numbers") is None, "it was made of the cells as they were"
    for digest, evidence in again.text(SCORES.key, digests(0, 8)).items():
        for name, scores in evidence.scores.items():
            assert np.array_equal(scores.logprobs, kept[digest].scores[name].logprobs)
            assert scores.pieces == kept[digest].scores[name].pieces


def test_what_is_true_of_the_machine_alone_is_not_shipped(store: Store) -> None:
    own, model = (
        store.register(values.checks_context("original", name, "float32")) for name in ("original", "npo")
    )
    store.put_values(own, {values.ONLY: {"report": None, "identity": ""}})
    store.put_values(model, {values.ONLY: {"report": {"matched": 1}, "identity": ""}})
    forget_own_machine(store)
    assert store.values([own, model]) == {
        own: {},
        model: {values.ONLY: {"report": {"matched": 1}, "identity": ""}},
    }


def test_values_are_kept_in_order_and_written_once(store: Store) -> None:
    context = store.register(values.losses_context("weights", values.timesteps_key([5]), "float32"))
    for number in (3, 1, 2):
        store.put_values(context, {f"{number}": ["forget", f"{number}", [0.1 * number]]})
    before = store.version()
    store.put_values(context, {"1": ["forget", "1", [0.1]]})
    assert store.version() == before
    assert list(open_store(store.path).values([context])[context]) == ["3", "1", "2"]
    store.put_values(context, {"1": ["forget", "1", [0.5]]})
    assert store.values([context])[context]["1"] == ["forget", "1", [0.5]]
    assert store.values(["0" * 32]) == {"0" * 32: {}}


def test_float32_goes_before_other_arithmetic(store: Store) -> None:
    wanted = values.checks_context("original", "model")
    assert values.kept(store, [wanted]) == {wanted: {}}
    for numerics in ("bfloat16-cuda", "float32", "float16-cuda"):
        context = values.checks_context("original", "model", numerics)
        store.put_values(store.register(context), {values.ONLY: numerics})
    assert values.kept(store, [wanted]) == {wanted: {values.ONLY: "float32"}}
    assert damage(store.path, "checks") == 3
    assert values.kept(open_store(store.path), [wanted]) == {wanted: {}}


def test_a_damaged_memo_is_forgotten(store: Store) -> None:
    store.put_memo("numbers", b"1 2 3")
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE memos SET payload = ?", (b"1 2 4",))
    connection.close()
    assert store.memo("numbers") is None


def change(store: Store, statement: str, *values: object) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute(statement, values)
    connection.close()


def test_evidence_of_a_damaged_context_is_missing_until_it_is_registered_again(store: Store) -> None:
    fill(store)
    change(store, "UPDATE contexts SET settings = ? WHERE kind = 'scores'", b"\xff{")
    again = open_store(store.path)
    assert [context.kind for context in again.contexts()] == ["images"]
    assert again.missing(SCORES.key, digests(0, 8)) == digests(0, 8)
    assert again.text(SCORES.key, digests(0, 8)) == {}
    assert again.damaged() == 8
    again.register(SCORES)
    assert again.missing(SCORES.key, digests(0, 8)) == []
    assert again.damaged() == 0


@pytest.mark.parametrize(
    "record", ["", "[]", "{", '{"key": "k"}', "null", json.dumps(asdict(RUN) | {"seconds": "long"})]
)
def test_a_damaged_run_is_left_out_and_counted(store: Store, record: str) -> None:
    store.put_run(RUN)
    store.put_run(replace(RUN, key="other"))
    change(store, "UPDATE runs SET record = ? WHERE key = 'run'", record)
    assert [run.key for run in store.runs()] == ["other"]
    assert store.damaged() == 1
    store.put_run(RUN)
    assert {run.key for run in store.runs()} == {"run", "other"}


def test_an_emptied_table_of_versions_is_mended_by_the_next_write(store: Store) -> None:
    change(store, "DELETE FROM meta WHERE key = 'version'")
    assert store.version() == 0
    fill(store)
    assert store.version() > 0


def test_an_image_that_was_deleted_by_hand_is_missing(store: Store) -> None:
    png = b"picture"
    found = ImageEvidence(blake3(png).hexdigest(), 1, {}, np.zeros(0, np.float32), 0.0)
    store.put_images(IMAGES.key, [("d" * 32, found, png)])
    assert store.missing(IMAGES.key, ["d" * 32]) == []
    store.image_path(found.image).unlink()
    assert store.missing(IMAGES.key, ["d" * 32]) == ["d" * 32]
    assert store.images(IMAGES.key, ["d" * 32]) == {}
    with pytest.raises(StoreError, match="deleted"):
        store.image_path(found.image)


def test_a_full_disk_leaves_no_half_image(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    found = ImageEvidence(blake3(b"picture").hexdigest(), 1, {}, np.zeros(0, np.float32), 0.0)
    with pytest.raises(StoreError, match="the disk is full"):
        store.put_images(IMAGES.key, [("d" * 32, found, b"picture")])
    assert not list(store.path.parent.rglob("*.tmp"))


def test_one_probe_is_read_with_one_look_at_the_contexts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    again = open_store(store.path)
    looks: list[int] = []
    contexts = again.contexts

    def look() -> list[Context]:
        looks.append(1)
        return contexts()

    monkeypatch.setattr(again, "contexts", look)
    for digest in digests(0, 8):
        assert again.missing(SCORES.key, [digest]) == []
        assert list(again.text(SCORES.key, [digest])) == [digest]
    assert len(looks) == 1


def test_large_images_have_thumbnails_and_small_ones_are_their_own(store: Store) -> None:
    import numpy as np
    from blake3 import blake3
    from PIL import Image

    from backends.evidence import ImageEvidence
    from backends.image.png import encode
    from backends.study import Sampling
    from cache.store import keys

    paths = []
    key = store.register(keys.images_context("weights", Sampling(), 1, "", "float32"))
    for side in (24, 512):
        png = encode(np.full((side, side, 3), 90, np.uint8), {})
        image = blake3(png).hexdigest()
        store.put_images(key, [("probe", ImageEvidence(image, 1, {}, np.zeros(0, np.float32), 0.1), png)])
        small = store.thumbnail_path(image)
        paths.append((store.image_path(image), small))
        with Image.open(small) as picture:
            assert max(picture.size) == min(side, 320)
    assert paths[0][0] == paths[0][1]
    assert paths[1][1].suffix == ".webp"
    paths[1][1].unlink()
    again = store.thumbnail_path(paths[1][0].stem)
    assert again == paths[1][1] and again.is_file()
