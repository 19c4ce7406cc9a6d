"""Frames to the network's square pictures, and its labels back onto the frames.

`published`: the whole frame, luma, nearest to 256 x 256, whatever its shape. `clinical`: the sector alone, without text
and traces, centred on black with its shape kept; one centimetre is as many pixels across as down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from echonode.core.clip import Clip, Region, SpatialFormat
from echonode.core.errors import PackageInvalid
from echonode.tasks.common.camus import SIDE
from echonode.tasks.common.overlays import without
from echonode.tasks.common.sector import Mask, find_scene, luma
from echonode.tasks.common.sector_pictures import CENTIMETRES, pixel_aspect, squared

LIT: Final = 4  # a still's sector is where it is brighter than compression noise on black

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalisation:
    """Mean and deviation of the training pictures in 0 to 1; 0 and 1 leave pictures as they are."""

    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Normalisation:
        """The values of a package's [config].

        Raises:
            PackageInvalid: no such numbers.
        """
        mean, std = config.get("mean", 0.0), config.get("std", 1.0)
        sound = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (mean, std))
        if not sound or not 0 <= mean < 1 or not 0 < std <= 1:
            raise PackageInvalid(f"config.mean and config.std: numbers from 0 to 1 are expected, not {mean!r}, {std!r}")
        return cls(mean=float(mean), std=float(std))

    def tensor(self, pictures: Bytes) -> torch.Tensor:
        """(N, 1, H, W) float32 of pictures (N, H, W)."""
        # Frames may be mapped from a file that nobody may write to.
        return self.tensor_of(torch.from_numpy(pictures if pictures.flags.writeable else pictures.copy()))

    def tensor_of(self, pictures: torch.Tensor) -> torch.Tensor:
        """As `tensor`, of a uint8 tensor (N, H, W), or (N, C, H, W) of one (N, H, W, C)."""
        channels = pictures[:, None] if pictures.ndim == 3 else pictures.permute(0, 3, 1, 2)
        return (channels.float() / 255 - self.mean) / self.std


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """Which part of the frames is looked at: rows, columns, what of it is picture, and marks over it."""

    box: tuple[slice, slice]
    sector: Mask
    overlay: Mask
    aspect: float

    def picture(self, frame: Bytes, *, side: int = SIDE) -> Bytes:
        """The square picture (side, side) of a frame (H, W, C)."""
        light = np.ascontiguousarray(luma(frame)[self.box])
        cleared = without(light[:, :, None], self.overlay[self.box])[:, :, 0]
        return squared(np.where(self.sector[self.box], cleared, 0).astype(np.uint8), side=side, aspect=self.aspect)

    def square_labels(self, labels: Bytes, *, side: int = SIDE) -> Bytes:
        """Labels (H, W) of a frame where `picture` shows them, (side, side)."""
        rows, columns = self._place(side)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        square = np.zeros((side, side), np.uint8)
        square[rows, columns] = cv2.resize(labels[self.box], size, interpolation=cv2.INTER_NEAREST_EXACT)
        return square

    def pixel_mm(self, spacing_mm: tuple[float, float], *, side: int = SIDE) -> float:
        """How long a side of the square picture's pixels is, where the frame's are (row, column) `spacing_mm`."""
        return spacing_mm[1] / self._scale(side)

    def onto_frame(self, labels: Bytes) -> Bytes:
        """Labels (side, side) on the frame's own pixels, 0 outside the sector."""
        inside = self.sector[self.box]
        cut = labels[self._place(len(labels))]
        large = cv2.resize(cut, inside.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return self._whole(np.where(inside, large, 0).astype(np.uint8))

    def onto_frame_smoothly(self, logits: NDArray[np.float32]) -> Bytes:
        """The likeliest code of each of the frame's own pixels, 0 outside the sector, from logits (codes, side, side).

        Logits and not labels are enlarged: borders come out between the small picture's pixels.
        """
        inside = self.sector[self.box]
        cut = np.ascontiguousarray(logits[:, *self._place(logits.shape[-1])].transpose(1, 2, 0))
        large = cv2.resize(cut, inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return self._whole(np.where(inside, large.argmax(axis=2), 0).astype(np.uint8))

    def _place(self, side: int) -> tuple[slice, slice]:
        """Rows and columns of a square picture that the box fills."""
        rows, columns = self.sector[self.box].shape
        height, width = rows * self.aspect, float(columns)
        scale = self._scale(side)
        high, wide = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (side - high) // 2, (side - wide) // 2
        return slice(top, top + high), slice(left, left + wide)

    def _scale(self, side: int) -> float:
        """Pixels of the square picture for each column of the frame."""
        rows, columns = self.sector[self.box].shape
        return side / max(float(rows * self.aspect), float(columns))

    def _whole(self, part: Bytes) -> Bytes:
        whole = np.zeros(self.sector.shape, np.uint8)
        whole[self.box] = part
        return whole


def clinical_view(clip: Clip) -> View | None:
    """Where the heart is looked for: what moves, or in a still what is lit inside the 2D region; None where nothing is."""
    aspect = pixel_aspect(clip.regions, shape=clip.frames.shape[1:3])
    scene = find_scene(clip.frames, clip.regions) if len(clip.frames) > 1 else None
    if scene is not None:
        return View(box=scene.box(margin=0), sector=scene.sector, overlay=scene.overlay, aspect=aspect)
    if len(clip.frames) > 1:
        return None
    return _still_view(clip, aspect)


def published_picture(frame: Bytes) -> Bytes:
    """The square picture (SIDE, SIDE) of a whole frame (H, W, C), as the authors' loader reads a file of it."""
    image = Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame).convert("L")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.NEAREST))


