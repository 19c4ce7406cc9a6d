"""What part of a loop is kept to learn from, and in which size."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, SpatialFormat
from echonode.tasks.common.sector import find_scene

ABOVE_REGION: Final = 10  # pixels; the published crop begins this much above the 2D region
SECTOR_MARGIN: Final = 8

Size = tuple[int, int]
"""Width and height in pixels."""


def crop_box(clip: Clip, crop: Size | Literal["sector"] | None) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is kept; it may reach beyond the picture.

    A size is placed as the authors did: around the middle of the first region, from a little above it, or in the
    middle at the top where there is no region.
    """
    height, width = clip.frames.shape[1:3]
    if crop is None:
        return 0, 0, width, height
    if crop == "sector":
        scene = find_scene(clip.frames, clip.regions)
        if scene is None:
            return 0, 0, width, height
        rows, columns = scene.box(margin=SECTOR_MARGIN)
        return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
    regions = [region for region in clip.regions if region.spatial_format == SpatialFormat.TWO_D]
    if not regions:
        return (width - crop[0]) // 2, 0, crop[0], crop[1]
    region = regions[0]
    return (region.x0 + region.x1) // 2 - crop[0] // 2, region.y0 - ABOVE_REGION, crop[0], crop[1]


def cropped(frame: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The box (left, top, width, height) of a frame (H, W, C), black outside it."""
    left, top, width, height = box
    out = np.zeros((height, width, frame.shape[2]), np.uint8)
    rows = slice(max(0, top), min(frame.shape[0], top + height))
    columns = slice(max(0, left), min(frame.shape[1], left + width))
    if rows.stop > rows.start and columns.stop > columns.start:
        out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = frame[rows, columns]
    return out


def sized(frame: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """The frame in another size (width, height); areas are averaged where it shrinks."""
    if size is None or (frame.shape[1], frame.shape[0]) == size:
        return frame
    shrinks = size[0] < frame.shape[1] and size[1] < frame.shape[0]
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return (small if small.ndim == 3 else small[:, :, None]).astype(np.uint8, copy=False)
