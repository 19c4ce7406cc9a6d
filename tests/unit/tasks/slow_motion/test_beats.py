"""Two beats of a loop: begun and ended at R waves, with references that still point at the right frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from echonode.core.clip import Clip
from echonode.core.results import Ineligible, Loop
from echonode.tasks.slow_motion.beats import beats_of

TIMES = np.arange(40) * 25.0


@pytest.mark.parametrize(
    ("waves", "beats", "found"),
    [
        ((0.0, 200.0, 410.0, 600.0, 800.0), 2, slice(8, 25)),  # as published: the second R wave to the fourth
        ((0.0, 200.0, 400.0), 2, slice(0, 17)),
        ((0.0, 200.0), 2, None),
        ((), 2, None),
        ((0.0, 200.0, 400.0, 5000.0), 2, slice(0, 17)),  # an R wave after the loop is none of it
        ((100.0, 500.0), 1, slice(4, 21)),
        ((0.0, 5.0), 1, None),  # no frame between them
        ((0.0, 200.0, 400.0), 0, None),
    ],
)
def test_whole_beats_are_found(waves: tuple[float, ...], beats: int, found: slice | None) -> None:
    """The published cut never happens, because its test of the vector's type is always false."""
    assert beats_of(TIMES, waves, beats=beats) == found


def test_uneven_times_count_and_not_frame_numbers() -> None:
    """A gap in the loop must not move the beat."""
    times = np.array([0.0, 10, 20, 30, 100, 110, 120, 130])
    assert beats_of(times, (10.0, 101.0, 129.0), beats=2) == slice(1, 8)


def test_frames_of_the_cut_are_those_of_the_source(
    heart: np.ndarray, make_clip: Callable[..., Clip], slow: Callable[..., Loop]
) -> None:
    """Wrong references put a measurement on a frame of another beat."""
    clip = replace(make_clip(heart, interval=30.0), r_waves_ms=(60.0, 121.0, 182.0))
    loop = slow(clip, factor=2, beats=2)
    assert loop.positions[0] == 2
    assert loop.positions[-1] == 6
    assert loop.times_ms[0] == pytest.approx(60.0), "on the clock of the source"
    for index in np.flatnonzero(loop.acquired):
        assert np.array_equal(loop.frames[index], heart[round(float(loop.positions[index]))])
    assert any("frames 3 to 7 of 9" in note for note in loop.notes)


def test_a_loop_without_r_waves_stays_whole_and_says_so(
    heart: np.ndarray, make_clip: Callable[..., Clip], slow: Callable[..., Loop]
) -> None:
    """Most scanners write none: those loops must come back all the same."""
    loop = slow(make_clip(heart), factor=2, beats=2)
    assert int(loop.acquired.sum()) == len(heart)
    assert any("no whole beats" in note for note in loop.notes)


@pytest.mark.parametrize("asked", [-1, 1.5, "two", True])
def test_beats_that_make_no_sense_are_refused(
    asked: object, heart: np.ndarray, make_clip: Callable[..., Clip], refused: Callable[..., Ineligible]
) -> None:
    """A typing error in routes.toml must be named, not guessed at."""
    assert refused(make_clip(heart), beats=asked).code == "parameters"
