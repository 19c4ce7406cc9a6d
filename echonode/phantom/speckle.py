"""The scatterers of tissue: fixed to the matter, so that speckle moves with it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_SCATTERERS = 1 << 17
_STEPS = (1, 9973, 29803)
"""Neighbours along x, y and z lie this far apart in the table: no direction repeats within the heart."""
_TEXTURE_SIDE = 64


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    """Complex scatterer amplitudes of unit power, float32 N x 2."""
    rng = np.random.Generator(np.random.PCG64(1))
    return (rng.standard_normal((_SCATTERERS, 2), np.float32) * np.float32(np.sqrt(0.5))).astype(np.float32)


@lru_cache(maxsize=1)
def _texture() -> np.ndarray:
    """A smooth field of mean 0 and deviation 1 that repeats at its borders, float32, flat."""
    side = _TEXTURE_SIDE
    rng = np.random.Generator(np.random.PCG64(2))
    field = rng.standard_normal((side, side, side)).astype(np.float32)
    frequency = np.fft.fftfreq(side).astype(np.float32) * 2 * np.pi
    squared = (
        frequency[:, None, None] ** 2 + frequency[None, :, None] ** 2 + frequency[None, None, : side // 2 + 1] ** 2
    )
    field = np.fft.irfftn(np.fft.rfftn(field) * np.exp(-0.5 * squared * 1.6**2), field.shape, axes=(0, 1, 2)).astype(
        np.float32
    )
    return np.ascontiguousarray((field / field.std()).ravel(), np.float32)


class Scatterers:
    """The scatterers of one patient: what a piece of matter sends back, by where it lies in the end-diastolic heart."""

    def __init__(self, rng: np.random.Generator, *, grain_mm: float, texture_mm: float) -> None:
        self._grain, self._coarse = np.float32(1 / grain_mm), np.float32(1 / texture_mm)
        self._offset = rng.uniform(200, 400, 3).astype(np.float32)
        self._start = int(rng.integers(_SCATTERERS))

    def amplitudes(self, material_mm: np.ndarray) -> np.ndarray:
        """Complex amplitudes of unit power, float32 (..., 2), of matter at `material_mm` (..., 3)."""
        cells = _cells(material_mm, self._offset, self._grain)
        index = cells[..., 0] * _STEPS[0] + cells[..., 1] * _STEPS[1] + cells[..., 2] * _STEPS[2] + self._start
        index &= _SCATTERERS - 1
        return _table()[index]

    def texture(self, material_mm: np.ndarray) -> np.ndarray:
        """How much coarser structure strengthens the echo: float32 (...), mean 0, deviation 1."""
        cells = _cells(material_mm, self._offset, self._coarse)
        cells &= _TEXTURE_SIDE - 1
        index = (cells[..., 0] * _TEXTURE_SIDE + cells[..., 1]) * _TEXTURE_SIDE + cells[..., 2]
        return _texture()[index]


def _cells(material_mm: np.ndarray, offset: np.ndarray, scale: np.float32) -> np.ndarray:
    """The cell of each piece of matter, int32, above 0 everywhere near the heart."""
    return ((material_mm + offset) * scale).astype(np.int32)
