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

from echonode.dicom.header import Header
from echonode.dicom.raw_items import RawItem

MARK = "\x01"
LONGEST_BINARY = 1 << 10
LONGEST_VALUE = 1 << 16
_BULK = f"{MARK}/bulkdata/"
_ESCAPED, _MARKED = b'"BulkDataURI":"\\u0001/', b'"BulkDataURI":"\x01/'
_CHARACTER_SET, _TRAILING_PADDING = 0x00080005, 0xFFFCFFFC
_ANY_CHARACTER_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ONE_VALUE = frozenset({"LT", "ST", "UT", "UR"})
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FD": "d", "FL": "f", "UV": "Q", "SV": "q"}
"""Value representations of binary numbers, as `struct` calls them."""
_SIZES = {vr: struct.calcsize(f"<{code}") for vr, code in NUMBERS.items()}
_WORDS = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "US or SS": "US", "NONE": "UN"}
NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
"""The component groups of a person's name (PS3.5 6.2.1.1), as they are called in JSON and XML."""
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
    model, creators = _model(header.item, "")
    for tag, omitted_vr in header.omitted:
        model[f"{tag:08X}"] = {"vr": _vr_of(tag, omitted_vr, creators), "BulkDataURI": f"{_BULK}{tag:08X}"}
    if header.pixels is not None:
        tag = header.pixels.tag
        model[f"{tag:08X}"] = {"vr": header.pixels.vr or _vr_of(tag, None, {}), "BulkDataURI": f"{_BULK}{tag:08X}"}
    return model


def _model(item: RawItem, within: str) -> tuple[Model, dict[int, bytes]]:
    """The model of one data set whose path as bulk is `within`, and its private creators."""
    model: Model = {}
    raw, sequences, encodings = item.raw, item.sequences, item.encodings
    creators = _creators({tag: each.value or b"" for tag, each in raw.items() if tag & 0x1FF00 == 0x10000})
    for tag, element in raw.items():
        if not tag & 0xFFFF or tag == _TRAILING_PADDING:
            continue
        name = f"{tag:08X}"
        if tag == _CHARACTER_SET:
            model[name] = _UNICODE
        elif element.VR == "SQ":
            items = [_model(each, f"{within}{name}.{place}.")[0] for place, each in enumerate(sequences.get(tag, ()))]
            model[name] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        elif tag in item.fragmented:
            model[name] = {"vr": str(element.VR), "BulkDataURI": f"{_BULK}{within}{name}"}
        else:
            vr = _vr_of(tag, element.VR, creators)
            model[name] = element_of(vr, element.value or b"", encodings, element.is_little_endian, within + name)
    return model, creators


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
    code = NUMBERS.get(vr)
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
        return [text.rstrip(" \0")]  # line ends belong to what was written
    parts = text.split("\\") if "\\" in text else [text]
    convert = _CONVERTED.get(vr)
    if convert is None:
        return [part.strip(_PADDING) for part in parts]
    return [convert(part.strip(_PADDING)) for part in parts]


def _person_name(text: str) -> dict[str, str]:
    groups = [group.rstrip(_PADDING) for group in text.split("=")[:3]] if "=" in text else [text]
    return {name: group for name, group in zip(NAME_GROUPS, groups, strict=False) if group.strip("^")}


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
    | NUMBERS.keys()
    | _WORDS.keys()
)


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
