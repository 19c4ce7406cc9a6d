"""The authors' clip to the byte in published mode; the heart by time in clinical mode."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echonode.core.clip import Clip
from echonode.core.results import Ineligible
from echonode.tasks.cmr.prepare import Convention, Preparation, clinical, published, square

AUTHORS = Convention()


def _clip(count: int, height: int = 90, width: int = 120, interval: float = 33.3) -> Clip:
    frames = np.random.default_rng(1).integers(0, 256, (count, height, width, 3)).astype(np.uint8)
    return Clip(frames=frames, times_ms=interval * np.arange(count))


def test_every_second_frame_of_the_first_32_blue_first() -> None:
    clip = _clip(40)
    prepared = published(clip, AUTHORS)
    assert isinstance(prepared, Preparation)
    assert list(prepared.shown[0]) == list(range(0, 32, 2))
    expected = cv2.resize(clip.frames[30, :, 15:105, ::-1], (112, 112), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(prepared.clips[0][15], expected)
    (tensor,) = prepared.tensors()
    assert tensor.shape == (3, 16, 112, 112)
    np.testing.assert_array_equal(tensor[0, 15].numpy(), expected[:, :, 0].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(("height", "width"), [(112, 113), (113, 112), (100, 101), (3, 2), (1, 200)])
def test_sides_that_differ_by_a_pixel_are_no_empty_picture(height: int, width: int) -> None:
    """The authors' slices end the program there."""
    assert square(np.full((height, width, 1), 9, np.uint8), side=112).shape == (112, 112, 3)


def test_a_short_video_is_refused_with_its_reason_instead_of_dropped() -> None:
    refusal = published(_clip(31), AUTHORS)
    assert isinstance(refusal, Ineligible)
    assert "32 frames or more; this has 31" in refusal.reason


def test_clinical_clips_last_as_long_at_any_frame_rate() -> None:
    at30 = clinical(_clip(90, interval=1000 / 30), AUTHORS, colour=True)
    at60 = clinical(_clip(180, interval=1000 / 60), AUTHORS, colour=True)
    assert isinstance(at30, Preparation)
    assert isinstance(at60, Preparation)
    assert len(at30.clips) == 3
    np.testing.assert_array_equal(np.diff(at30.shown[0]), 2)
    np.testing.assert_array_equal(np.diff(at60.shown[0]), 4)
    assert at30.starts_ms == pytest.approx(at60.starts_ms)
    short = clinical(_clip(15), AUTHORS, colour=True)
    assert isinstance(short, Preparation)
    assert short.notes == ("the loop is shorter than a clip and goes round",)
    assert max(int(shown.max()) for shown in short.shown) < 15
