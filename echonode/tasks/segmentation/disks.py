"""The method of disks on label maps: 20 disks across the long axis of the cavity, of one apical plane or of two.

Lang et al., J Am Soc Echocardiogr 2015;28:1, section 2.1: V = pi / 4 * sum(a_i b_i) * L / 20, with the diameters a of
one plane and b of the other (of the same plane, when there is one alone) and L the longer of the two axes; the two
lengths should lie within 10 % of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

DISKS: Final = 20
LENGTHS_APART: Final = 0.10
MM3_A_ML: Final = 1000.0
FEWEST_PIXELS: Final = 60
BASAL_SHARE: Final = 0.45  # of the cavity's length: an open border above it is a gap in the wall, no valve
CAVITY, MYOCARDIUM, ATRIUM = 1, 2, 3

Labels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Disks:
    """Long axis (mm) and diameters float64 (DISKS,) (mm) of the cavity in one picture, from the annulus to the apex.

    Raises:
        ValueError: no length, or not DISKS diameters.
    """

    length_mm: float
    diameters_mm: Floats

    def __post_init__(self) -> None:
        if not self.length_mm > 0 or self.diameters_mm.shape != (DISKS,) or (self.diameters_mm < 0).any():
            raise ValueError(f"a length above 0 and {DISKS} diameters are expected")

    @property
    def volume_ml(self) -> float:
        """The volume of the cavity, as if every disk were round."""
        return volume_ml(self)


def volume_ml(*planes: Disks) -> float:
    """The volume of one plane's disks, or of two planes that stand across each other.

    Raises:
        ValueError: not one or two planes.
    """
    if len(planes) not in (1, 2):
        raise ValueError(f"the method of disks takes one plane or two, not {len(planes)}")
    areas = planes[0].diameters_mm * planes[-1].diameters_mm
    longest = max(plane.length_mm for plane in planes)
    return float(np.pi / 4 * areas.sum() * longest / DISKS / MM3_A_ML)


def lengths_agree(first: Disks, second: Disks) -> bool:
    """Whether two planes' lengths lie within 10 % of the longer one: else one of them is foreshortened."""
    return abs(first.length_mm - second.length_mm) <= LENGTHS_APART * max(first.length_mm, second.length_mm)


def mean_disks(several: Sequence[Disks]) -> Disks:
    """Length and diameters, each averaged: of the same phase in several beats.

    Raises:
        ValueError: none of them.
    """
    if not several:
        raise ValueError("the mean of no disks")
    return Disks(
        length_mm=float(np.mean([each.length_mm for each in several])),
        diameters_mm=np.asarray(np.mean([each.diameters_mm for each in several], axis=0), np.float64),
    )


def disks_of(labels: Labels, spacing_mm: tuple[float, float]) -> Disks | None:
    """The disks of the cavity in a label map (H, W) of CAMUS codes; None where there is no cavity to speak of.

    `spacing_mm` is (row, column). The axis runs from the middle of the border that the myocardium leaves open, the
    mitral annulus, to the point of the cavity that is furthest from it.
    """
    cavity = largest_part(labels == CAVITY)
    if cavity.sum() < FEWEST_PIXELS:
        return None
    scale = np.asarray(spacing_mm, np.float64)
    points = np.argwhere(cavity) * scale
    apart = points - _base(labels, cavity, points, scale)
    return _disks_along(apart, apart[int((apart**2).sum(axis=1).argmax())], scale)


def _disks_along(apart: Floats, end: Floats, scale: Floats) -> Disks | None:
    """Disks of points (N, 2) in mm, each of one pixel of `scale`, across the line from 0 to `end`; None of a speck."""
    length = float(np.linalg.norm(end))
    if length < 4 * float(scale.max()):
        return None
    along = apart @ (end / length)
    disk = np.clip((along / length * DISKS).astype(int), 0, DISKS - 1)
    areas = np.bincount(disk, minlength=DISKS) * float(scale.prod())
    return Disks(length_mm=length, diameters_mm=np.asarray(areas / (length / DISKS), np.float64))


def atrium_disks_of(labels: Labels, spacing_mm: tuple[float, float]) -> Disks | None:
    """The disks of the left atrium, from the middle of the mitral annulus to its far wall; None where it is not seen.

    As `disks_of`; Lang et al. 2015, section 8: the same method, the annulus is the atrium's lower border.
    """
    cavity, atrium = largest_part(labels == CAVITY), largest_part(labels == ATRIUM)
    if min(cavity.sum(), atrium.sum()) < FEWEST_PIXELS:
        return None
    scale = np.asarray(spacing_mm, np.float64)
    base = _base(labels, cavity, np.argwhere(cavity) * scale, scale)
    apart = np.argwhere(atrium) * scale - base
    # Through its middle: an atrium may be wider than long, and its furthest point a corner.
    towards = apart.mean(axis=0) / max(float(np.linalg.norm(apart.mean(axis=0))), 1e-9)
    return _disks_along(apart, float((apart @ towards).max()) * towards, scale)


def largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part of a mask (H, W), holes filled."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, np.bool_)
    part = (parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(part, outlines, -1, 1, cv2.FILLED)
    filled: NDArray[np.bool_] = part.astype(np.bool_)
    return filled


def _base(labels: Labels, cavity: NDArray[np.bool_], points: Floats, scale: Floats) -> Floats:
    """The middle of the mitral annulus, (row, column) in mm."""
    middle = points.mean(axis=0)
    atrium = np.argwhere(labels == ATRIUM)
    # Towards the atrium; where none is seen, away from the transducer, which is at the top in apical views.
    down = atrium.mean(axis=0) * scale - middle if len(atrium) > FEWEST_PIXELS // 2 else np.array([1.0, 0.0])
    down = down / max(float(np.linalg.norm(down)), 1e-9)
    values, vectors = np.linalg.eigh(np.cov((points - middle).T))
    axis = vectors[:, int(values.argmax())]
    if abs(float(axis @ down)) > 0.5:
        down = axis if float(axis @ down) > 0 else -axis
    wall = cv2.dilate((labels == MYOCARDIUM).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    inner = cv2.erode(cavity.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    border = np.argwhere(cavity & (inner == 0) & ~wall) * scale
    heights = (points - middle) @ down
    lowest, highest = float(heights.min()), float(heights.max())
    if len(border):
        border = border[(border - middle) @ down > highest - BASAL_SHARE * (highest - lowest)]
    if len(border) >= 4:
        return np.asarray(border.mean(axis=0), np.float64)
    return np.asarray(points[heights > highest - 0.03 * (highest - lowest)].mean(axis=0), np.float64)
