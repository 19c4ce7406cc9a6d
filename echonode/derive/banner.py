"""The marking that every frame carries on the picture: what it is, the factor, the true time, research use only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ACQUIRED, INTERPOLATED, REPEATED = "ACQUIRED", "INTERPOLATED", "REPEATED"
RESEARCH = "RESEARCH USE ONLY"
_COLOURS = {ACQUIRED: (235, 235, 235), INTERPOLATED: (255, 205, 60), REPEATED: (255, 140, 90)}
_MCU = 16  # a box on this grid shares no JPEG block with the picture around it, at any chroma sampling
_MARGIN = 3
_BRIGHT = 40
_SIZES = (15, 13, 11, 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """A box at one place of the picture, in pixels, and how its text is laid out."""

    x: int
    y: int
    width: int
    height: int
    size: int
    layout: tuple[str, ...]
    factor: int

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the box."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def patch(self, status: str, time_ms: float) -> np.ndarray:
        """The box's pixels uint8 height x width x 3 RGB for one frame."""
        picture = Image.new("RGB", (self.width, self.height))
        draw = ImageDraw.Draw(picture)
        font = ImageFont.load_default(self.size)
        values = _words(self.factor, status, time_ms)
        for row, line in enumerate(self.layout):
            colour = _COLOURS[status] if "{status}" in line else _COLOURS[ACQUIRED]
            draw.text((_MARGIN, _MARGIN + row * _line_height(self.size)), line.format(**values), fill=colour, font=font)
        return np.asarray(picture)


_LAYOUTS: tuple[tuple[str, ...], ...] = (
    ("AI x{factor} {status}  {time}", "RESEARCH USE ONLY"),
    ("AI x{factor} {status}  {time}  RESEARCH USE ONLY",),
    ("AI x{factor} {status}", "{time}", "RESEARCH USE ONLY"),
    ("AI x{factor}", "{status}", "{time}", "RESEARCH", "USE ONLY"),
)


def place_banner(*, sector: np.ndarray, samples: Sequence[np.ndarray], factor: int, longest_ms: float) -> Banner:
    """The banner at the largest legible size where it covers no sector, and as little text and trace as can be.

    `sector` bool H x W, `samples` some frames uint8 H x W x C. When there is no free room, it takes the place with the
    least overlap with the sector. The box lies on a 16 pixel grid.

    Raises:
        ValueError: the picture is smaller than the smallest banner.
    """
    rows, columns = sector.shape
    bright = np.zeros(sector.shape, bool)
    for sample in samples:
        bright |= sample.max(axis=2) > _BRIGHT
    covered, text = _integral(sector), _integral(bright & ~sector)
    best: tuple[tuple[float, ...], Banner] | None = None
    for size in _SIZES:
        for layout in _LAYOUTS:
            width, height = _extent(layout, size, factor, longest_ms)
            if width > columns or height > rows:
                continue
            banner, cost = _cheapest(covered, text, rows, columns, width, height)
            x, y = banner
            rank = (cost[0], cost[1], -float(size), cost[2])
            if best is None or rank < best[0]:
                placed = Banner(x=x, y=y, width=width, height=height, size=size, layout=layout, factor=factor)
                best = rank, placed
    if best is None:
        raise ValueError(f"a picture of {columns} x {rows} has no room for the marking")
    return best[1]


def _cheapest(
    covered: np.ndarray, text: np.ndarray, rows: int, columns: int, width: int, height: int
) -> tuple[tuple[int, int], tuple[float, float, float]]:
    xs = np.arange(0, columns - width + 1, _MCU)
    ys = np.arange(0, rows - height + 1, _MCU)
    area = float(width * height)
    overlap = _sums(covered, ys, xs, width, height)
    # Steps of two per cent: a few bright pixels do not drive the banner to a smaller size.
    written = np.floor(_sums(text, ys, xs, width, height) / area * 50)
    across = np.minimum(xs, columns - width - xs)[None, :]
    down = np.minimum(ys + 0.5, rows - height - ys)[:, None]
    order = np.lexsort(((across + down + np.zeros_like(overlap)).ravel(), written.ravel(), overlap.ravel()))
    row, column = np.unravel_index(order[0], overlap.shape)
    place = (int(xs[column]), int(ys[row]))
    return place, (float(overlap[row, column]), float(written[row, column]), float((across + down)[row, column]))


def _integral(mask: np.ndarray) -> np.ndarray:
    return np.pad(mask.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _sums(integral: np.ndarray, ys: np.ndarray, xs: np.ndarray, width: int, height: int) -> np.ndarray:
    top, bottom = integral[ys], integral[ys + height]
    sums: np.ndarray = bottom[:, xs + width] - bottom[:, xs] - top[:, xs + width] + top[:, xs]
    return sums


def _words(factor: int, status: str, time_ms: float) -> dict[str, str]:
    return {"factor": str(factor), "status": status, "time": f"{time_ms:.1f} ms"}


def _line_height(size: int) -> int:
    return size + 3


def _extent(layout: tuple[str, ...], size: int, factor: int, longest_ms: float) -> tuple[int, int]:
    font = ImageFont.load_default(size)
    # Every digit as wide as the widest, so that no time of the loop outgrows the box.
    wide = "".join("8" if c.isdigit() else c for c in f"{longest_ms:.1f} ms")
    widest = max(
        font.getlength(line.format(factor=factor, status=status, time=wide)) for line in layout for status in _COLOURS
    )
    width = int(np.ceil(widest)) + 2 * _MARGIN + 4
    height = len(layout) * _line_height(size) + 2 * _MARGIN
    return -(-width // _MCU) * _MCU, -(-height // _MCU) * _MCU
