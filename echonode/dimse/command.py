"""Command sets (PS3.7 6.3 and 9.3) from and to bytes: Implicit VR Little Endian, group 0000 alone, bounded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from echonode.core.errors import ProtocolViolation

LONGEST_COMMAND = 1 << 16
NO_DATA_SET = 0x0101
RESPONSE = 0x8000
_ELEMENT = struct.Struct("<HHI")


class Field(IntEnum):
    """Command Field (0000,0100), PS3.7 annex E.1."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    C_CANCEL = 0x0FFF


class Status(IntEnum):
    """Statuses that this edge answers by itself; all others come from a Receipt or an error."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_INSTANCE = 0x0117  # PS3.7 C.5.10
    CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORISED = 0x0124
    UNRECOGNISED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """The elements of a command set that this node reads; UIDs as text without padding, empty when absent."""

    field: int
    message_id: int = 0
    responded_to: int = 0
    has_data_set: bool = False
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    status: int | None = None


def _number(value: bytes, tag: int) -> int:
    if len(value) != 2:
        raise ProtocolViolation(f"(0000,{tag:04X}) has {len(value)} bytes, not 2")
    return int.from_bytes(value, "little")


def parse_command(data: bytes | bytearray) -> Command:
    """The command set in `data`.

    Raises:
        ProtocolViolation: longer than any command, cut off, of another group, or without what every message has.
    """
    if len(data) > LONGEST_COMMAND:
        raise ProtocolViolation(f"a command set has more than {LONGEST_COMMAND} bytes")
    elements: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        if offset + 8 > len(data):
            raise ProtocolViolation("a command set is cut off")
        group, tag, length = _ELEMENT.unpack_from(data, offset)
        end = offset + 8 + length
        if group != 0 or end > len(data):
            raise ProtocolViolation(f"({group:04X},{tag:04X}) of {length} bytes does not fit a command set")
        elements[tag] = bytes(data[offset + 8 : end])
        offset = end
    if 0x0100 not in elements or 0x0800 not in elements:
        raise ProtocolViolation("a command set lacks Command Field or Command Data Set Type")
    numbers = {tag: _number(elements[tag], tag) for tag in (0x0100, 0x0110, 0x0120, 0x0800, 0x0900) if tag in elements}
    needed = 0x0120 if numbers[0x0100] & RESPONSE or numbers[0x0100] == Field.C_CANCEL else 0x0110
    if needed not in numbers:
        raise ProtocolViolation(f"a command set lacks (0000,{needed:04X})")
    return Command(
        field=numbers[0x0100],
        message_id=numbers.get(0x0110, 0),
        responded_to=numbers.get(0x0120, 0),
        has_data_set=numbers[0x0800] != NO_DATA_SET,
        sop_class_uid=_uid(elements.get(0x0002) or elements.get(0x0003, b"")),
        sop_instance_uid=_uid(elements.get(0x1000) or elements.get(0x1001, b"")),
        status=numbers.get(0x0900),
    )


def _uid(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace").rstrip("\0 ")


def _element(tag: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, tag, len(value)) + value


def _even(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding if len(value) % 2 else value


def response(command: Command, *, status: int, comment: str = "", has_data_set: bool = False) -> bytes:
    """The encoded command set that answers `command`; `has_data_set` when an Identifier follows.

    The Affected SOP Instance UID is repeated only as the peer wrote it, and only when it is short enough to be one.
    """
    parts = []
    if 0 < len(command.sop_class_uid) <= 64:
        parts.append(_element(0x0002, _even(command.sop_class_uid, b"\0")))
    parts.append(_element(0x0100, struct.pack("<H", (command.field | RESPONSE) & 0xFFFF)))
    parts.append(_element(0x0120, struct.pack("<H", command.message_id)))
    parts.append(_element(0x0800, struct.pack("<H", 0 if has_data_set else NO_DATA_SET)))
    parts.append(_element(0x0900, struct.pack("<H", status)))
    if comment:
        parts.append(_element(0x0902, _even(comment[:64], b" ")))
    if command.field == Field.C_STORE and 0 < len(command.sop_instance_uid) <= 64:
        parts.append(_element(0x1000, _even(command.sop_instance_uid, b"\0")))
    body = b"".join(parts)
    return _element(0x0000, struct.pack("<I", len(body))) + body


def store_request(
    *, message_id: int, sop_class_uid: str, sop_instance_uid: str, originator: tuple[str, int] | None = None
) -> bytes:
    """The encoded command set of a C-STORE-RQ; `originator` is (AE title, message id) of the C-MOVE that asked."""
    parts = [
        _element(0x0002, _even(sop_class_uid, b"\0")),
        _element(0x0100, struct.pack("<H", Field.C_STORE)),
        _element(0x0110, struct.pack("<H", message_id)),
        _element(0x0700, struct.pack("<H", 0)),
        _element(0x0800, struct.pack("<H", 0)),
        _element(0x1000, _even(sop_instance_uid, b"\0")),
    ]
    if originator is not None:
        parts.append(_element(0x1030, _even(originator[0], b" ")))
        parts.append(_element(0x1031, struct.pack("<H", originator[1])))
    body = b"".join(parts)
    return _element(0x0000, struct.pack("<I", len(body))) + body
