"""A sheet that covers the heart, loses a name or marks the wrong frame would mislead who looks at it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from echonode.derive.sheet import NARROWEST, Sheet, enlarged

NAMES = {"Left ventricle": (86, 180, 233), "Myocardium": (230, 159, 0), "Left atrium": (204, 121, 167)}


def sheet(**changes: Any) -> Sheet:
    values: dict[str, Any] = {
        "rows": 300, "columns": 640, "times_ms": np.arange(10) * 20.0, "names": NAMES,
        "marks": {2: "ED", 7: "ES"}, "model": "net 1.0.0",
    }  # fmt: skip
    return Sheet(**(values | changes))


def found(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour)).all(axis=2).any())


def test_the_frame_stands_on_the_sheet_untouched() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (300, 640, 3), np.uint8)
    whole = sheet().printed(frame, 3)
    assert whole.shape[:2] == sheet().size
    top = next(row for row in range(len(whole)) if np.array_equal(whole[row], frame[0]))
    # The rule below the frame takes no row of it.
    assert np.array_equal(whole[top : top + 300], frame)


@pytest.mark.parametrize("columns", [60, 240, 480, 640, 1200])
def test_every_structure_has_its_colour_in_the_legend_at_every_width(columns: int) -> None:
    plan = sheet(columns=columns, rows=max(columns // 2, 40))
    rows, across = plan.frame_size
    assert across >= NARROWEST
    below = plan.printed(np.zeros((rows, across, 3), np.uint8), 0)[rows + 26 :]
    assert all(found(below, colour) for colour in NAMES.values())


def test_marked_frames_say_so_and_others_do_not() -> None:
    plan = sheet()
    black = np.zeros((300, 640, 3), np.uint8)
    plain, marked = plan.printed(black, 1)[:26], plan.printed(black, 2)[:26]
    assert int((marked > 128).sum()) > int((plain > 128).sum())
    assert sheet(marks={}).size[0] < plan.size[0], "a beat line without marks tells nothing"


def test_the_place_on_the_beat_line_moves_with_time_not_with_the_count_of_frames() -> None:
    plan = sheet(times_ms=np.array([0.0, 10.0, 20.0, 100.0]), marks={0: "ED"})

    def place(index: int) -> float:
        below = plan.printed(np.zeros((300, 640, 3), np.uint8), index)[-26:]
        middle = (below[9:17] > 220).all(axis=2)
        return float(np.flatnonzero(middle.sum(axis=0) >= 6).mean())

    assert place(3) - place(2) == pytest.approx(8 * (place(2) - place(1)), rel=0.1)


def test_labels_stay_labels_when_they_are_enlarged() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (20, 30), np.uint8)
    assert np.array_equal(enlarged(labels, 3)[1::3, 1::3], labels)
    assert enlarged(labels, 1) is labels
