"""The marking that every frame carries on the picture: what it is, the factor, the true time, research use only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from echonode.core.errors import BadInput
from echonode.derive.common import RESEARCH_USE_ONLY

ACQUIRED, INTERPOLATED, REPEATED = "ACQUIRED", "INTERPOLATED", "REPEATED"
COLOURS = {ACQUIRED: (235, 235, 235), INTERPOLATED: (255, 205, 60), REPEATED: (255, 140, 90)}
_MCU = 16  # a JPEG block of the picture that the marking shares is encoded less faithfully
_STEP = 4
_MARGIN = 3
_BRIGHT = 32
_SIZES = (15, 13, 11, 10)
# Beside the wide ones, stairs: the free room of a sector picture is a triangle in a corner.
_LAYOUTS: tuple[tuple[str, ...], ...] = (
    ("AI x{factor}  {status}  {time}", RESEARCH_USE_ONLY),
    ("AI x{factor}  {status}  {time}  " + RESEARCH_USE_ONLY,),
    ("AI x{factor}  {status}", "{time}", RESEARCH_USE_ONLY),
    ("AI x{factor}  {status}", RESEARCH_USE_ONLY, "{time}"),
    ("{time}", RESEARCH_USE_ONLY, "AI x{factor}  {status}"),
    (RESEARCH_USE_ONLY, "{status}", "{time}", "AI x{factor}"),
    ("AI x{factor}", "{time}", "{status}", RESEARCH_USE_ONLY),
    ("{status}", "RESEARCH", "USE ONLY", "{time}", "AI x{factor}"),
    ("AI x{factor}", "{time}", "USE ONLY", "RESEARCH", "{status}"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of the marking: its text and its box, in pixels from the marking's corner."""

    text: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """Where the marking stands, the same on every frame: corner in pixels, text size, and its lines."""

    x: int
    y: int
    size: int
    factor: int
    lines: tuple[Line, ...]

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the box around all lines."""
        height = max(line.y + line.height for line in self.lines)
        width = max(line.x + line.width for line in self.lines)
        return slice(self.y, self.y + height), slice(self.x, self.x + width)

    def mask(self, rows: int, columns: int) -> np.ndarray:
        """The pixels that the marking covers, bool `rows` x `columns`."""
        mask = np.zeros((rows, columns), bool)
        for line in self.lines:
            top, left = self.y + line.y, self.x + line.x
            mask[top : top + line.height, left : left + line.width] = True
        return mask

    def stamp(self, picture: np.ndarray, status: str, time_ms: float, *, colours: str = "RGB") -> None:
        """Write the marking of one frame into `picture`, uint8 H x W, H x W x 1 or H x W x 3 of `colours`.

        `colours` is "RGB" or "YCbCr"; a picture of one channel gets the luma.
        """
        font = ImageFont.load_default(self.size)
        values = _words(self.factor, status, time_ms)
        for line in self.lines:
            patch = Image.new("RGB", (line.width, line.height))
            colour = COLOURS[status] if "{status}" in line.text else COLOURS[ACQUIRED]
            ImageDraw.Draw(patch).text((_MARGIN, 1), line.text.format(**values), fill=colour, font=font)
            target = picture[self.y + line.y :, self.x + line.x :][: line.height, : line.width]
            if picture.ndim == 3 and picture.shape[2] == 3:
                target[:] = np.asarray(patch.convert(colours))
            else:
                target[:] = np.asarray(patch.convert("L")).reshape(target.shape)


def place_banner(*, sector: np.ndarray, samples: Sequence[np.ndarray], factor: int, longest_ms: float) -> Banner:
    """The marking at the largest legible size where it covers no sector, and as little text and trace as can be.

    `sector` bool H x W, `samples` some frames uint8 H x W x C. When there is no free room, it takes the place with the
    least overlap with the sector.

    Raises:
        BadInput: the picture is smaller than the smallest marking.
    """
    rows, columns = sector.shape
    bright = np.zeros(sector.shape, bool)
    for sample in samples:
        bright |= sample.max(axis=2) > _BRIGHT
    # Widened, so that even thin text weighs enough to be kept free.
    written = cv2.dilate((bright & ~sector).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    maps = (_integral(sector), _integral(_blocks_of(sector)), _integral(written))
    best: tuple[tuple[float, ...], Banner] | None = None
    for order, (size, lines) in enumerate(_candidates(factor, longest_ms)):
        place = _cheapest(maps, rows, columns, lines)
        if place is None:
            continue
        x, y, (overlap, shared, text, distance) = place
        rank = (overlap, shared, text, -float(size), float(order), distance)
        if best is None or rank < best[0]:
            best = rank, Banner(x=x, y=y, size=size, factor=factor, lines=lines)
        if best[0][:3] == (0, 0, 0):
            break  # the candidates come largest first: none that follows is better
    if best is None:
        raise BadInput(f"a picture of {columns} x {rows} has no room for the marking that the loop must carry")
    return best[1]


def _candidates(factor: int, longest_ms: float) -> Iterator[tuple[int, tuple[Line, ...]]]:
    # Every digit as wide as the widest, so that no time of the loop outgrows its line.
    wide = "".join("8" if c.isdigit() else c for c in f"{longest_ms:.1f} ms")
    for size in _SIZES:
        font = ImageFont.load_default(size)
        height = size + 4
        for layout in _LAYOUTS:
            widths = [
                int(max(font.getlength(text.format(factor=factor, status=s, time=wide)) for s in COLOURS)) + 2 * _MARGIN
                for text in layout
            ]
            for right in (False, True) if len(layout) > 1 else (False,):
                yield (
                    size,
                    tuple(
                        Line(
                            text=text,
                            x=max(widths) - width if right else 0,
                            y=row * height,
                            width=width,
                            height=height,
                        )
                        for row, (text, width) in enumerate(zip(layout, widths, strict=True))
                    ),
                )


def _cheapest(
    maps: tuple[np.ndarray, np.ndarray, np.ndarray], rows: int, columns: int, lines: tuple[Line, ...]
) -> tuple[int, int, tuple[float, float, float, float]] | None:
    width = max(line.x + line.width for line in lines)
    height = max(line.y + line.height for line in lines)
    if width > columns or height > rows:
        return None
    xs, ys = np.arange(0, columns - width + 1, _STEP), np.arange(0, rows - height + 1, _STEP)
    overlap, shared, text = (np.sum([_sums(each, ys, xs, line) for line in lines], axis=0) for each in maps)
    area = float(sum(line.width * line.height for line in lines))
    # In steps of one per cent: a speck of noise does not drive the marking to a smaller size.
    text = np.floor(text / area * 100)
    across = np.minimum(xs, columns - width - xs)[None, :]
    down = np.minimum(ys + 0.5, rows - height - ys)[:, None]
    distance = across + down
    order = np.lexsort((distance.ravel(), text.ravel(), shared.ravel(), overlap.ravel()))
    row, column = np.unravel_index(order[0], distance.shape)
    costs = tuple(float(cost[row, column]) for cost in (overlap, shared, text, distance))
    return int(xs[column]), int(ys[row]), (costs[0], costs[1], costs[2], costs[3])


def _blocks_of(mask: np.ndarray) -> np.ndarray:
    """Every JPEG block that holds a pixel of `mask`."""
    rows, columns = mask.shape
    padded = np.pad(mask, ((0, -rows % _MCU), (0, -columns % _MCU)))
    blocks = padded.reshape(padded.shape[0] // _MCU, _MCU, padded.shape[1] // _MCU, _MCU).any(axis=(1, 3))
    whole: np.ndarray = blocks.repeat(_MCU, axis=0).repeat(_MCU, axis=1)[:rows, :columns]
    return whole


def _integral(mask: np.ndarray) -> np.ndarray:
    return np.pad(mask.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _sums(integral: np.ndarray, ys: np.ndarray, xs: np.ndarray, line: Line) -> np.ndarray:
    top, bottom = integral[ys + line.y], integral[ys + line.y + line.height]
    left, right = xs + line.x, xs + line.x + line.width
    sums: np.ndarray = bottom[:, right] - bottom[:, left] - top[:, right] + top[:, left]
    return sums


def _words(factor: int, status: str, time_ms: float) -> dict[str, str]:
    return {"factor": str(factor), "status": status, "time": f"{time_ms:.1f} ms"}
