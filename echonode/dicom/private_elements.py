"""One element of a vendor's private block (PS3.5 7.8.1), wherever in its group the block lies."""

from __future__ import annotations

from echonode.dicom import elements
from echonode.dicom.elements import DataSet


def private_bytes(header: DataSet, *, group: int, creator: str, element: int) -> bytes | None:
    """The value as it stands in the header; None where the block or the element is not there."""
    wanted = creator.encode("latin-1", "replace")
    for number in range(0x10, 0x100):
        if (_bytes(header, group << 16 | number) or b"").strip(b" \0") == wanted:
            return _bytes(header, group << 16 | number << 8 | element)
    return None


def private_text(header: DataSet, *, group: int, creator: str, element: int) -> str:
    """The value as stripped text; empty where it is not there."""
    value = private_bytes(header, group=group, creator=creator, element=element)
    return "" if value is None else value.decode("latin-1").strip(" \0\r\n\t")


def _bytes(header: DataSet, tag: int) -> bytes | None:
    element = elements.stored(header, tag)
    value = None if element is None else element.value
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str | int | float):
        return str(value).encode("latin-1", "replace")
    if hasattr(value, "__iter__"):
        return "\\".join(str(part) for part in value).encode("latin-1", "replace")
    return None
