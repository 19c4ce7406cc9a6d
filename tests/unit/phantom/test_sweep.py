"""An M-mode picture and its boundaries must be one: the M-mode model is trained and checked on them."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.core.clip import SpatialFormat
from echonode.phantom.heart import Heart
from echonode.phantom.machine import MACHINES, machine
from echonode.phantom.patient import patient
from echonode.phantom.sweep import Sweep, sweep
from echonode.phantom.views import Level

PERSON = patient(seed=6, ef_percent=58, heart_rate_bpm=70)


@pytest.fixture(scope="module")
def swept() -> Sweep:
    return sweep(PERSON, level=Level.LV, machine=machine("slate"), seed=3, rows=300, columns=400)


def _strip(made: Sweep) -> np.ndarray:
    box = made.strip
    return np.asarray(made.frame[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1].mean(axis=-1))


def test_the_same_seed_gives_the_same_bytes(swept: Sweep) -> None:
    again = sweep(PERSON, level=Level.LV, machine=machine("slate"), seed=3, rows=300, columns=400)
    assert swept.frame.tobytes() == again.frame.tobytes()


def test_the_regions_are_a_sector_a_strip_and_an_ecg(swept: Sweep) -> None:
    sector, strip, trace = swept.regions
    assert [region.spatial_format for region in swept.regions] == [
        SpatialFormat.TWO_D,
        SpatialFormat.M_MODE,
        SpatialFormat.WAVEFORM,
    ]
    assert sector.calibrated
    assert strip.calibrated
    assert (strip.units_x, strip.units_y) == (4, 3)
    assert (strip.x1 - strip.x0 + 1) * (strip.delta_x or 0) == pytest.approx(3.0)
    assert trace.delta_x == pytest.approx(strip.delta_x)
    assert all(region.within(rows=300, columns=400) for region in swept.regions)
    assert sector.y1 < strip.y0


def test_diameters_on_the_strip_are_the_hearts(swept: Sweep) -> None:
    truth, box = swept.truth, swept.strip
    cavity = (truth.boundaries[2] - truth.boundaries[1]) * box.mm_per_row
    assert len(truth.lvidd_mm) == len(truth.lvids_mm) >= 2
    heart = Heart(PERSON)
    assert truth.lvidd_mm[0] == pytest.approx(heart.lvid_mm(heart.beats(10.0)[0]), abs=2)
    for wave, wide, narrow in zip(swept.r_wave_columns, truth.lvidd_mm, truth.lvids_mm, strict=False):
        at = round(wave)
        assert cavity[at] == pytest.approx(wide, abs=0.8)
        assert cavity[at : at + round(0.6 / box.s_per_column)].min() == pytest.approx(narrow, abs=0.8)
        assert narrow < wide - 5


def test_the_picture_is_bright_between_the_boundaries_and_dark_in_the_cavity(swept: Sweep) -> None:
    strip, lines = _strip(swept), swept.truth.boundaries
    assert lines.shape == (4, strip.shape[1])
    assert (np.diff(lines, axis=0) > 0).all()
    rows = np.arange(len(strip))[:, None]
    septum = (rows > lines[0]) & (rows < lines[1])
    cavity = (rows > lines[1] + 3) & (rows < lines[2] - 3)
    posterior = (rows > lines[2]) & (rows < lines[3])
    assert strip[septum].mean() > strip[cavity].mean() + 30
    assert strip[posterior].mean() > strip[cavity].mean() + 30


def test_the_trace_peaks_at_the_r_waves(swept: Sweep) -> None:
    region = swept.regions[2]
    trace = swept.frame[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1].astype(int)
    green = trace[..., 1] - trace[..., 0] > 70
    top = np.where(green.any(axis=0), green.argmax(axis=0), 99)
    assert len(swept.r_wave_columns) >= 3
    for wave in swept.r_wave_columns[1:-1]:
        assert top[round(wave) - 4 : round(wave) + 5].min() <= top.min() + 2


@pytest.mark.parametrize("level", [Level.MITRAL, Level.AORTA])
def test_off_the_left_ventricle_there_are_no_boundaries(level: Level) -> None:
    made = sweep(PERSON, level=level, machine=machine("harbour"), seed=1, rows=160, columns=200, seconds=1.5)
    assert np.isnan(made.truth.boundaries).all()
    assert made.truth.lvidd_mm == ()
    assert made.level is level


@pytest.mark.parametrize("name", list(MACHINES))
def test_every_machine_sweeps(name: str) -> None:
    made = sweep(PERSON, level=Level.LV, machine=machine(name), seed=1, rows=240, columns=320, seconds=2.0)
    assert made.frame.shape == (240, 320, 3)
    assert all(region.within(rows=240, columns=320) for region in made.regions)
    assert np.isfinite(made.truth.boundaries).all()
    assert made.truth.boundaries.min() > 0
    assert made.truth.boundaries.max() < made.strip.y1 - made.strip.y0


def test_a_worse_window_shows_less() -> None:
    contrast = []
    for quality in (1.0, 0.0):
        made = sweep(PERSON, level=Level.LV, machine=machine("slate"), seed=3, rows=200, columns=260, quality=quality)
        strip, lines = _strip(made), made.truth.boundaries
        rows = np.arange(len(strip))[:, None]
        septum, cavity = (rows > lines[0]) & (rows < lines[1]), (rows > lines[1] + 2) & (rows < lines[2] - 2)
        contrast.append((strip[septum].mean() - strip[cavity].mean()) / (strip[septum].std() + strip[cavity].std()))
    assert contrast[1] < 0.6 * contrast[0]


def test_a_sweep_without_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time"):
        sweep(PERSON, level=Level.LV, machine=machine("slate"), seed=1, seconds=0)
