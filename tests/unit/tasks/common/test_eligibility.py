"""Loops that a model was not made for are refused in words, not measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from echonode.core.clip import Clip, Mode
from echonode.tasks.common.eligibility import refusal_of_clip

CONTRACT = {
    "modes": ["2d", "unknown"],
    "frames_min": 10,
    "frame_gap_ms_max": 50.0,
    "colour": False,
    "frames_per_beat_min": 12,
}
GOOD = Clip(frames=np.zeros((40, 8, 8, 1), np.uint8), times_ms=25.0 * np.arange(40), mode=Mode.B_MODE, heart_rate=60.0)


def test_a_loop_that_it_was_made_for() -> None:
    assert refusal_of_clip(GOOD, CONTRACT, by_time=True) is None
    assert refusal_of_clip(GOOD, {}, by_time=True) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mode": Mode.M_MODE}, "mode"),
        ({"frames": GOOD.frames[:1], "times_ms": GOOD.times_ms[:1]}, "still"),
        ({"frames": GOOD.frames[:11], "times_ms": GOOD.times_ms[:11]}, "frames"),
        ({"times_ms": 51.0 * np.arange(40)}, "frame-gap"),
        ({"heart_rate": 220.0}, "frames-per-beat"),
        ({"timed": False}, "untimed"),
    ],
)
def test_others_are_refused(changes: dict[str, Any], code: str) -> None:
    refusal = refusal_of_clip(replace(GOOD, **changes), CONTRACT, by_time=True)
    assert refusal is not None
    assert refusal.code == code


def test_frames_by_number_need_no_times() -> None:
    assert refusal_of_clip(replace(GOOD, timed=False), CONTRACT, by_time=False) is None
    colour = replace(GOOD, mode=Mode.COLOUR)
    refusal = refusal_of_clip(colour, {"colour": False}, by_time=False)
    assert refusal is not None
    assert refusal.code == "colour"
