"""What one beam receives again and again: the grey values of an M-mode sweep."""

from __future__ import annotations

import cv2
import numpy as np

from echonode.phantom.echogenicity import ECHO_DB, IMPEDANCE, SURROUNDING, TEXTURE_DB
from echonode.phantom.heart import Heart
from echonode.phantom.machine import Machine
from echonode.phantom.receiver import NOISE_DB, compressed, grey_map, kernel, wave
from echonode.phantom.speckle import Scatterers
from echonode.phantom.views import Line

_ACROSS = 5
_GAIN_DB = 5.0
"""How much brighter operators set a sweep than a sector."""
_PULSE = 0.7
"""Sweeps are shown with shorter pulses than sectors, and with more contrast."""
_GRAIN = np.float32(1.5)
_BORDER_MM = 2.2
_MIRROR = 4.5


class LineReceiver:
    """Turns the tissue along one line into columns of grey; `quality` as in `Receiver`.

    The beam is sampled at several angles, so that borders that it crosses askew fade and speckle changes smoothly.
    """

    def __init__(self, machine: Machine, line: Line, *, samples: int, rng: np.random.Generator, quality: float):
        if not 0 <= quality <= 1:
            raise ValueError(f"quality lies between 0 and 1, not at {quality}")
        if machine.depth_mm is None:
            raise ValueError("the operator has not set a depth")
        self._machine, self._rng, self._bad = machine, rng, 1 - quality
        self._step_mm = machine.depth_mm / samples
        self._ranges = ((np.arange(samples) + 0.5) * self._step_mm).astype(np.float32)
        width = np.deg2rad(machine.beam_deg * (1 + 1.1 * self._bad)) / 2.355
        spread = np.linspace(-1.6, 1.6, _ACROSS)
        near = machine.aperture_mm / 2.355 / (self._ranges + 8)
        angles = line.angle_radians + spread * np.hypot(width, near)[:, None]
        down, right = self._ranges[:, None] * np.cos(angles), self._ranges[:, None] * np.sin(angles)
        self._points = line.plane.at(down, right)
        weights = np.exp(-0.5 * spread**2)
        self._weights = (weights / np.sqrt((weights**2).sum())).astype(np.float32)
        self._mean = (weights / weights.sum()).astype(np.float32)
        self._scatterers = Scatterers(
            rng, grain_mm=max(0.5, 0.8 * self._step_mm), texture_mm=float(rng.uniform(0.7, 1.1))
        )

        layers = cv2.GaussianBlur(
            rng.standard_normal((samples, 1), np.float32), (0, 0), sigmaX=0.1, sigmaY=1.2 / self._step_mm
        )
        self._layers = (5 * layers / layers.std() - 3).astype(np.float32)

    def picture(self, heart: Heart, times_s: np.ndarray) -> np.ndarray:
        """The sweep at these times, uint8 samples x times."""
        shape = (len(self._ranges), len(times_s))
        field = np.empty((*shape, 2), np.float32)
        impedance, mirrors = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for column, time in enumerate(times_s):
            tissue = heart.tissue(self._points, float(time))
            strength = _GRAIN * TEXTURE_DB[tissue.labels] * self._scatterers.texture(tissue.material)
            strength += ECHO_DB[tissue.labels]
            strength += self._layers * SURROUNDING[tissue.labels]
            strength *= np.float32(np.log(10) / 20)
            answer = self._scatterers.amplitudes(tissue.material) * (np.exp(strength) * self._weights)[..., None]
            field[:, column] = answer.sum(axis=1)
            impedance[:, column] = IMPEDANCE[tissue.labels] @ self._mean
            mirrors[:, column] = tissue.specular @ self._mean
        impedance = cv2.GaussianBlur(impedance, (1, 5), sigmaX=0.1, sigmaY=1.2)
        slope = cv2.Sobel(impedance, cv2.CV_32F, 0, 1, ksize=1, scale=0.5 / self._step_mm)
        field[..., 0] += self._machine.mirrors * (
            np.abs(slope) * np.float32(_BORDER_MM) + np.float32(_MIRROR) * mirrors**2
        )
        return self._shown(field)

    def _shown(self, field: np.ndarray) -> np.ndarray:
        machine, rng, bad = self._machine, self._rng, self._bad
        samples, columns = field.shape[:2]
        depth = (self._ranges / self._ranges[-1])[:, None, None]
        field *= (10 ** ((1.6 * wave(rng, depth, 3) - (1 + 4 * bad) * np.maximum(depth - 0.75, 0) * 8) / 20)).astype(
            np.float32
        )
        axial = kernel(_PULSE * machine.axial_mm * (1 + 0.4 * bad) / self._step_mm)
        still = np.ones((1, 1), np.float32)
        field = cv2.sepFilter2D(field, -1, still, axial, borderType=cv2.BORDER_REFLECT)
        noise_db = NOISE_DB + 3 + machine.noise_db * (1 - bad) + 28 * bad**1.3 + 9 * (depth - 0.6)
        white = rng.standard_normal((samples, columns, 2), np.float32)
        white = cv2.sepFilter2D(white, -1, still, axial, borderType=cv2.BORDER_REFLECT)
        field += white * (np.sqrt(0.5) * 10 ** (noise_db / 20)).astype(np.float32)
        field += self._near_field(axial)[:, None]
        power = (field**2).sum(axis=-1)
        haze = cv2.blur(power, (1, max(3, samples // 12 | 1)))
        power += haze * np.float32(10 ** ((-29 + machine.haze_db + 12 * bad) / 10))
        power = cv2.blur(power, (2, 1))
        level = compressed(power * np.float32(10 ** (_GAIN_DB / 10)), machine, bad)
        return cv2.LUT(np.clip(level, 0, 255).astype(np.uint8), grey_map(machine))

    def _near_field(self, axial: np.ndarray) -> np.ndarray:
        """Echoes near the probe that stand still: level lines over the whole sweep, float32 samples x 2."""
        level = 10 ** ((self._machine.clutter_db + 2 + 8 * self._bad) / 20) * np.exp(
            -self._ranges / (8 + 9 * self._bad)
        )
        level = level + 10 ** ((self._machine.clutter_db - 30 + 17 * self._bad) / 20) * np.exp(-self._ranges / 45)
        white = self._rng.standard_normal((len(level), 1, 2), np.float32)
        white = cv2.sepFilter2D(white, -1, np.ones((1, 1), np.float32), axial, borderType=cv2.BORDER_REFLECT)
        return np.asarray(white[:, 0] * level[:, None], np.float32)
