"""Other machines and other windows: how pictures are changed before the network learns from them. No torch.

Never mirrored: left and right tell views apart.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

TURN_DEGREES: Final = 15.0
DEPTH: Final = (0.78, 1.35)
SCALE: Final = (0.84, 1.15)
SHIFT: Final = 0.06
PLAIN: Final = 0.35  # of the loops keep their sector and their grain
STRETCH: Final = 0.09

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def augmented(pictures: Bytes, chance: np.random.Generator, *, side: int) -> Bytes:
    """Pictures (F, S, S) of one loop, changed alike: depth, place, sector, gain, grain, sharpness; (F, side, side)."""
    sector = sector_of(pictures)
    moved, place = _moves(sector, chance, side=side)
    inside = cv2.warpAffine(sector, place, (side, side), flags=cv2.INTER_NEAREST) > 0
    plain = chance.random() < PLAIN
    if not plain:
        inside &= _window(inside, chance)
    frames = np.stack([cv2.warpAffine(each, moved, (side, side), flags=cv2.INTER_LINEAR) for each in pictures])
    light = _graded(np.asarray(frames / np.float32(255), np.float32), inside, chance)
    if not plain:
        light = _grained(light, chance)
    light *= inside
    if chance.random() < 0.12:
        _written(light, chance)
    return np.asarray(np.clip(np.rint(255 * light), 0, 255), np.uint8)


def chosen(pictures: Bytes, chance: np.random.Generator, *, frames: int) -> Bytes:
    """`frames` of the loop's pictures in their order; now and then a still, repeated."""
    if chance.random() < 0.12:
        return np.asarray(np.repeat(pictures[int(chance.integers(len(pictures)))][None], frames, axis=0))
    places = np.sort(chance.choice(len(pictures), frames, replace=len(pictures) < frames))
    return np.asarray(pictures[places])


def sector_of(pictures: Bytes) -> Bytes:
    """The convex hull of what is lit in any frame, 1 inside; everything where nothing is lit."""
    points = cv2.findNonZero((pictures.max(axis=0) > 2).astype(np.uint8))
    sector = np.zeros(pictures.shape[1:], np.uint8)
    if points is None or len(points) < 3:
        sector[:] = 1
        return sector
    cv2.fillConvexPoly(sector, cv2.convexHull(points), 1)
    return sector


