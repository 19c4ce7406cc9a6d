"""Which frames make a clip, chosen by when they were taken and not by their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Times = NDArray[np.float64]


def loop_ms(times_ms: Times) -> float:
    """How long a cine lasts when it is played as a loop: the last frame is shown as long as usual.

    Raises:
        ValueError: a single frame lasts no time.
    """
    if len(times_ms) < 2:
        raise ValueError("a still image lasts no time")
    return float(times_ms[-1] - times_ms[0] + np.median(np.diff(times_ms)))


def starts_by_time(times_ms: Times, *, clip_ms: float, clips: int) -> list[float]:
    """Where `clips` clips of `clip_ms` begin, in ms from the first frame: evenly over the loop.

    In a loop shorter than a clip they begin at evenly spread phases, since the clip goes round.
    """
    lasting = loop_ms(times_ms)
    room = lasting - clip_ms
    if room > 0:
        return [float(start) for start in np.linspace(0.0, room, clips)] if clips > 1 else [room / 2]
    return [lasting * index / clips for index in range(clips)]


def frames_by_time(times_ms: Times, *, start_ms: float, period_ms: float, count: int) -> Indices:
    """The frames nearest to `start_ms` + i `period_ms`; past the end the loop goes round, it is never padded."""
    lasting = loop_ms(times_ms)
    wanted = np.mod(start_ms + period_ms * np.arange(count), lasting)
    stamps = np.append(times_ms - times_ms[0], lasting)
    middles = (stamps[:-1] + stamps[1:]) / 2
    nearest: Indices = (np.searchsorted(middles, wanted, side="right") % len(times_ms)).astype(np.int64)
    return nearest


def goes_round(times_ms: Times, *, clip_ms: float) -> bool:
    """Whether a clip of that length shows a moment of the loop more than once."""
    return clip_ms > loop_ms(times_ms)


def starts_by_number(last_start: int, *, clips: int, seed: int | None = None) -> list[int]:
    """`clips` first frames from 0 to `last_start`: evenly spaced, or drawn at random when `seed` is given."""
    if seed is not None:
        drawn: Sequence[int] = np.random.default_rng(seed).integers(0, last_start + 1, clips).tolist()
        return list(drawn)
    if clips == 1:
        return [last_start // 2]
    return [int(start) for start in np.linspace(0, last_start, clips).round()]
