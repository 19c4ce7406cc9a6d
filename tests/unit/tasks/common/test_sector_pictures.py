"""What the network looks at must be true to shape, whatever the scanner's pixels."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.core.clip import Region
from echonode.tasks.common.sector_pictures import pixel_aspect, squared


def _region(**changes: float) -> Region:
    values: dict[str, float] = {"x0": 0, "y0": 0, "x1": 90, "y1": 90, "delta_x": 0.05, "delta_y": 0.1} | changes
    return Region(spatial_format=1, data_type=1, units_x=3, units_y=3, **values)  # type: ignore[arg-type]


def test_calibration_makes_pixels_square() -> None:
    assert pixel_aspect([_region()], shape=(100, 100)) == 2.0
    assert pixel_aspect([_region(delta_y=-0.1)], shape=(100, 100)) == 2.0
    assert pixel_aspect([_region(delta_y=0.0501)], shape=(100, 100)) == 1.0
    assert pixel_aspect([_region(x1=300)], shape=(100, 100)) == 1.0, "a box that exceeds the image tells nothing"
    assert pixel_aspect([], shape=(100, 100)) == 1.0


@pytest.mark.parametrize(("shape", "aspect"), [((60, 120), 1.0), ((120, 60), 1.0), ((60, 60), 2.0), ((40, 30), 1.0)])
def test_a_picture_is_neither_cut_nor_squeezed(shape: tuple[int, int], aspect: float) -> None:
    picture = np.full(shape, 200, np.uint8)
    made = squared(picture, side=112, aspect=aspect)
    rows, columns = np.flatnonzero(made.any(axis=1)), np.flatnonzero(made.any(axis=0))
    assert (len(rows) / len(columns)) == pytest.approx(shape[0] * aspect / shape[1], rel=0.03)
    assert max(len(rows), len(columns)) == 112
    assert abs(rows[0] - (111 - rows[-1])) <= 1, "centred"


def test_shrinking_averages_instead_of_skipping() -> None:
    fine = (np.indices((448, 448)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert np.ptp(squared(fine, side=112)) <= 1
