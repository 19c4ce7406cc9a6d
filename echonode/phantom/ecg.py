"""The electrocardiogram under a loop: P, QRS and T about the R waves of the simulated heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Seconds from the R wave, width in s and height against R. The T wave and the P wave move with the beat's length.
_QRS = ((-0.026, 0.009, -0.10), (0.0, 0.010, 1.0), (0.027, 0.010, -0.24))
_P, _T = (-0.16, 0.024, 0.11), (0.30, 0.048, 0.20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """How one patient's lead looks: heights against a standard R wave, noise and wander of the base line."""

    r: float = 1.0
    t: float = 1.0
    p: float = 1.0
    noise: float = 0.01
    wander: float = 0.03


def lead(rng: np.random.Generator, *, fibrillates: bool = False) -> Lead:
    """A lead as electrodes happen to give it; without P waves in atrial fibrillation."""
    return Lead(
        r=float(rng.uniform(0.8, 1.0)),
        t=float(rng.uniform(0.4, 1.4)),
        p=0.0 if fibrillates else float(rng.uniform(0.5, 1.3)),
        noise=float(rng.uniform(0.002, 0.012)),
        wander=float(rng.uniform(0.0, 0.04)),
    )


def voltage(times_s: np.ndarray, r_waves_s: Sequence[float], *, shape: Lead, rng: np.random.Generator) -> np.ndarray:
    """The voltage at rising times, float64 (n,): 1 is the height of a standard R wave, 0 the base line."""
    times = np.asarray(times_s, np.float64)
    total = shape.noise * rng.standard_normal(len(times)) + shape.wander * np.sin(1.9 * times + rng.uniform(0, 6.3))
    waves = np.asarray(sorted(r_waves_s))
    usual = float(np.median(np.diff(waves))) if len(waves) > 1 else 0.9
    for index, wave in enumerate(waves):
        after = waves[index + 1] - wave if index + 1 < len(waves) else usual
        before = wave - waves[index - 1] if index else usual
        for place, width, height in _QRS:
            total += shape.r * _bump(times, wave + place, width, height)
        stretch = float(np.sqrt(np.clip(after, 0.3, 1.6)))
        total += shape.t * _bump(times, wave + _T[0] * stretch, _T[1] * stretch, _T[2])
        total += shape.p * _bump(times, wave + _P[0] * min(1.0, np.sqrt(before)), _P[1], _P[2])
    return total


def _bump(times: np.ndarray, place: float, width: float, height: float) -> np.ndarray:
    return np.asarray(height * np.exp(-0.5 * ((times - place) / width) ** 2))
