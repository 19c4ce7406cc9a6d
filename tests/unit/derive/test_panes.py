"""Three panes that are out of step, or unlabelled, would show slow motion better or worse than it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from echonode.core.results import Loop
from echonode.derive.panes import STRIP, Panes


def slow_loop(*, channels: int = 3, frames: int = 5, factor: int = 4, width: int = 300) -> Loop:
    """Frame i of slow motion is all of grey level 2 i; the sector is the middle."""
    count = (frames - 1) * factor + 1
    pictures = np.empty((count, 100, width, channels), np.uint8)
    pictures[:] = (2 * np.arange(count))[:, None, None, None]
    sector = np.zeros((100, width), np.bool_)
    sector[20:80, 20 : width - 20] = True
    return Loop(
        frames=pictures,
        positions=np.arange(count) / factor,
        times_ms=np.arange(count) * 10.0,
        acquired=np.arange(count) % factor == 0,
        repeated=np.zeros(count, np.bool_),
        sector=sector,
        factor=factor,
    )


def test_slow_panes_show_one_moment_and_the_original_runs_in_real_time() -> None:
    panes = Panes(loop=slow_loop())
    assert panes.count == 17
    assert panes.interval_ms == pytest.approx(40), "plays at the recorded frame rate"
    assert [panes.shown(index) for index in range(6)] == [
        (0, 0, 0), (4, 1, 0), (8, 2, 0), (12, 3, 0), (16, 4, 4), (0, 5, 4),
    ]  # fmt: skip


def test_in_true_time_all_panes_show_one_moment() -> None:
    panes = Panes(loop=slow_loop(), true_time=True)
    assert panes.interval_ms == pytest.approx(10)
    assert [panes.shown(index) for index in (0, 3, 4, 7, 16)] == [
        (0, 0, 0),
        (0, 3, 0),
        (4, 4, 4),
        (4, 7, 4),
        (16, 16, 16),
    ]


def test_uneven_times_are_kept_in_step() -> None:
    """A gap in the source must not let the right pane run ahead."""
    loop = replace(slow_loop(), times_ms=np.concatenate([np.arange(9) * 10.0, 80 + 30.0 * np.arange(1, 9)]))
    panes = Panes(loop=loop)
    for index in range(panes.count):
        _, _, held = panes.shown(index)
        assert loop.acquired[held]
        assert 0 <= index - held < 4


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_stand_side_by_side_under_their_titles(channels: int) -> None:
    panes = Panes(loop=slow_loop(channels=channels))
    picture = panes.frame(5)
    assert picture.shape == (*panes.size, channels)
    middle = picture.shape[0] // 2
    across = picture.shape[1] // 3
    levels = [int(picture[middle, across * place + across // 2, 0]) for place in range(3)]
    assert levels == [0, 10, 8]
    for place in range(3):
        for strip in (slice(0, STRIP), slice(picture.shape[0] - 2 * STRIP, picture.shape[0] - STRIP)):
            assert picture[strip, across * place : across * (place + 1)].max() > 100, "a title or a status"
    assert picture[-STRIP:].max() > 100, "research use only"


def test_a_wide_loop_is_made_to_fit_a_screen() -> None:
    assert Panes(loop=slow_loop(width=2000)).size[1] <= 1940


def test_text_of_the_screen_around_the_sector_is_cut_away() -> None:
    """A name that stands on the scanner's screen does not belong into a movie that is shown around."""
    loop = slow_loop()
    loop.frames[:, :6, :, :] = 255
    picture = Panes(loop=loop).frame(0)
    assert picture[STRIP : picture.shape[0] - 2 * STRIP - 1].max() < 100
