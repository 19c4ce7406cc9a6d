"""Where the moving picture is, and what lies over it: the sector, static overlays, coloured pixels.

Regions of the header do not suffice: real loops have the ECG inside the 2D region, a region over the whole frame, or a
box larger than the image. So the sector is what moves: the convex hull of the pixels whose luma changes over the loop.
Text, ticks and marks are what is bright, thin and never changes; traces, colour bars and logos are what has a colour
that the picture's own tint does not explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Region, SpatialFormat

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

MOVING_LUMA: Final = 14  # a change of luma that no compression noise reaches after a 3 x 3 mean
COLOUR_DISTANCE: Final = 22.0  # distance from the tint in Cb or Cr
BLUE_GAIN: Final = np.float32(0.564)  # Cb = 0.564 (B - Y), Cr = 0.713 (R - Y): ITU-R BT.601
RED_GAIN: Final = np.float32(0.713)
TINT_MOST: Final = 0.35  # Cb or Cr a unit of luma; sepia and blue maps stay below
OVERLAY_LUMA: Final = 30  # how much brighter than its surroundings a mark is, in every frame
OVERLAY_CHANGE: Final = 24  # how much a mark changes by compression noise
SCENE_FRAMES: Final = 240  # frames looked at, evenly spread, however long the loop is
TINT_FRAMES: Final = 8
SMALLEST_PART: Final = 0.005  # a moving part smaller than this share of the largest is no part of the picture
FAIR_SHARE: Final = 0.15  # of what a part adds to the hull, this much must move
MOST_PARTS: Final = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class Tint:
    """The colour of a grey map: Cb - 128 and Cr - 128 for each unit of luma; zero for a neutral grey."""

    blue: float = 0.0
    red: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """`sector` (H, W): the moving picture; `overlay`: marks over it that never change; both bool.

    `colour_fraction` is the largest share of the sector that is coloured, in blobs rather than lines, in any frame.
    """

    sector: Mask
    overlay: Mask
    tint: Tint
    colour_fraction: float

    def box(self, *, margin: int) -> tuple[slice, slice]:
        """Rows and columns of the sector, with a margin where the image has one."""
        rows = np.flatnonzero(self.sector.any(axis=1))
        columns = np.flatnonzero(self.sector.any(axis=0))
        height, width = self.sector.shape
        return (
            slice(max(0, int(rows[0]) - margin), min(height, int(rows[-1]) + 1 + margin)),
            slice(max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)),
        )


def luma(frame: Picture) -> Picture:
    """Luma (H, W) of a frame (H, W, 1|3)."""
    if frame.shape[2] == 1:
        return frame[:, :, 0]
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def coloured(frame: Picture, tint: Tint) -> Mask:
    """Where a frame (H, W, 3) has a colour that the tint does not explain; nowhere for one channel."""
    if frame.shape[2] == 1:
        return np.zeros(frame.shape[:2], np.bool_)
    y, red, blue = cv2.split(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb))
    light = y.astype(np.float32)
    # A bright pixel cannot be as blue as the map would have it: blue and red end at 255.
    off_blue = np.abs(blue - np.float32(128) - np.minimum(tint.blue * light, BLUE_GAIN * (255 - light)))
    off_red = np.abs(red - np.float32(128) - np.minimum(tint.red * light, RED_GAIN * (255 - light)))
    found: Mask = np.maximum(off_blue, off_red) > COLOUR_DISTANCE
    return found


def grown(mask: Mask, pixels: int) -> Mask:
    """The mask and everything within `pixels` of it."""
    return cv2.dilate(mask.astype(np.uint8), _disc(pixels)).astype(np.bool_)


def without_specks(mask: Mask, smallest: int) -> Mask:
    """The mask without its connected parts of fewer than `smallest` pixels."""
    if not mask.any():
        return mask
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keeps = statistics[:, cv2.CC_STAT_AREA] >= smallest
    keeps[0] = False
    kept: Mask = keeps[labels]
    return kept


def find_scene(frames: NDArray[np.uint8], regions: Sequence[Region]) -> Scene | None:
    """The scene of a loop (T, H, W, C), read frame by frame; None when nothing in it moves."""
    chosen = _spread(len(frames), SCENE_FRAMES)
    lowest, highest = _luma_range(frames, chosen)
    change = cv2.subtract(_mean3(highest), _mean3(lowest))
    moving = (change > MOVING_LUMA) & ~_boxes(regions, lowest.shape, two_d=False)
    if not moving.any():
        return None
    tint = _tint(frames, _spread(len(frames), TINT_FRAMES), _blobs(moving) if _blobs(moving).any() else moving)
    ever_coloured = np.zeros(lowest.shape, np.bool_)
    for index in chosen:
        ever_coloured |= coloured(frames[index], tint)
    sector = _sector(moving, ever_coloured, regions)
    if sector is None:
        return None
    steady_colour = ever_coloured & (cv2.subtract(highest, lowest) < OVERLAY_CHANGE)
    share = 0.0
    if frames.shape[3] == 3:
        area = float(sector.sum())
        for index in chosen:
            flow = _blobs(coloured(frames[index], tint) & sector & ~steady_colour)
            share = max(share, float(flow.sum()) / area)
    return Scene(sector=sector, overlay=_overlay(lowest, highest) & sector, tint=tint, colour_fraction=share)


def _luma_range(frames: NDArray[np.uint8], chosen: Sequence[int]) -> tuple[Picture, Picture]:
    lowest = luma(frames[chosen[0]]).copy()
    highest = lowest.copy()
    for index in chosen[1:]:
        light = luma(frames[index])
        np.minimum(lowest, light, out=lowest)
        np.maximum(highest, light, out=highest)
    return lowest, highest


def _tint(frames: NDArray[np.uint8], chosen: Sequence[int], where: Mask) -> Tint:
    if frames.shape[3] == 1:
        return Tint()
    ratios: list[NDArray[np.float32]] = []
    for index in chosen:
        pixels = cv2.cvtColor(frames[index], cv2.COLOR_RGB2YCrCb)[where].astype(np.float32)
        bright = pixels[pixels[:, 0] > 40]
        ratios.append((bright[:, 1:] - 128) / bright[:, :1])
    together = np.concatenate(ratios)
    if len(together) == 0:
        return Tint()
    red, blue = (float(value) for value in np.median(together, axis=0))
    if max(abs(red), abs(blue)) > TINT_MOST:
        return Tint()
    return Tint(blue=blue, red=red)


def _sector(moving: Mask, ever_coloured: Mask, regions: Sequence[Region]) -> Mask | None:
    parts = _blobs(moving & ~grown(ever_coloured, 1))
    if parts.sum() < moving.size // 2000:
        parts = _blobs(moving)
    joined = cv2.morphologyEx(parts.astype(np.uint8), cv2.MORPH_CLOSE, _disc(max(5, min(moving.shape) // 50)))
    sector = np.zeros(moving.shape, np.bool_)
    for panel in _panels(regions, moving.shape):
        sector |= _hull_of_parts((joined * panel).astype(np.uint8))
    found = grown(sector.astype(np.bool_), 3) & ~_boxes(regions, moving.shape, two_d=False)
    return found if found.any() else None


def _hull_of_parts(parts: Picture) -> Mask:
    """The convex hull of the largest part and of every other with which what is added to the hull moves for a fair share.

    A clock far from the picture would add a wedge in which nothing else moves.
    """
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(parts, connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    hull = np.zeros(parts.shape, np.bool_)
    for part in np.argsort(-areas, kind="stable")[:MOST_PARTS]:
        if areas[part] < SMALLEST_PART * areas.max():
            break
        with_part = _convex(hull | (labels == part + 1))
        added = with_part & ~hull
        if not hull.any() or (labels[added] > 0).sum() >= FAIR_SHARE * added.sum():
            hull = with_part
    return hull


def _convex(mask: Mask) -> Mask:
    points = np.flip(np.argwhere(mask), axis=1).astype(np.int32)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return filled.astype(np.bool_)


def _panels(regions: Sequence[Region], shape: tuple[int, ...]) -> list[Mask]:
    """One mask a 2D region when several lie side by side, else one over the whole image."""
    rows, columns = shape
    boxes = {
        (region.x0, region.y0, region.x1, region.y1)
        for region in regions
        if region.spatial_format == SpatialFormat.TWO_D and region.within(rows=rows, columns=columns)
    }
    apart = all(a == b or a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a in boxes for b in boxes)
    if len(boxes) < 2 or not apart:
        return [np.ones(shape, np.bool_)]
    panels = []
    for x0, y0, x1, y1 in sorted(boxes):
        panel = np.zeros(shape, np.bool_)
        panel[y0 : y1 + 1, x0 : x1 + 1] = True
        panels.append(panel)
    return panels


def _boxes(regions: Sequence[Region], shape: tuple[int, ...], *, two_d: bool) -> Mask:
    """Pixels of sound regions that hold a trace or a scale (or, with `two_d`, the picture)."""
    found = np.zeros(shape, np.bool_)
    traces = {SpatialFormat.M_MODE, SpatialFormat.SPECTRAL, SpatialFormat.WAVEFORM, SpatialFormat.GRAPHICS}
    wanted = {SpatialFormat.TWO_D} if two_d else traces
    for region in regions:
        if region.spatial_format in wanted and region.within(rows=shape[0], columns=shape[1]):
            found[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1] = True
    return found


def _overlay(lowest: Picture, highest: Picture) -> Mask:
    """Marks: in every frame brighter than their surroundings, thin, and without change; with their soft edge."""
    steady = cv2.subtract(highest, lowest) < OVERLAY_CHANGE
    thin = cv2.morphologyEx(lowest, cv2.MORPH_TOPHAT, _disc(5)) > OVERLAY_LUMA
    return grown(steady & thin, 2)


def _blobs(mask: Mask) -> Mask:
    """What is left of a mask without its lines and specks."""
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(2)).astype(np.bool_)


def _mean3(picture: Picture) -> Picture:
    return cv2.blur(picture, (3, 3)).astype(np.uint8, copy=False)


def _disc(radius: int) -> Picture:
    disc: Picture = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.uint8)
    return disc


def _spread(count: int, most: int) -> list[int]:
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, most)).round()})
