"""A header as DICOM JSON (PS3.18 annex F) without its bulk, and its indexed attributes, in one pass over raw elements.

Large values are named, not copied: `BulkDataURI` is `MARK` followed by "/bulkdata/<path>", where the path is the
8-digit tag, and for an element inside a sequence tag.item.tag with items counted from 0. `MARK` is a raw U+0001, which
no JSON text can hold otherwise; whoever answers puts the instance's address in its place.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

import orjson
from pydicom.charset import decode_bytes
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from echonode.dicom.elements import encodings_of
from echonode.dicom.header import SEQUENCES, Header

MARK = "\x01"
LONGEST_BINARY = 1 << 10
LONGEST_VALUE = 1 << 16
_BULK = f"{MARK}/bulkdata/"
_ESCAPED, _MARKED = b'"BulkDataURI":"\\u0001/', b'"BulkDataURI":"\x01/'
_CHARACTER_SET, _TRAILING_PADDING = 0x00080005, 0xFFFCFFFC
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ANY_CHARACTER_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ONE_VALUE = frozenset({"LT", "ST", "UT", "UR"})
_LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FD": "d", "FL": "f", "UV": "Q", "SV": "q"}
_SIZES = {vr: struct.calcsize(f"<{code}") for vr, code in _NUMBERS.items()}
_WORDS = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "US or SS": "US", "NONE": "UN"}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_LARGEST_EXACT = 1 << 53
_EMPTY: tuple[Any, ...] = ("", {})
_UNICODE: dict[str, Any] = {"vr": "CS", "Value": ["ISO_IR 192"]}
_PADDING = " \0\t\r\n"

Element = dict[str, Any]
Model = dict[str, Element]


def model_of(header: Header) -> Model:
    """Every element of the header as DICOM JSON by its tag in 8 hex digits; pixels and omitted values as BulkDataURI.

    Group lengths and padding are left out (PS3.18 F.2.2); text is Unicode, and Specific Character Set says so.
    """
    model: Model = {}
    raw = header.raw
    creators = _creators({tag: element.value or b"" for tag, element in raw.items() if tag & 0x1FF00 == 0x10000})
    for tag, element in raw.items():
        name = f"{tag:08X}"
        if not tag & 0xFFFF or tag == _TRAILING_PADDING:
            continue
        if tag == _CHARACTER_SET:
            model[name] = _UNICODE
            continue
        if element.VR == "SQ":
            context = _Context(element.is_implicit_VR, element.is_little_endian, header.encodings)
            model[name] = _sequence_element(element.value or b"", context, name)
            continue
        vr = _vr_of(tag, element.VR, creators)
        model[name] = element_of(vr, element.value or b"", header.encodings, element.is_little_endian, name)
    for tag, omitted_vr in header.omitted:
        model[f"{tag:08X}"] = {"vr": _vr_of(tag, omitted_vr, creators), "BulkDataURI": f"{_BULK}{tag:08X}"}
    if header.pixels is not None:
        tag = header.pixels.tag
        model[f"{tag:08X}"] = {"vr": header.pixels.vr or _vr_of(tag, None, {}), "BulkDataURI": f"{_BULK}{tag:08X}"}
    return model


def text_of(model: Mapping[str, Element]) -> str:
    """The model as one line of JSON, its tags in order, with raw marks before bulk paths."""
    ordered = dict(sorted(model.items()))
    try:
        text = orjson.dumps(ordered)
    except TypeError:  # half of a surrogate pair: no character, and nothing that can be encoded
        text = orjson.dumps(_encodable(ordered))
    return text.replace(_ESCAPED, _MARKED).decode()


def element_of(vr: str, value: bytes, encodings: tuple[str, ...], little: bool, path: str) -> Element:
    """One element that is no sequence, from its bytes; `path` is its name as bulk."""
    if not value:
        return {"vr": vr}
    if vr in _WORDS:
        if len(value) > LONGEST_BINARY:
            return {"vr": vr, "BulkDataURI": _BULK + path}
        return {"vr": vr, "InlineBinary": base64.b64encode(little_endian(value, vr, little)).decode()}
    if len(value) > LONGEST_VALUE:
        return {"vr": vr, "BulkDataURI": _BULK + path}
    code = _NUMBERS.get(vr)
    if code is not None:
        values = _numbers(code, _SIZES[vr], value, little)
    elif vr == "AT":
        pairs = _numbers("H", 2, value[: len(value) // 4 * 4], little)
        values = [f"{group:04X}{number:04X}" for group, number in zip(pairs[::2], pairs[1::2], strict=True)]
    else:
        values = _texts(vr, decoded(value, vr, encodings))
        if any(each in _EMPTY for each in values):
            values = [None if each in _EMPTY else each for each in values]
            if not any(each is not None for each in values):
                return {"vr": vr}
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def decoded(value: bytes, vr: str, encodings: tuple[str, ...]) -> str:
    """The bytes of a text element as text; a wrong character set spoils letters and raises nothing."""
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


def little_endian(value: bytes, vr: str, little: bool) -> bytes:
    """The value of a binary VR in little endian, as DICOM JSON and bulk data have it."""
    size = _WORDS.get(vr, 1)
    if little or size == 1:
        return value
    whole = len(value) // size * size
    swapped = bytearray(value)
    for place in range(size):
        swapped[place:whole:size] = value[size - 1 - place : whole : size]
    return bytes(swapped)


def _texts(vr: str, text: str) -> list[Any]:
    if vr in _ONE_VALUE:
        return [text.rstrip(_PADDING)]
    parts = text.split("\\") if "\\" in text else [text]
    convert = _CONVERTED.get(vr)
    if convert is None:
        return [part.strip(_PADDING) for part in parts]
    return [convert(part.strip(_PADDING)) for part in parts]


def _person_name(text: str) -> dict[str, str]:
    groups = [group.rstrip(_PADDING) for group in text.split("=")[:3]] if "=" in text else [text]
    return {name: group for name, group in zip(_GROUPS, groups, strict=False) if group.strip("^")}


def _integer(text: str) -> int | str | None:
    try:
        return int(text) if len(text) <= 12 and "_" not in text else text
    except ValueError:
        return text


def _decimal(text: str) -> float | int | str:
    if text.isdigit() and text.isascii() and len(text) <= 15:
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if isfinite(number) and "_" not in text else text


_CONVERTED: dict[str, Callable[[str], Any]] = {"PN": _person_name, "IS": _integer, "DS": _decimal}


def _numbers(code: str, size: int, value: bytes, little: bool) -> list[Any]:
    values: list[Any] = list(struct.unpack_from(f"{'<' if little else '>'}{len(value) // size}{code}", value))
    if code in "fd":
        return [each if isfinite(each) else _NOT_FINITE[str(each)] for each in values]
    if code in "Qq":
        return [each if abs(each) <= _LARGEST_EXACT else str(each) for each in values]
    return values


_NOT_FINITE = {"nan": "NaN", "inf": "inf", "-inf": "-inf"}  # PS3.18 F.2.3


class _Context:
    """How the items of one sequence are encoded."""

    __slots__ = ("encodings", "implicit", "little")

    def __init__(self, implicit: bool, little: bool, encodings: tuple[str, ...]) -> None:
        self.implicit, self.little, self.encodings = implicit, little, encodings


def _sequence_element(value: bytes, context: _Context, path: str) -> Element:
    items, _ = _items(value, 0, len(value), context, path)
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def _items(data: bytes, position: int, end: int | None, context: _Context, path: str) -> tuple[list[Model], int]:
    """The items from `position` on and where they end. The header's walk has checked structure and depth."""
    order = "<" if context.little else ">"
    found: list[Model] = []
    stop = len(data) if end is None else end
    while position + 8 <= stop:
        group, number, length = struct.unpack_from(f"{order}HHI", data, position)
        position += 8
        if (group << 16 | number) != _ITEM:
            break
        item_end = None if length == _UNDEFINED else position + length
        item, position = _item(data, position, item_end, context, f"{path}.{len(found)}")
        found.append(item)
    return found, position


