"""The 17 segments of the left ventricle and how much each contracts, as a smooth table over angle and height.

Segments and their angles: Cerqueira et al., Circulation 2002;105:539 (AHA). Angles in the heart frame: 0 lateral,
90 anterior, 180 septal, 270 inferior; scores as in wall motion scoring (ASE/EACVI 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

SEGMENTS: tuple[str, ...] = (
    "basal anterior",
    "basal anteroseptal",
    "basal inferoseptal",
    "basal inferior",
    "basal inferolateral",
    "basal anterolateral",
    "mid anterior",
    "mid anteroseptal",
    "mid inferoseptal",
    "mid inferior",
    "mid inferolateral",
    "mid anterolateral",
    "apical anterior",
    "apical septal",
    "apical inferior",
    "apical lateral",
    "apex",
)
"""Names of the segments 1 to 17, at index 0 to 16."""

CENTRES_DEGREES: tuple[float, ...] = (90, 150, 210, 270, 330, 30) * 2 + (90, 180, 270, 0) + (0,)
"""The angle of each segment's middle; the apex has none."""

CONTRACTION: tuple[float, ...] = (1.0, 0.5, 0.08, -0.22)
"""How much a segment of score 1 normal, 2 hypokinetic, 3 akinetic, 4 dyskinetic narrows, relative to a normal one."""

NORMAL: tuple[int, ...] = (1,) * 17
HEIGHTS = 48
ANGLES = 96
_RING_BOUNDS = (0.35, 0.70, 0.92)


def contraction_table(scores: Sequence[int]) -> NDArray[np.float32]:
    """Relative contraction float32 (HEIGHTS, ANGLES) from base to apex and from -180 degrees round, smoothed.

    Raises:
        ValueError: not 17 scores of 1 to 4.
    """
    if len(scores) != 17 or any(score not in (1, 2, 3, 4) for score in scores):
        raise ValueError(f"wall motion is 17 scores of 1 to 4, not {tuple(scores)!r}")
    amount = np.asarray(CONTRACTION, np.float32)[np.asarray(scores, int) - 1]
    angle = -180 + 360 * (np.arange(ANGLES) + 0.5) / ANGLES
    height = (np.arange(HEIGHTS) + 0.5) / HEIGHTS
    table = np.empty((HEIGHTS, ANGLES), np.float32)
    ring = np.searchsorted(_RING_BOUNDS, height)
    for row, which in enumerate(ring):
        members = (slice(0, 6), slice(6, 12), slice(12, 16), slice(16, 17))[which]
        apart = np.abs((angle[:, None] - np.asarray(CENTRES_DEGREES[members])[None] + 180) % 360 - 180)
        table[row] = amount[members][apart.argmin(axis=1)]
    wrapped = np.concatenate([table, table, table], axis=1)
    smooth = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=5.0, sigmaY=3.0, borderType=cv2.BORDER_REPLICATE)
    return np.array(smooth[:, ANGLES : 2 * ANGLES], np.float32)


def mean_contraction(scores: Sequence[int]) -> float:
    """The share of a normal heart's narrowing that a heart of these scores reaches, about."""
    return _mean_contraction(tuple(scores))


@lru_cache(maxsize=4096)
def _mean_contraction(scores: tuple[int, ...]) -> float:
    return float(contraction_table(scores)[: int(HEIGHTS * 0.95)].mean())
