"""The indexed attributes of a header as DICOM JSON in Unicode (PS3.18 F.2), by level; odd values never raise."""

from __future__ import annotations

import struct
from typing import Any

from pydicom.charset import decode_bytes
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from echonode.core.attributes import ATTRIBUTES, LEVELS, Attribute
from echonode.core.query import Level
from echonode.dicom.header import Header

_BY_NUMBER: dict[int, Attribute] = {attribute.number: attribute for attribute in ATTRIBUTES.values()}
_ONE_VALUE = frozenset({"LT", "ST", "UT"})
_ANY_CHARACTER_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_LONGEST = 10_240
_PADDING = " \0\t\r\n"


def index_attributes(header: Header) -> dict[Level, dict[str, Any]]:
    """What the archive indexes of the object: for each level, tag -> DICOM JSON element. Empty values have no `Value`."""
    found: dict[Level, dict[str, Any]] = {level: {} for level in LEVELS}
    for number in _BY_NUMBER.keys() & header.raw.keys():
        attribute, raw = _BY_NUMBER[number], header.raw[number]
        value = raw.value or b""
        if attribute.vr == "US":
            order = "<" if raw.is_little_endian else ">"
            values: list[Any] = [struct.unpack_from(f"{order}H", value)[0]] if len(value) >= 2 else []
        else:
            text = _decode(value[: 4 * _LONGEST], attribute.vr, header.encodings)[:_LONGEST]
            parts = [text.rstrip(_PADDING)] if attribute.vr in _ONE_VALUE else text.split("\\")
            values = [_json_value(attribute.vr, part) for part in parts]
        element: dict[str, Any] = {"vr": attribute.vr}
        if any(each not in (None, "", {}) for each in values):
            element["Value"] = [None if each in ("", {}) else each for each in values]
        found[attribute.level][attribute.tag] = element
    return found


def _decode(value: bytes, vr: str, encodings: tuple[str, ...]) -> str:
    if vr not in _ANY_CHARACTER_SET or (value.isascii() and b"\x1b" not in value):
        return value.decode("latin-1")
    try:
        if len(encodings) > 1:
            return str(decode_bytes(value, list(encodings), PN_DELIMS if vr == "PN" else TEXT_VR_DELIMS))
    except (LookupError, ValueError, UserWarning):
        pass  # a wrong character set spoils letters, not the object
    try:
        return value.decode(encodings[0], errors="replace")
    except LookupError:
        return value.decode("latin-1")


def _json_value(vr: str, text: str) -> Any:
    text = text.strip(_PADDING)
    if vr == "PN":
        groups = [group.rstrip(_PADDING + "^") for group in text.split("=")[:3]]
        names = ("Alphabetic", "Ideographic", "Phonetic")
        return {name: group for name, group in zip(names, groups, strict=False) if group}
    if vr == "IS":
        try:
            return int(text) if len(text) <= 12 else text
        except ValueError:
            return text
    return text
