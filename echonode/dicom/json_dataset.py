"""A data set from its DICOM JSON (PS3.18 annex F), as bytes in Explicit VR Little Endian, piece by piece.

The opposite of `json_model`. Bulk is copied through in pieces and never held whole; sequences and items are written
with undefined length, so that nothing has to be measured first. The same model gives the same bytes every time.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echonode.core.errors import BudgetExceeded, UnreadableObject
from echonode.dicom.json_model import NUMBERS

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_UNDEFINED = 0xFFFFFFFF
_CHARACTER_SET, PIXEL_DATA = 0x00080005, 0x7FE00010
_UTF8 = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 10) + b"ISO_IR 192"
_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
_ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
_SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_EMPTY_OFFSET_TABLE = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
_TEXTS = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
_ONE_VALUE = frozenset({"LT", "ST", "UR", "UT"})
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_LONG_FORM = _BINARY | {"SQ", "SV", "UC", "UR", "UT", "UV"}
_LONGEST_SHORT, _LONGEST_LONG = 0xFFFE, 0xFFFFFFFE
_LONGEST_DECIMAL = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Bulk:
    """A value that came beside the JSON: its length in bytes, and its bytes in pieces as often as they are wanted."""

    size: int
    pieces: Callable[[], Iterator[bytes]]


FindBulk = Callable[[str], Sequence[Bulk]]
"""The parts that a BulkDataURI names, in order; raises UnreadableObject where there are none."""


def encoded_pieces(
    model: Mapping[str, Any], bulk: FindBulk, *, encapsulated: bool = False, nesting: int = 64
) -> Iterator[bytes]:
    """The data set's bytes. With `encapsulated`, each part of the pixel data becomes a fragment (PS3.5 A.4).

    Group 0002 and group lengths are left out; text is written as UTF-8 and Specific Character Set says so.

    Raises:
        UnreadableObject: no DICOM JSON, a value that does not fit its VR, or bulk that is not there.
        BudgetExceeded: sequences nested deeper than `nesting`.
    """
    yield from _Writer(bulk, encapsulated, nesting).dataset(model, 0)


class _Writer:
    def __init__(self, bulk: FindBulk, encapsulated: bool, nesting: int) -> None:
        self._bulk = bulk
        self._encapsulated = encapsulated
        self._nesting = nesting

    def dataset(self, model: Any, depth: int) -> Iterator[bytes]:
        if depth > self._nesting:
            raise BudgetExceeded(f"sequences nested deeper than limits.nesting = {self._nesting}")
        elements = _in_order(model)
        written = depth > 0  # an item without its own has the character set of the whole
        for tag, name, element in elements:
            if tag == _CHARACTER_SET or (not written and tag > _CHARACTER_SET):
                yield _UTF8
                written = True
            if tag != _CHARACTER_SET:
                yield from self._element(tag, name, element, depth)
        if not written:
            yield _UTF8

    def _element(self, tag: int, name: str, element: Any, depth: int) -> Iterator[bytes]:
        if not isinstance(element, dict) or not isinstance(element.get("vr"), str):
            raise UnreadableObject(f"{name} has no vr")
        vr: str = element["vr"]
        if vr == "SQ":
            yield _header(tag, "SQ", _UNDEFINED)
            for item in _values(element, name):
                yield _ITEM
                yield from self.dataset({} if item is None else item, depth + 1)
                yield _ITEM_END
            yield _SEQUENCE_END
        elif "BulkDataURI" in element:
            yield from self._bulk_element(tag, vr, name, element["BulkDataURI"], depth)
        else:
            value = _encoded(vr, element, name)
            yield _header(tag, vr, len(value)) + value

    def _bulk_element(self, tag: int, vr: str, name: str, uri: Any, depth: int) -> Iterator[bytes]:
        if not isinstance(uri, str) or vr not in _BINARY | _TEXTS | NUMBERS.keys():
            raise UnreadableObject(f"{name} has a BulkDataURI or a vr that cannot be used")
        parts = self._bulk(uri)
        if self._encapsulated and tag == PIXEL_DATA and depth == 0:
            yield _header(tag, "OB", _UNDEFINED) + _EMPTY_OFFSET_TABLE
            for part in parts:
                yield struct.pack("<HHI", 0xFFFE, 0xE000, _even(part.size, name))
                yield from _padded(part, b"\0")
            yield _SEQUENCE_END
            return
        if len(parts) != 1:
            raise UnreadableObject(f"{len(parts)} parts claim to be the value of {name}")
        yield _header(tag, vr, _even(parts[0].size, name))
        yield from _padded(parts[0], b"\0" if vr in _BINARY or vr == "UI" else b" ")


def _in_order(model: Any) -> list[tuple[int, str, Any]]:
    if not isinstance(model, dict):
        raise UnreadableObject("a data set is a JSON object of elements by tag")
    found: dict[int, tuple[int, str, Any]] = {}
    for name, element in model.items():
        if not _TAG.fullmatch(name):
            raise UnreadableObject("a data set has a key that is no tag of 8 hex digits")
        tag = int(name, 16)
        if tag in found:
            raise UnreadableObject(f"{name} is there twice")
        if tag >> 16 in (0x0000, 0xFFFE):
            raise UnreadableObject(f"a data set cannot have the element {name}")
        if tag >> 16 != 0x0002 and tag & 0xFFFF:
            found[tag] = (tag, name.upper(), element)
    return [found[tag] for tag in sorted(found)]


def _header(tag: int, vr: str, length: int) -> bytes:
    group, number = tag >> 16, tag & 0xFFFF
    if vr in _LONG_FORM:
        return struct.pack("<HH2sxxI", group, number, vr.encode(), length)
    if length > _LONGEST_SHORT:
        raise UnreadableObject(f"{tag:08X} is longer than its VR {vr} can be")
    return struct.pack("<HH2sH", group, number, vr.encode(), length)


def _values(element: Mapping[str, Any], name: str) -> list[Any]:
    values = element.get("Value", [])
    if not isinstance(values, list):
        raise UnreadableObject(f"the Value of {name} is no array")
    return values


def _encoded(vr: str, element: Mapping[str, Any], name: str) -> bytes:
    if vr in _BINARY:
        return _inline(element.get("InlineBinary", ""), name)
    values = _values(element, name)
    try:
        if vr in NUMBERS:
            numbers = [float(value) if vr in ("FD", "FL") else int(value) for value in values if value is not None]
            return struct.pack(f"<{len(numbers)}{NUMBERS[vr]}", *numbers)
        if vr == "AT":
            tags = [int(value, 16) for value in values if value is not None]
            return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in tags)
        if vr not in _TEXTS:
            raise UnreadableObject(f"{name} has an unknown vr")
        texts = [_text(vr, value) for value in (values[:1] if vr in _ONE_VALUE else values)]
    except (struct.error, ValueError, TypeError, OverflowError, AttributeError):
        raise UnreadableObject(f"a value of {name} does not fit its VR {vr}") from None
    encoded = "\\".join(texts).encode("utf-8", "replace")
    return encoded + (b"\0" if vr == "UI" else b" ") * (len(encoded) % 2)


def _inline(text: Any, name: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise UnreadableObject(f"the InlineBinary of {name} is no base64") from None
    return value + b"\0" * (len(value) % 2)


def _text(vr: str, value: Any) -> str:
    if value is None:
        return ""
    if vr == "PN":
        if isinstance(value, str):
            return value
        groups = [value.get(group, "") or "" for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    if isinstance(value, bool | list | dict):
        raise TypeError
    if vr == "IS" and isinstance(value, float):
        return str(int(value))
    if vr == "DS" and isinstance(value, int | float):
        return _decimal(value)
    return str(value)


def _decimal(value: int | float) -> str:
    """As exact as the 16 characters of a DS allow (PS3.5 6.2)."""
    text = repr(value)
    digits = 17
    while len(text) > _LONGEST_DECIMAL:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text


def _even(size: int, name: str) -> int:
    size += size % 2
    if size > _LONGEST_LONG:
        raise UnreadableObject(f"{name} is longer than an element can be")
    return size


def _padded(part: Bulk, padding: bytes) -> Iterator[bytes]:
    yield from part.pieces()
    if part.size % 2:
        yield padding