def _item(data: bytes, position: int, end: int | None, context: _Context, path: str) -> tuple[Model, int]:
    order = "<" if context.little else ">"
    model: Model = {}
    encodings, creators = context.encodings, dict[int, bytes]()
    stop = len(data) if end is None else end
    while position + 8 <= stop:
        group, number = struct.unpack_from(f"{order}HH", data, position)
        tag = group << 16 | number
        vr: bytes | None = None
        if tag == _ITEM_END:
            return model, position + 8
        if context.implicit or group == 0xFFFE:
            length, position = struct.unpack_from(f"{order}I", data, position + 4)[0], position + 8
        else:
            vr = data[position + 4 : position + 6]
            if vr in _LONG_FORM:
                length, position = struct.unpack_from(f"{order}I", data, position + 8)[0], position + 12
            else:
                length, position = struct.unpack_from(f"{order}H", data, position + 6)[0], position + 8
        name, inner = f"{tag:08X}", f"{path}.{tag:08X}"
        if length == _UNDEFINED and vr in (b"OB", b"OW"):
            position = _after_fragments(data, position, order)
            model[name] = {"vr": vr.decode(), "BulkDataURI": _BULK + inner}
        elif length == _UNDEFINED or (length and (vr == b"SQ" or (vr is None and tag in SEQUENCES))):
            nested = _Context(context.implicit or vr == b"UN", context.little, encodings)
            items, position = _items(data, position, None if length == _UNDEFINED else position + length, nested, inner)
            model[name] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        else:
            value, position = data[position : position + length], position + length
            if tag & 0x1FF00 == 0x10000:
                creators |= _creators({tag: value})
            if tag == _CHARACTER_SET:
                encodings, model[name] = encodings_of(value), _UNICODE
            elif number:
                known = _vr_of(tag, None if vr is None else vr.decode("latin-1"), creators)
                model[name] = element_of(known, value, encodings, context.little, inner)
    return model, stop if end is not None else position


