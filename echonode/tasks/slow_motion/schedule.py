"""Where the frames of the slow loop lie in time: every acquired frame, and between two of them as many as time asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
DISPLAY_TICK_MS: Final = 20.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Schedule:
    """`slots` int64 (T,): the output frame of each source frame, from 0; `positions` and `times_ms` float64 (M,)."""

    slots: NDArray[np.int64]
    positions: Times
    times_ms: Times

    @property
    def count(self) -> int:
        """M, the frames of the slow loop."""
        return len(self.positions)

    def between(self, index: int) -> Times:
        """The times in (0, 1), as shares of the interval, of the frames between source frames `index` and the next."""
        start, stop = int(self.slots[index]), int(self.slots[index + 1])
        return self.positions[start + 1 : stop] - index


def schedule(times_ms: Times, *, factor: int) -> Schedule:
    """A grid of the loop's interval over `factor`, on which every source frame takes the nearest free place.

    The interval is the mean of the ordinary ones, so that a loop with one gap keeps `factor` frames for each of them and
    the gap gets more, in proportion; for an even loop M = (T - 1) factor + 1. Source frames keep their own times exactly
    and the frames between two of them are spread evenly, so that t follows time.

    Raises:
        ValueError: fewer than two times.
    """
    if len(times_ms) < 2:
        raise ValueError("a schedule needs two frames")
    step = _ordinary_ms(np.diff(times_ms)) / factor
    slots = np.rint((times_ms - times_ms[0]) / step).astype(np.int64)
    for index in range(1, len(slots)):
        slots[index] = max(slots[index], slots[index - 1] + 1)
    places = np.arange(slots[-1] + 1, dtype=np.float64)
    positions = np.interp(places, slots, np.arange(len(slots), dtype=np.float64))
    return Schedule(slots=slots, positions=positions, times_ms=np.interp(places, slots, times_ms))


def _ordinary_ms(intervals_ms: Times) -> float:
    """The mean interval without genuine gaps: those that are longer than the mean by more than one display tick.

    The mean and not the median: scanners that sample their own screen alternate two intervals.
    """
    tick = min(DISPLAY_TICK_MS, float(intervals_ms.min()))
    return float(intervals_ms[intervals_ms <= intervals_ms.mean() + tick].mean())
