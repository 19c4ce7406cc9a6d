"""Where the R waves lie in the coloured ECG that scanners draw in step with a sweep: in the strip, or beside it.

Looked for in the waveform regions of the header first, then about the foot of the strip, below it, and about its head.
A trace is what is coloured and runs on from column to column; words, marks and straight lines are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from echonode.core.clip import Region, SpatialFormat
from echonode.tasks.mmode.calibration import Calibration
from echonode.tasks.mmode.species import HUMAN, Species

ABOVE, BELOW = 0.45, 0.2  # of the strip's height: how far from its foot, and its head, the trace is looked for
COLOURED: Final = 60  # between the strongest and the weakest channel; a grey map's tint stays below
BRIGHT: Final = 90
WHOLE: Final = 0.7  # of the columns; what is seen in fewer is a mark or a word
LINE: Final = 0.9  # of the columns; a row that is coloured in more is a border of the strip
EDGE, UPRIGHT = 3, 0.5  # columns at either end, and the share of rows, that a border of the strip fills
WIDEST_WORD: Final = 0.08  # of the columns; parts of a trace are wider
NEAR: Final = 0.15  # of the strip's height: parts of one trace lie no further apart
SMALLEST: Final = 0.02  # of the strip's height; lower peaks are no R waves
QRS: Final = 0.47  # of the shortest beat, at half its height (0.14 s in people); a T wave is wider
TALL: Final = 0.5  # of the tallest
LEAVES: Final = 0.15  # of the R wave's height: where the trace has left its base, QRS begins
SAME: Final = 0.5  # of the shortest beat; R waves of two frames that lie closer are one
FRAMES_MOST: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Ecg:
    """Columns of the strip, between pixels: `waves` where R waves peak, `onsets` where each one's QRS begins.

    Both are empty where no coloured trace runs through, or it has no peaks.
    """

    waves: tuple[float, ...] = ()
    onsets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.waves) != len(self.onsets):
            raise ValueError("every R wave has an onset")


def ecg_of(
    frames: NDArray[np.uint8], calibration: Calibration, *, places: Sequence[tuple[int, int]] = ((0, 0),),
    regions: Sequence[Region] = (), species: Species = HUMAN,
) -> Ecg:  # fmt: skip
    """The R waves of a strip that was made of `frames` (T, H, W, 1 | 3), each at the column that `places` tells.

    Over a moving time line the trace moves with it, so a wave counts where most frames that show its column have it.
    A white trace cannot be told from the echoes and is not read.
    """
    if frames.shape[3] != 3:
        return Ecg()
    step = -(-len(places) // FRAMES_MOST)
    used = places[::step]
    found: list[tuple[float, float]] = []
    for frame, place in used:
        read = _read(frames[frame], calibration, regions=regions, species=species)
        found += [(place + wave, place + onset) for wave, onset in zip(read.waves, read.onsets, strict=True)]
    if len(used) == 1 or not found:
        return Ecg(waves=tuple(wave for wave, _ in found), onsets=tuple(onset for _, onset in found))
    width = calibration.right - calibration.left
    kept = []
    for group in _together(sorted(found), nearest=SAME * species.shortest_beat / calibration.seconds):
        wave, onset = (float(np.median(column)) for column in zip(*group, strict=True))
        if 2 * len(group) >= sum(place <= wave < place + width for _, place in used):
            kept.append((wave, onset))
    return Ecg(waves=tuple(wave for wave, _ in kept), onsets=tuple(onset for _, onset in kept))


def _together(found: Sequence[tuple[float, float]], *, nearest: float) -> Iterator[list[tuple[float, float]]]:
    group: list[tuple[float, float]] = []
    for each in found:
        if group and each[0] - group[0][0] > nearest:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _read(frame: NDArray[np.uint8], calibration: Calibration, *, regions: Sequence[Region], species: Species) -> Ecg:
    """The first place of one picture where a trace with R waves runs."""
    high = calibration.bottom - calibration.top
    for first, last in _bands(calibration, regions, rows=frame.shape[0]):
        band = frame[first:last, calibration.left : calibration.right]
        trace = _trace(band, high=high)
        if trace is not None:
            found = _peaks(*trace, high=high, seconds=calibration.seconds, species=species)
            if found.waves:
                return found
    return Ecg()


def _bands(calibration: Calibration, regions: Sequence[Region], *, rows: int) -> Iterator[tuple[int, int]]:
    """Rows in which an ECG may run, the likeliest first."""
    top, bottom = calibration.top, calibration.bottom
    high = bottom - top
    for region in regions:
        shared = min(region.x1 + 1, calibration.right) - max(region.x0, calibration.left)
        along = shared >= WHOLE * (calibration.right - calibration.left)
        if region.spatial_format == SpatialFormat.WAVEFORM and along and 0 <= region.y0 < region.y1 < rows:
            yield max(0, region.y0 - 2), min(rows, region.y1 + 3)
    for first, last in (
        (bottom - ABOVE * high, bottom + BELOW * high), (bottom, rows), (top - ABOVE * high, top + BELOW * high),
    ):  # fmt: skip
        if round(last) - round(first) > SMALLEST * high:
            yield max(0, round(first)), min(rows, round(last))


Floats = NDArray[np.float64]


def _trace(band: NDArray[np.uint8], *, high: int) -> tuple[Floats, Floats] | None:
    """How far the trace rises above its base, and falls below it, in each column, in rows; None where none runs."""
    strongest = band.max(axis=2).astype(np.int16)
    coloured = (strongest - band.min(axis=2) >= COLOURED) & (strongest >= BRIGHT)
    coloured[coloured.mean(axis=1) >= LINE] = False
    for edge in (*range(EDGE), *range(coloured.shape[1] - EDGE, coloured.shape[1])):
        if coloured[:, edge].mean() >= UPRIGHT:
            coloured[:, edge] = False
    part = _running(coloured, high=high)
    seen = part.any(axis=0)
    if seen.mean() < WHOLE:
        return None
    known, columns = np.flatnonzero(seen), np.arange(part.shape[1])
    top = np.interp(columns, known, part.argmax(axis=0)[known].astype(np.float64))
    bottom = np.interp(columns, known, (len(part) - 1 - part[::-1].argmax(axis=0)[known]).astype(np.float64))
    base = float(np.median((top + bottom) / 2))
    return base - top, bottom - base


def _running(coloured: NDArray[np.bool_], *, high: int) -> NDArray[np.bool_]:
    """The parts of a mask that make one trace: the widest, and beside it what is wide too and lies as high."""
    joined = cv2.dilate(coloured.astype(np.uint8), np.ones((5, 5), np.uint8))
    count, labels, statistics, centres = cv2.connectedComponentsWithStats(joined, connectivity=8)
    taken, kept, level = np.zeros(coloured.shape[1], np.bool_), [], None
    wide = statistics[:, cv2.CC_STAT_WIDTH]
    for part in sorted(range(1, count), key=lambda one: -int(wide[one])):
        if wide[part] < WIDEST_WORD * len(taken):
            break
        left = statistics[part, cv2.CC_STAT_LEFT]
        columns = slice(left, left + wide[part])
        near = level is None or abs(centres[part][1] - level) <= NEAR * high
        if near and taken[columns].mean() < 0.2:
            level = float(centres[part][1]) if level is None else level
            taken[columns] = True
            kept.append(part)
    return coloured & np.isin(labels, kept)


def _peaks(up: Floats, down: Floats, *, high: int, seconds: float, species: Species) -> Ecg:
    """R waves of a trace; where it falls much further than it rises, the lead shows them upside down."""
    trace = down if down.max() > 1.6 * up.max() else up
    tallest = float(trace.max())
    if tallest < SMALLEST * high:
        return Ecg()
    padded = np.pad(trace, 2, constant_values=float(np.median(trace)))
    found: tuple[NDArray[np.intp], Any] = find_peaks(
        padded, height=TALL * tallest, prominence=TALL * tallest, distance=max(1.0, species.shortest_beat / seconds),
        width=(None, QRS * species.shortest_beat / seconds),
    )  # fmt: skip
    # At the very edge it may be the flank of a wave outside.
    waves = [int(peak) - 2 for peak in found[0] if 2 < peak < len(trace) + 1]
    reach = max(1, round(QRS * species.shortest_beat / seconds))
    return Ecg(
        waves=tuple(float(wave) for wave in waves), onsets=tuple(_onset(trace, wave, reach=reach) for wave in waves)
    )


def _onset(trace: Floats, wave: int, *, reach: int) -> float:
    """The last column before the R wave at which the trace is still on its base."""
    start = max(0, wave - reach)
    low = np.flatnonzero(trace[start:wave] <= LEAVES * trace[wave])
    return float(start + low[-1]) if len(low) else float(wave)
