"""Where the frames of an object lie in its file, from its header and the items of its pixel data."""

from __future__ import annotations

from pathlib import Path

from echonode.core.errors import BudgetExceeded, Undecodable
from echonode.core.frame_table import FrameTable
from echonode.core.settings import LimitsSection
from echonode.dicom import elements
from echonode.dicom.decode import VIDEO
from echonode.dicom.fragments import Span, frames_of
from echonode.dicom.header import SYNTAXES_DEFLATED, Header, PixelElement

_ITEM_HEAD = 8
_EXTENDED_OFFSETS = 0x7FE00001
NO_FRAMES = FrameTable()


def frame_table_of(header: Header, path: Path, *, transfer_syntax_uid: str, limits: LimitsSection) -> FrameTable:
    """The frame table of the object in `path`; of no frames where they cannot be told apart or cannot be cut out.

    Those are objects without pixels, deflated ones, video streams, frames that end inside a byte, and pixel data that
    contradicts the header.

    Raises:
        OSError: the file cannot be read.
    """
    pixels = header.pixels
    if pixels is None or transfer_syntax_uid in SYNTAXES_DEFLATED or transfer_syntax_uid in VIDEO:
        return NO_FRAMES
    count = elements.integer(header.item, "NumberOfFrames") or 1
    if not 0 < count <= limits.frames:
        return NO_FRAMES
    if not pixels.encapsulated:
        return _native(header, pixels, count)
    lengths = list(pixels.items[1:])
    if not lengths:
        return NO_FRAMES
    first = pixels.begin + _ITEM_HEAD + pixels.items[0] + _ITEM_HEAD
    if count == len(lengths):
        return FrameTable.encapsulated(first=first, lengths=lengths)
    if count == 1:
        return FrameTable.encapsulated(first=first, lengths=lengths, fragments=[len(lengths)])
    try:
        groups = _grouped(header, path, pixels, first, lengths, count)
    except (Undecodable, BudgetExceeded):
        return NO_FRAMES
    return FrameTable.encapsulated(first=first, lengths=lengths[: sum(groups)], fragments=groups)


def native_frame_bytes(header: Header) -> int:
    """Bytes of one uncompressed frame by the header; 0 where it does not say, or where a frame ends inside a byte.

    YBR_FULL_422 shares chroma between two pixels (PS3.3 C.7.6.3.1.2).
    """
    rows, columns, allocated = (
        elements.unsigned(header.item, keyword) or 0 for keyword in ("Rows", "Columns", "BitsAllocated")
    )
    pixels = rows * columns
    if elements.text(header.item, "PhotometricInterpretation") == "YBR_FULL_422" and allocated == 8:
        return pixels * 2
    samples = elements.unsigned(header.item, "SamplesPerPixel") or 1
    size, rest = divmod(pixels * samples * allocated, 8)
    return 0 if rest else size


def _native(header: Header, pixels: PixelElement, count: int) -> FrameTable:
    there = pixels.end - pixels.begin
    size = native_frame_bytes(header)
    if not size:
        return FrameTable.native(first=pixels.begin, size=there, count=1) if count == 1 and there else NO_FRAMES
    return FrameTable.native(first=pixels.begin, size=size, count=count) if size * count <= there else NO_FRAMES


def _grouped(header: Header, path: Path, pixels: PixelElement, first: int, lengths: list[int], count: int) -> list[int]:
    spans, offset = [], first
    for length in lengths:
        spans.append(Span(offset, length))
        offset += length + _ITEM_HEAD
    extended = header.raw.get(_EXTENDED_OFFSETS)
    with path.open("rb") as file:
        file.seek(pixels.begin + _ITEM_HEAD)
        table = file.read(min(pixels.items[0], 4 * count))
        frames = frames_of(
            file, spans, frames=count, table=table, extended=(extended.value or b"") if extended else b""
        )
    return [len(frame) for frame in frames]
