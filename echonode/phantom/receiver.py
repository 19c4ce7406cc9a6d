"""From tissue to a polar grey picture: what a scanner's beams receive and how it compresses that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from echonode.phantom.echogenicity import ECHO_DB, IMPEDANCE, SURROUNDING, TEXTURE_DB, WALL
from echonode.phantom.machine import Machine
from echonode.phantom.speckle import Scatterers

if TYPE_CHECKING:
    from echonode.phantom.heart import Tissue
    from echonode.phantom.transducer import Fan

_BANK = 5
NOISE_DB = -27.0
"""Receiver noise over the mean echo of muscle, at 0.6 of the depth."""
_BORDER_MM = 1.6
"""How bright a border of two tissues is: its echo is a step's slope times this."""
_TRAIL = 24.0
"""How bright what lies behind a mirror is."""
_MIRROR = 4.0
"""How bright a mirror that faces the beam is, over the mean echo of muscle."""
_FLOOR = np.float32(1e-7)


class Receiver:
    """Turns the tissue at a fan's samples into grey values, one frame after the other of one loop.

    `quality` from 1 to 0 adds noise, haze, shadows and dropout and widens the beam: at 1 an excellent window, at 0 none.
    """

    def __init__(self, machine: Machine, fan: Fan, scatterers: Scatterers, *, rng: np.random.Generator, quality: float):
        if not 0 <= quality <= 1:
            raise ValueError(f"quality lies between 0 and 1, not at {quality}")
        self._fan, self._scatterers, self._rng = fan, scatterers, rng
        bad = 1 - quality
        lines, samples = len(fan.angles), len(fan.ranges_mm)
        step_deg = np.rad2deg(fan.angles[1] - fan.angles[0])
        self._axial = kernel(machine.axial_mm * (1 + 0.4 * bad) / fan.step_mm)
        beam = machine.beam_deg * (1 + 1.1 * bad) / step_deg
        self._narrow = kernel(beam)
        widest = min(7.0, max(2.0, machine.aperture_mm / 12))
        self._wide = kernel(beam * widest)
        spread = np.hypot(
            1, np.rad2deg(machine.aperture_mm / (fan.ranges_mm + 8 + machine.footprint_mm)) / machine.beam_deg / 2
        )
        self._share = np.clip((spread - 1) / (widest - 1), 0, 1).astype(np.float32)[:, None, None]
        self._sector_mm = (fan.ranges_mm + fan.footprint_mm + 4)[:, None] * np.float32(fan.angles[1] - fan.angles[0])

        shape = (samples, lines)
        self._gain = (_time_gain(fan, rng, bad) + _shadows(fan, rng, bad)).astype(np.float32)
        self._surround = _surround(fan, rng)
        around_db = self._gain + np.float32(0.7) * self._surround
        self._surround_gain = np.float32(_TRAIL * machine.mirrors) * cv2.exp(around_db * np.float32(np.log(10) / 20))
        reach = max(2, round(24 / fan.step_mm / 4))
        late = np.exp(-np.arange(reach) * 4 * fan.step_mm / 9)
        # filter2D correlates: what lies above a sample stands first in the kernel, mirrored about its middle.
        self._late = np.concatenate([late[::-1], np.zeros(reach - 1)]).astype(np.float32)[:, None]
        self._late /= self._late.sum()
        self._mirror_gain = np.float32(machine.mirrors) * cv2.exp(self._gain * np.float32(np.log(10) / 20))
        depth = (fan.ranges_mm / fan.depth_mm)[:, None]
        noise_db = NOISE_DB + machine.noise_db * (1 - bad) + 28 * bad**1.3 + 9 * (depth - 0.6)
        self._noise = np.broadcast_to((10 ** (noise_db / 20)).astype(np.float32), shape)
        self._haze_db = np.float32(-26 + machine.haze_db + 12 * bad)
        self._clutter = self._near_field(machine, bad)
        self._dropout_db = (8 + 8 * bad) * np.clip(
            0.6 + 0.8 * wave(rng, np.linspace(0, 1, lines, dtype=np.float32), 3), 0, 1.4
        ).astype(np.float32)
        self._bank = [self._noise_field(shape) for _ in range(_BANK)]
        self._grey = grey_map(machine)
        self._machine, self._bad = machine, bad
        self._persistence = np.float32(machine.persistence)
        # Coarse grids show the mean of many speckles, as a small copy of a large picture does.
        coarse = float(np.clip((fan.step_mm - 0.5) / 0.8, 0, 1))
        self._smoothing = float(np.hypot(machine.smoothing * samples / machine.samples, 0.55 * coarse))
        self._before: np.ndarray | None = None

    def picture(self, tissue: Tissue) -> np.ndarray:
        """The next frame's grey values, uint8 S x L, of the tissue at the fan's samples."""
        field = self._field(tissue)
        power = self._received(field)
        level = compressed(power, self._machine, self._bad)
        if self._smoothing > 0.2:
            level = cv2.GaussianBlur(level, (0, 0), self._smoothing)
        np.clip(level, -40, 300, out=level)
        if self._before is not None and self._persistence:
            level += self._persistence * (self._before - level)
        self._before = level
        return cv2.LUT(np.clip(level, 0, 255).astype(np.uint8), self._grey)

    def _field(self, tissue: Tissue) -> np.ndarray:
        """What each sample sends back before the beam smears it: float32 S x L x 2."""
        labels, material = tissue.labels, tissue.material
        slant = self._slant(labels)
        texture = self._scatterers.texture(material)
        decibels = TEXTURE_DB[labels]
        decibels *= texture
        decibels += ECHO_DB[labels]
        decibels += self._gain
        decibels -= WALL[labels] * slant * self._dropout_db
        np.add(decibels, self._surround, out=decibels, where=SURROUNDING[labels])
        decibels *= np.float32(np.log(10) / 20)
        field = self._scatterers.amplitudes(material)
        # No border is a perfect mirror: it glints in patches and in points, which move with it.
        texture *= np.float32(0.6)
        texture += 1
        cv2.max(texture, 0.1, dst=texture)
        texture *= 0.35 + np.abs(field[..., 0])
        slant *= np.float32(-0.95)
        slant += 1
        slant *= tissue.specular
        strength = cv2.exp(decibels)
        strength += self._trail(slant, labels)
        field *= strength[..., None]
        mirror = self._borders(labels)
        mirror += np.float32(_MIRROR) * slant
        mirror *= texture
        mirror *= self._mirror_gain
        field[..., 0] += mirror
        return field

    def _trail(self, mirrors: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What comes back late from behind mirrors, in the tissue around the heart: strength, float32 S x L."""
        small = cv2.resize(mirrors, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.filter2D(small, -1, self._late, borderType=cv2.BORDER_CONSTANT)
        late = cv2.resize(small, labels.shape[::-1], interpolation=cv2.INTER_LINEAR)
        late *= self._surround_gain
        late *= SURROUNDING[labels]
        return late

    def _slant(self, labels: np.ndarray) -> np.ndarray:
        """How far walls run along the beam: 0 across it, 1 along it, float32 S x L."""
        small = cv2.resize(WALL[labels], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 2.0)
        along = cv2.Sobel(small, cv2.CV_32F, 0, 1) * np.float32(1 / self._fan.step_mm)
        across = cv2.Sobel(small, cv2.CV_32F, 1, 0)
        across /= cv2.resize(self._sector_mm, (1, len(small)))
        along *= along
        across *= across
        slant = across / (along + across + np.float32(1e-5))
        return cv2.resize(slant, labels.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def _borders(self, labels: np.ndarray) -> np.ndarray:
        """Coherent echoes of borders that face the beam."""
        impedance = cv2.GaussianBlur(IMPEDANCE[labels], (5, 5), 1.2)
        along = cv2.Sobel(impedance, cv2.CV_32F, 0, 1, scale=0.125 / self._fan.step_mm)
        across = cv2.Sobel(impedance, cv2.CV_32F, 1, 0, scale=0.125)
        across /= self._sector_mm
        facing = along * along
        facing /= facing + across * across + np.float32(1e-4)
        facing *= facing
        facing *= along
        facing = np.abs(facing)
        facing *= np.float32(_BORDER_MM)
        return facing

    def _received(self, field: np.ndarray) -> np.ndarray:
        """The power of the field through the beam, with haze, clutter and noise."""
        narrow = cv2.sepFilter2D(field, -1, self._narrow, self._axial, borderType=cv2.BORDER_REFLECT)
        wide = cv2.sepFilter2D(field, -1, self._wide, self._axial, borderType=cv2.BORDER_REFLECT)
        wide -= narrow
        wide *= self._share
        narrow += wide
        power = narrow[..., 0] ** 2
        power += narrow[..., 1] ** 2
        small = cv2.resize(power, None, fx=0.125, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.blur(small, (max(3, small.shape[1] // 5 | 1), 3))
        haze = cv2.resize(cv2.sqrt(small), power.shape[::-1], interpolation=cv2.INTER_LINEAR)
        haze *= np.float32(10 ** (self._haze_db / 20))
        haze += self._noise
        fresh = self._bank[int(self._rng.integers(_BANK))]
        turn = int(self._rng.integers(fresh.shape[1]))
        haze = haze[..., None] * np.roll(fresh, turn, axis=1)
        narrow += haze
        narrow += self._clutter
        power = narrow[..., 0] ** 2
        power += narrow[..., 1] ** 2
        return power

    def _noise_field(self, shape: tuple[int, int]) -> np.ndarray:
        """Complex receiver noise of unit power with the pulse's bandwidth, float32 S x L x 2."""
        white = self._rng.standard_normal((*shape, 2), np.float32)
        thin = np.array([[0.45], [0.78], [0.45]], np.float32)
        return cv2.sepFilter2D(white, -1, thin, self._axial, borderType=cv2.BORDER_REFLECT) * np.float32(np.sqrt(0.5))

    def _near_field(self, machine: Machine, bad: float) -> np.ndarray:
        """Echoes of the chest wall and their reverberations, which stand still: float32 S x L x 2."""
        fan, rng = self._fan, self._rng
        depth = fan.ranges_mm[:, None]
        level = 10 ** ((machine.clutter_db - 2 + 8 * bad) / 20) * np.exp(-depth / (7 + 9 * bad))
        cloud = np.exp(-(((depth - rng.uniform(0, 35)) / rng.uniform(20, 55)) ** 2))
        level = level + 10 ** ((machine.clutter_db / 2 - rng.uniform(12, 28) + 14 * bad) / 20) * cloud
        across = np.exp(0.4 * wave(rng, fan.angles / fan.half_angle, 3))[None]
        white = rng.standard_normal((len(depth), len(fan.angles), 2), np.float32) * np.float32(np.sqrt(0.5))
        speckle = cv2.sepFilter2D(white, -1, self._wide, self._axial, borderType=cv2.BORDER_REFLECT)
        bands = np.zeros_like(depth)
        for turn in range(1, 5):
            place = turn * rng.uniform(3, 6) + rng.uniform(0, 2)
            bands += 0.8**turn * np.exp(-(((depth - place) / 0.9) ** 2))
        field = speckle * (level * across)[..., None]
        field[..., 0] += 1.2 * level * bands
        return field.astype(np.float32)


def kernel(fwhm: float) -> np.ndarray:
    """A Gaussian of unit energy, so that it keeps the mean power of speckle; never narrower than its grid."""
    sigma = max(fwhm / 2.355, 0.45)
    reach = int(np.ceil(2.6 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return (kernel / np.sqrt((kernel**2).sum())).astype(np.float32)[:, None]


def compressed(power: np.ndarray, machine: Machine, bad: float) -> np.ndarray:
    """Power in dB on the machine's grey scale, float32, before the grey map; muscle lies at a good third of 255."""
    level = cv2.log(cv2.max(power, float(_FLOOR)))
    level *= np.float32(10 / np.log(10) * 255 / machine.dynamic_range_db)
    level += np.float32(255 * (0.37 + (machine.gain_db - 4 * bad) / machine.dynamic_range_db))
    return np.asarray(level, np.float32)


def wave(rng: np.random.Generator, places: np.ndarray, waves: int) -> np.ndarray:
    """A smooth random curve about 0 with a deviation near 1."""
    total = np.zeros(places.shape, np.float64)
    for order in range(1, waves + 1):
        total += rng.normal(0, 1) / np.sqrt(order) * np.sin(np.pi * order * places + rng.uniform(0, 2 * np.pi))
    return total


def _time_gain(fan: Fan, rng: np.random.Generator, bad: float) -> np.ndarray:
    """What time-gain compensation leaves of the attenuation, dB, S x L, with the weaker edges of the sector."""
    depth = (fan.ranges_mm / fan.depth_mm)[:, None]
    along = 1.6 * wave(rng, depth, 3) - (1 + 4 * bad) * np.maximum(depth - 0.75, 0) * 8
    edge = np.abs(fan.angles / fan.half_angle)[None]
    return along - rng.uniform(4, 14) * np.clip((edge - 0.5) / 0.5, 0, 1) ** 2 + (1.2 + 2 * bad) * wave(rng, edge, 2)


def _surround(fan: Fan, rng: np.random.Generator) -> np.ndarray:
    """How the tissue around the heart differs from place to place, dB, S x L: layers, fat, and lung at the sides."""
    patches = rng.standard_normal((len(fan.ranges_mm), len(fan.angles)), np.float32)
    high, wide = 7 / fan.step_mm, len(fan.angles) / 11
    patches = cv2.GaussianBlur(patches, (0, 0), sigmaX=wide, sigmaY=high)
    streaks = rng.standard_normal((len(fan.ranges_mm), len(fan.angles)), np.float32)
    streaks = cv2.GaussianBlur(streaks, (0, 0), sigmaX=wide / 2, sigmaY=1.6 / fan.step_mm)
    side = np.abs(fan.angles / fan.half_angle)[None]
    lung = rng.uniform(4, 14) * np.clip((side - rng.uniform(0.3, 0.6)) / 0.4, 0, 1)
    total = 6 * patches / patches.std() + 4.5 * streaks / streaks.std() - lung - 2
    return np.asarray(total, np.float32)


def _shadows(fan: Fan, rng: np.random.Generator, bad: float) -> np.ndarray:
    """Shadows of ribs and lung from the probe downwards, dB at most 0, S x L."""
    total = np.zeros((len(fan.ranges_mm), len(fan.angles)))
    share = fan.angles / fan.half_angle
    count = int(rng.poisson(0.5 + 2.5 * bad))
    for index in range(count):
        side = rng.choice((-1, 1))
        middle = side * rng.uniform(0.7, 1.05) if index == 0 or rng.random() > bad else rng.uniform(-0.8, 0.8)
        width = rng.uniform(0.08, 0.16 + 0.15 * bad)
        strength = rng.uniform(6, 14 + 12 * bad)
        begin, clears = rng.uniform(4, 25), rng.uniform(0.3, 1.0)
        over = 1 / (1 + np.exp(-(fan.ranges_mm - begin) / 3)) * np.exp(-fan.ranges_mm / (fan.depth_mm * clears * 2))
        total -= strength * over[:, None] * np.exp(-0.5 * ((share - middle) / width) ** 2)[None]
    return total


def grey_map(machine: Machine) -> np.ndarray:
    """The machine's grey map, uint8 256."""
    level = np.linspace(0, 1, 256)
    bent = level * level * (3 - 2 * level)
    level = (level + machine.knee * (bent - level)) ** machine.gamma
    return np.round(255 * level).astype(np.uint8)
