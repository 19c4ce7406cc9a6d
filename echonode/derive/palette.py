"""The colours of segments: told apart by people who see colours differently, and visible on grey tissue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np

# The palette of Okabe and Ito (2008) without its black and grey, those that differ most first.
COLOURS: Final = (
    (86, 180, 233), (230, 159, 0), (204, 121, 167), (240, 228, 66), (0, 158, 115), (213, 94, 0), (0, 114, 178),
)  # fmt: skip


def colours_of(labels: Iterable[int]) -> dict[int, tuple[int, int, int]]:
    """An RGB colour for each label value, in the order of the values; from the eighth on they come again."""
    return {label: COLOURS[place % len(COLOURS)] for place, label in enumerate(sorted(labels))}


def cielab(colour: tuple[int, int, int]) -> list[int]:
    """An sRGB colour as Recommended Display CIELab Value (PS3.3 C.10.7.1.1): L*, a*, b* as 16 bit numbers."""
    pixel = np.array([[colour]], np.float32) / 255
    lightness, a, b = (float(value) for value in cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB)[0, 0])
    parts = (lightness / 100, (a + 128) / 255, (b + 128) / 255)
    return [round(min(max(part, 0.0), 1.0) * 65535) for part in parts]
