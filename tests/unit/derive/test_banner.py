"""A marking that hides the heart, or that nobody can read, is worse than none."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.core.errors import BadInput
from echonode.derive.banner import ACQUIRED, INTERPOLATED, REPEATED, Banner, place_banner


def cone(rows: int, columns: int, *, width: float) -> np.ndarray:
    """A sector whose tip is at the top middle."""
    y, x = np.mgrid[:rows, :columns]
    return np.abs(x - columns / 2) < (y - 10) * width


def place(sector: np.ndarray, picture: np.ndarray | None = None) -> Banner:
    samples = [np.zeros((*sector.shape, 3), np.uint8) if picture is None else picture]
    return place_banner(sector=sector, samples=samples, factor=4, longest_ms=2133.3)


@pytest.mark.parametrize(("rows", "columns"), [(600, 800), (430, 480), (240, 320)])
def test_the_marking_stands_outside_the_sector(rows: int, columns: int) -> None:
    sector = cone(rows, columns, width=0.8)
    banner = place(sector)
    assert not (banner.mask(rows, columns) & sector).any()
    assert banner.size >= 13


def test_a_wide_sector_gets_a_marking_that_fits_its_corner() -> None:
    sector = cone(288, 384, width=1.6)
    banner = place(sector)
    assert not (banner.mask(288, 384) & sector).any()


def test_existing_text_stays_readable() -> None:
    sector = cone(600, 800, width=0.8)
    picture = np.zeros((600, 800, 3), np.uint8)
    picture[:120, :300] = 200
    picture[500:, :300] = 200
    picture[500:, 500:] = 200
    mask = place(sector, picture).mask(600, 800)
    assert not picture[mask].any()


def test_a_sector_that_fills_the_picture_loses_as_little_as_can_be() -> None:
    sector = np.ones((288, 384), bool)
    sector[:30, :40] = False
    banner = place(sector)
    assert (banner.x, banner.y) < (8, 8)
    assert banner.mask(288, 384).mean() < 0.08


def test_a_tiny_picture_has_no_room() -> None:
    with pytest.raises(BadInput, match="no room"):
        place(np.zeros((20, 30), bool))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("status", [ACQUIRED, INTERPOLATED, REPEATED])
def test_every_status_is_written_inside_the_box_alone(channels: int, status: str) -> None:
    sector = cone(430, 480, width=0.8)
    banner = place(sector)
    picture = np.full((430, 480, channels), 77, np.uint8)
    banner.stamp(picture, status, 1234.5)
    mask = banner.mask(430, 480)
    assert (picture[~mask] == 77).all()
    assert picture[mask].max() > 200
    assert (picture[mask] == 0).mean() > 0.5


def test_the_three_statuses_and_the_times_look_different() -> None:
    banner = place(cone(430, 480, width=0.8))
    shown = []
    for status, time in ((ACQUIRED, 0.0), (INTERPOLATED, 0.0), (REPEATED, 0.0), (ACQUIRED, 7.5)):
        picture = np.zeros((430, 480), np.uint8)
        banner.stamp(picture, status, time)
        shown.append(picture.tobytes())
    assert len(set(shown)) == 4


def test_the_longest_time_is_not_cut_off() -> None:
    banner = place(cone(430, 480, width=0.8))
    for status in (ACQUIRED, INTERPOLATED, REPEATED):
        picture = np.zeros((430, 480), np.uint8)
        banner.stamp(picture, status, 2088.8)
        for line in banner.lines:
            right = picture[banner.y + line.y :, banner.x + line.x + line.width - 1][: line.height]
            assert not right.any(), line
