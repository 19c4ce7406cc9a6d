"""The shape of pixel data as its header claims it, and the budget that it must fit before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from echonode.core.errors import BudgetExceeded, Undecodable
from echonode.core.settings import LimitsSection
from echonode.dicom import elements

_LARGEST = 65535  # Rows and Columns are US


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelLayout:
    """Image Pixel module (PS3.3 C.7.6.3) as plain numbers."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: bool
    photometric: str
    frames: int

    @property
    def channels(self) -> int:
        """Channels of a decoded frame: 1 for MONOCHROME1 and MONOCHROME2, else 3."""
        return 1 if self.photometric.startswith("MONOCHROME") else 3

    @property
    def native_frame_bytes(self) -> int:
        """Bytes of one uncompressed frame; YBR_FULL_422 shares chroma between two pixels (PS3.3 C.7.6.3.1.2)."""
        pixels = self.rows * self.columns
        if self.photometric == "YBR_FULL_422" and self.bits_allocated == 8:
            return pixels * 2
        return (pixels * self.samples * self.bits_allocated + 7) // 8


def layout_of(header: Dataset) -> PixelLayout:
    """The layout that a header claims; nothing is allocated.

    Raises:
        Undecodable: the Image Pixel module is missing or contradicts itself.
    """
    rows, columns = elements.unsigned(header, "Rows"), elements.unsigned(header, "Columns")
    allocated = elements.unsigned(header, "BitsAllocated")
    if not rows or not columns or not allocated:
        raise Undecodable("the header has no Rows, Columns or Bits Allocated: there is no picture in it")
    if max(rows, columns) > _LARGEST:
        raise Undecodable(f"{rows} x {columns} pixels: Rows and Columns end at {_LARGEST}")
    if allocated not in (8, 16, 32):
        raise Undecodable(f"Bits Allocated {allocated}: only 8, 16 and 32 are decoded")
    samples = elements.unsigned(header, "SamplesPerPixel") or 1
    photometric = elements.text(header, "PhotometricInterpretation") or ("RGB" if samples == 3 else "MONOCHROME2")
    single = photometric.startswith("MONOCHROME") or photometric == "PALETTE COLOR"
    if samples not in (1, 3) or single != (samples == 1):
        raise Undecodable(f"{samples} samples a pixel do not go with {photometric}")
    stored = elements.unsigned(header, "BitsStored") or allocated
    if stored > allocated:
        raise Undecodable(f"Bits Stored {stored} exceeds Bits Allocated {allocated}")
    high_bit = elements.unsigned(header, "HighBit")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    frames = elements.integer(header, "NumberOfFrames")
    if frames is not None and frames < 0:
        raise Undecodable(f"Number of Frames is {frames}")
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=elements.unsigned(header, "PixelRepresentation") == 1,
        planar=elements.unsigned(header, "PlanarConfiguration") == 1,
        photometric=photometric,
        frames=frames or 1,
    )


def check_budget(layout: PixelLayout, limits: LimitsSection) -> None:
    """Refuses what would need too much memory, by arithmetic alone.

    Raises:
        BudgetExceeded: too many frames, or a frame or the whole is too large when decoded.
    """
    pixels = layout.rows * layout.columns
    frame = pixels * max(layout.samples * ((layout.bits_allocated + 7) // 8), layout.channels)
    shape = f"{layout.frames} frames of {layout.columns} x {layout.rows}"
    if layout.frames > limits.frames:
        raise BudgetExceeded(f"{shape}: more than limits.frames = {limits.frames}")
    if frame > limits.frame_bytes:
        raise BudgetExceeded(f"{shape}: one frame needs {frame} bytes, limits.frame_bytes = {limits.frame_bytes}")
    if frame * layout.frames > limits.decoded_bytes:
        raise BudgetExceeded(
            f"{shape}: {frame * layout.frames} bytes when decoded, limits.decoded_bytes = {limits.decoded_bytes}"
        )
