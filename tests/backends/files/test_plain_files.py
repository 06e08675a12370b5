"""What may be opened: plain files of a stated size, unpacked up to a limit; and what counts as a number."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import os

import pyarrow
import pytest

from backends.files.plain import (
    NotPlain,
    number,
    open_plain,
    parse_json,
    read_plain,
    storable,
    without_compression,
)

TEXT = "ünlearned\n".encode() * 3


def _zstd(data: bytes) -> bytes:
    return pyarrow.compress(data, codec="zstd", asbytes=True)


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress), (".zst", _zstd)],
)
def test_a_file_is_read_whole_and_unpacked_by_its_name(tmp_path, suffix, pack):
    path = tmp_path / f"rows.jsonl{suffix}"
    path.write_bytes(pack(TEXT))
    assert read_plain(path) == TEXT
    assert without_compression(path).name == "rows.jsonl"


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_what_is_damaged_is_refused_in_a_sentence(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(b"no such thing")
    with pytest.raises(NotPlain, match="cannot be unpacked"):
        read_plain(path)


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress), (".zst", _zstd)]
)
def test_a_bomb_is_noticed_before_it_takes_the_memory(tmp_path, suffix, pack):
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(pack(bytes(20 * 2**20)))
    with pytest.raises(NotPlain, match="unpacks to more than the 4 MB"):
        read_plain(path, most_unpacked=4 * 2**20)


def test_pipes_devices_and_folders_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name, kind in (("pipe", "named pipe"), ("endless", "device"), (".", "folder")):
        with pytest.raises(NotPlain, match=kind):
            open_plain(tmp_path / name)


def test_a_file_beyond_the_limit_and_one_that_is_not_there(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(100))
    with pytest.raises(NotPlain, match="is larger"):
        open_plain(path, most=99)
    with pytest.raises(NotPlain, match="No such file"):
        open_plain(tmp_path / "nowhere")
    with pytest.raises(NotPlain):
        open_plain(tmp_path / "null\0byte")


def test_numbers_that_no_float_holds_are_no_numbers():
    found = parse_json('{"a": 1' + "0" * 400 + ', "b": -' + "9" * 5000 + ', "c": 7}')
    assert math.isnan(number(found["a"])) and math.isnan(number(found["b"])) and number(found["c"]) == 7
    assert math.isnan(number(10**350))
    assert [math.isnan(number(value)) for value in (True, None, [1], "1e999", "nan", "x", "1" * 5000)] == [
        True
    ] * 7
    assert number(" 0.5 ") == 0.5


def test_json_that_is_nested_too_deeply_is_refused_and_a_mistake_has_its_place():
    with pytest.raises(NotPlain, match="nested"):
        parse_json("[" * 200_000)
    with pytest.raises(json.JSONDecodeError) as caught:
        parse_json('{"a": 1,\n "b" 2}')
    assert (caught.value.lineno, caught.value.colno) == (2, 6)


def test_a_lone_surrogate_becomes_something_that_can_be_stored():
    assert storable("ab\ud800c") == "ab?c"
