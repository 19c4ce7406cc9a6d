"""From the diameter's trace to end-diastoles, end-systoles, beats and heart rate.

The published way takes every peak that is 85 pixels from the next, whatever a pixel is. The sound way knows seconds:
end-diastole is a peak that stands out of the trace, end-systole the smallest diameter between two of them, and a beat
runs from one end-diastole to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import find_peaks, savgol_filter

from echonode.tasks.mmode.ecg import Ecg
from echonode.tasks.mmode.species import Species

PUBLISHED_DISTANCE: Final = 85
PROMINENCE: Final = 0.3  # of the range that the trace moves through; noise stays below
SMALLEST_MOTION: Final = 0.03  # of the diameter; below it nothing beats
SMOOTHING: Final = 0.2  # of the shortest beat; shorter than any wave of the trace
MISSED_BEAT: Final = 1.6  # of the median interval; a longer one has an end-diastole that was not seen
Columns = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """Columns of end-diastole, end-systole and the next end-diastole; the diameters of the first two in mm.

    `heart_rate` in beats a minute; None where the interval is much longer than the others, so that a beat was missed.
    """

    diastole: int
    systole: int
    end: int
    lvid_d: float
    lvid_s: float
    heart_rate: float | None


def published_extrema(lvid: NDArray[np.float64]) -> tuple[Columns, Columns]:
    """Columns of the end-diastoles and of the end-systoles, each found for itself."""
    return find_peaks(lvid, distance=PUBLISHED_DISTANCE)[0], find_peaks(-lvid, distance=PUBLISHED_DISTANCE)[0]


def published_rates(diastoles: Columns, *, seconds: float) -> NDArray[np.float64]:
    """Beats a minute between one end-diastole and the next, one fewer than there are end-diastoles."""
    found: NDArray[np.float64] = 60.0 / (np.diff(diastoles) * seconds)
    return found


def beats_of(lvid: NDArray[np.float64], *, seconds: float, species: Species, ecg: Ecg | None = None) -> list[Beat]:
    """The beats of a trace in mm, NaN where there is no cavity; none reaches over such a gap.

    They run from R wave to R wave where an ECG shows two or more, else from one largest diameter to the next.
    """
    if ecg is not None and len(ecg.waves) > 1:
        return _timed(lvid, ecg, seconds=seconds, species=species)
    found: list[Beat] = []
    for start, stop in _stretches(lvid):
        if (stop - start) * seconds >= species.shortest_beat:
            found += _beats(lvid[start:stop], start, seconds=seconds, species=species)
    if not found:
        return []
    usual = float(np.median([beat.end - beat.diastole for beat in found])) * seconds
    return [_rated(beat, seconds=seconds, longest=min(MISSED_BEAT * usual, species.longest_beat)) for beat in found]


def _timed(lvid: NDArray[np.float64], ecg: Ecg, *, seconds: float, species: Species) -> list[Beat]:
    """Beats from one QRS onset to the next; the diameter at the first, and the smallest in between."""
    found = []
    usual = float(np.median(np.diff(ecg.waves))) * seconds
    longest = min(MISSED_BEAT * usual, species.longest_beat)
    for (start, end), (wave, following) in zip(pairwise(ecg.onsets), pairwise(ecg.waves), strict=True):
        first, last = round(start), min(round(end), len(lvid) - 1)
        if last - first < 2 or not np.isfinite(lvid[first : last + 1]).all():
            continue
        smooth = _smooth(lvid[first : last + 1], columns=species.shortest_beat / seconds)
        smallest = int(smooth.argmin())
        if 0 < smooth[smallest] < smooth[0]:
            interval = (following - wave) * seconds
            found.append(
                Beat(
                    diastole=first, systole=first + smallest, end=last, lvid_d=float(smooth[0]),
                    lvid_s=float(smooth[smallest]), heart_rate=60.0 / interval if interval <= longest else None,
                )
            )  # fmt: skip
    return found


def _beats(lvid: NDArray[np.float64], start: int, *, seconds: float, species: Species) -> list[Beat]:
    smooth = _smooth(lvid, columns=species.shortest_beat / seconds)
    low, high = np.percentile(smooth, (2, 98))
    if high - low < SMALLEST_MOTION * high:
        return []
    distance = max(1.0, species.shortest_beat / seconds)
    peaks, _ = find_peaks(smooth, distance=distance, prominence=PROMINENCE * (high - low))
    found = []
    for first, last in pairwise(peaks):
        systole = int(first + smooth[first:last].argmin())
        if smooth[systole] <= 0:
            continue  # no ventricle empties itself: the outline was lost there
        found.append(
            Beat(
                diastole=start + int(first),
                systole=start + systole,
                end=start + int(last),
                lvid_d=float(smooth[first]),
                lvid_s=float(smooth[systole]),
                heart_rate=None,
            )
        )
    return found


def _rated(beat: Beat, *, seconds: float, longest: float) -> Beat:
    interval = (beat.end - beat.diastole) * seconds
    return Beat(
        diastole=beat.diastole,
        systole=beat.systole,
        end=beat.end,
        lvid_d=beat.lvid_d,
        lvid_s=beat.lvid_s,
        heart_rate=60.0 / interval if interval <= longest else None,
    )


def _smooth(lvid: NDArray[np.float64], *, columns: float) -> NDArray[np.float64]:
    """The trace without spikes and steps of a pixel, over a fifth of the shortest beat of `columns`."""
    width = int(SMOOTHING * columns) | 1
    if width < 5 or len(lvid) <= width:
        return lvid
    calm = median_filter(lvid, size=max(3, width // 2 | 1), mode="nearest")
    smooth: NDArray[np.float64] = savgol_filter(calm, width, 2, mode="nearest")
    return smooth


def _stretches(lvid: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Where the trace is without gaps."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.isfinite(lvid).astype(np.int8), [0]))))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
