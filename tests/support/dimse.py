"""A scripted DICOM peer that sends whatever bytes a test wants, and small objects made of bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

US = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def element(tag: int, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0"
    return struct.pack("<HHI", 0, tag, len(value)) + value


def us(number: int) -> bytes:
    return struct.pack("<H", number)


def command_set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return element(0x0000, struct.pack("<I", len(body))) + body


def store_command(sop_class: str, sop_instance: str | None, *, message_id: int = 1) -> bytes:
    parts = [
        element(0x0002, sop_class.encode()),
        element(0x0100, us(0x0001)),
        element(0x0110, us(message_id)),
        element(0x0700, us(0)),
        element(0x0800, us(0)),
    ]
    if sop_instance is not None:
        parts.append(element(0x1000, sop_instance.encode()))
    return command_set(*parts)


def echo_command() -> bytes:
    return command_set(
        element(0x0002, VERIFICATION.encode()),
        element(0x0100, us(0x0030)),
        element(0x0110, us(7)),
        element(0x0800, us(0x0101)),
    )


def associate_body(
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    called: str = "ECHONODE",
    calling: str = "SCANNER",
    max_pdu: int = 65536,
    extra: bytes = b"",
) -> bytes:
    body = struct.pack(">HH", 1, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for index, (abstract, syntaxes) in enumerate(contexts):
        value = bytes((2 * index + 1, 0, 0, 0)) + item(0x30, abstract.encode())
        body += item(0x20, value + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes))
    return body + item(0x50, item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3.4") + extra)


class RawPeer:
    """A scripted peer: sends bytes as they are, reads PDUs."""

    def __init__(self, port: int, *, timeout: float = 20.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.results: dict[int, tuple[int, str]] = {}

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.sock.recv(count - len(data))
            if not chunk:
                raise ConnectionResetError("closed")
            data += chunk
        return data

    def read(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self.exactly(6))
        return kind, self.exactly(length)

    def closed(self) -> bool:
        """Whether the node closed the connection; what it still says is read and dropped."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            return True
        return True

    def associate(self, contexts: Sequence[tuple[str, Sequence[str]]], **options: object) -> int:
        """The type of the answer: 2 accepted, 3 rejected."""
        self.send(pdu(1, associate_body(contexts, **options)))  # type: ignore[arg-type]
        kind, body = self.read()
        offset = 68
        while kind == 2 and offset < len(body):
            sub, length = struct.unpack_from(">BxH", body, offset)
            if sub == 0x21:
                value = body[offset + 4 : offset + 4 + length]
                self.results[value[0]] = (value[2], value[8:].decode().rstrip("\0"))
            offset += 4 + length
        return kind

    def response(self) -> dict[int, bytes]:
        """The command set of the next message, by element number."""
        kind, body = self.read()
        assert kind == 4, f"PDU {kind} {body!r}"
        found, offset = {}, 6
        while offset < len(body):
            _, tag, length = struct.unpack_from("<HHI", body, offset)
            found[tag] = body[offset + 8 : offset + 8 + length]
            offset += 8 + length
        return found

    def status(self) -> int:
        return int.from_bytes(self.response()[0x0900], "little")

    def echo(self, context_id: int) -> int:
        self.send(pdu(4, pdv(context_id, 3, echo_command())))
        return self.status()

    def store(
        self, context_id: int, sop_class: str, sop_instance: str | None, data: bytes, *, step: int = 60000
    ) -> int:
        """C-STORE of data set bytes as they are; the status."""
        self.send(pdu(4, pdv(context_id, 3, store_command(sop_class, sop_instance))))
        for offset in range(0, max(len(data), 1), step):
            last = 2 if offset + step >= len(data) else 0
            self.send(pdu(4, pdv(context_id, last, data[offset : offset + step])))
        return self.status()

    def release(self) -> int:
        self.send(pdu(5, bytes(4)))
        return self.read()[0]


def explicit_element(group: int, tag: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    if vr in (b"OB", b"OW", b"SQ", b"UN"):
        return struct.pack("<HH2sxxI", group, tag, vr, len(value)) + value
    return struct.pack("<HH2sH", group, tag, vr, len(value)) + value


def small_object(
    number: int, *, sop_class: str = US, uid: str | None = None, study: str = "1.2.3.9", pixels: bytes = bytes(64)
) -> tuple[str, bytes]:
    """(SOP Instance UID, data set in Explicit VR Little Endian) of an 8 x 8 still."""
    sop = uid if uid is not None else f"1.2.3.9.1.{number}"
    parts = [
        (0x0008, 0x0016, b"UI", sop_class.encode()),
        (0x0008, 0x0018, b"UI", sop.encode()),
        (0x0008, 0x0020, b"DA", b"20260102"),
        (0x0008, 0x0060, b"CS", b"US"),
        (0x0010, 0x0010, b"PN", b"Doe^Jane"),
        (0x0010, 0x0020, b"LO", b"P1"),
        (0x0020, 0x000D, b"UI", study.encode()),
        (0x0020, 0x000E, b"UI", f"{study}.1".encode()),
        (0x0020, 0x0013, b"IS", str(number).encode()),
        (0x0028, 0x0002, b"US", us(1)),
        (0x0028, 0x0004, b"CS", b"MONOCHROME2"),
        (0x0028, 0x0010, b"US", us(8)),
        (0x0028, 0x0011, b"US", us(8)),
        (0x0028, 0x0100, b"US", us(8)),
        (0x0028, 0x0101, b"US", us(8)),
        (0x0028, 0x0102, b"US", us(7)),
        (0x0028, 0x0103, b"US", us(0)),
        (0x7FE0, 0x0010, b"OB", pixels),
    ]
    return sop, b"".join(explicit_element(*part) for part in parts)
