"""A pixel of a simulated picture lies where its calibration says; else every measurement on it would be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.phantom.machine import MACHINES, machine
from echonode.phantom.transducer import Fan, Frame
from echonode.phantom.views import Plane

_PLANE = Plane(position=np.zeros(3), depth=np.array([0.0, 0.0, -1.0]), lateral=np.array([1.0, 0.0, 0.0]))


def _fan(**changes: float) -> Fan:
    options = {"sector_deg": 80.0, "depth_mm": 150.0, "footprint_mm": 6.0} | changes
    return Fan(Frame(x0=10, y0=20, x1=330, y1=260), **options, lines=128, samples=300)  # type: ignore[arg-type]


def test_depth_on_screen_is_depth_in_the_body() -> None:
    fan = _fan()
    polar = np.zeros((300, 128), np.uint8)
    at = 199
    polar[at - 1 : at + 2] = 255
    column = fan.convert(polar)[:, round(fan.apex[0] - fan.box[2])]
    row = float((np.arange(len(column)) * column).sum() / column.sum()) + 0.5 + fan.box[0]
    assert (row - fan.apex[1]) * fan.mm_per_pixel == pytest.approx(fan.ranges_mm[at], abs=0.3)


def test_sideways_on_screen_is_sideways_in_the_body() -> None:
    fan = _fan(footprint_mm=0.0)
    polar = np.zeros((300, 128), np.uint8)
    polar[199:202, 99:102] = 255
    picture = fan.convert(polar).astype(float)
    ys, xs = np.mgrid[: picture.shape[0], : picture.shape[1]]
    x = (xs * picture).sum() / picture.sum() + 0.5 + fan.box[2] - fan.apex[0]
    y = (ys * picture).sum() / picture.sum() + 0.5 + fan.box[0] - fan.apex[1]
    where = fan.points(_PLANE)[200, 100]
    assert x * fan.mm_per_pixel == pytest.approx(where[0], abs=0.4)
    assert y * fan.mm_per_pixel == pytest.approx(-where[2], abs=0.4)


def test_every_sample_of_a_line_begins_at_the_skin() -> None:
    points = _fan().points(_PLANE)
    assert np.abs(points[:, 64, 2] + _fan().ranges_mm).max() < 0.05
    assert points[0, :, 2].max() - points[0, :, 2].min() < 3


@pytest.mark.parametrize("columns", [64, 900])
def test_label_maps_hold_no_label_that_was_not_there(columns: int) -> None:
    fan = Fan(Frame(x0=0, y0=0, x1=columns, y1=columns), sector_deg=80, depth_mm=150, lines=96, samples=160)
    polar = np.ones((160, 96), np.uint8)
    polar[80:] = 3
    polar[:, 48:] += 5
    shown = fan.label_converter().convert(polar)
    assert set(np.unique(shown)) == {0, 1, 3, 6, 8}
    assert shown.shape == (fan.box[1] - fan.box[0], fan.box[3] - fan.box[2])
    edge = fan.inside != (shown > 0)
    assert edge.mean() < 0.02


@pytest.mark.parametrize("name", list(MACHINES))
def test_regions_lie_on_the_screen_and_are_calibrated(name: str) -> None:
    look = machine(name)
    where = look.image
    frame = Frame(
        x0=round(where.x0 * look.columns),
        y0=round(where.y0 * look.rows),
        x1=round(where.x1 * look.columns),
        y1=round(where.y1 * look.rows),
        apex_x=look.apex_x,
        overscan=look.overscan,
    )
    region = Fan(frame, sector_deg=look.sector_deg, depth_mm=160, lines=64, samples=96).region()
    assert region.within(rows=look.rows, columns=look.columns)
    assert region.calibrated
    assert region.delta_x == region.delta_y
