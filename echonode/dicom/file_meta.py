"""The head of a Part 10 file as it comes in pieces: who the object is, its transfer syntax, where its data set begins.

Read as leniently as real files need: without preamble, without group length, without any file meta at all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from echonode.core.errors import UnreadableObject
from echonode.core.identity import is_uid
from echonode.dicom.storage import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

LONGEST_META = 1 << 16
"""Preamble and file meta together, at most; real ones have some hundred bytes."""
_PREFIX, _PREAMBLE = b"DICM", 128
_LONG_FORM = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_CLASS, _INSTANCE, _SYNTAX = 0x0002, 0x0003, 0x0010
_NEEDED = 16
"""Bytes behind the file meta from which the encoding can be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMeta:
    """What a file says of its object: text as it stands there, empty where it says nothing. `end` is in bytes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    end: int


def read_file_meta(head: bytes, *, complete: bool) -> FileMeta | None:
    """The file meta at the beginning of `head`; None when more bytes are needed.

    `complete` says that no more will come. Where no transfer syntax is named, the first element tells which of the
    three uncompressed ones it is (PS3.5 7.1).

    Raises:
        UnreadableObject: longer than LONGEST_META, cut off, or a transfer syntax that is no UID.
    """
    try:
        return _read(head)
    except (struct.error, _More):
        if complete or len(head) >= LONGEST_META:
            raise UnreadableObject("the file ends inside its head, or its head is no file meta") from None
        return None


class _More(Exception):
    pass


def _read(head: bytes) -> FileMeta:
    found: dict[int, str] = {}
    position = _begin(head)
    while head[position : position + 2] == b"\x02\0":
        _group, element, vr, length = struct.unpack_from("<HH2sH", head, position)
        if not (vr.isalpha() and vr.isupper()):  # implicit, against PS3.10 7.1
            length, value = struct.unpack_from("<I", head, position + 4)[0], position + 8
        elif vr in _LONG_FORM:
            length, value = struct.unpack_from("<I", head, position + 8)[0], position + 12
        else:
            value = position + 8
        position = value + length
        if position > min(len(head), LONGEST_META):
            raise _More
        if element in (_CLASS, _INSTANCE, _SYNTAX):
            found[element] = head[value : min(position, value + 80)].rstrip(b"\0 ").decode("latin-1")
    if len(head) - position < _NEEDED:
        raise _More
    syntax = found.get(_SYNTAX) or _sniffed(head[position : position + 8])
    if not is_uid(syntax):
        raise UnreadableObject("the transfer syntax of the file is no UID")
    return FileMeta(
        sop_class_uid=found.get(_CLASS, ""),
        sop_instance_uid=found.get(_INSTANCE, ""),
        transfer_syntax_uid=syntax,
        end=position,
    )


def _begin(head: bytes) -> int:
    if head[_PREAMBLE : _PREAMBLE + 4] == _PREFIX:
        return _PREAMBLE + 4
    if len(head) < _PREAMBLE + 4:
        raise _More
    return 4 if head.startswith(_PREFIX) else 0


def _sniffed(element: bytes) -> str:
    if not (element[4:6].isalpha() and element[4:6].isupper()):
        return IMPLICIT_LE
    group = struct.unpack_from("<H", element)[0]
    return EXPLICIT_BE if group & 0xFF == 0 and group >= 0x0100 else EXPLICIT_LE
