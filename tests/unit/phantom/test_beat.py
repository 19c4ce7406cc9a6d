"""The rhythm: R waves repeat, the curves are continuous and in the order of a beat."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.phantom.beat import Rhythm
from echonode.phantom.patient import patient


def test_r_waves_keep_the_rate_and_its_spread() -> None:
    calm = np.diff(Rhythm(patient(seed=2, heart_rate_bpm=75.0, rr_spread=0.02)).beats(300))
    wild = np.diff(Rhythm(patient(seed=2, heart_rate_bpm=75.0, rr_spread=0.15)).beats(300))
    assert calm.mean() == pytest.approx(0.8, rel=0.02)
    assert calm.std() / calm.mean() == pytest.approx(0.02, rel=0.3)
    assert wild.std() / wild.mean() == pytest.approx(0.15, rel=0.2)


def test_beats_do_not_depend_on_the_window_that_is_asked_for() -> None:
    rhythm = Rhythm(patient(seed=3))
    whole = rhythm.beats(10)
    assert rhythm.beats(4) + rhythm.beats(6, start_s=4) == whole
    assert rhythm.beats(10) == Rhythm(patient(seed=3)).beats(10)


@pytest.mark.parametrize("rate", [45.0, 72.0, 110.0, 150.0])
@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_every_curve_is_continuous_and_within_bounds(rate: float, spread: float) -> None:
    rhythm = Rhythm(patient(seed=5, heart_rate_bpm=rate, rr_spread=spread))
    step = 0.0005
    phases = [rhythm.phase(t) for t in np.arange(0, 3, step)]
    for name, fastest in (("emptied", 30), ("mitral", 75), ("aortic", 75), ("atrial", 35)):
        curve = np.array([getattr(phase, name) for phase in phases])
        assert curve.min() > -1e-6, name
        assert curve.max() < 1 + 1e-6, name
        assert np.abs(np.diff(curve)).max() < fastest * step, name


def test_a_beat_runs_in_order() -> None:
    rhythm = Rhythm(patient(seed=6, heart_rate_bpm=65.0, rr_spread=0.02))
    wave = rhythm.beats(2)[0]
    end = rhythm.end_systole_s(wave)
    assert 0.25 < end - wave < 0.48
    assert rhythm.phase(wave).emptied == pytest.approx(0, abs=1e-6)
    assert rhythm.phase(end).emptied == pytest.approx(1, abs=1e-6)
    times = np.arange(wave, wave + 0.9, 0.002)
    for t in times:
        phase = rhythm.phase(float(t))
        assert min(phase.mitral, phase.aortic) < 0.05, "mitral and aortic valve are never open together"
    isovolumic = [rhythm.phase(end + dt).emptied for dt in (0.005, 0.03)]
    assert isovolumic == pytest.approx([1, 1], abs=1e-6)


def test_a_time_beyond_the_simulation_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        Rhythm(patient(seed=1)).phase(1e6)
