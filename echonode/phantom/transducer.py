"""Where the beams of a sector go in the body, and where their samples come to lie on the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from echonode.core.clip import Region, SpatialFormat
from echonode.phantom.machine import Machine, Rectangle

if TYPE_CHECKING:
    from echonode.phantom.views import Plane

_FULL_ROWS = 600
_WHOLE = Rectangle(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
_CENTIMETRES = 3
_TISSUE = 1
_LABEL_PIXELS = 60_000
"""Sectors larger than this get their label maps at half the screen's resolution, doubled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The pixels [y0, y1) x [x0, x1) of a screen that a sector may fill, and where in them its apex may lie."""

    x0: int
    y0: int
    x1: int
    y1: int
    apex_x: float = 0.5
    overscan: float = 1.0


class Fan:
    """The polar grid of one sector, samples x lines, and its conversion to the pixels of a frame.

    `ranges_mm` (S,) are counted from the skin, `angles` (L,) are radians from the middle. `mm_per_pixel` holds in both
    directions. `box` is where the converted picture lies on the screen: y0, y1, x0, x1, half open. `apex` is the point of
    the skin under the probe, x and y in pixels of the screen; it may lie outside.
    """

    def __init__(
        self, frame: Frame, *, sector_deg: float, depth_mm: float, footprint_mm: float = 0.0, lines: int, samples: int
    ) -> None:
        half = np.deg2rad(sector_deg) / 2
        self.half_angle, self.depth_mm, self.footprint_mm = float(half), depth_mm, footprint_mm
        self.angles = np.linspace(-half, half, lines, dtype=np.float32)
        self.ranges_mm = ((np.arange(samples, dtype=np.float32) + 0.5) * (depth_mm / samples)).astype(np.float32)
        self.step_mm = depth_mm / samples
        reach = depth_mm + footprint_mm
        width, height = 2 * reach * np.sin(half), depth_mm + footprint_mm * (1 - np.cos(half))
        space = (frame.x1 - frame.x0, frame.y1 - frame.y0)
        scale = min(space[0] / width, space[1] / height) * frame.overscan
        self.mm_per_pixel = float(1 / scale)
        self.apex = (frame.x0 + space[0] * frame.apex_x, frame.y0 - (space[1] if frame.overscan > 1.01 else 0) * 0.08)
        left, right = self.apex[0] - width * scale / 2, self.apex[0] + width * scale / 2
        self.box = (
            max(frame.y0, int(np.floor(self.apex[1]))),
            min(frame.y1, int(np.ceil(self.apex[1] + height * scale))),
            max(frame.x0, int(np.floor(left))),
            min(frame.x1, int(np.ceil(right))),
        )
        self._line_map, self._sample_map = self._maps(1)
        self.inside = self._line_map >= 0
        self._fixed = cv2.convertMaps(self._line_map, self._sample_map, cv2.CV_16SC2)

    def _maps(self, every: int) -> tuple[np.ndarray, np.ndarray]:
        """Line and sample (float32) of each pixel of the box, -10 outside the sector."""
        y0, y1, x0, x1 = self.box
        shift = (every - 1) / 2
        x = (np.arange(x0, x1, every, dtype=np.float32) + np.float32(0.5 + shift - self.apex[0])) * self.mm_per_pixel
        y = (np.arange(y0, y1, every, dtype=np.float32) + np.float32(0.5 + shift - self.apex[1])) * self.mm_per_pixel
        across, down = np.meshgrid(x.astype(np.float32), y.astype(np.float32) + np.float32(self.footprint_mm))
        ranges, angles = cv2.cartToPolar(down, across)
        angles[angles > np.pi] -= np.float32(2 * np.pi)
        ranges -= np.float32(self.footprint_mm)
        lines = (angles + np.float32(self.half_angle)) * np.float32((len(self.angles) - 1) / (2 * self.half_angle))
        samples = ranges * np.float32(1 / self.step_mm) - np.float32(0.5)
        outside = (np.abs(angles) > self.half_angle) | (ranges < 0) | (ranges > self.depth_mm)
        lines[outside] = -10
        samples[outside] = -10
        return lines, samples

    def points(self, plane: Plane) -> np.ndarray:
        """Every sample's place in the heart's frame: float32 S x L x 3, mm."""
        away = self.ranges_mm[:, None] + np.float32(self.footprint_mm)
        deep = away * np.cos(self.angles) - np.float32(self.footprint_mm)
        across = away * np.sin(self.angles)
        return np.asarray(
            plane.position + deep[..., None] * np.asarray(plane.depth) + across[..., None] * np.asarray(plane.lateral),
            np.float32,
        )

    def convert(self, polar: np.ndarray) -> np.ndarray:
        """A polar picture, uint8 S x L or S x L x 3, on the pixels of `box`; 0 outside the sector."""
        return cv2.remap(polar, *self._fixed, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)

    def label_converter(self) -> LabelConverter:
        """What converts label maps: with smooth borders, and without mixing labels."""
        y0, y1, x0, x1 = self.box
        return LabelConverter(self, every=2 if (y1 - y0) * (x1 - x0) > _LABEL_PIXELS else 1)

    def region(self) -> Region:
        """The 2D region of PS3.3 C.8.5.5 with its calibration; the reference pixel is the apex."""
        y0, y1, x0, x1 = self.box
        return Region(
            spatial_format=SpatialFormat.TWO_D,
            data_type=_TISSUE,
            flags=2,
            x0=x0,
            y0=y0,
            x1=x1 - 1,
            y1=y1 - 1,
            units_x=_CENTIMETRES,
            units_y=_CENTIMETRES,
            delta_x=self.mm_per_pixel / 10,
            delta_y=self.mm_per_pixel / 10,
            reference_x=round(self.apex[0] - x0),
            reference_y=round(self.apex[1] - y0),
        )


