"""The moving picture of a loop alone, in luma, square and true to shape: what a network of echo should look at.

Nothing outside the sector is left (text, scale, ECG), marks inside are filled from their surroundings, and one
centimetre is as many pixels across as down. A sector that is not square is centred on black, never cut or squeezed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, Region, SpatialFormat
from echonode.core.results import Ineligible
from echonode.tasks.common.overlays import without
from echonode.tasks.common.sector import Scene, find_scene, luma

SAME_SHAPE: Final = 0.01  # pixels whose sides differ less are square
CENTIMETRES: Final = 3
COLOUR_FRACTION: Final = 0.004


def scene_of(clip: Clip, *, colour: bool, colour_fraction: float = COLOUR_FRACTION) -> Scene | Ineligible:
    """What moves in a clip; a refusal where nothing does, or where colour Doppler lies over it and is not allowed."""
    scene = find_scene(clip.frames, clip.regions)
    if scene is None:
        return Ineligible(reason="nothing moves in it: all frames show the same picture", code="frozen")
    if not colour and scene.colour_fraction > colour_fraction:
        share = f"{100 * scene.colour_fraction:.1f} % of the sector"
        return Ineligible(reason=f"{share} is coloured: the model takes no colour Doppler", code="colour")
    return scene


def sector_pictures(clip: Clip, scene: Scene, indices: Iterable[int], *, side: int) -> NDArray[np.uint8]:
    """Frames `indices` (repeats allowed) as luma, uint8 (N, side, side)."""
    rows, columns = scene.box(margin=0)
    hidden, outside = scene.overlay[rows, columns], ~scene.sector[rows, columns]
    aspect = pixel_aspect(clip.regions, shape=scene.sector.shape)
    made: dict[int, NDArray[np.uint8]] = {}
    wanted = [int(index) for index in indices]
    for index in sorted(set(wanted)):
        light = luma(clip.frames[index])[rows, columns]
        picture = without(np.ascontiguousarray(light)[:, :, None], hidden)[:, :, 0]
        picture[outside] = 0
        made[index] = squared(picture, side=side, aspect=aspect)
    return np.stack([made[index] for index in wanted])


def pixel_aspect(regions: Sequence[Region], *, shape: tuple[int, ...]) -> float:
    """Height of a pixel over its width, from a 2D region in centimetres that lies inside the image; 1 where none tells."""
    for region in regions:
        two_d = region.spatial_format == SpatialFormat.TWO_D and region.units_x == region.units_y == CENTIMETRES
        if two_d and region.calibrated and region.within(rows=shape[0], columns=shape[1]):
            assert region.delta_x is not None
            assert region.delta_y is not None
            ratio = abs(region.delta_y) / abs(region.delta_x)
            return ratio if abs(ratio - 1) > SAME_SHAPE else 1.0
    return 1.0


def squared(picture: NDArray[np.uint8], *, side: int, aspect: float = 1.0) -> NDArray[np.uint8]:
    """A picture (H, W) centred on black (side, side), as large as fits, its pixels made square first.

    Shrinking averages over what a new pixel covers, so that speckle does not alias; enlarging is cubic.
    """
    height, width = picture.shape[0] * aspect, float(picture.shape[1])
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrinks = size[0] <= picture.shape[1] and size[1] <= picture.shape[0]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    canvas = np.zeros((side, side), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas
