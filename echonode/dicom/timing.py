"""When each frame was taken: Frame Time, Frame Time Vector, or a frame rate (PS3.3 C.7.6.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echonode.dicom import elements
from echonode.dicom.elements import DataSet

SHORTEST_MS, LONGEST_MS = 1000.0 / 400.0, 1000.0 / 5.0
DISPLAY_TICK_MS = 20.0
GUESSED_MS = 1000.0 / 30.0
_FRAME_TIME, _FRAME_TIME_VECTOR = 0x00181063, 0x00181065


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameTimes:
    """Times float64 (T,) in ms from the first frame; `interval_ms` is the mean interval without genuine gaps.

    `uniform` says that every interval is the same. `timed` is False when the header tells no plausible time and
    `times_ms` are a guess; `basis` names the attribute, or says why there is none.
    """

    times_ms: np.ndarray
    interval_ms: float
    uniform: bool
    timed: bool
    basis: str

    @property
    def longest_gap_ms(self) -> float:
        """The longest time between two frames."""
        return float(np.diff(self.times_ms).max()) if len(self.times_ms) > 1 else self.interval_ms

    @property
    def frame_rate(self) -> float:
        """Frames a second outside gaps."""
        return 1000.0 / self.interval_ms


def frame_times_ms(header: DataSet, *, frames: int | None = None) -> FrameTimes:
    """The time of each frame, with the scanner's display jitter taken out and genuine gaps kept.

    A Frame Time Vector's first element is no interval (PS3.3 C.7.6.5.1.2). Where its cumulative times stay within
    one display tick of a uniform grid, the grid is the truth: scanners that sample their own screen alternate 20 and
    40 ms. `frames` overrides Number of Frames (0028,0008).
    """
    count = frames if frames is not None else max(elements.integer(header, "NumberOfFrames") or 1, 1)
    pointer = elements.texts(header, "FrameIncrementPointer")
    by_vector = _points_at(header, _FRAME_TIME_VECTOR)
    vector = _from_vector(header, count)
    if vector is not None and (by_vector or not elements.has(header, "FrameTime") or not pointer):
        return vector
    for keyword, per_second in (
        ("FrameTime", False),
        ("CineRate", True),
        ("RecommendedDisplayFrameRate", True),
        ("ActualFrameDuration", False),
    ):
        value = elements.decimal(header, keyword)
        if value is None or value <= 0:
            continue
        interval = 1000.0 / value if per_second else value
        if SHORTEST_MS <= interval <= LONGEST_MS:
            return _uniform(count, interval, timed=True, basis=keyword)
    if vector is not None:
        return vector
    return _uniform(count, GUESSED_MS, timed=False, basis="the header tells no frame time between 2.5 and 200 ms")


def r_wave_times_ms(header: DataSet) -> tuple[float, ...]:
    """R Wave Time Vector (0018,6060), PS3.3 C.8.5.6: ms from the first frame, rising; empty where there is none."""
    return tuple(sorted(set(elements.reals(header, "RWaveTimeVector"))))


def _points_at(header: DataSet, tag: int) -> bool:
    element = elements.stored(header, 0x00280009)
    if element is None or element.value is None:
        return False
    value = element.value
    if isinstance(value, bytes):
        group, number = tag >> 16, tag & 0xFFFF
        order = "little" if getattr(element, "is_little_endian", True) else "big"
        wanted = group.to_bytes(2, order) + number.to_bytes(2, order)  # type: ignore[arg-type]
        return wanted in (value[i : i + 4] for i in range(0, len(value), 4))
    return tag in (value if hasattr(value, "__iter__") else [value])


def _uniform(count: int, interval: float, *, timed: bool, basis: str) -> FrameTimes:
    times = np.arange(count, dtype=np.float64) * interval
    return FrameTimes(times_ms=times, interval_ms=interval, uniform=True, timed=timed, basis=basis)


def _from_vector(header: DataSet, count: int) -> FrameTimes | None:
    vector = np.array(elements.decimals(header, "FrameTimeVector"), dtype=np.float64)
    if count < 2 or len(vector) not in (count, count - 1):
        return None
    intervals = vector[1:] if len(vector) == count else vector
    if (intervals <= 0).any():
        return None
    steady, gaps = _without_jitter(intervals)
    usual = steady[~gaps] if (~gaps).any() else steady
    interval = float(usual.mean())
    if not SHORTEST_MS <= interval <= LONGEST_MS:
        return None
    times = np.concatenate([[0.0], np.cumsum(steady)])
    return FrameTimes(
        times_ms=times,
        interval_ms=interval,
        uniform=bool(np.ptp(steady) < 1e-6),
        timed=True,
        basis="FrameTimeVector",
    )


def _without_jitter(intervals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals where each run between genuine gaps has its mean, and which of them are gaps."""
    tick = min(DISPLAY_TICK_MS, float(intervals.min()))
    # The epsilon forgives what DS rounding does to an interval of exactly one tick more.
    gaps = np.zeros(len(intervals), dtype=bool)
    while True:
        mean = intervals[~gaps].mean()
        grown = gaps | (intervals - mean > tick + 1e-3)
        if grown.all() or (grown == gaps).all():
            break
        gaps = grown
    steady = intervals.copy()
    for run in np.split(np.arange(len(intervals)), np.flatnonzero(np.diff(gaps)) + 1):
        if gaps[run[0]]:
            continue
        part = intervals[run]
        drift = np.concatenate([[0.0], np.cumsum(part) - part.mean() * np.arange(1, len(part) + 1)])
        # Half the range: the grid's first line need not be the first frame.
        if np.ptp(drift) / 2 <= tick + 1e-3:
            steady[run] = part.mean()
    return steady, gaps
