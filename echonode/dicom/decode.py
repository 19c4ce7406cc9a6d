"""One stored frame -> uint8 H x W x (1 luma | 3 RGB), with one pinned decoder for each transfer syntax.

A decoder that fails is an error: falling through to the next one is how corrupt frames come out "decoded".
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from echonode.core.errors import Undecodable
from echonode.dicom import elements
from echonode.dicom.codestream import jpeg2000_size, jpeg_header
from echonode.dicom.layout import PixelLayout
from echonode.dicom.storage import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

NATIVE = frozenset({IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE})
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG = frozenset({JPEG_BASELINE, "1.2.840.10008.1.2.4.51"})
VIDEO = frozenset(f"1.2.840.10008.1.2.4.{number}{tail}" for number in range(100, 107) for tail in ("", ".1")) | {
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108",
}
_PLUGINS = {
    "1.2.840.10008.1.2.5": "pylibjpeg",
    "1.2.840.10008.1.2.4.57": "pylibjpeg",
    "1.2.840.10008.1.2.4.70": "pylibjpeg",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg",
}
DECODABLE = NATIVE | JPEG | VIDEO | _PLUGINS.keys()
"""Transfer syntaxes whose pixels can be decoded, videos as a whole."""
_LOSSLESS_JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 81))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))


@dataclass(frozen=True, slots=True)
class Window:
    """Stored values `low` and `high` become black and white."""

    low: float
    high: float


class FrameDecoder:
    """Decodes the frames of one object, one at a time.

    Raises:
        Undecodable: when made, for a transfer syntax that no decoder here takes or a palette that is missing.
    """

    def __init__(self, header: Dataset, layout: PixelLayout, transfer_syntax_uid: str, *, pixel_vr: str = "OW") -> None:
        if transfer_syntax_uid not in NATIVE | JPEG and transfer_syntax_uid not in _PLUGINS:
            raise Undecodable(f"pixel data in transfer syntax {transfer_syntax_uid or 'unknown'} is not decoded")
        self.layout = layout
        self.transfer_syntax_uid = transfer_syntax_uid
        self._swapped = transfer_syntax_uid == EXPLICIT_BE and pixel_vr == "OW" and layout.bits_allocated == 8
        self._palette = _palette(header, layout) if layout.photometric == "PALETTE COLOR" else None
        self._slope = elements.decimal(header, "RescaleSlope") or 1.0
        self._intercept = elements.decimal(header, "RescaleIntercept") or 0.0
        self.window = self._window_of(header)

    @property
    def needs_range(self) -> bool:
        """Whether `window` must be set from the values of all frames before the first is decoded."""
        return self.window is None

    def decode(self, stored: bytes) -> np.ndarray:
        """The displayed frame, uint8 H x W x C.

        Raises:
            Undecodable: the bytes are cut off, corrupt or another size than the header says.
        """
        values, photometric = self.values(stored)
        if self._palette is not None:
            displayed: np.ndarray = self._palette[np.minimum(values, len(self._palette) - 1)]
            return displayed
        if values.dtype != np.uint8 or self.layout.bits_stored != 8:
            values = self._to_eight_bits(values)
        if photometric == "YBR_FULL":
            values = rgb_of_ybr(values)
        elif photometric == "MONOCHROME1":
            values = 255 - values
        return values if values.ndim == 3 else values[..., None]

    def values(self, stored: bytes) -> tuple[np.ndarray, str]:
        """Stored values H x W or H x W x 3 and how to read them: RGB, YBR_FULL, MONOCHROME1 or 2, PALETTE COLOR."""
        if self.transfer_syntax_uid in NATIVE:
            return self._native(stored)
        if self.transfer_syntax_uid in JPEG:
            return self._jpeg(stored)
        return self._plugin(stored)

    def value_range(self, frames: Iterable[bytes]) -> Window:
        """The smallest and largest rescaled value of all frames."""
        low, high = np.inf, -np.inf
        for stored in frames:
            values = self._rescaled(self.values(stored)[0])
            low, high = min(low, float(values.min())), max(high, float(values.max()))
        return Window(low, high if high > low else low + 1)

    def _window_of(self, header: Dataset) -> Window | None:
        layout = self.layout
        if layout.bits_stored == 8 and layout.bits_allocated == 8 and not layout.signed:
            return Window(0, 255)
        if layout.channels == 3:
            return Window(0, (1 << layout.bits_stored) - 1)
        centre, width = elements.decimal(header, "WindowCenter"), elements.decimal(header, "WindowWidth")
        if centre is None or width is None or width < 1:
            return None
        return Window(centre - width / 2, centre + width / 2)

    def _rescaled(self, values: np.ndarray) -> np.ndarray:
        rescaled: np.ndarray = values.astype(np.float32) * np.float32(self._slope) + np.float32(self._intercept)
        return rescaled

    def _to_eight_bits(self, values: np.ndarray) -> np.ndarray:
        window = self.window or Window(0, (1 << self.layout.bits_stored) - 1)
        real = self._rescaled(values) if self.layout.channels == 1 else values.astype(np.float32)
        scaled = (real - window.low) * (255.0 / (window.high - window.low))
        displayed: np.ndarray = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        return displayed

    def _native(self, stored: bytes) -> tuple[np.ndarray, str]:
        layout = self.layout
        if len(stored) < layout.native_frame_bytes:
            raise Undecodable("the pixel data is cut off")
        order = ">" if self.transfer_syntax_uid == EXPLICIT_BE else "<"
        raw = np.frombuffer(stored, np.uint8, layout.native_frame_bytes)
        if self._swapped:
            even = np.frombuffer(stored, np.uint8, len(stored) // 2 * 2).reshape(-1, 2)[:, ::-1].reshape(-1)
            raw = even[: layout.native_frame_bytes]
        if layout.photometric == "YBR_FULL_422" and layout.bits_allocated == 8:
            return self._interleaved_422(raw), "YBR_FULL"
        kind = "i" if layout.signed else "u"
        values = raw.view(np.dtype(f"{order}{kind}{layout.bits_allocated // 8}"))
        values = values.astype(values.dtype.newbyteorder("="))
        if layout.samples == 1:
            values = values.reshape(layout.rows, layout.columns)
        elif layout.planar:
            values = np.ascontiguousarray(values.reshape(3, layout.rows, layout.columns).transpose(1, 2, 0))
        else:
            values = values.reshape(layout.rows, layout.columns, 3)
        return self._stored_bits(values), layout.photometric

    def _stored_bits(self, values: np.ndarray) -> np.ndarray:
        """Without what lies beside the stored bits: old scanners hid overlays there."""
        layout = self.layout
        if layout.bits_stored == layout.bits_allocated:
            return values
        above = layout.bits_allocated - 1 - layout.high_bit
        return values << above >> (layout.bits_allocated - layout.bits_stored)

    def _interleaved_422(self, raw: np.ndarray) -> np.ndarray:
        """Y1 Y2 Cb Cr for each two pixels (PS3.3 C.7.6.3.1.2)."""
        rows, columns = self.layout.rows, self.layout.columns
        if columns % 2:
            raise Undecodable("YBR_FULL_422 needs an even number of columns")
        quads = raw.reshape(rows, columns // 2, 4)
        out = np.empty((rows, columns, 3), np.uint8)
        out[:, 0::2, 0], out[:, 1::2, 0] = quads[..., 0], quads[..., 1]
        out[..., 1] = np.repeat(quads[..., 2], 2, axis=1)
        out[..., 2] = np.repeat(quads[..., 3], 2, axis=1)
        return out

    def _jpeg(self, stored: bytes) -> tuple[np.ndarray, str]:
        layout = self.layout
        header = jpeg_header(stored)
        self._same_size(header.rows, header.columns, len(header.components))
        if header.precision != 8:
            return self._plugin(stored)
        if header.process in (0, 1, 2):
            try:
                if layout.samples == 1:
                    return simplejpeg.decode_jpeg(stored, colorspace="GRAY")[..., 0], layout.photometric
                if header.holds_rgb(layout.photometric) == header.libjpeg_reads_rgb:
                    return simplejpeg.decode_jpeg(stored, colorspace="RGB"), "RGB"
                return _components(stored), "RGB"
            except (ValueError, OSError) as error:
                raise Undecodable(f"a JPEG frame is cut off or corrupt: {error}") from error
        raise Undecodable(f"JPEG process {header.process} is not the one of {self.transfer_syntax_uid}")

    def _plugin(self, stored: bytes) -> tuple[np.ndarray, str]:
        syntax = self.transfer_syntax_uid
        if syntax in _LOSSLESS_JPEG:
            header = jpeg_header(stored)
            self._same_size(header.rows, header.columns, len(header.components))
        elif syntax in _JPEG_2000:
            self._same_size(*jpeg2000_size(stored))
        try:
            values, meta = get_decoder(syntax).as_array(
                encapsulate([stored], has_bot=False),
                raw=True,
                index=0,
                decoding_plugin=_PLUGINS.get(syntax, "pylibjpeg"),
                **self._decode_options(),
            )
        except BaseException as error:
            # A Rust codec that finds its input corrupt panics, and a panic is no Exception.
            panic = type(error).__name__ == "PanicException"
            if not panic and not isinstance(error, (RuntimeError, IndexError, *elements.MALFORMED)):
                raise
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise Undecodable(f"a frame is cut off or corrupt: {reason[-1].strip()}") from error
        photometric = str(meta["photometric_interpretation"])
        return values, "YBR_FULL" if photometric == "YBR_FULL_422" else photometric

    def _decode_options(self) -> dict[str, Any]:
        layout = self.layout
        return {
            "pixel_keyword": "PixelData",
            "number_of_frames": 1,
            "rows": layout.rows,
            "columns": layout.columns,
            "samples_per_pixel": layout.samples,
            "bits_allocated": layout.bits_allocated,
            "bits_stored": layout.bits_stored,
            "pixel_representation": int(layout.signed),
            "photometric_interpretation": layout.photometric,
            "planar_configuration": int(layout.planar),
        }

    def _same_size(self, rows: int, columns: int, components: int) -> None:
        layout = self.layout
        if (rows, columns, components) != (layout.rows, layout.columns, layout.samples):
            raise Undecodable(
                f"a frame of {columns} x {rows} x {components} does not go with the header's "
                f"{layout.columns} x {layout.rows} x {layout.samples}"
            )


def _components(stored: bytes) -> np.ndarray:
    """The three components as coded, without any colour conversion."""
    with Image.open(io.BytesIO(stored)) as picture:
        # Asked for the colour space that libjpeg takes the stream to be in, it converts nothing.
        picture.draft("YCbCr", picture.size)
        return np.asarray(picture)


def rgb_of_ybr(values: np.ndarray) -> np.ndarray:
    """Full-range YCbCr (ITU-T T.871) uint8 H x W x 3 -> RGB."""
    y, cb, cr = (values[..., i].astype(np.float32) for i in range(3))
    cb -= 128
    cr -= 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    displayed: np.ndarray = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return displayed


def _palette(header: Dataset, layout: PixelLayout) -> np.ndarray:
    """The palette as uint8 N x 3; an index beyond a table takes its last entry."""
    if layout.bits_allocated > 16:
        raise Undecodable("a palette goes with 8 or 16 bits")
    kind = np.uint8 if layout.bits_allocated == 8 else np.uint16
    indices = np.arange(1 << layout.bits_allocated, dtype=kind)
    try:
        table = apply_color_lut(indices[None], header)[0]
    except (ValueError, KeyError, AttributeError, TypeError, IndexError, OverflowError) as error:
        raise Undecodable(f"the colour palette is missing or malformed: {error}") from error
    # Some scanners write 8 bit entries into tables of 16 bit.
    wide = table.dtype.itemsize > 1 and table.max() > 255
    return np.ascontiguousarray((table >> 8 if wide else table)[:, :3].astype(np.uint8))
