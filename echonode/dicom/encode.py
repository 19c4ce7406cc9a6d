"""Decoded frames written as JPEG baseline or JPEG-LS lossless, and what the header must then say of them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.encoders.base import get_encoder

from echonode.core.errors import Undecodable
from echonode.dicom import elements
from echonode.dicom.decode import JPEG, JPEG_BASELINE
from echonode.dicom.layout import PixelLayout
from echonode.dicom.lossy import METHOD_OF_SYNTAX

JPEG_LS = "1.2.840.10008.1.2.4.80"
ENCODED = frozenset({JPEG_BASELINE, JPEG_LS})
"""Transfer syntaxes that `FrameEncoder` writes."""
QUALITY = 92
_PALETTE = (
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData",
    "PaletteColorLookupTableUID", "SmallestImagePixelValue", "LargestImagePixelValue",
)  # fmt: skip
_LONGEST_DESCRIPTION = 1024


class FrameEncoder:
    """Encodes the frames of one object, one at a time.

    `photometric` is how the frames that `encode` takes are to be read: RGB, YBR_FULL, MONOCHROME1 or 2 and, for
    JPEG-LS, PALETTE COLOR.

    Raises:
        Undecodable: when made, for pixels that the transfer syntax does not hold.
    """

    def __init__(self, layout: PixelLayout, transfer_syntax_uid: str, photometric: str) -> None:
        if transfer_syntax_uid not in ENCODED:
            raise Undecodable(f"frames are not encoded as {transfer_syntax_uid}")
        if layout.bits_allocated > 16:
            raise Undecodable(f"{layout.bits_allocated} bits a sample fit into no JPEG")
        if transfer_syntax_uid == JPEG_BASELINE and photometric != "RGB" and (layout.bits_stored != 8 or layout.signed):
            raise Undecodable("JPEG baseline holds unsigned samples of 8 bits, these have more, fewer or a sign")
        self.transfer_syntax_uid = transfer_syntax_uid
        self.photometric = photometric
        self._layout = layout

    @property
    def label(self) -> str:
        """Photometric Interpretation of the encoded frames."""
        colour = self.photometric in ("RGB", "YBR_FULL")
        return "YBR_FULL_422" if colour and self.transfer_syntax_uid == JPEG_BASELINE else self.photometric

    def encode(self, values: np.ndarray) -> bytes:
        """One codestream of H x W or H x W x 3 values, interleaved.

        Raises:
            Undecodable: the codec does not take them.
        """
        if self.transfer_syntax_uid == JPEG_BASELINE:
            return self._baseline(values)
        options: dict[str, Any] = {
            "rows": values.shape[0],
            "columns": values.shape[1],
            "samples_per_pixel": 1 if values.ndim == 2 else values.shape[2],
            "number_of_frames": 1,
            "bits_allocated": values.dtype.itemsize * 8,
            "bits_stored": min(self._layout.bits_stored, values.dtype.itemsize * 8),
            "pixel_representation": int(self._layout.signed),
            "photometric_interpretation": self.photometric,
            "planar_configuration": 0,
        }
        try:
            stream: bytes = get_encoder(JPEG_LS).encode(
                np.ascontiguousarray(values), encoding_plugin="pyjpegls", **options
            )
        except (ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise Undecodable(f"JPEG-LS does not take these pixels: {error}") from error
        return stream

    def _baseline(self, values: np.ndarray) -> bytes:
        mode = "L" if values.ndim == 2 else "YCbCr" if self.photometric == "YBR_FULL" else "RGB"
        size = (values.shape[1], values.shape[0])
        buffer = io.BytesIO()
        try:
            image = Image.frombytes(mode, size, np.ascontiguousarray(values, np.uint8).tobytes())
            image.save(buffer, "JPEG", quality=QUALITY, subsampling="4:4:4" if mode == "L" else "4:2:2")
        except (ValueError, OSError) as error:
            raise Undecodable(f"JPEG does not take these pixels: {error}") from error
        return buffer.getvalue()


def without_palette(header: Dataset) -> None:
    """Take the palette and what described its indices out of the header, and say 8 bits: the frames became RGB."""
    for keyword in _PALETTE:
        if keyword in header:
            delattr(header, keyword)
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0


def keep_lossy_history(header: Dataset, transfer_syntax_uid: str) -> None:
    """Say that the pixels were lossy where their stored transfer syntax always is: once lossy, forever."""
    video = transfer_syntax_uid.startswith("1.2.840.10008.1.2.4.10")
    if video or transfer_syntax_uid in JPEG:
        header.LossyImageCompression = "01"


def add_lossy_step(header: Dataset, *, ratio: float) -> None:
    """Append a JPEG step to the lossy history (PS3.3 C.7.6.1.1.5): ratio and method stand in parallel.

    Where the earlier steps are not told value for value, only this one stands there, and the description says so.
    """
    ratios = elements.texts(header, "LossyImageCompressionRatio")
    methods = elements.texts(header, "LossyImageCompressionMethod")
    lossy = elements.text(header, "LossyImageCompression") == "01"
    if len(ratios) != len(methods) or (lossy and not ratios):
        ratios, methods = (), ()
        earlier = elements.text(header, "DerivationDescription")
        note = "Lossy compressed before, by a method or ratio that was not recorded."
        if note not in earlier:
            header.DerivationDescription = f"{earlier} {note}".strip()[:_LONGEST_DESCRIPTION]
    header.LossyImageCompression = "01"
    header.LossyImageCompressionRatio = [*ratios, f"{ratio:.2f}"]
    header.LossyImageCompressionMethod = [*methods, METHOD_OF_SYNTAX[JPEG_BASELINE]]
