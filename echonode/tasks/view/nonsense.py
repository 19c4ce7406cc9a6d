"""Pictures that show no heart, made from those that do and from nothing: so that nonsense is not called a view. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.tasks.view.augment import sector_of

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Make = Callable[[Bytes, np.random.Generator], Bytes]


def nonsense(pictures: Bytes, chance: np.random.Generator) -> Bytes:
    """One of the kinds, in the sector of `pictures` (F, S, S)."""
    make = list(KINDS.values())[int(chance.integers(len(KINDS)))]
    return make(pictures, chance)


def scrambled(pictures: Bytes, chance: np.random.Generator) -> Bytes:
    """The picture cut to tiles that change places, alike in every frame."""
    frames, side = pictures.shape[:2]
    count = int(chance.integers(3, 9))
    tile = side // count
    cut = pictures[:, : count * tile, : count * tile].reshape(frames, count, tile, count, tile)
    tiles = cut.transpose(1, 3, 0, 2, 4).reshape(count * count, frames, tile, tile)
    # Only tiles with something in them change places: others would show what was done.
    lit = np.flatnonzero(tiles.reshape(len(tiles), -1).mean(axis=1) > 2)
    mixed = tiles.copy()
    mixed[lit] = tiles[chance.permutation(lit)]
    whole = np.zeros_like(pictures)
    joined = mixed.reshape(count, count, frames, tile, tile).transpose(2, 0, 3, 1, 4)
    whole[:, : count * tile, : count * tile] = joined.reshape(frames, count * tile, count * tile)
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), float(chance.uniform(0.3, 1.5))) for each in whole])
    return np.asarray(smooth * sector_of(pictures), np.uint8)


def clouded(pictures: Bytes, chance: np.random.Generator) -> Bytes:
    """As bright and as grained as the picture, but without its arrangement: phases of its spectrum drawn anew."""
    spectrum = np.abs(np.fft.rfft2(pictures.astype(np.float32)))
    phases = np.exp(2j * np.pi * chance.random(spectrum.shape[1:]))
    made = np.fft.irfft2(spectrum * phases, s=pictures.shape[1:])
    made = made - np.percentile(made, 20)
    return _inside(made / max(1e-6, float(np.percentile(made, 99.5))), sector_of(pictures))


def textured(pictures: Bytes, chance: np.random.Generator) -> Bytes:
    """Layers, vessels and cysts in speckle, as in other organs; in the sector, a trapezoid or a rectangle."""
    frames, side = pictures.shape[:2]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    light = np.full((side, side), np.float32(chance.uniform(0.15, 0.6)))
    bend = cv2.resize(chance.standard_normal((3, 5), np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(chance.integers(0, 6))):
        away = (y - np.float32(chance.random()) + np.float32(0.05) * bend) / np.float32(chance.uniform(0.005, 0.08))
        light = light * (1 + np.float32(chance.uniform(-0.8, 2.0)) * np.exp(-away * away))
    for _ in range(int(chance.integers(0, 5))):
        angle = chance.uniform(0, np.pi)
        u, v = x - np.float32(chance.random()), y - np.float32(chance.random())
        u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        reach = (u / chance.uniform(0.03, 0.5)) ** 2 + (v / chance.uniform(0.02, 0.14)) ** 2
        light = np.where(reach < 1, light * np.float32(chance.uniform(0, 1.8)), light)
    light = light * np.exp(-y * np.float32(chance.uniform(-0.5, 2.5)))
    return _inside(light * _speckle(frames, side, chance), _outline(pictures, chance))


def noise(pictures: Bytes, chance: np.random.Generator) -> Bytes:
    """Speckle alone: a probe in the air, or gain without tissue."""
    frames, side = pictures.shape[:2]
    y = np.mgrid[0:side, 0:side][0].astype(np.float32) / side
    fall = np.exp(-y / np.float32(chance.uniform(0.05, 3.0)))
    return _inside(
        np.float32(chance.uniform(0.1, 0.9)) * fall * _speckle(frames, side, chance), _outline(pictures, chance)
    )


KINDS: Final[Mapping[str, Make]] = {
    "scrambled": scrambled, "clouded": clouded, "textured": textured, "noise": noise,
}  # fmt: skip
"""Every kind by its name in tables."""


def _speckle(frames: int, side: int, chance: np.random.Generator) -> Floats:
    """Rayleigh speckle (frames, side, side) of a drawn size, partly new in each frame."""
    tall, wide = (max(8, int(side / chance.uniform(1, 5))) for _ in range(2))
    steady = chance.standard_normal((2, tall, wide), np.float32)
    share = np.float32(chance.choice([0.0, chance.uniform(0, 1)]))
    made = []
    for _ in range(frames):
        parts = (1 - share) * steady + share * chance.standard_normal((2, tall, wide), np.float32)
        real, imaginary = (cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC) for part in parts)
        made.append(np.hypot(real, imaginary))
    return np.asarray(made, np.float32)


def _outline(pictures: Bytes, chance: np.random.Generator) -> Bytes:
    """The sector of the pictures, or the outline of a linear or curved probe."""
    side = pictures.shape[1]
    if chance.random() < 0.5:
        return sector_of(pictures)
    outline = np.zeros((side, side), np.uint8)
    top, bottom = side * chance.uniform(0, 0.15), side * chance.uniform(0.7, 1)
    near, far = side * chance.uniform(0.15, 0.5), side * chance.uniform(0.35, 0.5)
    middle = side / 2
    corners = [(middle - near, top), (middle + near, top), (middle + far, bottom), (middle - far, bottom)]
    cv2.fillConvexPoly(outline, np.array(corners, np.int32), 1)
    return outline


def _inside(light: NDArray[np.floating], outline: Bytes) -> Bytes:
    return np.asarray(np.clip(255 * light, 0, 255) * outline, np.uint8)
