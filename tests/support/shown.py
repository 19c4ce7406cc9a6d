"""What pydicom shows of a file: the reference for every picture of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom


def everything(shared_data: Path) -> list[Path]:
    """Every file of the shared test material."""
    return sorted(shared_data.rglob("*.dcm"))


def shown_by_pydicom(source: Path | pydicom.Dataset) -> np.ndarray:
    """T x H x W x (1 | 3) as pydicom decodes a file, palettes applied; values of more than 8 bits as they are."""
    dataset: Any = pydicom.dcmread(source) if isinstance(source, Path) else source
    if dataset.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit:
        dataset.pixel_array_options(decoding_plugin="pillow")  # other plugins do not smooth chroma as libjpeg does
    pixels = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = pydicom.pixels.apply_color_lut(pixels, dataset)
        pixels = pixels >> 8 if pixels.max() > 255 else pixels
    grey = dataset.PhotometricInterpretation.startswith("MONOCHROME")
    pixels = pixels[..., None] if grey else pixels
    return pixels if pixels.ndim == 4 else pixels[None]
