"""Speckle that does not move with the tissue would teach a tracker to stand still."""

from __future__ import annotations

import numpy as np

from echonode.phantom.speckle import Scatterers


def _scatterers(seed: int = 1) -> Scatterers:
    return Scatterers(np.random.Generator(np.random.PCG64(seed)), grain_mm=0.5, texture_mm=1.0)


def _grid() -> np.ndarray:
    return np.random.Generator(np.random.PCG64(5)).uniform(-80, 80, (60, 50, 3)).astype(np.float32)


def test_the_same_matter_always_answers_alike() -> None:
    scatterers, matter = _scatterers(), _grid()
    assert (scatterers.amplitudes(matter) == scatterers.amplitudes(matter.copy())).all()
    assert (scatterers.texture(matter) == scatterers.texture(matter.copy())).all()


def test_other_matter_answers_otherwise() -> None:
    scatterers, matter = _scatterers(), _grid()
    for axis in range(3):
        step = np.zeros(3, np.float32)
        step[axis] = 7.3
        here, there = scatterers.amplitudes(matter), scatterers.amplitudes(matter + step)
        assert abs(np.corrcoef(here.ravel(), there.ravel())[0, 1]) < 0.05


def test_speckle_is_fully_developed() -> None:
    power = (_scatterers().amplitudes(_grid()) ** 2).sum(axis=-1)
    assert abs(power.mean() - 1) < 0.06
    assert abs(power.std() / power.mean() - 1) < 0.08


def test_two_patients_have_other_speckle() -> None:
    matter = _grid()
    one, other = _scatterers(1).amplitudes(matter), _scatterers(2).amplitudes(matter)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05
