"""A disk that is full says so, with how much was needed, and nothing that was stored is lost.

On Linux with the right to mount, the disk is a real one of a few hundred kilobytes; elsewhere these tests are skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import save

from backends.checkpoints.compressed import compress, unpacked
from backends.errors import CheckpointError, StoreError
from backends.evidence import ANSWER, ImageEvidence, TextEvidence
from backends.study import Sampling
from cache.store import keys, open_store, values
from cache.store.merge import merge
from tests.filled_store import token_scores

SIZE = 600_000
SAID = r"the disk is full: .+ needs [\d.,]+ (kB|MB), [\d.,]+ (kB|MB) are free.*what was stored is kept"
CONTEXT = keys.scores_context("weights", "tokenizer", "float32")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if not Path("/proc/mounts").exists() or subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """A file that leaves so many bytes free."""
    ballast = folder / "ballast"
    state = os.statvfs(folder)
    ballast.write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - leave)))
    return ballast


def text_evidence() -> TextEvidence:
    return TextEvidence({ANSWER: token_scores("Ann Bree is a baker.", 1.0, np.random.default_rng(1))})


def noise(count: int) -> bytes:
    return np.random.default_rng(0).bytes(count)


def test_evidence_that_does_not_fit_is_told_and_what_was_stored_stays(small_disk: Path) -> None:
    store = open_store(small_disk / "cache" / "evidence.sqlite")
    store.register(CONTEXT)
    store.put_text(CONTEXT.key, [("first", text_evidence())])
    ballast = fill(small_disk, 8192)
    with pytest.raises(StoreError, match=SAID):
        for number in range(300):
            store.put_memo(f"{number}", noise(20_000))
    with pytest.raises(StoreError, match="disk is full"):
        store.put_text(CONTEXT.key, [(f"{n}", text_evidence()) for n in range(400)])
    store.close()
    ballast.unlink()
    again = open_store(store.path)
    assert again.missing(CONTEXT.key, ["first", "0"]) == ["0"]
    again.put_text(CONTEXT.key, [("0", text_evidence())])
    assert again.missing(CONTEXT.key, ["first", "0"]) == []


def test_a_store_that_is_taken_over_and_does_not_fit_says_so(small_disk: Path, tmp_path: Path) -> None:
    """SQLite takes such a transaction back by itself: undoing it again was "cannot rollback"."""
    theirs = open_store(tmp_path / "theirs" / "evidence.sqlite")
    theirs.register(CONTEXT)
    for number in range(60):
        theirs.put_memo(f"{number}", noise(20_000))
    theirs.seal()
    mine = open_store(small_disk / "cache" / "evidence.sqlite")
    with pytest.raises(StoreError, match=SAID):
        merge(mine, theirs)
    assert mine.contexts() == []


def test_a_picture_that_does_not_fit_leaves_no_half_of_itself(small_disk: Path) -> None:
    store = open_store(small_disk / "cache" / "evidence.sqlite")
    key = store.register(keys.images_context("weights", Sampling(), 1, "", "float32"))
    fill(small_disk, 100_000)
    png = noise(200_000)
    found = ImageEvidence(blake3(png).hexdigest(), 1, {}, np.zeros(0, np.float32), 0.0)
    with pytest.raises(StoreError, match=r"full: a picture needs 0.2 MB, [\d.]+ (kB|MB) are free"):
        store.put_images(key, [("probe", found, png)])
    assert not [path for path in (small_disk / "cache" / "images").rglob("*") if path.is_file()]


def test_a_loss_that_does_not_fit_is_told_and_those_before_it_stay(small_disk: Path) -> None:
    store = open_store(small_disk / "cache" / "evidence.sqlite")
    context = store.register(values.losses_context("weights", values.timesteps_key([5, 500]), "float32"))
    store.put_values(context, {"first": ["forget", "name", [0.125] * 200]})
    ballast = fill(small_disk, 8192)
    kept = 1
    with pytest.raises(StoreError, match="disk is full"):
        for number in range(1000):
            store.put_values(context, {f"{number}": ["forget", f"{number}", [0.125] * 200]})
            kept += 1
    store.close()
    ballast.unlink()
    again = open_store(store.path)
    assert len(again.values([context])[context]) == kept
    assert again.values([context])[context]["first"] == ["forget", "name", [0.125] * 200]


def test_weights_that_do_not_fit_unpacked_say_so(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(small_disk))
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(save({"a": np.frombuffer(noise(2_000_000), np.uint8)}))
    packed = compress(weights)
    with pytest.raises(CheckpointError, match=r"the disk is full.*are free"):
        unpacked(weights)
    assert packed.is_file() and not [p for p in (small_disk / "unpacked").rglob("*") if p.is_file()]


def test_a_new_cache_on_a_full_disk_says_so(small_disk: Path) -> None:
    fill(small_disk, 0)
    with pytest.raises(StoreError, match=re.compile("disk is full|No space left")):
        open_store(small_disk / "cache" / "evidence.sqlite")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of a process")
def test_a_limit_of_file_sizes_is_said_and_what_was_stored_stays(tmp_path: Path) -> None:
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    store.register(CONTEXT)
    store.put_text(CONTEXT.key, [("first", text_evidence())])
    store.close()
    script = (
        "import resource, sys; from pathlib import Path; from cache.store import Store, open_store\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "try:\n"
        "    for n in range(200): store.put_memo(str(n), bytes(range(256)) * 400)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    root = Path(__file__).parents[3]
    asked = [sys.executable, "-c", script, str(store.path)]
    said = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True).stdout
    assert said.startswith("StoreError ") and "file size limit" in said and "what was stored is kept" in said
    assert open_store(store.path).missing(CONTEXT.key, ["first"]) == []
