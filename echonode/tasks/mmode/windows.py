"""Cutting a strip into the squares that networks take, and joining what they say of them.

Pictures are float64 (H, W) on the scale of 0 to 255; networks see 256 x 256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float64]
SIDE: Final = 256
"""What networks take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """Columns `start` to `stop` of a strip; `kept` is the first of them whose answer counts."""

    start: int
    stop: int
    kept: int


def published_tiles(*, height: int, length: int) -> list[Tile]:
    """Squares from the left, and a last one at the right end whose overlap with those before is dropped.

    Raises:
        ValueError: the strip is shorter than it is high; the published code breaks there.
    """
    if length < height:
        raise ValueError(f"the strip is {length} columns long, less than its height of {height}")
    whole = length // height
    tiles = [Tile(start=i * height, stop=(i + 1) * height, kept=i * height) for i in range(whole)]
    return [*tiles, Tile(start=length - height, stop=length, kept=whole * height)]


def overlapping_tiles(*, height: int, length: int, overlap: float) -> list[Tile]:
    """Squares that overlap by at least that share of their width and cover the strip; one, when it is short."""
    if length <= height:
        return [Tile(start=0, stop=height, kept=0)]
    step = max(1, int(height * (1 - overlap)))
    count = 1 + -(-(length - height) // step)
    starts = np.linspace(0, length - height, count).round().astype(int)
    return [Tile(start=int(start), stop=int(start) + height, kept=int(start)) for start in starts]


def resized(picture: Grey) -> Grey:
    """256 x 256, bicubic."""
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.float64)


def cut(strip: Grey, tile: Tile) -> Grey:
    """The columns of `tile`; beyond the end the last columns are mirrored."""
    missing = tile.stop - strip.shape[1]
    if missing <= 0:
        return np.ascontiguousarray(strip[:, tile.start : tile.stop])
    return np.pad(strip[:, tile.start :], ((0, 0), (0, missing)), mode="symmetric")


def joined(answers: Sequence[NDArray[Any]], tiles: Sequence[Tile]) -> NDArray[Any]:
    """Answers (H, W) of tiles side by side, each without what the tile before has said already."""
    return np.concatenate(
        [answer[:, tile.kept - tile.start :] for answer, tile in zip(answers, tiles, strict=True)], axis=1
    )


def nearest(mask: NDArray[Any], *, height: int) -> NDArray[Any]:
    """A square mask at `height` x `height`, every pixel from its nearest."""
    found: NDArray[Any] = cv2.resize(mask, (height, height), interpolation=cv2.INTER_NEAREST)
    return found


def blended(answers: Sequence[Grey], tiles: Sequence[Tile], *, length: int) -> Grey:
    """Probabilities (256, 256) of overlapping tiles as one strip; the middle of a tile counts more than its edges."""
    height = tiles[0].stop - tiles[0].start
    weight = np.minimum(np.arange(height) + 1, np.arange(height)[::-1] + 1).astype(np.float64)
    reach = max(length, tiles[-1].stop)
    total, weights = np.zeros((height, reach)), np.zeros(reach)
    for answer, tile in zip(answers, tiles, strict=True):
        full = cv2.resize(answer, (height, height), interpolation=cv2.INTER_LINEAR)
        total[:, tile.start : tile.stop] += full * weight
        weights[tile.start : tile.stop] += weight
    return np.ascontiguousarray((total / weights)[:, :length])
