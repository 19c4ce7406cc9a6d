"""How well two regions agree: Dice's coefficient and Hausdorff's distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]


def dice(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """2 |A and B| / (|A| + |B|) of two masks (Dice, Ecology 1945); 1 when both are empty."""
    first, second = a.astype(bool), b.astype(bool)
    together = int(first.sum()) + int(second.sum())
    return 1.0 if together == 0 else 2.0 * int((first & second).sum()) / together


def hausdorff_mm(
    a: NDArray[np.generic], b: NDArray[np.generic], *, spacing_mm: tuple[float, float] = (1.0, 1.0), share: float = 1.0
) -> float:
    """The largest distance from an edge point of one mask (H, W) to the other's edge, in mm; `share` 0.95 for HD95.

    `spacing_mm` is (row, column). 0 when both are empty, infinite when one is.
    """
    first, second = _edge(a.astype(bool), spacing_mm), _edge(b.astype(bool), spacing_mm)
    if not len(first) or not len(second):
        return 0.0 if len(first) == len(second) else float("inf")
    there, back = cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]
    return float(max(np.quantile(there, share), np.quantile(back, share)))


def mean_edge_distance_mm(
    a: NDArray[np.generic], b: NDArray[np.generic], *, spacing_mm: tuple[float, float] = (1.0, 1.0)
) -> float:
    """The mean distance between the edges of two masks, both ways, in mm; as `hausdorff_mm` for empty ones."""
    first, second = _edge(a.astype(bool), spacing_mm), _edge(b.astype(bool), spacing_mm)
    if not len(first) or not len(second):
        return 0.0 if len(first) == len(second) else float("inf")
    there, back = cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]
    return float((there.sum() + back.sum()) / (len(there) + len(back)))


def _edge(mask: Mask, spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """The pixels of the mask that touch its outside, in mm."""
    points: NDArray[np.float64] = np.argwhere(mask & ~binary_erosion(mask)) * np.asarray(spacing_mm)
    return points
