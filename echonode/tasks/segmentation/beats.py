"""End-diastole and end-systole of a loop, from how large the cavity is in each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

SMOOTH_MS: Final = 30.0
FEWEST_FRAMES: Final = 5
LEAST_CHANGE: Final = 0.06  # of the largest area: below it no beat is told from noise
NEAR: Final = 0.30  # of the range: how far from the loop's extreme another beat's may lie
APART: Final = 0.6  # of a beat
SHORTEST_BEAT_MS: Final = 300.0
LONGEST_BEAT_MS: Final = 2000.0
MILLISECONDS_A_MINUTE: Final = 60_000.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Beats:
    """Places in the loop's list of frames, counted from 0, rising."""

    end_diastole: tuple[int, ...]
    end_systole: tuple[int, ...]
    beat_ms: float


def beats_of(areas: Floats, times_ms: Floats, *, heart_rate: float | None) -> Beats | None:
    """Where the cavity is largest and smallest in each beat; None where the loop shows less than most of one.

    `areas` (T,) in any unit, at `times_ms` (T,). An end of the loop counts as an extreme only when it is as large (or
    small) as the others nearly are: the loop may begin in the middle of a contraction.
    """
    if len(areas) < FEWEST_FRAMES or not np.isfinite(areas).all():
        return None
    curve = smoothed(areas, times_ms, SMOOTH_MS)
    span = float(np.ptp(curve))
    if curve.max() <= 0 or span < LEAST_CHANGE * float(curve.max()):
        return None
    beat = beat_ms(curve, times_ms, heart_rate=heart_rate)
    lasting = float(times_ms[-1] - times_ms[0])
    if lasting < 0.75 * beat:
        return None
    step = lasting / (len(areas) - 1)
    large = _extremes(curve, step, beat=beat, span=span)
    small = _extremes(-curve, step, beat=beat, span=span)
    return Beats(end_diastole=large, end_systole=small, beat_ms=beat) if large and small else None


def beat_ms(curve: Floats, times_ms: Floats, *, heart_rate: float | None) -> float:
    """How long a beat lasts: as the header says, else the delay at which the curve is most like itself."""
    if heart_rate is not None and SHORTEST_BEAT_MS <= MILLISECONDS_A_MINUTE / heart_rate <= LONGEST_BEAT_MS:
        return MILLISECONDS_A_MINUTE / heart_rate
    step = float(times_ms[-1] - times_ms[0]) / (len(curve) - 1)
    centred = curve - curve.mean()
    most = min(len(curve) - 3, int(LONGEST_BEAT_MS / step))
    lags = np.arange(max(2, int(SHORTEST_BEAT_MS / step)), most + 1)
    if len(lags):
        likeness = np.array(
            [np.mean(centred[lag:] * centred[:-lag]) / max(float(np.mean(centred**2)), 1e-12) for lag in lags]
        )
        peaks, _ = find_peaks(np.concatenate([[-np.inf], likeness, [-np.inf]]), height=0.5)
        inside = [peak - 1 for peak in peaks if 0 < peak - 1 < len(lags) - 1]
        if inside:
            return float(lags[inside[0]] * step)
    return float(np.clip(times_ms[-1] - times_ms[0], SHORTEST_BEAT_MS, LONGEST_BEAT_MS))


def smoothed(values: Floats, times_ms: Floats, sigma_ms: float) -> Floats:
    """`values` (T, ...) averaged over neighbours in time with a Gaussian; frames need not be evenly apart."""
    gaps = (times_ms[:, None] - times_ms[None, :]) / sigma_ms
    weights = np.exp(-0.5 * gaps**2)
    weights /= weights.sum(axis=1, keepdims=True)
    found: Floats = np.tensordot(weights, np.asarray(values, np.float64), axes=(1, 0))
    return found


def roughness(values: Floats, times_ms: Floats) -> float:
    """How much a curve jumps from frame to frame: the root mean square of what smoothing takes away, over its mean."""
    mean = float(np.mean(values))
    if len(values) < FEWEST_FRAMES or mean <= 0:
        return float("nan")
    return float(np.sqrt(np.mean((values - smoothed(values, times_ms, SMOOTH_MS)) ** 2)) / mean)


def _extremes(curve: Floats, step_ms: float, *, beat: float, span: float) -> tuple[int, ...]:
    """Peaks of a curve and of its ends that are nearly as high as the highest."""
    padded = np.concatenate([[curve.min() - span], curve, [curve.min() - span]])
    peaks, _ = find_peaks(
        padded, height=float(curve.max()) - NEAR * span, distance=max(1, round(APART * beat / step_ms))
    )
    return tuple(int(peak) - 1 for peak in peaks)
