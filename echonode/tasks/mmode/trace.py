"""From the cavity's mask to its diameter in each column: LVID, the internal dimension of the left ventricle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

LIKELY: Final = 0.5
SMALLEST_PART: Final = 0.1  # of the largest part of the cavity; smaller ones are specks


def counted_lvid(mask: NDArray[Any], *, millimetres: float) -> NDArray[np.float64]:
    """Mask pixels of each column as a length in mm, as published: holes and specks count as well; 0 where there is none."""
    found: NDArray[np.float64] = np.count_nonzero(mask, axis=0) * float(millimetres)
    return found


def outermost(mask: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows (L,) of the first and behind the last mask pixel of each column, to be drawn; NaN where there is none."""
    seen = mask.any(axis=0)
    first, last = mask.argmax(axis=0).astype(np.float64), len(mask) - mask[::-1].argmax(axis=0).astype(np.float64)
    return np.where(seen, first, np.nan), np.where(seen, last, np.nan)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Walls:
    """Rows float64 (L,) of the cavity's upper and lower border, between pixels; NaN where there is no cavity."""

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]

    def lvid(self, *, millimetres: float) -> NDArray[np.float64]:
        """Diameter in mm; NaN where there is no cavity."""
        return (self.lower - self.upper) * millimetres


def walls(probability: NDArray[np.float64], *, valid: NDArray[np.bool_]) -> Walls:
    """The borders where the probability (H, L) of the main cavity passes one half, read between rows.

    Parts that are small beside the largest are specks and left out; of what is left the largest run of a column is the
    cavity, with its holes closed. Columns that are not `valid` have none.
    """
    height, length = probability.shape
    cavity = _main(probability > LIKELY)
    upper, lower = np.full(length, np.nan), np.full(length, np.nan)
    for column in np.flatnonzero(cavity.any(axis=0) & valid):
        first, last = _run(cavity[:, column])
        line = probability[:, column]
        upper[column] = first - _past(line, first, first - 1) if first > 0 else 0.0
        lower[column] = last + 1 + _past(line, last, last + 1) if last < height - 1 else float(height)
    return Walls(upper=upper, lower=lower)


def _past(line: NDArray[np.float64], inside: int, outside: int) -> float:
    """How far beyond the edge of the last pixel inside the border lies, -0.5 to 0.5 rows."""
    over, under = line[inside] - LIKELY, LIKELY - line[outside]
    return min(max(float(over / (over + under)), 0.0), 1.0) - 0.5 if over > 0 and under >= 0 else 0.0


def _main(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its specks; a crack does not part it."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    if count < 2:
        return mask
    areas = statistics[1:, cv2.CC_STAT_AREA]
    kept = np.flatnonzero(areas >= SMALLEST_PART * areas.max()) + 1
    return mask & np.isin(labels, kept)


def _run(column: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last row of the longest run; runs no more than a fifth of it apart are one, with a hole."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], column.astype(np.int8), [0]))))
    starts, stops = edges[::2], edges[1::2]
    longest = int((stops - starts).argmax())
    first, last = longest, longest
    near = max(3, int(stops[longest] - starts[longest]) // 5)
    while first > 0 and starts[first] - stops[first - 1] <= near:
        first -= 1
    while last < len(starts) - 1 and starts[last + 1] - stops[last] <= near:
        last += 1
    return int(starts[first]), int(stops[last]) - 1
