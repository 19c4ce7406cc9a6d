"""Encapsulated pixel data (PS3.5 A.4): where each frame's bytes lie, found by offset tables or by the fragments."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from echonode.core.errors import BudgetExceeded, Undecodable

_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0"
_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file: where they begin and how many they are."""

    offset: int
    length: int


def read_spans(file: BinaryIO, spans: Sequence[Span]) -> bytes:
    """The bytes of `spans`, joined.

    Raises:
        Undecodable: the file ends before.
    """
    parts = []
    for span in spans:
        file.seek(span.offset)
        part = file.read(span.length)
        if len(part) != span.length:
            raise Undecodable("the pixel data is cut off")
        parts.append(part)
    return b"".join(parts)


def walk_items(file: BinaryIO, *, size: int, most: int) -> tuple[bytes, list[Span], int]:
    """The basic offset table, the fragments and the end of an encapsulated value that begins at the file's position.

    No fragment is read. A missing sequence delimiter at the very end of the file is forgiven: whether all frames are
    there is judged by the frames.

    Raises:
        Undecodable: an item is malformed or exceeds the file.
        BudgetExceeded: more than `most` fragments.
    """
    table = b""
    spans: list[Span] = []
    position = file.tell()
    first = True
    while position < size:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            raise Undecodable("the pixel data is cut off in the middle of an item")
        tag, length = head[:4], struct.unpack("<I", head[4:])[0]
        if tag == _END:
            break
        if tag != _ITEM:
            raise Undecodable(f"an item tag was expected in the pixel data, not {tag.hex()}")
        if length == 0xFFFFFFFF or position + 8 + length > size:
            raise Undecodable(f"the pixel data is cut off: an item claims {length} bytes, {size - position - 8} remain")
        if first:
            if length > most * 4:
                raise BudgetExceeded(f"an offset table of {length} bytes")
            table, first = file.read(length), False
        else:
            if len(spans) >= most:
                raise BudgetExceeded(f"more than {most} fragments of pixel data")
            spans.append(Span(position + 8, length))
        position += 8 + length
    return table, spans, position


def frames_of(
    file: BinaryIO, spans: Sequence[Span], *, frames: int, table: bytes = b"", extended: bytes = b""
) -> list[tuple[Span, ...]]:
    """The fragments of each frame. An offset table that contradicts the fragments is ignored.

    `table` and `extended` are the values of the basic and the extended offset table.

    Raises:
        Undecodable: the frames cannot be told apart, or there are fewer than `frames`.
    """
    if not spans:
        raise Undecodable("the pixel data has no fragment")
    if frames == 1:
        return [tuple(spans)]
    for offsets in (_numbers(extended, "Q"), _numbers(table, "I")):
        grouped = _by_offsets(spans, offsets, frames)
        if grouped is not None:
            return grouped
    if len(spans) < frames:
        raise Undecodable(f"{frames} frames are declared, {len(spans)} are there")
    if len(spans) == frames:
        return [(span,) for span in spans]
    starts = [index for index, span in enumerate(spans) if _begins_frame(file, span)]
    if len(starts) == frames and starts[0] == 0:
        ends = [*starts[1:], len(spans)]
        return [tuple(spans[start:end]) for start, end in zip(starts, ends, strict=True)]
    if len(starts) == len(spans) and len(spans) > frames:
        # Every fragment is a whole picture: the header forgot some, and they are not shown.
        return [(span,) for span in spans[:frames]]
    raise Undecodable(f"{len(spans)} fragments cannot be divided into {frames} frames")


def _numbers(table: bytes, kind: str) -> tuple[int, ...]:
    width = struct.calcsize(kind)
    return struct.unpack(f"<{len(table) // width}{kind}", table[: len(table) // width * width])


def _by_offsets(spans: Sequence[Span], offsets: Sequence[int], frames: int) -> list[tuple[Span, ...]] | None:
    if len(offsets) != frames:
        return None
    origin = spans[0].offset
    index_of = {span.offset - origin: index for index, span in enumerate(spans)}
    starts = [index_of.get(offset) for offset in offsets]
    known = [start for start in starts if start is not None]
    if len(known) != frames or known[0] != 0 or any(b <= a for a, b in pairwise(known)):
        return None
    ends = [*known[1:], len(spans)]
    return [tuple(spans[start:end]) for start, end in zip(known, ends, strict=True)]


def _begins_frame(file: BinaryIO, span: Span) -> bool:
    file.seek(span.offset)
    return file.read(min(span.length, 6)).startswith(_STARTS)
