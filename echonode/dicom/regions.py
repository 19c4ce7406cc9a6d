"""Sequence of Ultrasound Regions (0018,6011) as values, however it was filled in."""

from __future__ import annotations

from collections.abc import Iterable

from echonode.core.clip import Region, SpatialFormat
from echonode.dicom import elements
from echonode.dicom.elements import DataSet

CENTIMETRES, SECONDS, CENTIMETRES_A_SECOND = 3, 4, 7
TISSUE, COLOUR_FLOW, PW_SPECTRAL, CW_SPECTRAL, ECG_TRACE = 1, 2, 3, 4, 0xA


def regions_of(header: DataSet) -> tuple[Region, ...]:
    """The regions in the order of the header (PS3.3 C.8.5.5); an item without a location is left out.

    Locations and deltas are given as written: they may exceed the image, deltas may be negative, zero or absent.
    """
    found = []
    for item in elements.items(header, "SequenceOfUltrasoundRegions"):
        corners = [elements.unsigned(item, f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        if any(corner is None for corner in corners):
            continue
        x0, y0, x1, y1 = (int(corner or 0) for corner in corners)
        found.append(
            Region(
                spatial_format=elements.unsigned(item, "RegionSpatialFormat") or 0,
                data_type=elements.unsigned(item, "RegionDataType") or 0,
                flags=elements.unsigned(item, "RegionFlags") or 0,
                x0=x0,
                y0=y0,
                x1=x1,
                y1=y1,
                units_x=elements.unsigned(item, "PhysicalUnitsXDirection"),
                units_y=elements.unsigned(item, "PhysicalUnitsYDirection"),
                delta_x=elements.real(item, "PhysicalDeltaX"),
                delta_y=elements.real(item, "PhysicalDeltaY"),
                reference_x=elements.signed(item, "ReferencePixelX0"),
                reference_y=elements.signed(item, "ReferencePixelY0"),
            )
        )
    return tuple(found)


def fits(region: Region, *, rows: int, columns: int) -> bool:
    """Whether the box is one of this image. A far corner that equals the size is an end counted exclusively."""
    return 0 <= region.x0 < region.x1 <= columns and 0 <= region.y0 < region.y1 <= rows


def is_calibrated(regions: Iterable[Region], *, rows: int, columns: int) -> bool:
    """Whether a 2D region in cm or an M-mode region in s by cm lies inside the image.

    A box that exceeds the image was written for another picture size: its scale does not hold for these pixels.
    """
    wanted = {
        SpatialFormat.TWO_D: (CENTIMETRES, CENTIMETRES),
        SpatialFormat.M_MODE: (SECONDS, CENTIMETRES),
    }
    return any(
        region.calibrated
        and fits(region, rows=rows, columns=columns)
        and wanted.get(SpatialFormat(region.spatial_format)) == (region.units_x, region.units_y)
        for region in regions
        if region.spatial_format in (SpatialFormat.TWO_D, SpatialFormat.M_MODE)
    )
