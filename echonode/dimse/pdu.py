"""Upper layer PDUs (PS3.8 9.3) from and to bytes: bounded, strict, and free of I/O."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from echonode.core.errors import ProtocolViolation
from echonode.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
HEADER = struct.Struct(">BxI")
PDV_HEADER = struct.Struct(">IBB")
LONGEST_ASSOCIATE = 1 << 20
LONGEST_OTHER = 64
MOST_CONTEXTS = 128
LAST, COMMAND = 0x02, 0x01
"""Bits of the message control header, PS3.8 annex E.2."""


class PduType(IntEnum):
    """PS3.8 9.3.1."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class ContextResult(IntEnum):
    """Result of one presentation context, PS3.8 table 9-18."""

    ACCEPTED = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposedContext:
    """One presentation context of an A-ASSOCIATE-RQ; transfer syntaxes in the order that the proposer prefers."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Roles:
    """SCP/SCU role selection of one class (PS3.7 D.3.3.4): what the *requestor* is to be."""

    scu: bool
    scp: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ. AE titles without surrounding spaces; a peer chose every value in here."""

    called_ae: str
    calling_ae: str
    contexts: tuple[ProposedContext, ...]
    max_pdu: int = 0
    roles: Mapping[str, Roles] = field(default_factory=dict)
    implementation_class_uid: str = ""
    implementation_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextAnswer:
    """What is said to one proposed context; `transfer_syntax` counts only when accepted."""

    id: int
    abstract_syntax: str
    result: ContextResult
    transfer_syntax: str
    roles: Roles | None = None

    @property
    def accepted(self) -> bool:
        """Whether the context may be used."""
        return self.result is ContextResult.ACCEPTED


def longest(pdu_type: int, max_pdu: int) -> int:
    """The most bytes that the variable part of a PDU may have: checked before a byte of it is kept.

    Raises:
        ProtocolViolation: there is no such PDU.
    """
    if pdu_type == PduType.DATA:
        return max_pdu + 6
    if pdu_type in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC):
        return LONGEST_ASSOCIATE
    if pdu_type in (PduType.ASSOCIATE_RJ, PduType.RELEASE_RQ, PduType.RELEASE_RP, PduType.ABORT):
        return LONGEST_OTHER
    raise ProtocolViolation(f"PDU type {pdu_type:#04x} does not exist")


def header(data: bytes | bytearray | memoryview, *, max_pdu: int) -> tuple[PduType, int]:
    """Type and length of the PDU whose first six bytes are `data`.

    Raises:
        ProtocolViolation: there is no such PDU, or it claims more bytes than it may have.
    """
    pdu_type, length = HEADER.unpack_from(data)
    limit = longest(pdu_type, max_pdu)
    if length > limit:
        raise ProtocolViolation(f"a PDU of type {pdu_type} claims {length} bytes, at most {limit} are allowed")
    return PduType(pdu_type), length


def check_data(body: bytes | bytearray) -> None:
    """Whether the variable part of a P-DATA-TF is made of whole presentation data values (PS3.8 9.3.5).

    Raises:
        ProtocolViolation: it is not.
    """
    offset = 0
    while offset < len(body):
        if offset + PDV_HEADER.size > len(body):
            raise ProtocolViolation("a presentation data value is cut off")
        length = PDV_HEADER.unpack_from(body, offset)[0]
        offset += 4 + length
        if length < 2 or offset > len(body):
            raise ProtocolViolation(f"a presentation data value claims {length} bytes")


