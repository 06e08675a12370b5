"""The text of a probe file out of its bytes: its encoding is detected from its first bytes, never guessed.

UTF-8 and UTF-16 show themselves. Of the older encodings any byte fits several, so a person is asked which one it is,
shown what the text would be in each. Knows nothing of what the text holds.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with BOM"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
OLDER = ("cp1252", "mac-roman", "cp1250", "cp1251", "shift_jis", "gb18030", "euc-kr", "big5")
"""Encodings of which a person is asked, the most common first."""
SIGNATURES = (
    (b"PAR1", "Parquet", ".parquet"),
    (b"ARROW1", "an Arrow file", ".arrow"),
    (b"\x1f\x8b", "compressed with gzip", ".gz"),
    (b"\xfd7zXZ\x00", "compressed with xz", ".xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard", ".zst"),
    (b"BZh", "compressed with bzip2", ".bz2"),
)
FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive or a workbook", "Unpack it, or save its sheet as CSV"),
    (b"SQLite format 3", "a database of SQLite", "Export the table as CSV"),
    (b"\x80\x04", "a pickle", "Save it as JSON Lines"),
    (b"\x80\x02", "a pickle", "Save it as JSON Lines"),
    (b"%PDF", "a PDF", "Save it as CSV or JSON Lines"),
)
_COMMON = frozenset("äöüßéèêëàâçñáíóúìòùîôûåøæœÄÖÜÉÅØÑ")
_ESCAPED = re.compile("[\udc80-\udcff]")
SOME = 0.05
"""Share of lines that may be in no encoding, where bad rows are left out."""
_SAMPLE = 4096
_SHOWN = 24


class DecodedText(NamedTuple):
    """Text and what it was written in ("UTF-8 with BOM", "CR LF")."""

    text: str
    said: str


class NotText(Exception):
    """Why bytes cannot be read as text: a sentence without the file's name, and how to mend it."""

    def __init__(self, what: str, how: str = "") -> None:
        self.what = what
        self.how = how
        super().__init__(what)


def decode(data: bytes, encoding: str = "", *, keep_rest: bool = False) -> DecodedText:
    """The text, and what its bytes were.

    Args:
        data: the file.
        encoding: as a person named it; "" is what the bytes show.
        keep_rest: bytes that are no text in this encoding become lone surrogates, so that the other rows can be used.

    Raises:
        NotText: the bytes are in another encoding, damaged or no text at all.
    """
    if encoding:
        return DecodedText(_named(data, encoding), _with_line_ends(encoding, data))
    for bom, codec, said in BOMS:
        if data.startswith(bom):
            return DecodedText(_strict(data, codec, said, keep_rest), _with_line_ends(said, data))
    if wide := _wide(data):
        said = f"{wide.upper()} without BOM"
        return DecodedText(_strict(data, wide, said, keep_rest), _with_line_ends(said, data))
    _check_is_text(data)
    return DecodedText(_strict(data, "utf-8", "UTF-8", keep_rest), _with_line_ends("UTF-8", data))


def _named(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise NotText(
            f"unknown encoding {encoding!r}", f"Known are utf-8, utf-16, {', '.join(OLDER[:4])} and more"
        ) from None
    except (UnicodeError, ValueError) as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        raise NotText(f"line {line} is no text in {encoding}", "Name another encoding") from error


def _strict(data: bytes, codec: str, said: str, keep_rest: bool) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        what = f"line {line} is not {said.split()[0]} text"
        if not codec.startswith("utf-8"):
            raise NotText(what, "Save the file as UTF-8") from error
        cut = error.end >= len(data) and not data[: error.start].isascii()
        if cut and not keep_rest:
            raise NotText(f"{what}: the file ends inside a character, so it seems truncated") from error
        text = data.decode(codec, errors="surrogateescape")
        lines = text.split("\n")
        bad = sum(1 for line in lines if _ESCAPED.search(line))
        # A whole file in another encoding is not some bad rows.
        if not keep_rest or (bad > 1 and bad > SOME * len(lines)):
            raise _asking(data, error, what) from error
        return text


def _asking(data: bytes, error: UnicodeDecodeError, what: str) -> NotText:
    """What the text around the first such byte would be in each encoding that it could be in."""
    start = max(data.rfind(b"\n", 0, error.start) + 1, error.start - _SHOWN // 2)
    piece = data[start : error.start + _SHOWN // 2].split(b"\n")[0].strip()
    readings: dict[str, str] = {}
    for codec in OLDER:
        try:
            data.decode(codec)  # all of it must fit
            shown = piece.decode(codec, errors="ignore")
        except UnicodeDecodeError:
            continue
        if shown.isprintable() and shown not in readings.values():
            readings[codec] = shown
    best = sorted(readings, key=lambda codec: -_likely(readings[codec]))[:3]
    if not best:
        return NotText(what, "Save the file as UTF-8")
    told = ", ".join(f"“{readings[codec]}” in {codec}" for codec in best)
    return NotText(
        f"{what}; it would be {told}",
        f'Save the file as UTF-8, or say which it is: encoding = "{best[0]}"',
    )


def _likely(text: str) -> float:
    """How much the characters beyond ASCII look like writing: side by side in most scripts, one by one in Latin."""
    odd = [i for i, character in enumerate(text) if ord(character) > 127]
    return sum(_plausible(text, i) for i in odd) / max(1, len(odd))


def _plausible(text: str, place: int) -> float:
    script = _script(text[place])
    beside = [text[i] for i in (place - 1, place + 1) if 0 <= i < len(text)]
    alone = not any(_script(each) == script for each in beside)
    if script == "latin":
        common = 1.0 if text[place] in _COMMON else 0.6
        capital_inside = text[place].isupper() and bool(beside) and place > 0 and beside[0].islower()
        return common - (0.0 if alone else 0.7) - (0.5 if capital_inside else 0.0)
    if script in ("cyrillic", "east"):
        return 0.2 if alone else (1.1 if script == "cyrillic" else 1.2)
    return 0.9 if text[place] in "’‘“”–—«»…" else 0.0


def _script(character: str) -> str:
    code = ord(character)
    if code < 128:
        return ""
    if 0x400 <= code < 0x530:
        return "cyrillic"
    if code >= 0x3000 and (character.isalpha() or code < 0x3020):
        return "east"
    return "latin" if character.isalpha() else "sign"


def _wide(data: bytes) -> str:
    """UTF-16 without a byte order mark, by the zeros in every other byte; "" otherwise."""
    sample = data[:_SAMPLE]
    half = len(sample) // 2
    if len(data) % 2 or half < 2:
        return ""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd > 0.4 * half and not even:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 * half and not odd else ""


def _check_is_text(data: bytes) -> None:
    for signature, what, suffix in SIGNATURES:
        if data.startswith(signature):
            raise NotText(f"this file is {what}, despite its name", f"Rename it to end in {suffix}")
    for signature, what, how in FOREIGN:
        if data.startswith(signature):
            raise NotText(f"this file is {what}, no text", how)
    if (place := data.find(b"\0")) >= 0:
        line = data[:place].count(b"\n") + 1
        raise NotText(f"line {line} has NUL characters: this is not text file", "Save the file as UTF-8 text")


def _with_line_ends(said: str, data: bytes) -> str:
    sample = data[: 1 << 16]
    if b"\r\n" in sample or b"\r\0\n" in sample:
        return f"{said}, lines end in CR LF"
    return f"{said}, lines end in CR" if b"\r" in sample and b"\n" not in sample else said