def _after_fragments(data: bytes, position: int, order: str) -> int:
    while position + 8 <= len(data):
        group, number, length = struct.unpack_from(f"{order}HHI", data, position)
        position += 8
        if (group << 16 | number) == _SEQUENCE_END:
            break
        position += length
    return position


def _creators(values: Mapping[int, bytes]) -> dict[int, bytes]:
    """Private creators by the group and block that they reserve (PS3.5 7.8.1)."""
    return {(tag & 0xFFFF0000) | (tag & 0xFF) << 8: value for tag, value in values.items() if tag & 0xFFFF < 0x100}


def _vr_of(tag: int, stored: str | None, creators: Mapping[int, bytes]) -> str:
    """The VR that was written, else the dictionary's; UN where neither tells."""
    if stored is not None and stored != "UN":
        return stored if stored in _KNOWN else "UN"
    if tag & 0x10000:
        if tag & 0xFFFF < 0x100:
            return "LO"
        creator = creators.get(tag & 0xFFFFFF00)
        return "UN" if creator is None else _private_vr(tag, creator.strip(b" \0").decode("latin-1"))
    return _public_vr(tag)


@lru_cache(maxsize=4096)
def _public_vr(tag: int) -> str:
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    vr = _AMBIGUOUS.get(vr, vr)
    return "UN" if vr == "SQ" else vr


@lru_cache(maxsize=4096)
def _private_vr(tag: int, creator: str) -> str:
    try:
        vr = private_dictionary_VR(tag, creator)
    except KeyError:
        return "UN"
    vr = _AMBIGUOUS.get(vr, vr)
    return vr if vr in _KNOWN and vr != "SQ" else "UN"


_KNOWN = (
    frozenset({"AE", "AS", "AT", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "SQ", "ST", "TM", "UC", "UI"})
    | {"UR", "UT"}
    | _NUMBERS.keys()
    | _WORDS.keys()
)


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