class LabelConverter:
    """Scan conversion of label maps: each pixel gets the label with the largest share in it."""

    def __init__(self, fan: Fan, *, every: int) -> None:
        self._every = every
        lines, samples = fan._maps(every)
        self._fixed = cv2.convertMaps(lines, samples, cv2.CV_16SC2)
        y0, y1, x0, x1 = fan.box
        self._size = (y1 - y0, x1 - x0)
        self._outside = lines < 0

    def convert(self, labels: np.ndarray) -> np.ndarray:
        """A polar label map, uint8 S x L, on the pixels of the fan's box; 0 outside the sector."""
        values = np.flatnonzero(np.bincount(labels.ravel(), minlength=1))
        values = values[values > 0]
        best = np.zeros(self._outside.shape, np.uint8)
        found = np.zeros(self._outside.shape, np.uint8)
        for value in values:
            share = cv2.remap(
                cv2.compare(labels, int(value), cv2.CMP_EQ),
                *self._fixed,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            found[cv2.compare(share, best, cv2.CMP_GT) > 0] = value
            cv2.max(share, best, dst=best)
        found[self._outside] = 0
        if self._every == 1:
            return found
        grown = np.repeat(np.repeat(found, self._every, 0), self._every, 1)
        return grown[: self._size[0], : self._size[1]]


def fan_of(machine: Machine, *, overlays: bool, image: Rectangle | None = None) -> Fan:
    """The fan that fits a machine's picture (or `image`), with as many lines and samples as its raster can show."""
    image = image or (machine.image if overlays else _WHOLE)
    if machine.depth_mm is None:
        raise ValueError("the operator has not set a depth")
    frame = Frame(
        x0=round(image.x0 * machine.columns),
        y0=round(image.y0 * machine.rows),
        x1=round(image.x1 * machine.columns),
        y1=round(image.y1 * machine.rows),
        apex_x=machine.apex_x if overlays else 0.5,
        overscan=machine.overscan if overlays else 1.0,
    )
    share = min(1.0, max(0.2, 1.25 * (frame.y1 - frame.y0) * frame.overscan / _FULL_ROWS))
    return Fan(
        frame,
        sector_deg=machine.sector_deg,
        depth_mm=machine.depth_mm,
        footprint_mm=machine.footprint_mm,
        lines=max(64, round(machine.lines * share)),
        samples=max(96, round(machine.samples * share)),
    )
