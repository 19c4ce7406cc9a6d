"""What the network is shown: the sector of a clip, its changed copies, and nonsense."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echonode.core.clip import Clip
from echonode.tasks.view.augment import augmented, chosen
from echonode.tasks.view.nonsense import KINDS
from echonode.tasks.view.prepare import evenly, normalised, prepared


def beating(frames: int = 12) -> Clip:
    """A bright disc on the left of a speckled square that grows and shrinks, and text above it that stands still."""
    chance = np.random.default_rng(3)
    y, x = np.mgrid[0:120, 0:160]
    pictures = np.zeros((frames, 120, 160, 1), np.uint8)
    inside = (abs(x - 80) < 50) & (y > 20)
    for index in range(frames):
        disc = np.hypot(x - 55, y - 70) < 14 + 6 * np.sin(index)
        light = np.where(disc, 250, 90) * chance.uniform(0.2, 1, (120, 160))
        pictures[index, :, :, 0] = np.where(inside, light, 0)
    pictures[:, 2:6, 5:40] = 220
    return Clip(frames=pictures, times_ms=np.arange(frames) * 33.0)


def test_frames_lie_evenly_over_the_loop_and_the_sector_is_all_that_is_left() -> None:
    """Text of a scanner must not decide the view."""
    found = prepared(beating(), count=4, side=64)
    assert found is not None
    assert found.frames == (1, 4, 7, 10)
    assert found.pictures.shape == (4, 64, 64)
    assert found.pictures[:, 3].max() > 20  # the sector fills the height: nothing is left of the text above it
    assert evenly(3, 8) == (0, 1, 2)


def test_a_still_is_one_frame_and_a_black_one_is_none() -> None:
    """A scanner also sends stills, and black frames between studies."""
    clip = beating(1)
    found = prepared(clip, count=4, side=64)
    assert found is not None
    assert found.frames == (0,)
    assert prepared(Clip(frames=np.zeros((1, 90, 90, 3), np.uint8), times_ms=np.zeros(1)), count=4) is None


def test_gain_does_not_change_what_the_network_sees() -> None:
    """The same loop with half the gain is the same view."""
    found = prepared(beating(), count=4, side=64)
    assert found is not None
    half = (found.pictures // 2).astype(np.uint8)
    assert np.abs(normalised(found.pictures) - normalised(half)).mean() < 0.03


def test_changed_copies_are_never_mirrored_and_the_same_draw_is_the_same_picture() -> None:
    """Left and right tell an apical view from its mirror; a resumed run must see what the first one saw."""
    found = prepared(beating(), count=4, side=64)
    assert found is not None
    left = 0
    for seed in range(24):
        one, again = (augmented(found.pictures, np.random.default_rng(seed), side=48) for _ in range(2))
        assert np.array_equal(one, again)
        # The disc is the brightest part.
        bright = cv2.blur(one.astype(np.float32).mean(axis=0), (9, 9))
        left += int(bright.argmax()) % 48 < 24
    assert left >= 18
    assert chosen(found.pictures, np.random.default_rng(0), frames=2).shape == (2, 64, 64)


@pytest.mark.parametrize("kind", list(KINDS))
def test_nonsense_is_lit_and_is_not_the_picture(kind: str) -> None:
    """Nonsense that still shows the heart would teach that hearts are none."""
    found = prepared(beating(), count=3, side=64)
    assert found is not None
    made = KINDS[kind](found.pictures, np.random.default_rng(1))
    assert made.shape == found.pictures.shape
    assert made.dtype == np.uint8
    assert (made > 8).mean() > 0.02
    alike = np.corrcoef(made[0].ravel(), found.pictures[0].ravel())[0, 1]
    assert alike < 0.9
