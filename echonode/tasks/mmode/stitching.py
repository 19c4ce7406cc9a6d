"""One long strip from the overlapping frames of a scrolling M-mode recording.

Frames are float64 (H, W) of one size, in order; each shows the time line a little further than the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.mmode.windows import Grey

AGREEMENT: Final = 0.9  # correlation of two pictures of the same stretch; lossy compression keeps it
NEXT_BEST: Final = 0.02  # shifts this close in correlation to the best are as good; the expected one is then taken
OVERLAP_LEAST: Final = 0.15  # of the width; less of a common stretch proves nothing
FLAT: Final = 2.0  # grey levels; a picture without contrast cannot be compared
ROWS_COMPARED: Final = 128


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stitched:
    """The strip, and for each frame that is in it: its number and the strip's column at which its own column 0 lies."""

    strip: Grey
    places: tuple[tuple[int, int], ...]
    notes: tuple[str, ...] = ()


def stitched_exactly(frames: Sequence[Grey]) -> Stitched:
    """As published: the next frame must repeat the right half of the current one, pixel for pixel.

    The largest shift that fits wins. A frame that fits nowhere is appended whole, so that the time line jumps.

    Raises:
        ValueError: the width is odd; the published code breaks there.
    """
    width = frames[0].shape[1]
    half = width // 2
    if width % 2 and len(frames) > 1:
        raise ValueError(f"the strip's frames are {width} columns wide; halves of an odd width cannot be compared")
    pieces, length, places = [frames[0]], width, [(0, 0)]
    for number, (current, following) in enumerate(pairwise(frames), start=1):
        found = _repeated(current[:, half:], following)
        if found is None and np.array_equal(current, following):
            places.append((number, length - width))
            continue
        piece = following if found is None else following[:, found + half :]
        pieces.append(piece)
        length += piece.shape[1]
        places.append((number, length - width))
    return Stitched(strip=np.concatenate(pieces, axis=1), places=tuple(places))


def stitched(frames: Sequence[Grey], *, expected_shifts: Sequence[float] | None) -> Stitched:
    """The longest strip without a jump: each frame is laid where it correlates best with the one before.

    Exact equality is not asked for, so that lossy compression and a moving cursor do no harm. `expected_shifts` in
    columns, from the times of the frames, decide between shifts that fit equally well (a regular rhythm repeats
    itself). Frames that fit nowhere begin a new strip; of several the longest is given.
    """
    strips: list[list[tuple[int, int]]] = [[(0, 0)]]
    for number in range(1, len(frames)):
        expected = None if expected_shifts is None else expected_shifts[number - 1]
        shift = _shift(frames[number - 1], frames[number], expected=expected)
        if shift is None:
            strips.append([(number, 0)])
        else:
            strips[-1].append((number, strips[-1][-1][1] + shift))
    best = max(strips, key=lambda places: places[-1][1])
    width = frames[0].shape[1]
    strip = np.empty((frames[0].shape[0], best[-1][1] + width))
    for number, place in best:
        strip[:, place : place + width] = frames[number]
    notes = []
    if len(strips) > 1:
        notes.append(
            f"frames {best[0][0] + 1} to {best[-1][0] + 1} are used: the others do not continue their time line"
        )
    return Stitched(strip=strip, places=tuple(best), notes=tuple(notes))


def _repeated(block: Grey, following: Grey) -> int | None:
    """The first column of `following` at which `block` is repeated exactly."""
    half = block.shape[1]
    for start in np.flatnonzero((following[:, :half] == block[:, :1]).all(axis=0)):
        if np.array_equal(following[:, start : start + half], block):
            return int(start)
    return None


def _shift(current: Grey, following: Grey, *, expected: float | None) -> int | None:
    """By how many columns the time line went on, 0 for the same picture; None when the two have nothing in common."""
    width = current.shape[1]
    step = max(1, current.shape[0] // ROWS_COMPARED)
    a, b = current[::step], following[::step]
    if a.std() < FLAT or b.std() < FLAT:
        return None
    furthest = max(1, int(width * (1 - OVERLAP_LEAST)))
    scores = _correlations(a, b, count=furthest)
    best = float(scores.max())
    if best < AGREEMENT:
        return None
    alike = np.flatnonzero(scores >= best - NEXT_BEST)
    if expected is None:
        return int(scores.argmax())
    nearest = int(alike[np.abs(alike - expected).argmin()])
    around = slice(max(0, nearest - 2), nearest + 3)
    return int(around.start + scores[around].argmax())


def _correlations(a: Grey, b: Grey, *, count: int) -> NDArray[np.float64]:
    """Pearson's correlation of a[:, s:] with b[:, :W - s] for s from 0 to `count`, by one convolution over columns."""
    rows, width = a.shape
    size = 1 << (2 * width - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)[:, :count].sum(axis=0)
    shifts = np.arange(count)
    samples = (width - shifts) * rows
    sum_a, sum_b = _from_right(a.sum(axis=0))[shifts], _from_left(b.sum(axis=0))[width - 1 - shifts]
    squares_a, squares_b = (
        _from_right((a**2).sum(axis=0))[shifts],
        _from_left((b**2).sum(axis=0))[width - 1 - shifts],
    )
    covariance = products - sum_a * sum_b / samples
    spread = (squares_a - sum_a**2 / samples) * (squares_b - sum_b**2 / samples)
    found: NDArray[np.float64] = np.divide(
        covariance, np.sqrt(np.maximum(spread, 0)), out=np.zeros(count), where=spread > 1e-6 * samples
    )
    return found


def _from_left(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(values)


def _from_right(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(values[::-1])[::-1]
