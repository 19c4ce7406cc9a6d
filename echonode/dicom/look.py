"""How a picture is to be shown: which part, how large, through which window (PS3.18 8.3.5, PS3.3 C.11.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from echonode.core.errors import BadInput

LARGEST_SIDE = 8192
"""Longest side in pixels of a picture that is made on request."""


class VoiFunction(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiWindow:
    """A window on rescaled values.

    Raises:
        BadInput: not finite, or a width that its function does not allow (PS3.3 C.11.2.1).
    """

    centre: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR

    def __post_init__(self) -> None:
        least = 1.0 if self.function is VoiFunction.LINEAR else 0.0
        sound = math.isfinite(self.centre) and math.isfinite(self.width) and self.width >= least and self.width > 0
        if not sound:
            raise BadInput(f"a window of centre {self.centre:g} and width {self.width:g} cannot be {self.function}")

    def shown(self, values: np.ndarray) -> np.ndarray:
        """Rescaled values of any shape as uint8, black to white."""
        real = values.astype(np.float64)
        match self.function:
            case VoiFunction.LINEAR:
                low, span = self.centre - 0.5 - (self.width - 1) / 2, self.width - 1
                part = (real - low) / span if span else (real > low).astype(np.float64)
            case VoiFunction.LINEAR_EXACT:
                part = (real - self.centre) / self.width + 0.5
            case _:
                part = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (real - self.centre) / self.width, -700, 700)))
        shown: np.ndarray = np.rint(np.clip(part, 0.0, 1.0) * 255.0).astype(np.uint8)
        return shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewport:
    """The picture fits into `width` x `height` with its sides in proportion.

    `region` is left, top, width and height of the part that is shown, in pixels of the stored picture; a negative width
    or height mirrors it (PS3.18 8.3.5.1.3). Without `enlarges` a smaller picture keeps its size.

    Raises:
        BadInput: a side that is not from 1 to `LARGEST_SIDE`, or an empty region.
    """

    width: int
    height: int
    region: tuple[float, float, float | None, float | None] | None = None
    enlarges: bool = True

    def __post_init__(self) -> None:
        if not (1 <= self.width <= LARGEST_SIDE and 1 <= self.height <= LARGEST_SIDE):
            raise BadInput(f"a viewport of {self.width} x {self.height}: sides from 1 to {LARGEST_SIDE} were expected")
        if self.region is not None:
            numbers = [number for number in self.region if number is not None]
            if not all(map(math.isfinite, numbers)) or 0 in self.region[2:]:
                raise BadInput("the region of a viewport is empty")

    def fitted(self, frame: np.ndarray) -> np.ndarray:
        """The part of uint8 H x W x (1 | 3) that is shown, at its size.

        Raises:
            BadInput: the region lies outside the picture.
        """
        part = self._part(frame)
        rows, columns = self._size(*part.shape[:2])
        if (rows, columns) == part.shape[:2]:
            return np.ascontiguousarray(part)
        picture = Image.fromarray(np.ascontiguousarray(part[..., 0] if part.shape[2] == 1 else part))
        scaled = np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR, reducing_gap=3.0))
        return scaled[..., None] if scaled.ndim == 2 else scaled

    def size_of(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of what `fitted` makes of a picture of that size.

        Raises:
            BadInput: the region lies outside the picture.
        """
        down, across, _, _ = self._cut(rows, columns)
        return self._size(down.stop - down.start, across.stop - across.start)

    def _size(self, rows: int, columns: int) -> tuple[int, int]:
        scale = min(self.width / columns, self.height / rows)
        scale = scale if self.enlarges else min(scale, 1.0)
        return max(round(rows * scale), 1), max(round(columns * scale), 1)

    def _part(self, frame: np.ndarray) -> np.ndarray:
        if self.region is None:
            return frame
        down, across, turned, flipped = self._cut(*frame.shape[:2])
        return frame[down, across][:: -1 if turned else 1, :: -1 if flipped else 1]

    def _cut(self, rows: int, columns: int) -> tuple[slice, slice, bool, bool]:
        """Rows and columns of the part, and whether it is upside down and mirrored."""
        left, top, width, height = self.region or (0.0, 0.0, None, None)
        across, flipped = _range(left, columns - left if width is None else width, columns)
        down, turned = _range(top, rows - top if height is None else height, rows)
        if across.start >= across.stop or down.start >= down.stop:
            raise BadInput(f"the region of the viewport lies outside the picture of {columns} x {rows}")
        return down, across, turned, flipped


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Everything that a request may ask of a picture; the default changes nothing.

    `quality` is JPEG's, from 1 to 100, None where the request leaves it open. `window` goes with grey pictures; colour
    has none and is shown as it is.
    """

    viewport: Viewport | None = None
    window: VoiWindow | None = None
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise BadInput(f"a quality of {self.quality}: 1 to 100 was expected")

    def fitted(self, frame: np.ndarray) -> np.ndarray:
        """uint8 H x W x (1 | 3) in its viewport."""
        return frame if self.viewport is None else self.viewport.fitted(frame)


AS_STORED = Look()
"""Nothing is changed."""


def _range(first: float, length: float, size: int) -> tuple[slice, bool]:
    begin, end = (min(max(edge, 0.0), float(size)) for edge in (first, first + abs(length)))  # the sum may be infinite
    return slice(math.floor(begin), math.ceil(end)), length < 0