def _moves(sector: Bytes, chance: np.random.Generator, *, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Affine maps (2, 3) of the picture and of its sector: the same but for the depth, which moves tissue in the sector."""
    size = len(sector)
    angle = np.deg2rad(chance.uniform(-TURN_DEGREES, TURN_DEGREES) * chance.random() ** 0.5)
    scale = np.exp(chance.uniform(np.log(SCALE[0]), np.log(SCALE[1]))) * side / size
    stretch = chance.uniform(-STRETCH, STRETCH)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.diag([1 + stretch, 1 - stretch])
    middle = np.array([size / 2, size / 2])
    offset = np.array([side / 2, side / 2]) - linear @ middle + side * chance.uniform(-SHIFT, SHIFT, 2)
    place = np.hstack([linear, offset[:, None]])
    if chance.random() < 0.3:
        return place, place
    rows, columns = np.flatnonzero(sector.any(axis=1)), np.flatnonzero(sector.any(axis=0))
    apex = np.array([(columns[0] + columns[-1]) / 2, float(rows[0])])
    depth = np.exp(chance.uniform(np.log(DEPTH[0]), np.log(DEPTH[1])))
    # Tissue grows about the probe, the sector stays: what an operator's depth knob does.
    return np.hstack([depth * linear, (linear @ ((1 - depth) * apex) + offset)[:, None]]), place


def _window(inside: NDArray[np.bool_], chance: np.random.Generator) -> NDArray[np.bool_]:
    """What a narrower or shallower sector leaves."""
    kept = np.ones_like(inside)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if len(rows) < 8 or chance.random() < 0.4:
        return kept
    y, x = np.mgrid[0 : len(inside), 0 : len(inside)].astype(np.float32)
    height = float(rows[-1] - rows[0])
    middle = (columns[0] + columns[-1]) / 2
    above = rows[0] - chance.uniform(0, 0.12) * height
    across = np.abs(np.arctan2(x - middle, y - above))
    kept &= across < np.deg2rad(chance.uniform(34, 55))
    kept &= np.hypot(x - middle, y - above) < height * chance.uniform(0.88, 1.2)
    if chance.random() < 0.3:
        kept &= y > rows[0] + chance.uniform(0.0, 0.12) * height
    return kept


def _graded(light: Floats, inside: NDArray[np.bool_], chance: np.random.Generator) -> Floats:
    """Grey map, gain along depth and across, shadows, haze."""
    bright = max(0.05, float(np.percentile(light[:, inside], 99)) if inside.any() else 1.0)
    light = np.minimum(light / np.float32(bright), 1.25) ** np.float32(np.exp(chance.uniform(-0.6, 0.5)))
    if chance.random() < 0.4:
        light = np.maximum(light - np.float32(chance.uniform(0, 0.2)), 0)
    side = light.shape[1]
    field = cv2.resize(chance.standard_normal((4, 4), np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    light = light * np.exp(np.float32(chance.uniform(0, 0.5)) * field)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    if chance.random() < 0.4:
        angle = np.arctan2(x - np.float32(0.5), y + np.float32(0.05))
        for _ in range(int(chance.integers(1, 4))):
            away = (angle - np.float32(chance.uniform(-0.7, 0.7))) / np.float32(chance.uniform(0.03, 0.16))
            light = light * (1 - np.float32(chance.uniform(0.2, 0.95)) * np.exp(-away * away))
    if chance.random() < 0.35:
        light = light + np.float32(chance.uniform(0, 0.35)) * np.exp(-y / np.float32(chance.uniform(0.05, 0.4)))
    if chance.random() < 0.35:
        light = light + np.float32(chance.uniform(0, 0.2))
    return np.asarray(light * np.float32(chance.uniform(0.35, 1.1)), np.float32)


def _grained(light: Floats, chance: np.random.Generator) -> Floats:
    """Blur, speckle of another size, fewer pixels, noise."""
    side = light.shape[1]
    if chance.random() < 0.5:
        sigma = (float(chance.uniform(0.1, 1.3)), float(chance.uniform(0.1, 1.0)))
        light = np.stack([cv2.GaussianBlur(each, (0, 0), sigma[0], sigmaY=sigma[1]) for each in light])
    elif chance.random() < 0.3:
        light = np.stack([each + 0.8 * (each - cv2.GaussianBlur(each, (0, 0), 1.2)) for each in light])
        light = np.maximum(light, 0)
    if chance.random() < 0.6:
        strength, small = chance.uniform(0.1, 0.45), int(side / chance.uniform(1.0, 3.0))
        wide = int(small / chance.uniform(1.0, 2.5))
        for index in range(len(light)):
            grain = chance.standard_normal((small, max(8, wide)), np.float32)
            light[index] *= np.exp(np.float32(strength) * cv2.resize(grain, (side, side)))
    if chance.random() < 0.3:
        small = int(side * chance.uniform(0.5, 0.85))
        light = np.stack([
            cv2.resize(cv2.resize(each, (small, small), interpolation=cv2.INTER_AREA), (side, side)) for each in light
        ])  # fmt: skip
    if chance.random() < 0.3:
        light = light + np.float32(chance.uniform(0.005, 0.04)) * chance.standard_normal(light.shape, np.float32)
    return np.asarray(light, np.float32)


def _written(light: Floats, chance: np.random.Generator) -> None:
    """Marks that a sector's search left in."""
    side = light.shape[1]
    marks = np.zeros((side, side), np.uint8)
    for _ in range(int(chance.integers(1, 4))):
        x, y, x1, y1 = (int(value) for value in chance.integers(0, side, 4))
        if chance.random() < 0.5:
            cv2.line(marks, (x, y), (x1, y1), 255, 1)
        else:
            cv2.putText(marks, "V 1.7", (x, y), cv2.FONT_HERSHEY_PLAIN, 0.6, 255, 1)
    np.maximum(light, marks.astype(np.float32) / 255, out=light)
