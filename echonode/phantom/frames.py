"""Simulated frames as Pixel Data: the transfer syntaxes in which scanners send, and what the header says of each."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import av
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder

from echonode.core.errors import BadInput
from echonode.dicom import still
from echonode.dicom.decode import JPEG_BASELINE
from echonode.dicom.encode import JPEG_LS
from echonode.dicom.lossy import METHOD_OF_SYNTAX
from echonode.dicom.storage import EXPLICIT_LE

RLE = "1.2.840.10008.1.2.5"
H264 = "1.2.840.10008.1.2.4.102"
QUALITY = 90


class Syntax(StrEnum):
    """Transfer syntaxes by the names that commands use."""

    JPEG = "jpeg"
    """JPEG baseline, chroma shared by two pixels; one channel stays grey."""
    EXPLICIT = "explicit"
    """Uncompressed, Explicit VR Little Endian."""
    RLE = "rle"
    JPEG_LS = "jpeg-ls"
    """Lossless."""
    H264 = "h264"
    """H.264 High Profile Level 4.1 in an MP4 container; loops only, a still is JPEG then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedPixels:
    """The value of Pixel Data and what belongs beside it in the header; `method` and `ratio` are None when lossless."""

    value: bytes
    transfer_syntax_uid: str
    photometric: str
    samples: int
    planar: int | None
    method: str | None = None
    ratio: float | None = None

    @property
    def encapsulated(self) -> bool:
        """Whether the value is a sequence of items."""
        return self.transfer_syntax_uid != EXPLICIT_LE


def encode_frames(frames: np.ndarray, syntax: Syntax, *, frame_time_ms: float | None = None) -> EncodedPixels:
    """Frames uint8 T x H x W x (1 grey | 3 RGB) in `syntax`.

    Raises:
        BadInput: H.264 for pictures with an odd side.
    """
    if syntax is Syntax.H264 and len(frames) > 1:
        return _video(frames, 1000.0 / frame_time_ms if frame_time_ms else 30.0)
    grey = frames.shape[3] == 1
    plain = "MONOCHROME2" if grey else "RGB"
    samples, planar = frames.shape[3], None if grey else 0
    if syntax is Syntax.EXPLICIT:
        value = np.ascontiguousarray(frames).tobytes()
        return EncodedPixels(
            value=value + b"\0" * (len(value) % 2),
            transfer_syntax_uid=EXPLICIT_LE,
            photometric=plain,
            samples=samples,
            planar=planar,
        )
    if syntax is Syntax.RLE:
        return EncodedPixels(
            value=_items(frames, _plugin(RLE, "pylibjpeg", plain)),
            transfer_syntax_uid=RLE,
            photometric=plain,
            samples=samples,
            planar=None if grey else 1,
        )
    if syntax is Syntax.JPEG_LS:
        return EncodedPixels(
            value=_items(frames, _plugin(JPEG_LS, "pyjpegls", plain)),
            transfer_syntax_uid=JPEG_LS,
            photometric=plain,
            samples=samples,
            planar=planar,
        )
    value = _items(frames, lambda frame: still.jpeg(frame, quality=QUALITY))
    return EncodedPixels(
        value=value,
        transfer_syntax_uid=JPEG_BASELINE,
        photometric="MONOCHROME2" if grey else "YBR_FULL_422",
        samples=samples,
        planar=planar,
        method=METHOD_OF_SYNTAX[JPEG_BASELINE],
        ratio=frames.nbytes / len(value),
    )


def _items(frames: np.ndarray, encode: Callable[[np.ndarray], bytes]) -> bytes:
    """One item a frame behind a basic offset table (PS3.5 A.4)."""
    value: bytes = encapsulate([encode(frame) for frame in frames], has_bot=True)
    return value


def _plugin(uid: str, plugin: str, photometric: str) -> Callable[[np.ndarray], bytes]:
    encoder = get_encoder(uid)

    def encode(frame: np.ndarray) -> bytes:
        options: dict[str, Any] = {
            "rows": frame.shape[0],
            "columns": frame.shape[1],
            "samples_per_pixel": frame.shape[2],
            "number_of_frames": 1,
            "bits_allocated": 8,
            "bits_stored": 8,
            "pixel_representation": 0,
            "photometric_interpretation": photometric,
            "planar_configuration": 0,
        }
        stored = frame[..., 0] if frame.shape[2] == 1 else frame
        stream: bytes = encoder.encode(np.ascontiguousarray(stored), encoding_plugin=plugin, **options)
        return stream

    return encode


def _video(frames: np.ndarray, rate: float) -> EncodedPixels:
    """One bit stream in one item (PS3.5 8.2.7, A.4.6); MP4 is one of the containers that are allowed."""
    rows, columns = frames.shape[1:3]
    if rows % 2 or columns % 2:
        raise BadInput(f"H.264 needs even sides, these pictures have {columns} x {rows}")
    file = io.BytesIO()
    with av.open(file, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = rows, columns, "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast", "profile": "high", "level": "4.1"}
        stream.codec_context.thread_count = 1
        for frame in frames:
            grey = frame.shape[2] == 1
            shown = np.ascontiguousarray(frame[..., 0] if grey else frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="gray" if grey else "rgb24")))
        container.mux(stream.encode())
    value: bytes = encapsulate([file.getvalue()], has_bot=False)
    return EncodedPixels(
        value=value,
        transfer_syntax_uid=H264,
        photometric="YBR_PARTIAL_420",
        samples=3,
        planar=0,
        method=METHOD_OF_SYNTAX[H264],
        ratio=frames.shape[0] * rows * columns * 3 / len(value),
    )
