"""Reading single elements so that a malformed value is an absent value, never an exception or a warning.

Values that pydicom has not converted yet are parsed here from their bytes: what scanners write in DS, IS, US and UL
often breaks the rules of PS3.5 6.2, and the value representation itself may be wrong.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence as Seq
from functools import lru_cache

from pydicom.charset import decode_bytes
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

from echonode.dicom.character_sets import LATIN_1, encodings_of
from echonode.dicom.raw_items import RawItem

# What pydicom raises for a value that breaks the rules, by kind of breakage.
MALFORMED = (
    ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError, IndexError, EOFError,
    RecursionError, struct.error, OSError, BytesLengthException,
)  # fmt: skip
NO_DICOM = (InvalidDicomError, *MALFORMED)
"""What it raises for a file, by kind of breakage."""
DataSet = Dataset | RawItem
"""What elements are read from: a pydicom data set, or raw elements that nothing has converted."""
_UNSIGNED = {1: "B", 2: "H", 4: "I"}
_REAL = {4: "f", 8: "d"}


def _stored(header: DataSet, keyword: str) -> RawDataElement | DataElement | None:
    return stored(header, tag_of(keyword))


@lru_cache(maxsize=1024)
def tag_of(keyword: str) -> int:
    """The tag of a keyword of PS3.6.

    Raises:
        KeyError: there is no such keyword.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is no keyword of PS3.6")
    return int(tag)


def stored(header: DataSet, tag: int) -> RawDataElement | DataElement | None:
    """The element as it was read, converted or not; None when it is absent or cannot be had."""
    if isinstance(header, RawItem):
        return header.raw.get(tag)
    if tag not in header:
        return None
    try:
        element: RawDataElement | DataElement = header.get_item(tag)
    except MALFORMED:
        return None
    return element


def tags(header: DataSet) -> list[int]:
    """The tags of its elements."""
    return list(header.raw) if isinstance(header, RawItem) else [int(tag) for tag in header.keys()]  # noqa: SIM118  it is no dict


def has(header: DataSet, keyword: str) -> bool:
    """Whether the element is present, with or without a value."""
    return _stored(header, keyword) is not None


def character_sets(header: DataSet) -> tuple[str, ...]:
    """Python's names of the character sets in (0008,0005), misspelt ones read; Latin-1 where one is unknown."""
    if isinstance(header, RawItem):
        return header.encodings
    element = _stored(header, "SpecificCharacterSet")
    return LATIN_1 if element is None or not element.value else encodings_of(element.value)


def texts(header: DataSet, keyword: str) -> tuple[str, ...]:
    """The element's values as stripped text, split at backslashes; empty when absent or unreadable."""
    element = _stored(header, keyword)
    if element is None or element.value is None:
        return ()
    value = element.value
    if isinstance(value, bytes) and value.isascii() and b"\x1b" not in value:
        parts = value.decode("ascii").split("\\")  # the same in every character set: none has to be looked up
    elif isinstance(value, bytes):
        encodings = character_sets(header)
        try:
            whole = decode_bytes(value, list(encodings), TEXT_VR_DELIMS) if b"\x1b" in value else None
        except (LookupError, ValueError):
            whole = None
        if whole is None:
            whole = value.decode(encodings[0], errors="replace")
        parts = whole.split("\\")
    elif isinstance(value, str | PersonName):
        parts = str(value).split("\\")
    elif hasattr(value, "__iter__") and not isinstance(value, Sequence):
        parts = [str(part) for part in value]
    else:
        parts = [str(value)]
    stripped = tuple(part.strip(" \0\r\n\t") for part in parts)
    return stripped if any(stripped) else ()


def text(header: DataSet, keyword: str) -> str:
    """The element's first value as stripped text; empty when absent or unreadable."""
    return next(iter(texts(header, keyword)), "")


def decimals(header: DataSet, keyword: str) -> tuple[float, ...]:
    """The finite numbers of a DS or IS element, in order; empty when one of them is no number."""
    try:
        numbers = tuple(float(part.replace(",", ".")) for part in texts(header, keyword) if part)
    except MALFORMED:
        return ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()


def decimal(header: DataSet, keyword: str) -> float | None:
    """The first number of a DS or IS element."""
    return next(iter(decimals(header, keyword)), None)


def integer(header: DataSet, keyword: str) -> int | None:
    """The first number of an IS element, truncated."""
    number = decimal(header, keyword)
    return None if number is None else int(number)


def _binary(header: DataSet, keyword: str, formats: dict[int, str]) -> float | int | None:
    element = _stored(header, keyword)
    if element is None or element.value is None:
        return None
    value = element.value
    try:
        if isinstance(element, RawDataElement) and isinstance(value, bytes):
            if element.VR in ("DS", "IS", "LO", "SH", "CS"):
                return float(value.decode("ascii").strip(" \0").split("\\")[0])
            size = len(value) if len(value) in formats else min(formats)
            if len(value) < size:
                return None
            order = "<" if element.is_little_endian else ">"
            number: float | int = struct.unpack_from(order + formats[size], value)[0]
            return number
        if hasattr(value, "__iter__") and not isinstance(value, str | bytes):
            value = next(iter(value))
        return float(value)
    except (*MALFORMED, StopIteration):
        return None


def unsigned(header: DataSet, keyword: str) -> int | None:
    """The first value of a US or UL element, whichever of the two it was written as."""
    number = _binary(header, keyword, _UNSIGNED)
    return None if number is None or not math.isfinite(number) else int(number)


def signed(header: DataSet, keyword: str) -> int | None:
    """The first value of an SL element."""
    number = _binary(header, keyword, {2: "h", 4: "i"})
    return None if number is None or not math.isfinite(number) else int(number)


def real(header: DataSet, keyword: str) -> float | None:
    """The first value of an FD or FL element; None when it is not finite."""
    number = _binary(header, keyword, _REAL)
    return None if number is None or not math.isfinite(number) else float(number)


def reals(header: DataSet, keyword: str) -> tuple[float, ...]:
    """The numbers of an FL element of any length, however it was written; empty when one is not finite or unreadable."""
    element = _stored(header, keyword)
    if element is None or element.value is None:
        return ()
    value = element.value
    try:
        if isinstance(value, bytes) and isinstance(element, RawDataElement):
            if element.VR in ("DS", "IS", "LO", "SH"):
                return decimals(header, keyword)
            order = "<" if element.is_little_endian else ">"
            numbers = [float(number) for (number,) in struct.iter_unpack(order + "f", value)]
        else:
            numbers = [float(part) for part in (value if hasattr(value, "__iter__") else [value])]
    except MALFORMED:
        return ()
    return tuple(numbers) if all(math.isfinite(number) for number in numbers) else ()


def items(header: DataSet, keyword: str) -> Seq[DataSet]:
    """The items of a sequence; none when it is absent, empty or unreadable."""
    if isinstance(header, RawItem):
        return header.sequences.get(tag_of(keyword), ())
    if not has(header, keyword):
        return []
    try:
        value = header[keyword].value
    except MALFORMED:
        return []
    return list(value) if isinstance(value, Sequence) else []
