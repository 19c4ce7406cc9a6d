"""A stored object, or frames of it, in another transfer syntax. The stored object never changes."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from echonode.core.errors import NotFound, Undecodable, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.decode import JPEG_BASELINE, NATIVE
from echonode.dicom.encode import ENCODED, FrameEncoder, add_lossy_step, keep_lossy_history, without_palette
from echonode.dicom.pixels import PixelSource, open_pixels
from echonode.dicom.storage import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

TARGETS = frozenset({EXPLICIT_LE, IMPLICIT_LE}) | ENCODED
"""Transfer syntaxes that stored objects can be turned into."""
_OFFSET_TABLES = (0x7FE00001, 0x7FE00002)
_LONGEST_VALUE = 0xFFFFFFFE
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


def transcode_file(source: Path, target: Path, *, transfer_syntax_uid: str, limits: LimitsSection) -> None:
    """Write the data set of the Part 10 file `source` to `target` in one of `TARGETS`.

    Frames are decoded, encoded and written one at a time. Uncompressed colour comes out as RGB or YBR_FULL,
    interleaved (PS3.3 C.7.6.3); JPEG baseline as YBR_FULL_422 or luma, with a palette applied. The lossy history in
    the header stays, and JPEG baseline adds to it.

    Raises:
        UnreadableObject: the header cannot be parsed.
        BudgetExceeded: more pixels than `limits` allow, judged before any is decoded.
        Undecodable: broken pixels, pixels that the target cannot hold, or a target that is none of `TARGETS`.
    """
    if transfer_syntax_uid not in TARGETS:
        raise Undecodable(f"objects are not transcoded to {transfer_syntax_uid}")
    try:
        header = dcmread(source, stop_before_pixels=True)
        syntax = str(header.file_meta.TransferSyntaxUID)
    except (InvalidDicomError, ValueError, TypeError, AttributeError, OSError, KeyError, RecursionError) as error:
        raise UnreadableObject(f"the header cannot be read: {type(error).__name__}") from error
    if transfer_syntax_uid in ENCODED:
        with open_pixels(source, limits=limits) as pixels:
            _write_encoded(pixels, header, target, transfer_syntax_uid)
        return
    implicit = transfer_syntax_uid == IMPLICIT_LE
    if "Rows" in header and (syntax == EXPLICIT_BE or syntax not in NATIVE):
        with open_pixels(source, limits=limits) as pixels:
            _write_decoded(pixels, header, target, implicit=implicit, swap=syntax == EXPLICIT_BE)
        return
    dataset = dcmread(source)
    target.write_bytes(_encoded(dataset, implicit=implicit, swap=syntax == EXPLICIT_BE))


def transcode_frames(
    source: Path, target: Path, *, frames: Sequence[int], transfer_syntax_uid: str, limits: LimitsSection
) -> list[int]:
    """Write frames of a Part 10 file, counted from 0, to `target` one after another, and say how long each is.

    In Explicit VR Little Endian a frame of an uncompressed object keeps its layout, as the stored header describes it,
    and any other is the values that `transcode_file` would put into Pixel Data; otherwise it is one codestream.

    Raises:
        NotFound: a frame that the object does not have.
        UnreadableObject, BudgetExceeded, Undecodable: as `transcode_file`.
    """
    if transfer_syntax_uid not in TARGETS:
        raise Undecodable(f"frames are not transcoded to {transfer_syntax_uid}")
    lengths = []
    with open_pixels(source, limits=limits) as pixels, target.open("wb") as file:
        if any(not 0 <= index < pixels.frames for index in frames):
            raise NotFound(f"the object has {pixels.frames} frames")
        if pixels.transfer_syntax_uid in NATIVE and transfer_syntax_uid not in ENCODED:
            for index in frames:
                lengths.append(file.write(pixels.little_frame_bytes(index)))
            return lengths
        encoder: FrameEncoder | None = None
        for values, photometric in _frames(pixels, frames, coloured=transfer_syntax_uid == JPEG_BASELINE):
            if transfer_syntax_uid not in ENCODED:
                lengths.append(file.write(_little(values)))
                continue
            encoder = encoder or FrameEncoder(pixels.layout, transfer_syntax_uid, photometric)
            lengths.append(file.write(encoder.encode(values)))
    return lengths


def _write_decoded(pixels: PixelSource, header: Dataset, target: Path, *, implicit: bool, swap: bool) -> None:
    frames = _frames(pixels, range(pixels.frames))
    first, photometric = next(frames)
    size = first.nbytes * pixels.frames
    if size + size % 2 > _LONGEST_VALUE:
        raise Undecodable(f"{size} bytes of pixels do not fit into one uncompressed element")
    _describe(header, pixels, first, photometric)
    with target.open("wb") as file:
        file.write(_encoded(header, implicit=implicit, swap=swap))
        file.write(_pixel_header(size + size % 2, implicit=implicit, wide=first.dtype.itemsize > 1))
        file.write(_little(first))
        count = 1
        for values, kind in frames:
            if values.nbytes != first.nbytes or kind != photometric:
                raise Undecodable("the frames differ in size or colour space")
            file.write(_little(values))
            count += 1
        if count != pixels.frames:
            raise Undecodable(f"{pixels.frames} frames are declared, {count} could be decoded")
        if size % 2:
            file.write(b"\0")


def _write_encoded(pixels: PixelSource, header: Dataset, target: Path, transfer_syntax_uid: str) -> None:
    """Encapsulated with a basic offset table; the items are made first, since the header tells their size."""
    baseline = transfer_syntax_uid == JPEG_BASELINE
    frames = _frames(pixels, range(pixels.frames), coloured=baseline)
    items = target.with_name(f"{target.name}.items")
    try:
        with items.open("w+b") as beside:
            first, photometric = next(frames)
            encoder = FrameEncoder(pixels.layout, transfer_syntax_uid, photometric)
            offsets = [_put_item(beside, encoder.encode(first))]
            for values, kind in frames:
                if values.shape != first.shape or kind != photometric:
                    raise Undecodable("the frames differ in size or colour space")
                offsets.append(_put_item(beside, encoder.encode(values)))
            if len(offsets) != pixels.frames:
                raise Undecodable(f"{pixels.frames} frames are declared, {len(offsets)} could be decoded")
            size = beside.tell()
            _describe(header, pixels, first, encoder.label)
            if baseline:
                if pixels.layout.photometric == "PALETTE COLOR":
                    without_palette(header)
                add_lossy_step(header, ratio=max(first.nbytes * pixels.frames / size, 0.01))
            table = struct.pack(f"<{len(offsets)}I", *offsets) if size < _LONGEST_VALUE else b""
            with target.open("wb") as file:
                file.write(_encoded(header, implicit=False, swap=pixels.transfer_syntax_uid == EXPLICIT_BE))
                file.write(_pixel_header(0xFFFFFFFF, implicit=False, wide=False))
                file.write(_ITEM + struct.pack("<I", len(table)) + table)
                beside.seek(0)
                shutil.copyfileobj(beside, file, 1 << 20)
                file.write(_SEQUENCE_END)
    finally:
        items.unlink(missing_ok=True)


def _put_item(file: BinaryIO, stream: bytes) -> int:
    start = file.tell()
    file.write(_ITEM + struct.pack("<I", len(stream) + len(stream) % 2) + stream + b"\0" * (len(stream) % 2))
    return start


def _describe(header: Dataset, pixels: PixelSource, first: np.ndarray[Any, Any], photometric: str) -> None:
    """The Image Pixel module for frames like `first`, and the lossy history."""
    for tag in _OFFSET_TABLES:
        if tag in header:
            del header[tag]
    header.PhotometricInterpretation = photometric
    header.SamplesPerPixel = 1 if first.ndim == 2 else first.shape[2]
    if first.ndim == 3:
        header.PlanarConfiguration = 0
    elif "PlanarConfiguration" in header:
        del header.PlanarConfiguration
    header.BitsAllocated = first.dtype.itemsize * 8
    if pixels.layout.high_bit != pixels.layout.bits_stored - 1:  # decoding moved the stored bits to the bottom
        header.HighBit = pixels.layout.bits_stored - 1
    keep_lossy_history(header, pixels.transfer_syntax_uid)


def _frames(
    pixels: PixelSource, wanted: Sequence[int], *, coloured: bool = False
) -> Iterator[tuple[np.ndarray[Any, Any], str]]:
    """Stored values of frames and how to read them; with `coloured` those of a palette are its colours."""
    if pixels.is_video:
        yield from _video_frames(pixels, wanted)
        return
    decoder = pixels.decoder()
    palette = coloured and pixels.layout.photometric == "PALETTE COLOR"
    for index in wanted:
        stored = pixels.frame_bytes(index)
        yield (decoder.decode(stored), "RGB") if palette else decoder.values(stored)


def _video_frames(pixels: PixelSource, wanted: Sequence[int]) -> Iterator[tuple[np.ndarray[Any, Any], str]]:
    """A bit stream decodes from its beginning only; frames asked for out of order are kept until their turn."""
    if list(wanted) == list(range(pixels.frames)):
        for frame in pixels.iter_frames():
            yield frame, "RGB"
        return
    last, kept = max(wanted, default=-1), {}
    for index, frame in enumerate(pixels.iter_frames()):
        if index in wanted:
            kept[index] = frame
        if index == last:
            break
    for index in wanted:
        yield kept[index], "RGB"


def _little(values: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _pixel_header(length: int, *, implicit: bool, wide: bool) -> bytes:
    if implicit:
        return struct.pack("<HHI", 0x7FE0, 0x0010, length)
    return struct.pack("<HH2sxxI", 0x7FE0, 0x0010, b"OW" if wide else b"OB", length)


def _encoded(dataset: Dataset, *, implicit: bool, swap: bool) -> bytes:
    """`dataset` without its file meta; `swap` turns the words of a big endian source around."""
    for element in dataset.iterall():  # reading each element also ends the form in which pydicom keeps unread ones
        if swap and element.VR == "OW" and isinstance(element.value, bytes):
            element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    try:
        write_dataset(buffer, dataset)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, struct.error) as error:
        raise Undecodable(f"the header cannot be written again: {type(error).__name__}") from error
    return bytes(buffer.getvalue())
