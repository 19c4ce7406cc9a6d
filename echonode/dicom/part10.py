"""The head of a Part 10 file (PS3.10 7.1): preamble, prefix and file meta, to which data set bytes are appended."""

from __future__ import annotations

import struct

from echonode.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_uid

PREAMBLE = bytes(128) + b"DICM"


def _element(tag: int, vr: bytes, value: bytes, padding: bytes = b"\0") -> bytes:
    if len(value) % 2:
        value += padding
    if vr == b"OB":
        return struct.pack("<HH2sxxI", 2, tag, vr, len(value)) + value
    return struct.pack("<HH2sH", 2, tag, vr, len(value)) + value


def part10_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae: str = "") -> bytes:
    """Everything of the file before its data set; `len()` of it is the data set's offset.

    A SOP UID that is no UID is left empty: the data set's own is judged at the ingest door, and no byte that a peer
    chose freely gets into the head.

    Raises:
        ValueError: `transfer_syntax_uid` is no UID.
    """
    if not is_uid(transfer_syntax_uid):
        raise ValueError(f"{transfer_syntax_uid!r} is no transfer syntax UID")
    elements = _element(0x0001, b"OB", b"\0\1")
    elements += _element(0x0002, b"UI", sop_class_uid.encode() if is_uid(sop_class_uid) else b"")
    elements += _element(0x0003, b"UI", sop_instance_uid.encode() if is_uid(sop_instance_uid) else b"")
    elements += _element(0x0010, b"UI", transfer_syntax_uid.encode())
    elements += _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode())
    elements += _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode(), b" ")
    if source_ae and len(source_ae) <= 16 and source_ae.isascii() and source_ae.isprintable():
        elements += _element(0x0016, b"AE", source_ae.encode(), b" ")
    return PREAMBLE + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements
