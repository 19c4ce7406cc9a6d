"""What the beam makes of tissue: a wrong point spread or compression would make every picture look like none."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.phantom.machine import machine
from echonode.phantom.receiver import Receiver, compressed, grey_map, kernel
from echonode.phantom.speckle import Scatterers
from echonode.phantom.tissue import Label, Tissue
from echonode.phantom.transducer import Fan, Frame

_LOOK = machine("granite")


def _fan() -> Fan:
    frame = Frame(x0=0, y0=0, x1=600, y1=450)
    return Fan(frame, sector_deg=80, depth_mm=150, lines=160, samples=380)


def _tissue(fan: Fan, label: Label, *, moved_mm: float = 0.0) -> Tissue:
    shape = (len(fan.ranges_mm), len(fan.angles))
    down, across = np.meshgrid(fan.ranges_mm + np.float32(moved_mm), fan.angles * 80, indexing="ij")
    material = np.stack([across, 0.3 * down + across, down], axis=-1).astype(np.float32)
    return Tissue(labels=np.full(shape, label, np.uint8), material=material, specular=np.zeros(shape, np.float32))


def _receiver(fan: Fan, quality: float = 1.0, seed: int = 3) -> Receiver:
    rng = np.random.Generator(np.random.PCG64(seed))
    return Receiver(_LOOK, fan, Scatterers(rng, grain_mm=0.5, texture_mm=1.0), rng=rng, quality=quality)


def _width(picture: np.ndarray, axis: int) -> float:
    """Full width at half maximum of the autocorrelation of the far half, in samples."""
    part = picture[len(picture) // 2 :].astype(float)
    part -= part.mean()
    correlation = np.fft.ifft2(np.abs(np.fft.fft2(part)) ** 2).real
    line = correlation[:20, 0] if axis == 0 else correlation[0, :20]
    return 2 * float(np.interp(-0.5, -line / line[0], np.arange(20)))


def test_speckle_is_as_wide_as_the_beam_and_as_long_as_the_pulse() -> None:
    fan = _fan()
    picture = _receiver(fan).picture(_tissue(fan, Label.MYOCARDIUM))
    across_deg = _width(picture, 1) * np.rad2deg(fan.angles[1] - fan.angles[0])
    along_mm = _width(picture, 0) * fan.step_mm
    assert 1.0 * _LOOK.beam_deg < across_deg < 2.6 * _LOOK.beam_deg
    assert 0.8 * _LOOK.axial_mm < along_mm < 3.2 * _LOOK.axial_mm


def test_blood_is_dark_and_muscle_is_grey() -> None:
    fan = _fan()
    muscle = _receiver(fan).picture(_tissue(fan, Label.MYOCARDIUM))
    blood = _receiver(fan).picture(_tissue(fan, Label.LV))
    middle = slice(120, 300), slice(40, 120)
    assert 40 < muscle[middle].mean() < 130
    assert blood[middle].mean() < 15


def test_speckle_moves_with_the_tissue() -> None:
    fan = _fan()
    receiver = _receiver(fan)
    receiver.picture(_tissue(fan, Label.MYOCARDIUM))
    still = receiver.picture(_tissue(fan, Label.MYOCARDIUM)).astype(float)
    # The same matter lies four samples nearer to the probe.
    moved = _receiver(fan).picture(_tissue(fan, Label.MYOCARDIUM, moved_mm=4 * fan.step_mm)).astype(float)
    far = slice(150, 330)
    shifted = np.corrcoef(still[154:334].ravel(), moved[far].ravel())[0, 1]
    unshifted = np.corrcoef(still[far].ravel(), moved[far].ravel())[0, 1]
    assert shifted > 0.75
    assert shifted > unshifted + 0.3


def test_noise_flickers_more_in_a_worse_window() -> None:
    fan = _fan()
    change = []
    for quality in (1.0, 0.3):
        receiver = _receiver(fan, quality)
        frames = [receiver.picture(_tissue(fan, Label.LV)).astype(float) for _ in range(2)]
        change.append(np.abs(frames[1] - frames[0])[150:].mean())
    assert change[1] > 3 * change[0] + 1


def test_compression_keeps_decibels() -> None:
    power = np.array([[1.0, 10.0, 0.1]], np.float32)
    levels = compressed(power, _LOOK, 0.0)[0]
    assert np.diff(levels[[2, 0, 1]]) == pytest.approx(10 * 255 / _LOOK.dynamic_range_db, rel=1e-3)


def test_the_grey_map_rises_over_the_whole_scale() -> None:
    for seed in range(20):
        greys = grey_map(machine(seed)).astype(int)
        assert greys[0] == 0
        assert greys[-1] == 255
        assert (np.diff(greys) >= 0).all()


def test_a_kernel_keeps_the_power_of_speckle() -> None:
    for width in (0.5, 2.0, 7.0):
        assert (kernel(width) ** 2).sum() == pytest.approx(1, abs=1e-5)


def test_a_quality_beyond_1_is_refused() -> None:
    with pytest.raises(ValueError, match="quality"):
        _receiver(_fan(), 1.2)
