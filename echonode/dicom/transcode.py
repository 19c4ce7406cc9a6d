"""A stored object as an uncompressed data set, for a peer that takes nothing else. The stored object never changes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from echonode.core.errors import Undecodable, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.decode import BIG_ENDIAN, NATIVE, FrameDecoder
from echonode.dicom.pixels import PixelSource, open_pixels

EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
_OFFSET_TABLES = (0x7FE00001, 0x7FE00002)
_LONGEST_VALUE = 0xFFFFFFFE


def transcode_file(source: Path, target: Path, *, transfer_syntax_uid: str, limits: LimitsSection) -> None:
    """Write the data set of the Part 10 file `source` to `target` in Explicit or Implicit VR Little Endian.

    Decoded frames are written one at a time; colour comes out as RGB or YBR_FULL, interleaved (PS3.3 C.7.6.3), and
    the lossy history in the header stays.

    Raises:
        UnreadableObject: the header cannot be parsed.
        BudgetExceeded: more pixels than `limits` allow, judged before any is decoded.
        Undecodable: broken pixels, or a target syntax other than the two.
    """
    if transfer_syntax_uid not in (EXPLICIT_LE, IMPLICIT_LE):
        raise Undecodable(f"objects are not transcoded to {transfer_syntax_uid}")
    try:
        header = dcmread(source, stop_before_pixels=True)
        syntax = str(header.file_meta.TransferSyntaxUID)
    except (InvalidDicomError, ValueError, TypeError, AttributeError, OSError, KeyError, RecursionError) as error:
        raise UnreadableObject(f"the header cannot be read: {type(error).__name__}") from error
    implicit = transfer_syntax_uid == IMPLICIT_LE
    if "Rows" in header and (syntax == BIG_ENDIAN or syntax not in NATIVE):
        with open_pixels(source, limits=limits) as pixels:
            _write_decoded(pixels, header, target, implicit=implicit, swap=syntax == BIG_ENDIAN)
        return
    dataset = dcmread(source)
    target.write_bytes(_encoded(dataset, implicit=implicit, swap=syntax == BIG_ENDIAN))


def _write_decoded(pixels: PixelSource, header: Dataset, target: Path, *, implicit: bool, swap: bool) -> None:
    frames = _stored_frames(pixels)
    first, photometric = next(frames)
    size = first.nbytes * pixels.frames
    if size + size % 2 > _LONGEST_VALUE:
        raise Undecodable(f"{size} bytes of pixels do not fit into one uncompressed element")
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


def _stored_frames(pixels: PixelSource) -> Iterator[tuple[np.ndarray[Any, Any], str]]:
    if pixels.is_video:
        for frame in pixels.iter_frames():
            yield frame, "RGB"
        return
    decoder = FrameDecoder(pixels.header, pixels.layout, pixels.transfer_syntax_uid)
    for index in range(pixels.frames):
        yield decoder.values(pixels.frame_bytes(index))


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
