"""A strip on one grid of millimetres and milliseconds, whatever the scanner's pixels were: what the small networks see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

MILLIMETRES: Final = 1.0
SECONDS: Final = 0.01
STEP: Final = 32
"""Both sides of what a network sees are multiples of this."""
BRIGHT: Final = 99.5  # percentile that stands for white
DARKEST_WHITE: Final = 32.0
DEEPEST: Final = 320.0  # mm; no heart lies deeper, and a scale that says so is wrong
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Gridded:
    """`picture` uint8 (H, L) of about 1 mm a row and 10 ms a column; the exact scales are `millimetres` and `seconds`.

    `stretch` is how many columns of the strip one column of the grid is.
    """

    picture: NDArray[np.uint8]
    millimetres: float
    seconds: float
    stretch: float

    def to_strip(self, values: Floats, *, length: int) -> Floats:
        """Values (..., L) of the grid's columns at each of the `length` columns of the strip."""
        where = (np.arange(length) + 0.5) / self.stretch - 0.5
        return np.apply_along_axis(lambda row: np.interp(where, np.arange(values.shape[-1]), row), -1, values)

    def place_of(self, column: float) -> float:
        """The inverse of `column_of`."""
        return (column + 0.5) / self.stretch - 0.5

    def column_of(self, place: float) -> float:
        """Where a place on the grid's column axis lies on the strip's; the middle of the first column is 0."""
        return (place + 0.5) * self.stretch - 0.5


def gridded(grey: NDArray[Any], *, millimetres: float, seconds: float) -> Gridded:
    """A strip (H, L) of 0 to 255 on the grid.

    Raises:
        ValueError: it shows a depth that no heart lies in, or no time.
    """
    height, length = grey.shape
    if height * millimetres > DEEPEST:
        raise ValueError(f"a strip that is {height * millimetres:.0f} mm deep is not one of a heart")
    rows, columns = max(1, round(height * millimetres / MILLIMETRES)), round(length * seconds / SECONDS)
    if columns < STEP:
        raise ValueError(f"the strip shows {length * seconds:.2f} s; no beat is that short")
    shrinks = rows <= height and columns <= length
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    seen = cv2.resize(np.asarray(grey, np.float32), (columns, rows), interpolation=way)
    return Gridded(
        picture=np.clip(np.rint(seen), 0, 255).astype(np.uint8),
        millimetres=height * millimetres / rows,
        seconds=length * seconds / columns,
        stretch=length / columns,
    )


def network_picture(picture: NDArray[Any]) -> NDArray[np.float32]:
    """What a network sees of a grid's picture: white is 1, whatever the gain was; padded to multiples of 32."""
    white = max(DARKEST_WHITE, float(np.percentile(picture, BRIGHT)))
    seen = np.clip(np.asarray(picture, np.float32) / white, 0, 1.5)
    rows, columns = (-(-side // STEP) * STEP for side in seen.shape)
    return np.pad(seen, ((0, rows - seen.shape[0]), (0, columns - seen.shape[1])), mode="edge")
