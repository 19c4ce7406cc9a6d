"""A few frames of a clip as the network looks at them: the sector alone, in luma, square and true to shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, SpatialFormat
from echonode.tasks.common.sector import Scene, Tint, find_scene, luma
from echonode.tasks.common.sector_pictures import sector_pictures

SIDE: Final = 128
LIT: Final = 4  # brighter than compression noise on black
SMALLEST: Final = 24  # a picture with fewer pixels across or down shows no view
BRIGHT: Final = 98.0  # per cent of what is lit is darker than this: it becomes 1
MOST_DARK: Final = 24.0  # a picture darker than this is not made bright: it would be noise
MIDDLE: Final = np.float32(0.2)
SPREAD: Final = np.float32(0.25)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """Pictures uint8 (N, side, side), and the numbers of the clip's frames that they show, counted from 0."""

    pictures: Bytes
    frames: tuple[int, ...]


def prepared(clip: Clip, *, count: int, side: int = SIDE) -> Prepared | None:
    """At most `count` frames, evenly over the clip; one where nothing moves. None where there is no picture at all."""
    scene = find_scene(clip.frames, clip.regions) if len(clip.frames) > 1 else None
    indices = evenly(len(clip.frames), count)
    if scene is None:
        scene, indices = still_scene(clip), (0,)
    if scene is None or min(span.stop - span.start for span in scene.box(margin=0)) < SMALLEST:
        return None
    return Prepared(pictures=sector_pictures(clip, scene, indices, side=side), frames=indices)


def evenly(length: int, count: int) -> tuple[int, ...]:
    """At most `count` numbers of `length` frames, each in the middle of its share of the loop."""
    count = min(length, count)
    return tuple(int((2 * place + 1) * length / (2 * count)) for place in range(count))


def still_scene(clip: Clip) -> Scene | None:
    """What is lit in the first frame, inside the 2D region where the header has one; None for a black frame."""
    light = luma(clip.frames[0])
    lit = cv2.morphologyEx((light > LIT).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    for region in clip.regions:
        if region.spatial_format == SpatialFormat.TWO_D and region.within(rows=light.shape[0], columns=light.shape[1]):
            inside = np.zeros(light.shape, np.uint8)
            inside[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1] = 1
            lit *= inside
            break
    joined = cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count < 2:
        return None
    largest = parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    filled = np.zeros(light.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(np.flip(np.argwhere(largest), axis=1).astype(np.int32)), 1)
    sector = filled.astype(np.bool_)
    return Scene(sector=sector, overlay=np.zeros_like(sector), tint=Tint(), colour_fraction=0.0)


def normalised(pictures: Bytes) -> NDArray[np.float32]:
    """Pictures (N, side, side) of one clip for the network: as bright as its brightest parts are, whatever the gain."""
    lit = pictures[pictures > LIT]
    bright = max(MOST_DARK, float(np.percentile(lit, BRIGHT))) if len(lit) else 255.0
    return np.asarray((np.minimum(pictures / np.float32(bright), 1) - MIDDLE) / SPREAD, np.float32)
