"""JPEG baseline written the way a source was: its quantisation tables, its chroma sampling.

Planes that were decoded from a stream and are quantised again with the same tables fall back on the same
coefficients, so re-encoding loses next to nothing (ITU-T T.81 A.3.4).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from PIL import Image

from echonode.core.errors import Undecodable
from echonode.dicom.codestream import jpeg_header

QUALITIES = (92, 95, 98)
_BLACK = 8
_SUBSAMPLING = {"4:4:4": "4:4:4", "4:2:2": "4:2:2", "4:2:0": "4:2:0", "4:4:0": "4:4:4", "other": "4:2:2"}


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegStyle:
    """How to encode: quantisation tables (64 steps each, row by row) or, when there are none, `quality`.

    `sampling` is 4:4:4, 4:2:2 or 4:2:0, or "grey".
    """

    tables: tuple[tuple[int, ...], ...] = ()
    sampling: str = "4:2:2"
    quality: int = QUALITIES[0]

    @property
    def grey(self) -> bool:
        """Whether there is only luma."""
        return self.sampling == "grey"


def style_of(stream: bytes, *, photometric: str) -> JpegStyle | None:
    """The style of a source's frame; None when it holds RGB or is no 8 bit baseline stream with its tables.

    Raises:
        Undecodable: no JPEG stream.
    """
    header = jpeg_header(stream)
    if header.precision != 8 or header.process not in (0, 1, 2) or header.holds_rgb(photometric):
        return None
    if len(header.components) not in (1, 3):
        return None
    tables = [header.tables.get(component.table) for component in header.components]
    known = tuple(table for table in tables if table is not None and max(table) <= 255)
    if len(known) != len(tables):
        return None
    if len(known) == 1:
        return JpegStyle(tables=known, sampling="grey")
    if known[1] == known[2]:
        known = known[:1] if known[0] == known[1] else known[:2]
    return JpegStyle(tables=known, sampling=_SUBSAMPLING[header.sampling])


def encode(picture: np.ndarray, style: JpegStyle, *, ybr: bool = False) -> bytes:
    """One baseline JPEG stream of uint8 H x W (luma) or H x W x 3 (RGB, or full-range YCbCr with `ybr`).

    Luma alone becomes YCbCr without chroma where the style is one of colour.
    """
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[..., 0]
    if picture.ndim == 2 and not style.grey:
        picture = np.stack([picture, np.full_like(picture, 128), np.full_like(picture, 128)], axis=-1)
        ybr = True
    if picture.ndim == 3 and style.grey:
        picture = picture[..., 0] if ybr else np.asarray(Image.fromarray(picture).convert("L"))
    mode = "L" if picture.ndim == 2 else "YCbCr" if ybr else "RGB"
    image = Image.frombytes(mode, (picture.shape[1], picture.shape[0]), np.ascontiguousarray(picture).tobytes())
    options: dict[str, Any] = {"subsampling": "4:4:4" if style.grey else style.sampling}
    if style.tables:
        options["qtables"] = [list(table) for table in style.tables]
    else:
        options["quality"] = style.quality
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def style_for(picture: np.ndarray, *, faithful_db: float) -> JpegStyle:
    """A style for pictures that were no JPEG: 4:2:2 or grey, at the least quality whose luma reaches `faithful_db`.

    Only what is not black counts: the black around a sector would flatter any quality. The highest one is the cap.
    """
    sampling = "grey" if picture.shape[2] == 1 else "4:2:2"
    luma = _luma(picture)
    seen = luma > _BLACK if (luma > _BLACK).any() else np.ones_like(luma, bool)
    for quality in QUALITIES:
        style = JpegStyle(sampling=sampling, quality=quality)
        with Image.open(io.BytesIO(encode(picture, style))) as decoded:
            error = np.mean((_luma(np.asarray(decoded.convert("RGB")))[seen] - luma[seen]) ** 2)
        if error == 0 or 10 * np.log10(255**2 / error) >= faithful_db:
            return style
    return JpegStyle(sampling=sampling, quality=QUALITIES[-1])


def _luma(picture: np.ndarray) -> np.ndarray:
    grey = picture[..., 0] if picture.shape[2] == 1 else np.asarray(Image.fromarray(picture).convert("L"))
    return grey.astype(np.float32)


class PlaneDecoder:
    """Decodes baseline JPEG streams to their stored planes, without colour conversion or smoothing of chroma."""

    def __init__(self) -> None:
        self._context = av.CodecContext.create("mjpeg", "r")
        self._context.thread_count = 1

    def decode(self, stream: bytes) -> np.ndarray:
        """Luma uint8 H x W, or full-range YCbCr H x W x 3 with chroma repeated to full size.

        Box averaging on the way back gives the very chroma samples that were stored.

        Raises:
            Undecodable: corrupt, or with a sampling that cannot be repeated.
        """
        try:
            frames = self._context.decode(av.Packet(stream))
        except (av.FFmpegError, ValueError) as error:
            raise Undecodable(f"a JPEG frame is cut off or corrupt: {error}") from error
        if len(frames) != 1:
            raise Undecodable("a JPEG frame is cut off or corrupt")
        frame = frames[0]
        name = frame.format.name
        planes = [
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in frame.planes
        ]
        if name.startswith("gray"):
            luma: np.ndarray = planes[0].copy()
            return luma
        steps = {"yuvj444p": (1, 1), "yuvj422p": (1, 2), "yuvj420p": (2, 2), "yuvj440p": (2, 1)}.get(name)
        if steps is None:
            raise Undecodable(f"JPEG planes of format {name} are not handled")
        rows, columns = planes[0].shape
        chroma = [plane.repeat(steps[0], axis=0).repeat(steps[1], axis=1)[:rows, :columns] for plane in planes[1:]]
        return np.stack([planes[0], *chroma], axis=-1)