def with_loop(pictures: Bytes, loop: Bytes | None = None) -> Bytes:
    """Each picture (N, S, S) beside the mean and twice the deviation of its loop (M, S, S): (N, S, S, 3).

    Where speckle hides the inner border in systole, the loop tells how thick the wall is: its muscle does not change.
    Without `loop` the pictures are it; a still is its own mean.
    """
    loop = pictures if loop is None else loop
    mean = np.rint(loop.mean(axis=0, dtype=np.float32))
    spread = np.rint(np.minimum(2 * loop.std(axis=0, dtype=np.float32), 255))
    channels = np.empty((*pictures.shape, 3), np.uint8)
    channels[..., 0], channels[..., 1], channels[..., 2] = pictures, mean, spread
    return channels


def published_labels(labels: Bytes, shape: tuple[int, int]) -> Bytes:
    """Labels (SIDE, SIDE) stretched over a frame of `shape`."""
    return np.asarray(Image.fromarray(labels).resize((shape[1], shape[0]), Image.Resampling.NEAREST))


def pixel_area_cm2(regions: Sequence[Region], shape: tuple[int, int]) -> float | None:
    """Area of a pixel from the first 2D region in centimetres inside the frame; None where none tells."""
    spacing = pixel_spacing_mm(regions, shape)
    return None if spacing is None else spacing[0] * spacing[1] / 100


def pixel_spacing_mm(regions: Sequence[Region], shape: tuple[int, ...]) -> tuple[float, float] | None:
    """(row, column) in mm of a pixel, from the same region as `pixel_area_cm2`; None where none tells."""
    for region in regions:
        two_d = region.spatial_format == SpatialFormat.TWO_D and region.units_x == region.units_y == CENTIMETRES
        if two_d and region.calibrated and region.within(rows=shape[0], columns=shape[1]):
            return 10 * abs(float(region.delta_y or 0)), 10 * abs(float(region.delta_x or 0))
    return None


def _still_view(clip: Clip, aspect: float) -> View | None:
    light = luma(clip.frames[0])
    lit = cv2.morphologyEx((light > LIT).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    for region in clip.regions:
        if region.spatial_format == SpatialFormat.TWO_D and region.within(rows=light.shape[0], columns=light.shape[1]):
            outside = np.ones(light.shape, np.bool_)
            outside[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1] = False
            lit[outside] = 0
            break
    joined = cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    points = np.flip(np.argwhere(parts == largest), axis=1).astype(np.int32)
    filled = np.zeros(light.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    sector = filled.astype(np.bool_)
    rows, columns = np.flatnonzero(sector.any(axis=1)), np.flatnonzero(sector.any(axis=0))
    box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return View(box=box, sector=sector, overlay=np.zeros(light.shape, np.bool_), aspect=aspect)
