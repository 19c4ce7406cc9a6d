"""One picture as the bytes of a PNG, a JPEG or a GIF file."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from PIL import Image

from echonode.dicom.codestream import jpeg_header

QUALITY = 90
_EFFORT = 3
_BASELINE = frozenset({0, 1, 2})
_TURNS_OR_TINTS = (b"Exif\0\0", b"ICC_PROFILE\0")
_MARKERS = 1 << 16


def png(frame: np.ndarray) -> bytes:
    """uint8 H x W x (1 | 3) without any loss."""
    buffer = io.BytesIO()
    _picture(frame).save(buffer, "PNG", compress_level=_EFFORT)
    return buffer.getvalue()


def jpeg(frame: np.ndarray, *, quality: int | None = None) -> bytes:
    """uint8 H x W x (1 | 3) as baseline JPEG with a JFIF marker; chroma is shared by two pixels below quality 95."""
    quality = QUALITY if quality is None else quality
    grey = frame.shape[2] == 1
    stream: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(frame),
        quality=quality,
        colorspace="GRAY" if grey else "RGB",
        colorsubsampling="Gray" if grey else ("444" if quality >= 95 else "422"),
    )
    return stream


def gif(frame: np.ndarray) -> bytes:
    """uint8 H x W x (1 | 3) in at most 256 colours; grey without any loss."""
    buffer = io.BytesIO()
    picture = _picture(frame)
    if picture.mode == "RGB":
        picture = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG)
    picture.save(buffer, "GIF")
    return buffer.getvalue()


def shown_by_browsers(stream: bytes, *, photometric: str, rows: int, columns: int) -> bool:
    """Whether a browser shows a stored JPEG stream in the very colours that we decode from it.

    A stream without its end is none: it would come out grey from where it was cut off.

    Raises:
        Undecodable: no JPEG, or cut off before its first scan.
    """
    if b"\xff\xd9" not in stream[-4:] or any(marker in stream[:_MARKERS] for marker in _TURNS_OR_TINTS):
        return False
    header = jpeg_header(stream)
    if header.process not in _BASELINE or header.precision != 8 or (header.rows, header.columns) != (rows, columns):
        return False
    if len(header.components) == 1:
        return photometric == "MONOCHROME2"
    return len(header.components) == 3 and header.holds_rgb(photometric) == header.libjpeg_reads_rgb


def _picture(frame: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(frame[..., 0] if frame.shape[2] == 1 else frame))
