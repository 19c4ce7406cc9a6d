"""A tinted grey map is no flow, and a colour bar is none either."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.core.clip import Mode, Region, SpatialFormat
from echonode.dicom.colour import FLOW_SHARE, colour_share, mode_by_colour


def loop(tint: tuple[float, float, float] = (1, 1, 1), frames: int = 8) -> np.ndarray:
    grey = np.random.default_rng(3).integers(20, 200, (frames, 120, 160, 1)).astype(np.float64)
    return np.minimum(grey * np.array(tint), 255).astype(np.uint8)


@pytest.mark.parametrize("tint", [(1, 1, 1), (1, 0.85, 0.62), (0.75, 0.9, 1.1)])
def test_a_tinted_map_is_grey(tint: tuple[float, float, float]) -> None:
    assert mode_by_colour(colour_share(loop(tint))) is Mode.B_MODE


@pytest.mark.parametrize("flow", [(220, 30, 20), (20, 60, 230), (30, 200, 200)])
def test_a_jet_of_a_few_frames_is_colour(flow: tuple[int, int, int]) -> None:
    frames = loop((1, 0.9, 0.75))
    frames[3:5, 40:60, 60:80] = flow
    assert mode_by_colour(colour_share(frames)) is Mode.COLOUR


def test_a_scale_and_a_trace_beside_the_picture_do_not_count() -> None:
    frames = loop()
    frames[:, :, 150:] = np.array([250, 20, 20], np.uint8)  # a colour bar that never changes
    assert colour_share(frames) < FLOW_SHARE
    frames = loop()
    for number in range(len(frames)):
        frames[number, 100:, 10 * number : 10 * number + 20] = (20, 240, 20)  # an ECG that runs below
    box = Region(spatial_format=SpatialFormat.TWO_D, data_type=1, x0=0, y0=0, x1=159, y1=95)
    assert colour_share(frames, [box]) < FLOW_SHARE


def test_one_channel_has_no_colour_and_black_frames_have_no_sector() -> None:
    assert colour_share(np.full((2, 20, 20, 1), 80, np.uint8)) == 0.0
    assert colour_share(np.zeros((2, 20, 20, 3), np.uint8)) == 0.0
    assert colour_share(np.zeros((0, 20, 20, 3), np.uint8)) == 0.0
