"""A simulated loop and what is said of it must be one: models are trained and checked on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from echonode.core.clip import Clip, SpatialFormat
from echonode.phantom.acquire import Acquisition, acquire
from echonode.phantom.heart import CAVITY, Heart, Label
from echonode.phantom.machine import MACHINES, machine
from echonode.phantom.patient import patient
from echonode.phantom.views import View, plane

SMALL = {"rows": 150, "columns": 200}


def _loop(view: View = View.A4C, *, name: str | int = "slate", **options: object) -> Acquisition:
    options = {"frames": 4, "seed": 2, **SMALL} | options
    return acquire(patient(seed=5, ef_percent=60), view=view, machine=machine(name), **options)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    one, again, other = _loop(colour=True), _loop(colour=True), _loop(colour=True, seed=3)
    assert one.frames.tobytes() == again.frames.tobytes()
    assert one.labels is not None
    assert again.labels is not None
    assert one.labels.tobytes() == again.labels.tobytes()
    assert one.frames.tobytes() != other.frames.tobytes()


@pytest.mark.parametrize("name", [*MACHINES, 7, 8])
def test_every_machine_makes_a_clip_with_regions_inside_it(name: str | int) -> None:
    loop = _loop(View.PLAX, name=name, rows=None, columns=None, frames=2)
    look = machine(name)
    assert loop.frames.shape == (2, look.rows, look.columns, look.channels)
    Clip(frames=loop.frames, times_ms=loop.times_ms, regions=loop.regions)
    assert loop.regions[0].spatial_format == SpatialFormat.TWO_D
    assert loop.regions[0].calibrated
    assert all(region.within(rows=look.rows, columns=look.columns) for region in loop.regions)
    assert len(loop.regions) == (1 if look.trace == "none" else 2)
    assert loop.frames[:, loop.regions[0].y0 : loop.regions[0].y1].max() > 120


@pytest.mark.parametrize("view", list(View))
def test_every_view_shows_the_heart(view: View) -> None:
    loop = _loop(view, overlays=False, rows=128, columns=128)
    assert loop.labels is not None
    assert loop.labels.shape == loop.frames.shape[:3]
    assert {Label.LV, Label.MYOCARDIUM} <= set(np.unique(loop.labels))
    assert loop.view is view
    assert loop.truth.view is view
    assert (loop.frames[..., 0][loop.labels == 0] == 0).mean() > 0.95


def test_muscle_is_brighter_than_blood() -> None:
    loop = _loop(View.PSAX, frames=3)
    assert loop.labels is not None
    grey = loop.frames.mean(axis=-1)
    assert grey[loop.labels == Label.MYOCARDIUM].mean() > grey[loop.labels == Label.LV].mean() + 25


def test_a_worse_window_shows_less() -> None:
    contrast = []
    for quality in (1.0, 0.5, 0.0):
        loop = _loop(View.PSAX, quality=quality, frames=3)
        assert loop.labels is not None
        grey = loop.frames.mean(axis=-1)
        wall, blood = grey[loop.labels == Label.MYOCARDIUM], grey[loop.labels == Label.LV]
        contrast.append((wall.mean() - blood.mean()) / (wall.std() + blood.std()))
    assert contrast[0] > 1.2 * contrast[1] > 1.5 * contrast[2]
    assert contrast[2] < 0.35 * contrast[0]


def test_a_diameter_measured_on_the_picture_is_the_hearts() -> None:
    person = patient(seed=9, ef_percent=55)
    still = plane(View.PLAX, person, error=0.0)
    loop = acquire(
        person,
        view=View.PLAX,
        machine=machine("slate"),
        seed=4,
        plane=still,
        frames=40,
        rows=400,
        columns=500,
        overlays=False,
    )
    assert loop.labels is not None
    assert loop.truth.ed_frames
    frame = loop.truth.ed_frames[0]
    region = loop.regions[0]
    column = region.x0 + (region.reference_x or 0)
    around = slice(column - 4, column + 5)
    found = np.isin(loop.labels[frame, :, around], CAVITY)
    # From the first to the last row of the cavity: a leaflet may hang in it.
    across = (found.shape[0] - found[::-1].argmax(axis=0) - found.argmax(axis=0)).mean()
    assert across * 10 * (region.delta_y or 0) == pytest.approx(loop.truth.lvidd_mm, abs=2.5)


def test_the_cavity_on_the_picture_follows_the_volume() -> None:
    loop = _loop(frames=30)
    assert loop.labels is not None
    area = np.isin(loop.labels, CAVITY).sum(axis=(1, 2))
    assert np.corrcoef(area, loop.truth.volumes_ml)[0, 1] > 0.97


def test_the_clock_and_the_beats_are_the_loops_own() -> None:
    loop = _loop(frames=50, frame_time_ms=40.0)
    assert np.diff(loop.times_ms) == pytest.approx(40)
    assert all(0 <= wave < 2000 for wave in loop.r_waves_ms)
    assert len(loop.r_waves_ms) in (2, 3)
    beats = 60000 / np.diff(loop.r_waves_ms).mean()
    assert loop.heart_rate_bpm == pytest.approx(beats, rel=0.12)
    assert loop.heart_rate_bpm == round(loop.heart_rate_bpm)
    assert [1000 * wave for wave in loop.truth.r_waves_s] == pytest.approx(loop.r_waves_ms)
    for beat in loop.truth.beats:
        assert beat.ed_frame is not None
        assert loop.times_ms[beat.ed_frame] / 1000 == pytest.approx(beat.r_wave_s, abs=0.041)


def test_given_times_are_kept_from_the_first() -> None:
    loop = _loop(times_ms=(10.0, 30.0, 75.0))
    assert loop.times_ms.tolist() == [0, 20, 65]
    with pytest.raises(ValueError, match="rise"):
        _loop(times_ms=(10.0, 10.0))
    with pytest.raises(ValueError, match="frame"):
        _loop(frames=0)
    with pytest.raises(ValueError, match="quality"):
        _loop(quality=1.5)


def test_the_ecg_peaks_where_the_r_waves_are() -> None:
    person = patient(seed=5, ef_percent=60)
    look = machine("harbour")
    loop = acquire(person, view=View.A4C, machine=look, seed=2, frames=30, labels=False)
    strip = loop.regions[1]
    trace = loop.frames[0, strip.y0 : strip.y1 + 1, strip.x0 : strip.x1 + 1].astype(int)
    green = trace[..., 1] - trace[..., 0] > 60
    cursor = green.all(axis=0)
    top = np.where(green.any(axis=0) & ~cursor, green.argmax(axis=0), 99)
    assert loop.r_waves_ms
    # The bar of frame 0 stands at the loop's first moment.
    begin = np.flatnonzero(cursor)[0]
    for wave in loop.r_waves_ms:
        expected = begin + wave / 1000 / (strip.delta_x or 1)
        near = slice(int(expected) - 5, int(expected) + 7)
        assert top[near].min() <= top.min() + 3


def test_a_moving_bar_marks_the_frame() -> None:
    loop = acquire(patient(seed=5), view=View.A4C, machine=machine("slate"), seed=2, frames=12, labels=False)
    strip = loop.regions[1]
    bars = []
    for frame in loop.frames:
        part = frame[strip.y0 : strip.y0 + 6, strip.x0 : strip.x1 + 1]
        bars.append(int(np.flatnonzero((part == machine("slate").trace_rgb).all(axis=2).all(axis=0))[0]))
    assert np.diff(bars) == pytest.approx(1 / 30 / (strip.delta_x or 1), abs=1.01)


def test_without_overlays_only_the_sector_is_there() -> None:
    bare, full = _loop(overlays=False), _loop(overlays=True)
    assert len(bare.regions) == 1
    assert bare.regions[0].y1 - bare.regions[0].y0 > full.regions[0].y1 - full.regions[0].y0
    assert bare.frames[:, 0, 0].max() == 0
    assert full.frames[:, 2, 2].max() > 0


def test_colour_shows_red_and_blue_within_a_beat() -> None:
    loop = _loop(View.A3C, colour=True, frames=36, name="granite", rows=300, columns=400, overlays=False)
    assert loop.frames.shape[3] == 3
    red, green, blue = (loop.frames[..., channel].astype(int) for channel in range(3))
    assert ((red > blue + 60) & (red > green + 30)).sum() > 300
    assert ((blue > red + 60) & (blue > green)).sum() > 300


def test_a_set_depth_is_kept() -> None:
    look = replace(machine("slate"), depth_mm=190.0)
    loop = acquire(patient(seed=5), view=View.A4C, machine=look, seed=2, frames=1, **SMALL)
    region = loop.regions[0]
    assert (region.y1 - region.y0 + 1) * 10 * (region.delta_y or 0) == pytest.approx(190, rel=0.03)
    assert loop.machine.depth_mm == 190


def test_the_stage_is_carried() -> None:
    assert _loop(stage="Peak").stage == "Peak"


def test_the_heart_is_the_same_at_any_raster() -> None:
    one, other = _loop(frames=8), _loop(frames=8, rows=80, columns=100)
    assert one.r_waves_ms == other.r_waves_ms
    assert one.truth.volumes_ml == other.truth.volumes_ml
    assert Heart(patient(seed=5, ef_percent=60)).volume_ml(0.0) > 0
