"""Where the R waves lie in the coloured ECG that scanners draw across the foot of a sweep, in step with it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from echonode.tasks.mmode.calibration import Calibration

ABOVE, BELOW = 0.45, 0.2  # of the strip's height: how far from its foot the trace is looked for
COLOURED: Final = 60  # between the strongest and the weakest channel; a grey map's tint stays below
BRIGHT: Final = 90
WHOLE: Final = 0.7  # of the columns; what is seen in fewer is a mark or a word
SMALLEST: Final = 0.02  # of the strip's height; lower peaks are no R waves
LONGEST_QRS: Final = 0.14  # s, at half its height; a T wave is wider
SHORTEST_BEAT: Final = 0.25  # s
TALL: Final = 0.5  # of the tallest


def r_waves(frame: NDArray[np.uint8], calibration: Calibration) -> tuple[float, ...]:
    """Columns of the strip at which the R waves peak; empty where no coloured trace runs through, or it has no peaks.

    `frame` is a whole picture (H, W, 1 | 3). A white trace cannot be told from the echoes and is not read.
    """
    if frame.shape[2] != 3:
        return ()
    high = calibration.bottom - calibration.top
    first = max(0, round(calibration.bottom - ABOVE * high))
    band = frame[first : round(calibration.bottom + BELOW * high), calibration.left : calibration.right]
    strongest = band.max(axis=2).astype(np.int16)
    coloured = (strongest - band.min(axis=2) >= COLOURED) & (strongest >= BRIGHT)
    seen = coloured.any(axis=0)
    if seen.mean() < WHOLE:
        return ()
    top = coloured.argmax(axis=0).astype(np.float64)
    trace = np.interp(np.arange(len(top)), np.flatnonzero(seen), top[seen])
    return _peaks(np.median(trace) - trace, high=high, seconds=calibration.seconds)


def _peaks(trace: NDArray[np.float64], *, high: int, seconds: float) -> tuple[float, ...]:
    tallest = float(trace.max())
    if tallest < SMALLEST * high:
        return ()
    padded = np.pad(trace, 2, constant_values=float(np.median(trace)))
    found: tuple[NDArray[np.intp], Any] = find_peaks(
        padded, height=TALL * tallest, prominence=TALL * tallest, distance=max(1.0, SHORTEST_BEAT / seconds),
        width=(None, LONGEST_QRS / seconds),
    )  # fmt: skip
    # At the very edge it may be the flank of a wave outside.
    return tuple(float(peak) - 2 for peak in found[0] if 2 < peak < len(trace) + 1)
