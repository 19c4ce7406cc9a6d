"""Frames by time: a wrong one shows another phase of the heart beat."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.tasks.common.instants import frames_by_time, goes_round, loop_ms, starts_by_number, starts_by_time


def test_nearest_frames_and_the_way_round() -> None:
    times = 20.0 * np.arange(50)
    assert loop_ms(times) == 1000.0
    assert list(frames_by_time(times, start_ms=0, period_ms=80, count=4)) == [0, 4, 8, 12]
    assert list(frames_by_time(times, start_ms=960, period_ms=20, count=4)) == [48, 49, 0, 1]
    assert list(frames_by_time(times, start_ms=995, period_ms=1, count=1)) == [0], "nearer to the first frame again"


def test_a_gap_shows_the_nearest_frame_and_no_later_phase() -> None:
    times = np.array([0.0, 20, 40, 140, 160])
    assert list(frames_by_time(times, start_ms=0, period_ms=30, count=6)) == [0, 2, 2, 3, 3, 4]


def test_clips_cover_the_loop() -> None:
    times = 20.0 * np.arange(200)
    assert starts_by_time(times, clip_ms=1000, clips=4) == [0, 1000, 2000, 3000]
    assert starts_by_time(times, clip_ms=1000, clips=1) == [1500]
    assert starts_by_time(times, clip_ms=5000, clips=2) == [0, 2000]
    assert goes_round(times, clip_ms=4001)
    assert not goes_round(times, clip_ms=4000)
    assert starts_by_number(0, clips=3) == [0, 0, 0]
    assert starts_by_number(10, clips=1) == [5]


def test_one_frame_lasts_no_time() -> None:
    with pytest.raises(ValueError, match="still"):
        loop_ms(np.zeros(1))
