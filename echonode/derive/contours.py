"""The outlines of labelled structures on a frame, smooth and thin, with a dark seam that keeps them visible on tissue.

Lines are drawn by the distance from the edge of the label, so that they are anti-aliased and do not show the steps of a
label map that was enlarged from a network's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

_SMOOTH: Final = 1.6  # pixels: standard deviation over which the steps of a label are smoothed
_SEAM: Final = 1.6  # pixels of dark on either side of a line
_SEAM_DARKNESS: Final = 0.45
_FAR: Final = 6  # pixels around a structure that its line can reach


@dataclass(frozen=True, kw_only=True, slots=True)
class Contours:
    """How outlines are drawn: the RGB colour of each label value, in order, and their `width` in pixels.

    Where two outlines run together, the one that comes first is drawn.
    """

    colours: Mapping[int, tuple[int, int, int]]
    width: float

    def draw(self, picture: np.ndarray, labels: np.ndarray) -> None:
        """Draw the outlines of `labels`, uint8 H x W, into `picture`, uint8 H x W x 3."""
        bands = {value: band for value in self.colours if (band := self._band(labels == value))}
        for box, distance in bands.values():
            _blend(picture[box], (0, 0, 0), _SEAM_DARKNESS * _line(distance, self.width + 2 * _SEAM))
        taken = np.zeros(labels.shape, np.bool_)  # where two outlines run together, one colour is to be seen
        for value, (box, distance) in bands.items():
            line = np.where(taken[box], 0.0, _line(distance, self.width))
            _blend(picture[box], self.colours[value], line)
            taken[box] |= line > 0

    def _band(self, inside: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """The box around a structure and the distance of its pixels from the edge; None where it is not seen."""
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not len(rows):
            return None
        reach = _FAR + int(np.ceil(self.width))
        box = (
            slice(max(int(rows[0]) - reach, 0), int(rows[-1]) + reach + 1),
            slice(max(int(columns[0]) - reach, 0), int(columns[-1]) + reach + 1),
        )
        # Beyond the border of the picture nothing is known: the edge is not drawn along it.
        mask = inside[box].astype(np.uint8)
        within = cv2.distanceTransform(np.pad(mask, 1, mode="edge"), cv2.DIST_L2, 5)
        without = cv2.distanceTransform(np.pad(1 - mask, 1, mode="edge"), cv2.DIST_L2, 5)
        signed = cv2.GaussianBlur(np.clip(within, 0, reach) - np.clip(without, 0, reach), (0, 0), _SMOOTH)
        return box, np.abs(signed[1:-1, 1:-1])


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    """How much of each pixel a line of that width covers."""
    covered: np.ndarray = np.clip(width / 2 + 0.5 - distance, 0.0, 1.0)
    return covered


def _blend(picture: np.ndarray, colour: tuple[int, int, int], covered: np.ndarray) -> None:
    there = covered > 0
    share = covered[there][:, None]
    picture[there] = np.rint(picture[there] * (1 - share) + np.array(colour) * share).astype(np.uint8)
