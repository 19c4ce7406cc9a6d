"""The encoded frames of a derived cine, one at a time, each marked for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless

from echonode.core.errors import Undecodable
from echonode.core.results import Loop
from echonode.derive.banner import ACQUIRED, INTERPOLATED, REPEATED, Banner
from echonode.derive.jpeg import JpegStyle, PlaneDecoder, encode, style_for, style_of
from echonode.dicom.decode import JPEG_BASELINE
from echonode.dicom.layout import PixelLayout
from echonode.dicom.lossy import METHOD_OF_SYNTAX
from echonode.dicom.pixels import PixelSource

FAITHFUL_DB = 50.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How frames are written: transfer syntax, photometric interpretation, and the JPEG style when it is JPEG.

    `native_style` says that the style is the source's own, so that its frames can be re-quantised or passed through.
    """

    transfer_syntax_uid: str
    photometric: str
    method: str | None = None
    style: JpegStyle | None = None
    native_style: bool = False

    @property
    def samples(self) -> int:
        """Samples a pixel."""
        return 1 if self.photometric == "MONOCHROME2" else 3


def choose_encoding(source: PixelSource, lossless: bool | str) -> Encoding:
    """The source's own JPEG style where it is JPEG baseline, else quality 92 or more; JPEG-LS or raw where lossless.

    `lossless` is False, True (JPEG-LS) or "explicit" (uncompressed).
    """
    layout = source.layout
    grey = layout.channels == 1
    plain = "MONOCHROME2" if grey else "RGB"
    if lossless:
        syntax = ExplicitVRLittleEndian if lossless == "explicit" else JPEGLSLossless
        return Encoding(transfer_syntax_uid=str(syntax), photometric=plain)
    style = None
    if source.transfer_syntax_uid == JPEG_BASELINE and layout.photometric != "MONOCHROME1":
        style = style_of(source.frame_bytes(0), photometric=layout.photometric)
    native = style is not None
    if style is None:
        style = style_for(next(source.iter_frames()), faithful_db=FAITHFUL_DB)
    return Encoding(
        transfer_syntax_uid=str(JPEGBaseline8Bit),
        photometric="MONOCHROME2" if style.grey else _ybr_label(layout, native),
        method=METHOD_OF_SYNTAX[JPEG_BASELINE],
        style=style,
        native_style=native,
    )


def _ybr_label(layout: PixelLayout, native: bool) -> str:
    return "YBR_FULL" if native and layout.photometric == "YBR_FULL" else "YBR_FULL_422"


def encoded_frames(
    source: PixelSource, loop: Loop, encoding: Encoding, banner: Banner, *, mark: str
) -> Iterator[bytes]:
    """Each frame of `loop`, marked and encoded, in order.

    With `mark` "interpolated", acquired frames of a JPEG baseline source are its own compressed bytes, and acquired
    frames of any other source are encoded without the marking. With "all", acquired frames of a JPEG source are
    marked on its decoded planes and quantised with its own tables.
    """
    planes = PlaneDecoder()
    style = encoding.style
    for index in range(len(loop.frames)):
        status = status_of(loop, index)
        marked = mark == "all" or status != ACQUIRED
        if status == ACQUIRED and encoding.native_style and style is not None:
            stored = source.frame_bytes(round(float(loop.positions[index])))
            if not marked:
                yield stored
                continue
            own = style_of(stored, photometric=source.layout.photometric)
            ybr = _planes(planes, stored)
            if own is not None and ybr is not None:
                banner.stamp(ybr, status, float(loop.times_ms[index]), colours="YCbCr")
                yield encode(ybr, own, ybr=True)
                continue
        picture = np.array(loop.frames[index])
        if marked:
            banner.stamp(picture, status, float(loop.times_ms[index]))
        yield _encode(picture, encoding)


def status_of(loop: Loop, index: int) -> str:
    """What a frame is: acquired, repeated or interpolated."""
    if loop.acquired[index]:
        return ACQUIRED
    return REPEATED if loop.repeated[index] else INTERPOLATED


def _planes(decoder: PlaneDecoder, stored: bytes) -> np.ndarray | None:
    try:
        return decoder.decode(stored)
    except Undecodable:
        return None  # an unusual sampling: the decoded picture is encoded instead


def _encode(picture: np.ndarray, encoding: Encoding) -> bytes:
    if encoding.style is not None:
        return encode(picture, encoding.style)
    if encoding.samples == 3 and picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    if encoding.samples == 1:
        picture = picture[..., 0]
    if encoding.transfer_syntax_uid == ExplicitVRLittleEndian:
        return np.ascontiguousarray(picture).tobytes()
    options: dict[str, Any] = {
        "rows": picture.shape[0],
        "columns": picture.shape[1],
        "samples_per_pixel": encoding.samples,
        "number_of_frames": 1,
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "photometric_interpretation": encoding.photometric,
        "planar_configuration": 0,
    }
    encoder = get_encoder(JPEGLSLossless)
    encoded: bytes = encoder.encode(np.ascontiguousarray(picture), encoding_plugin="pyjpegls", **options)
    return encoded
