"""A DICOM file's pixels, frame by frame, under a budget that is checked before anything is allocated."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_file_meta_info

from echonode.core.clip import Clip, SourceIdentity
from echonode.core.errors import BudgetExceeded, Undecodable, UnreadableObject
from echonode.core.facts import Facts
from echonode.core.settings import LimitsSection
from echonode.dicom import elements
from echonode.dicom.decode import NATIVE, VIDEO, FrameDecoder
from echonode.dicom.facts import facts_of
from echonode.dicom.fragments import Span, frames_of, read_spans, walk_items
from echonode.dicom.layout import PixelLayout, check_budget, layout_of
from echonode.dicom.regions import regions_of
from echonode.dicom.storage import DEFLATED_LE, EXPLICIT_BE, IMPLICIT_LE
from echonode.dicom.stream import decode_video
from echonode.dicom.timing import FrameTimes, frame_times_ms, r_wave_times_ms
from echonode.dicom.views import view_code

_UNDEFINED = 0xFFFFFFFF
_PIXEL_TAGS = {(0x7FE0, 0x0010)}
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"UN", b"OL", b"OV"})
_DEFER_BYTES = 4 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Element:
    """The Pixel Data element: VR, where its value begins, its length, None when undefined."""

    vr: str
    offset: int
    length: int | None


class PixelSource:
    """An open DICOM file whose frames can be read as stored bytes or decoded one at a time. Use `open_pixels`."""

    def __init__(self, path: Path, file: BinaryIO, size: int, header: Dataset, syntax: str, limits: LimitsSection):
        self.path, self.header, self.transfer_syntax_uid, self.limits = path, header, syntax, limits
        self._file, self._size = file, size
        self.layout: PixelLayout = layout_of(header)
        check_budget(self.layout, limits)
        self._element = _pixel_element(file, implicit=syntax == IMPLICIT_LE, big=syntax.endswith(".2.2"))
        self._end = 0
        self._spans = self._locate()

    def __enter__(self) -> PixelSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.layout.frames

    @property
    def is_video(self) -> bool:
        """Whether all frames are one MPEG bit stream, so that `frame_bytes` gives none of them alone."""
        return self.transfer_syntax_uid in VIDEO

    @property
    def stored_bytes(self) -> int:
        """Bytes of the stored pixel data value, items and offset table included."""
        return self._end - self._element.offset

    def facts(self) -> Facts:
        """The header's facts."""
        return facts_of(self.header, transfer_syntax_uid=self.transfer_syntax_uid)

    def times(self) -> FrameTimes:
        """When each frame was taken."""
        return frame_times_ms(self.header, frames=self.frames)

    def frame_bytes(self, index: int) -> bytes:
        """The stored bytes of frame `index`, counted from 0: one compressed stream, or the uncompressed values.

        Raises:
            Undecodable: the file ends before, or the frames are one video stream.
        """
        if self.is_video:
            raise Undecodable("the frames of a video stream cannot be read alone")
        return read_spans(self._file, self._spans[index])

    def little_frame_bytes(self, index: int) -> bytes:
        """As `frame_bytes` of uncompressed pixels, in little endian byte order."""
        stored = self.frame_bytes(index)
        if self.transfer_syntax_uid != EXPLICIT_BE:
            return stored
        width = self.layout.bits_allocated // 8
        if width == 1 and self._element.vr == "OW":
            width = 2
        whole = len(stored) // width * width
        return np.frombuffer(stored, f">u{width}", whole // width).astype(f"<u{width}").tobytes() + stored[whole:]

    def decoder(self) -> FrameDecoder:
        """What decodes the bytes that `frame_bytes` gives.

        Raises:
            Undecodable: no decoder takes the transfer syntax.
        """
        return FrameDecoder(self.header, self.layout, self.transfer_syntax_uid, pixel_vr=self._element.vr)

    def iter_frames(self) -> Iterator[np.ndarray]:
        """Each frame, uint8 H x W x (1 | 3), in order; one is held at a time.

        Raises:
            Undecodable: a frame is cut off or corrupt; no part-grey picture is ever given.
        """
        if self.is_video:
            yield from decode_video(read_spans(self._file, self._spans[0]), self.layout)
            return
        decoder = self.decoder()
        if decoder.needs_range:
            decoder.window = decoder.value_range(self.frame_bytes(index) for index in range(self.frames))
        for index in range(self.frames):
            yield decoder.decode(self.frame_bytes(index))

    def digest(self) -> str:
        """SHA-256 in hex of the stored pixel data value, items and offset table included."""
        digest = hashlib.sha256()
        self._file.seek(self._element.offset)
        remaining = self._end - self._element.offset
        while remaining > 0:
            block = self._file.read(min(_BLOCK, remaining))
            if not block:
                raise Undecodable("the pixel data is cut off")
            digest.update(block)
            remaining -= len(block)
        return digest.hexdigest()

    def _locate(self) -> list[tuple[Span, ...]]:
        layout, element = self.layout, self._element
        if element.length is None:
            if self.transfer_syntax_uid in NATIVE:
                raise Undecodable("uncompressed pixel data of undefined length")
            self._file.seek(element.offset)
            most = max(16 * self.limits.frames, 1024)
            table, spans, self._end = walk_items(self._file, size=self._size, most=most)
            if self.is_video:
                return [tuple(spans)]
            return frames_of(
                self._file,
                spans,
                frames=layout.frames,
                table=table,
                extended=_bytes(self.header, 0x7FE00001),
            )
        if self.transfer_syntax_uid not in NATIVE:
            raise Undecodable(f"pixel data of transfer syntax {self.transfer_syntax_uid} is not encapsulated")
        frame, total = layout.native_frame_bytes, layout.native_frame_bytes * layout.frames
        there = min(element.length, self._size - element.offset)
        self._end = element.offset + there
        if there < total or there < element.length:
            raise Undecodable(f"the pixel data is cut off: {max(total, element.length)} bytes expected, {there} there")
        return [(Span(element.offset + index * frame, frame),) for index in range(layout.frames)]


def open_pixels(path: Path, *, limits: LimitsSection) -> PixelSource:
    """The pixels of a DICOM Part 10 file, checked against `limits`; nothing is decoded yet.

    Raises:
        UnreadableObject: no DICOM file, or its header cannot be parsed.
        BudgetExceeded: decoding it would need more than `limits` allow.
        Undecodable: it has no pixels, or they are cut off.
    """
    try:
        file: BinaryIO = path.open("rb")
    except OSError as error:
        raise UnreadableObject(f"{path.name} cannot be opened: {error.strerror}") from error
    try:
        size = path.stat().st_size
        try:
            syntax = str(read_file_meta_info(path).get("TransferSyntaxUID", ""))
            if syntax == DEFLATED_LE:
                file, size = _inflated(file, limits.frame_bytes)
                header = _after_meta(file)
            else:
                header = dcmread(file, stop_before_pixels=True, defer_size=_DEFER_BYTES)
        except elements.NO_DICOM as error:
            raise UnreadableObject(f"{path.name} is no readable DICOM file: {error or type(error).__name__}") from error
        return PixelSource(path, file, size, header, syntax, limits)
    except BaseException:
        file.close()
        raise


def read_clip(path: Path, *, limits: LimitsSection) -> Clip:
    """A DICOM Part 10 file as a Clip; grey photometrics give one channel, all others RGB.

    Raises:
        UnreadableObject, BudgetExceeded, Undecodable: as `open_pixels` and `PixelSource.iter_frames`.
    """
    with open_pixels(path, limits=limits) as source:
        layout, facts, times = source.layout, source.facts(), source.times()
        frames = np.empty((layout.frames, layout.rows, layout.columns, layout.channels), np.uint8)
        count = 0
        for count, frame in enumerate(source.iter_frames(), start=1):
            frames[count - 1] = frame
        if count != layout.frames:
            raise Undecodable(f"{layout.frames} frames are declared, {count} could be decoded")
        return Clip(
            frames=frames,
            times_ms=times.times_ms,
            source=identity_of(facts, digest=source.digest(), name=path.name),
            regions=regions_of(source.header),
            mode=facts.mode,
            view=view_code(facts.view),
            stage=facts.stage,
            heart_rate=facts.heart_rate,
            timed=times.timed,
            r_waves_ms=r_wave_times_ms(source.header),
        )


def iter_frames(path: Path, *, limits: LimitsSection) -> Iterator[np.ndarray]:
    """The decoded frames of a DICOM Part 10 file, one at a time."""
    with open_pixels(path, limits=limits) as source:
        yield from source.iter_frames()


def pixel_digest(path: Path, *, limits: LimitsSection | None = None) -> str:
    """SHA-256 in hex of the stored pixel data value of a DICOM Part 10 file."""
    with open_pixels(path, limits=limits or LimitsSection()) as source:
        return source.digest()


def identity_of(facts: Facts, *, digest: str, name: str = "") -> SourceIdentity:
    """What a clip remembers of the object that it was decoded from."""
    return SourceIdentity(
        sop_instance_uid=facts.sop_instance_uid,
        sop_class_uid=facts.sop_class_uid,
        series_uid=facts.series_uid,
        study_uid=facts.study_uid,
        pixel_digest=digest,
        name=name,
    )


def _bytes(header: Dataset, tag: int) -> bytes:
    element = elements.stored(header, tag)
    return element.value if element is not None and isinstance(element.value, bytes) else b""


def _pixel_element(file: BinaryIO, *, implicit: bool, big: bool) -> _Element:
    """The element at the file's position, where reading the header stopped."""
    order = ">" if big else "<"
    start = file.tell()
    head = file.read(12)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) not in _PIXEL_TAGS:
        raise Undecodable("the object has no pixel data of integers")
    if implicit:
        vr, offset, length = "OW", start + 8, struct.unpack(f"{order}I", head[4:8])[0]
    elif head[4:6] in _LONG_VRS and len(head) == 12:
        vr, offset, length = head[4:6].decode(), start + 12, struct.unpack(f"{order}I", head[8:12])[0]
    else:
        raise Undecodable("the pixel data's value representation is malformed")
    return _Element(vr=vr, offset=offset, length=None if length == _UNDEFINED else length)


def _inflated(file: BinaryIO, most: int) -> tuple[BinaryIO, int]:
    """The deflated data set of a Part 10 file, inflated to at most `most` bytes."""
    file.seek(132)
    group = file.read(12)
    if len(group) != 12 or group[:6] != b"\x02\x00\x00\x00UL":
        raise UnreadableObject("the file meta information has no group length")
    file.seek(struct.unpack("<I", group[8:])[0], io.SEEK_CUR)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    try:
        while block := inflater.unconsumed_tail or file.read(_BLOCK):
            inflated += inflater.decompress(block, most + 1 - len(inflated))
            if len(inflated) > most:
                raise BudgetExceeded(f"the deflated data set is larger than {most} bytes")
    except zlib.error as error:
        raise UnreadableObject(f"the deflated data set is corrupt: {error}") from error
    file.close()
    return io.BytesIO(bytes(inflated)), len(inflated)


def _after_meta(file: BinaryIO) -> Dataset:
    return read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag in (0x7FE00010, 0x7FE00009, 0x7FE00008),
    )
