"""Which stretches of a strip are good: the windows of the quality classifier, and statistics over what lies in good ones.

The width of a window follows the body mass, because a larger mouse has a slower heart (about three beats a window).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.mmode.windows import Grey

GOOD: Final = 0.5
UNUSED_TOP: Final = 60
"""First row of a variant that the authors' code holds and does not use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Rows `top` to `bottom` and columns `left` to `right` are looked at; the answer is said of columns `start` to `stop`."""

    top: int
    bottom: int
    left: int
    right: int
    start: int
    stop: int

    def cut(self, strip: Grey) -> Grey:
        """What is looked at; rows beyond the strip are missing, as published."""
        return np.ascontiguousarray(strip[self.top : self.bottom, self.left : self.right])


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Median, mean, largest and smallest of some values; all 0 when there are none, as published."""

    median: float
    mean: float
    largest: float
    smallest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of `values`."""
        if not len(values):
            return cls(median=0.0, mean=0.0, largest=0.0, smallest=0.0)
        return cls(
            median=float(np.median(values)),
            mean=float(np.mean(values)),
            largest=float(np.max(values)),
            smallest=float(np.min(values)),
        )


def mean_row(mask: NDArray[np.generic]) -> float | None:
    """The mean row of all mask pixels; None where there are none."""
    rows = np.nonzero(mask)[0]
    return float(rows.mean()) if len(rows) else None


def published_windows(*, height: int, length: int, share: float, centre: float | None) -> list[Window]:
    """Windows side by side and a last one at the right end, whose answer is said of what is left over.

    Rows are centred on `centre`, or begin at row 60 in the unused variant (None); they may reach beyond the bottom, and
    the picture is then not square; nor is it when the side is odd.
    """
    side = int(height * share)
    top = UNUSED_TOP if centre is None else max(0, int(centre) - side // 2)
    whole, bottom = length // side, top + 2 * (side // 2)
    windows = [
        Window(top=top, bottom=bottom, left=i * side, right=(i + 1) * side, start=i * side, stop=(i + 1) * side)
        for i in range(whole)
    ]
    last = Window(top=top, bottom=bottom, left=length - side, right=length, start=whole * side, stop=length)
    return [*windows, last]


def sound_windows(*, height: int, length: int, share: float, centre: float | None) -> list[Window]:
    """As published, but always square and inside the strip, and none that nothing is said of."""
    side = max(1, min(int(height * share), height, length))
    middle = height / 2 if centre is None else centre
    top = min(max(0, round(middle - side / 2)), height - side)
    starts = [*range(0, length - side + 1, side)]
    if starts[-1] + side < length:
        starts.append(length - side)
    windows, said = [], 0
    for left in starts:
        windows.append(Window(top=top, bottom=top + side, left=left, right=left + side, start=said, stop=left + side))
        said = left + side
    return windows


def good_columns(windows: Sequence[Window], probabilities: Sequence[float], *, length: int) -> NDArray[np.bool_]:
    """Which columns are in a window that is good."""
    good = np.zeros(length, np.bool_)
    for window, probability in zip(windows, probabilities, strict=True):
        if probability > GOOD:
            good[window.start : window.stop] = True
    return good