def _items(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    offset = 0
    while offset < len(body):
        if offset + 4 > len(body):
            raise ProtocolViolation("an item of an A-ASSOCIATE PDU is cut off")
        kind, length = struct.unpack_from(">BxH", body, offset)
        end = offset + 4 + length
        if end > len(body):
            raise ProtocolViolation(f"item {kind:#04x} of an A-ASSOCIATE PDU is longer than the PDU")
        yield kind, body[offset + 4 : end]
        offset = end


def _text(data: memoryview | bytes) -> str:
    return bytes(data).decode("ascii", "replace").strip(" \0")


def _proposed(body: memoryview) -> ProposedContext:
    if len(body) < 4:
        raise ProtocolViolation("a presentation context item is cut off")
    abstract, transfers = "", []
    for kind, value in _items(body[4:]):
        if kind == 0x30:
            abstract = _text(value)
        elif kind == 0x40:
            transfers.append(_text(value))
    if body[0] % 2 == 0:
        raise ProtocolViolation(f"presentation context id {body[0]} is even")
    return ProposedContext(id=body[0], abstract_syntax=abstract, transfer_syntaxes=tuple(transfers))


def _role(value: memoryview) -> tuple[str, Roles]:
    if len(value) < 4 or (length := struct.unpack_from(">H", value)[0]) + 4 > len(value):
        raise ProtocolViolation("a role selection item is cut off")
    return _text(value[2 : 2 + length]), Roles(scu=value[2 + length] == 1, scp=value[3 + length] == 1)


def parse_associate_request(body: bytes | bytearray | memoryview) -> AssociateRequest:
    """The A-ASSOCIATE-RQ in `body`, the bytes after the six of the header (PS3.8 9.3.2).

    Items that we do not know, extended negotiation and asynchronous operations are skipped.

    Raises:
        ProtocolViolation: cut off, of another version, with more contexts than there are ids, or an id twice.
    """
    view = memoryview(body)
    if len(view) < 68:
        raise ProtocolViolation("an A-ASSOCIATE-RQ is cut off")
    if not struct.unpack_from(">H", view)[0] & 1:
        raise ProtocolViolation("an A-ASSOCIATE-RQ of another protocol version")
    contexts: list[ProposedContext] = []
    roles: dict[str, Roles] = {}
    max_pdu, implementation, version = 0, "", ""
    for kind, value in _items(view[68:]):
        if kind == 0x20:
            contexts.append(_proposed(value))
        elif kind == 0x50:
            for sub, content in _items(value):
                if sub == 0x51 and len(content) == 4:
                    max_pdu = struct.unpack(">I", content)[0]
                elif sub == 0x52:
                    implementation = _text(content)
                elif sub == 0x55:
                    version = _text(content)
                elif sub == 0x54:
                    uid, role = _role(content)
                    roles[uid] = role
    if len(contexts) > MOST_CONTEXTS or len({context.id for context in contexts}) != len(contexts):
        raise ProtocolViolation("presentation context ids repeat")
    return AssociateRequest(
        called_ae=_text(view[4:20]),
        calling_ae=_text(view[20:36]),
        contexts=tuple(contexts),
        max_pdu=max_pdu,
        roles=roles,
        implementation_class_uid=implementation,
        implementation_version=version,
    )


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def associate_accept(
    request_body: bytes | bytearray | memoryview, answers: Sequence[ContextAnswer], *, max_pdu: int
) -> bytes:
    """A whole A-ASSOCIATE-AC (PS3.8 9.3.3) that repeats the titles of the request, as the standard asks."""
    contexts = b"".join(
        _item(0x21, bytes((answer.id, 0, answer.result, 0)) + _item(0x40, answer.transfer_syntax.encode("ascii")))
        for answer in answers
    )
    roles: dict[str, Roles] = {a.abstract_syntax: a.roles for a in answers if a.accepted and a.roles is not None}
    selected = b"".join(
        _item(0x54, struct.pack(">H", len(uid)) + uid.encode("ascii") + bytes((role.scu, role.scp)))
        for uid, role in roles.items()
    )
    user = (
        _item(0x51, struct.pack(">I", max_pdu))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode("ascii"))
        + selected
        + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode("ascii"))
    )
    body = (
        struct.pack(">HH", 1, 0)
        + bytes(memoryview(request_body)[4:68])
        + _item(0x10, APPLICATION_CONTEXT.encode("ascii"))
        + contexts
        + _item(0x50, user)
    )
    return HEADER.pack(PduType.ASSOCIATE_AC, len(body)) + body


def associate_reject(*, result: int, source: int, reason: int) -> bytes:
    """A whole A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return HEADER.pack(PduType.ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def release_response() -> bytes:
    """A whole A-RELEASE-RP (PS3.8 9.3.7)."""
    return HEADER.pack(PduType.RELEASE_RP, 4) + bytes(4)


def abort(*, source: int = 2, reason: int = 0) -> bytes:
    """A whole A-ABORT (PS3.8 9.3.8); source 2 is the provider."""
    return HEADER.pack(PduType.ABORT, 4) + bytes((0, 0, source, reason))


def command_data(context_id: int, command_set: bytes) -> bytes:
    """A whole P-DATA-TF with one PDV that holds a complete command set (PS3.8 9.3.5)."""
    pdv = PDV_HEADER.pack(len(command_set) + 2, context_id, COMMAND | LAST)
    return HEADER.pack(PduType.DATA, len(pdv) + len(command_set)) + pdv + command_set
