"""How long a column of an M-mode picture is and how high a row: from the regions of the header.

Physical Delta X is seconds a pixel and Physical Delta Y centimetres a pixel, where the unit codes say so (PS3.3
C.8.5.5.1.15: 4 seconds, 3 cm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from echonode.core.clip import Region, SpatialFormat
from echonode.core.results import Ineligible

SECONDS: Final = 4
CENTIMETRES: Final = 3
TISSUE: Final = 1
PUBLISHED_REGION: Final = 2
SMALLEST_SIDE: Final = 16  # pixels; below it nothing can be halved four times


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """A box of the image, end exclusive, with seconds a column and millimetres a row; `basis` says where it is from.

    Raises:
        ValueError: an empty box, or a scale that is no positive number.
    """

    top: int
    bottom: int
    left: int
    right: int
    seconds: float
    millimetres: float
    basis: str

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom and 0 <= self.left < self.right):
            raise ValueError("a calibrated box has rows and columns")
        if not (0 < self.seconds < 1 and 0 < self.millimetres < 100):
            raise ValueError(f"{self.seconds} s and {self.millimetres} mm a pixel are no scale of an M-mode picture")

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def published_calibration(regions: Sequence[Region], *, rows: int, columns: int) -> Calibration | Ineligible:
    """The third region whatever it is, its far corner taken as an end, its units unread: as the authors did."""
    if len(regions) <= PUBLISHED_REGION:
        return Ineligible(
            reason=f"the published preparation reads the third ultrasound region; this object has {len(regions)}",
            code="calibration",
        )
    region = regions[PUBLISHED_REGION]
    return _calibration(
        region, bottom=min(region.y1, rows), right=min(region.x1, columns), basis="third region, units not checked"
    )


def sound_calibration(regions: Sequence[Region], *, rows: int, columns: int) -> Calibration | Ineligible:
    """The largest M-mode region of tissue in seconds by centimetres that lies inside the image; both corners belong to it."""
    strips = [region for region in regions if region.spatial_format == SpatialFormat.M_MODE]
    if not strips:
        return Ineligible(
            reason="no ultrasound region is marked as M-mode: nothing is measured without a scale", code="calibration"
        )
    tissue = [region for region in strips if region.data_type == TISSUE]
    if not tissue:
        return Ineligible(reason="the M-mode region does not show tissue in grey", code="colour")
    scaled = [
        region for region in tissue
        if region.calibrated and (region.units_x, region.units_y) == (SECONDS, CENTIMETRES)
    ]  # fmt: skip
    if not scaled:
        return Ineligible(
            reason="the M-mode region has no scale in seconds by centimetres: nothing is measured without it",
            code="calibration",
        )
    inside = [
        region for region in scaled
        if 0 <= region.x0 < region.x1 <= columns and 0 <= region.y0 < region.y1 <= rows
    ]  # fmt: skip
    if not inside:
        return Ineligible(
            reason="the M-mode region does not lie inside the image: its scale is another picture's", code="calibration"
        )
    region = max(inside, key=lambda one: (one.x1 - one.x0) * (one.y1 - one.y0))
    return _calibration(
        region, bottom=min(region.y1 + 1, rows), right=min(region.x1 + 1, columns), basis="M-mode region, s by cm"
    )


def _calibration(region: Region, *, bottom: int, right: int, basis: str) -> Calibration | Ineligible:
    if bottom - region.y0 < SMALLEST_SIDE or right - region.x0 < SMALLEST_SIDE:
        return Ineligible(reason="the M-mode region is smaller than 16 pixels", code="size")
    try:
        return Calibration(
            top=region.y0,
            bottom=bottom,
            left=region.x0,
            right=right,
            seconds=abs(region.delta_x or 0.0),
            millimetres=10 * abs(region.delta_y or 0.0),
            basis=basis,
        )
    except ValueError as error:
        return Ineligible(reason=f"the scale of the M-mode region cannot be: {error}", code="calibration")
