"""The ECG of a sweep is found where scanners draw it; a missed or invented R wave is a wrong heart rate."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from echonode.core.clip import Region
from echonode.core.results import Ineligible
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.phantom.machine import MACHINES, machine
from echonode.phantom.patient import patient
from echonode.phantom.sweep import sweep
from echonode.phantom.views import Level
from echonode.tasks.mmode.calibration import Calibration, sound_calibration
from echonode.tasks.mmode.ecg import Ecg, ecg_of
from echonode.tasks.mmode.species import HUMAN

ROWS, COLUMNS = 400, 700
BOX = Calibration(top=100, bottom=300, left=40, right=640, seconds=0.005, millimetres=0.5, basis="a test")
WAVES = [80, 260, 430]
YELLOW, GREEN = (240, 230, 40), (40, 220, 70)


def _drawn(*, base: int, colour: tuple[int, int, int] = GREEN, sign: int = 1, waves: list[int] = WAVES) -> np.ndarray:
    """A picture with noise in its strip and a trace whose base is at row `base`, over columns of the strip."""
    frame = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    frame[BOX.box] = np.random.default_rng(1).integers(0, 120, (200, 600, 1))
    column = np.arange(600)
    height = np.zeros(600)
    for wave in waves:
        height += 30 * np.exp(-0.5 * ((column - wave) / 2.5) ** 2) + 8 * np.exp(-0.5 * ((column - wave - 55) / 10) ** 2)
    points = np.stack([BOX.left + column, base - sign * height], axis=1)
    cv2.polylines(frame, [np.rint(points).astype(np.int32)], False, colour, 1, cv2.LINE_AA)
    return frame


def _read(frame: np.ndarray, **other: object) -> Ecg:
    return ecg_of(frame[None], BOX, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "colour", "sign"),
    [(292, GREEN, 1), (306, YELLOW, 1), (360, GREEN, 1), (130, YELLOW, 1), (285, GREEN, -1)],
    ids=["in the strip", "across its foot", "below it", "at its head", "upside down"],
)
def test_the_trace_is_found_where_it_is_drawn(base: int, colour: tuple[int, int, int], sign: int) -> None:
    found = _read(_drawn(base=base, colour=colour, sign=sign))
    assert found.waves == pytest.approx(WAVES, abs=1)
    for wave, onset in zip(found.waves, found.onsets, strict=True):
        assert 0.01 <= (wave - onset) * BOX.seconds <= 0.06, "QRS begins some 30 ms before its R wave"


def test_a_region_of_the_header_says_where_it_runs() -> None:
    """Beside the strip, further away than anyone would look."""
    region = Region(spatial_format=4, data_type=10, x0=40, y0=10, x1=639, y1=70)
    frame = _drawn(base=60)
    assert _read(frame, regions=(region,)).waves == pytest.approx(WAVES, abs=1)


def test_words_and_marks_in_colour_are_no_trace() -> None:
    """A coloured rate, a caliper and a border about the strip are not followed, nor do they hide the trace."""
    frame = _drawn(base=292)
    cv2.putText(frame, "HR 72 bpm", (380, 250), cv2.FONT_HERSHEY_SIMPLEX, 0.7, GREEN, 1, cv2.LINE_AA)
    cv2.rectangle(frame, (BOX.left, BOX.top), (BOX.right, BOX.bottom), (120, 150, 230), 1)
    assert _read(frame).waves == pytest.approx(WAVES, abs=1)
    bare = _drawn(base=292, colour=(0, 0, 0))
    cv2.putText(bare, "HR 72 bpm  EF 60 %  LVIDd 48 mm", (60, 280), cv2.FONT_HERSHEY_SIMPLEX, 1.0, YELLOW, 2)
    assert _read(bare) == Ecg()


def test_over_a_moving_time_line_most_frames_must_have_a_wave() -> None:
    """Frames of one strip show the same R wave at other columns; together they give it once."""
    shift = 100
    frames = np.stack(
        [_drawn(base=306, waves=[wave - shift * number for wave in (250, 430, 600)]) for number in range(3)]
    )
    found = ecg_of(frames, BOX, places=[(number, shift * number) for number in range(3)])
    assert found.waves == pytest.approx([250, 430, 600], abs=1.5)


def test_no_two_beats_are_closer_than_a_heart_can_beat() -> None:
    """0.3 s in people, by time and whatever a column is."""
    close = _read(_drawn(base=292, waves=[80, 120, 260]), species=HUMAN)
    assert np.diff(close.waves).min() * BOX.seconds >= 0.3


@pytest.mark.parametrize("name", [name for name in MACHINES if name != "granite"])
def test_every_simulated_scanner_that_draws_in_colour_is_read(name: str) -> None:
    """(`granite` draws in white, which cannot be told from the echoes.)"""
    person = patient(seed=8, ef_percent=58, heart_rate_bpm=66)
    made = sweep(person, level=Level.MITRAL, machine=machine(name), seed=4, rows=420, columns=560)
    box = sound_calibration(made.regions, rows=420, columns=560)
    assert not isinstance(box, Ineligible)
    for regions in (made.regions, ()):
        found = ecg_of(made.frame[None], box, regions=regions)
        inner = [wave for wave in made.r_wave_columns if 3 < wave < box.right - box.left - 4]
        assert [wave for wave in found.waves if wave > 3] == pytest.approx(inner, abs=2)


def test_the_ecg_of_a_real_sweep_gives_its_two_r_waves(shared_data: Path) -> None:
    """At columns 188 and 476 of the picture, 1.20 s apart; its base lies below the strip."""
    clip = read_clip(shared_data / "ultrasound/adult_xario/I_000034.dcm", limits=LimitsSection())
    box = sound_calibration(clip.regions, rows=clip.frames.shape[1], columns=clip.frames.shape[2])
    assert not isinstance(box, Ineligible)
    found = ecg_of(clip.frames, box, regions=clip.regions)
    assert [wave + box.left for wave in found.waves] == pytest.approx([188, 476], abs=2)
    assert np.diff(found.waves) * box.seconds == pytest.approx(1.20, abs=0.02)
