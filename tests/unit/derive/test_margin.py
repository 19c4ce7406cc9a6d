"""Words that are cut off, or a picture that outgrows a screen, would reach the cardiologist."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from echonode.derive.margin import LARGEST, TEXT, Margin


@pytest.mark.parametrize("size", [(300, 400), (3000, 400), (400, 3000), (1024, 1024), (5000, 5000)])
def test_a_picture_with_its_words_fits_a_screen_and_keeps_its_proportions(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    shown = Margin(above=("above",), below=("below",)).around(picture)
    assert max(shown.shape[:2]) <= LARGEST
    inside = (shown == 90).all(axis=2)
    rows, columns = int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum())
    assert columns / rows == pytest.approx(size[1] / size[0], rel=0.05)


def test_nothing_is_written_over_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (200, 600, 3), np.uint8)
    shown = Margin(above=("SYNTHETIC - NOT A PATIENT IMAGE",), below=("one line",), alert=True).around(picture)
    top = next(row for row in range(len(shown)) if np.array_equal(shown[row], picture[0]))
    assert top > 0
    assert np.array_equal(shown[top : top + 200], picture)
    for strip in (shown[:top], shown[top + 200 :]):
        assert len(strip) > 0
        assert np.ptp(strip.astype(int)) > 100, "no words are in the strip"


def test_long_words_are_broken_and_none_is_lost() -> None:
    words = "RESEARCH USE ONLY / SYNTHETIC - NOT A PATIENT IMAGE " * 3
    narrow = Margin(below=(words,)).around(np.zeros((60, 260, 3), np.uint8))
    lines = (len(narrow) - 60) // 22
    font = ImageFont.load_default(TEXT)
    assert lines >= font.getlength(words) / 260


def test_a_small_picture_is_enlarged_so_that_its_words_can_be_read() -> None:
    shown = Margin(above=("RESEARCH USE ONLY / SYNTHETIC - NOT A PATIENT IMAGE",)).around(
        np.zeros((112, 112, 3), np.uint8), narrowest=480
    )
    assert shown.shape[1] >= 480


@pytest.mark.parametrize("level", [0, 255])
def test_words_stand_out_on_dark_and_light_pictures(level: int) -> None:
    shown = Margin(below=("echonode 1.0 - RESEARCH USE ONLY",)).around(np.full((50, 500, 3), level, np.uint8))
    strip = shown[50:].astype(int)
    assert abs(strip.min() - strip.max()) > 150
    assert abs(int(np.median(strip)) - level) < 20
