"""A loop of the simulated heart as a scanner shows it, with everything that is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from echonode.core.clip import Region
from echonode.phantom.colour import ColourBox
from echonode.phantom.heart import Heart, Label
from echonode.phantom.machine import Machine
from echonode.phantom.patient import Patient
from echonode.phantom.receiver import Receiver
from echonode.phantom.screen import Screen
from echonode.phantom.speckle import Scatterers
from echonode.phantom.transducer import Fan, fan_of
from echonode.phantom.truth import LoopTruth, loop_truth
from echonode.phantom.views import Plane, View
from echonode.phantom.views import plane as plane_of

_STREAM = 212
_CHAMBERS = (Label.LV, Label.MYOCARDIUM, Label.LA, Label.RV, Label.RA)


@dataclass(frozen=True, kw_only=True, eq=False)
class Acquisition:
    """One simulated loop: its frames, its calibration and its truth.

    `frames` are uint8 T x H x W x C (C = 1 luma or 3 RGB) at `times_ms` from the first. `labels` are uint8 T x H x W,
    values of `Label`, 0 outside the sector; None when they were not asked for. `r_waves_ms` are the R waves within the
    loop on the same clock. `heart_rate_bpm` is the rate as the screen shows it: a whole number, averaged. `regions` is the
    2D region in cm a pixel, then the region of the ECG where the machine draws one. `machine` is the look as it was used,
    its depth filled in.
    """

    frames: np.ndarray
    times_ms: np.ndarray
    view: View
    machine: Machine
    plane: Plane
    regions: tuple[Region, ...]
    r_waves_ms: tuple[float, ...]
    heart_rate_bpm: float
    labels: np.ndarray | None
    stage: str | None
    truth: LoopTruth
    colour: bool


def acquire(
    patient: Patient,
    *,
    view: View,
    machine: Machine,
    seed: int,
    frames: int = 60,
    frame_time_ms: float = 100 / 3,
    times_ms: Sequence[float] | None = None,
    rows: int | None = None,
    columns: int | None = None,
    colour: bool = False,
    labels: bool = True,
    overlays: bool = True,
    quality: float = 1.0,
    stage: str | None = None,
    plane: Plane | None = None,
) -> Acquisition:
    """A loop of `patient` in `view`, seen by `machine`: the same arguments give the same bytes.

    `times_ms` replaces `frames` and `frame_time_ms`. `rows`, `columns` replace the machine's raster; lines and samples
    follow it. Without `overlays` the sector fills the whole raster and nothing else is drawn. `quality` runs from 1 (an
    excellent window) to 0 (no diagnosis is possible). `plane` replaces the one that the seed's operator finds.

    Raises:
        ValueError: no frames, times that do not rise, or a quality outside 0 to 1.
    """
    clock = _clock(frames, frame_time_ms, times_ms)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, patient.seed, _STREAM])))
    heart = Heart(patient)
    plane = plane_of(view, patient, seed=seed) if plane is None else plane
    start_s = 4.0 + float(rng.uniform(0, 60 / patient.heart_rate_bpm))
    times_s = start_s + clock / 1000
    depth_mm = machine.depth_mm or needed_depth_mm(heart, plane, start_s)
    machine = replace(machine, depth_mm=depth_mm, rows=rows or machine.rows, columns=columns or machine.columns)
    fan = fan_of(machine, overlays=overlays)
    waves = heart.beats(float(clock[-1] + np.diff(clock, append=clock[-1] + frame_time_ms)[-1]) / 1000, start_s)
    rate = shown_rate(heart, float(times_s[-1]))
    screen = Screen(machine, fan, heart, rng=rng, times_s=times_s, rate=rate, colour=colour, overlays=overlays)
    receiver = receiver_of(machine, fan, rng=rng, quality=quality)
    box = ColourBox(heart, fan, plane, view=view, rng=rng) if colour else None
    converter = fan.label_converter() if labels else None
    points = bent(fan.points(plane), fan, rng=rng)
    y0, y1, x0, x1 = fan.box
    channels = 3 if colour else machine.channels
    loop = np.empty((len(clock), machine.rows, machine.columns, channels), np.uint8)
    maps = np.zeros(loop.shape[:3], np.uint8) if labels else None
    for index, time_s in enumerate(times_s):
        tissue = heart.tissue(points, float(time_s))
        polar = receiver.picture(tissue)
        flow = None if box is None else box.picture(tissue.labels, polar, float(time_s))
        screen.show(loop[index], fan.convert(polar), None if flow is None else fan.convert(flow), float(time_s))
        if converter is not None and maps is not None:
            maps[index, y0:y1, x0:x1] = converter.convert(tissue.labels)
    return Acquisition(
        frames=loop,
        times_ms=clock,
        view=view,
        machine=machine,
        plane=plane,
        regions=(fan.region(), *screen.regions),
        r_waves_ms=tuple(1000 * (wave - start_s) for wave in waves),
        heart_rate_bpm=float(rate),
        labels=maps,
        stage=stage,
        truth=_on_clock(loop_truth(heart, view, plane, times_s), start_s),
        colour=colour,
    )


def _on_clock(truth: LoopTruth, start_s: float) -> LoopTruth:
    """The truth with the heart's times counted from the loop's first frame."""
    return replace(
        truth,
        r_waves_s=tuple(wave - start_s for wave in truth.r_waves_s),
        beats=tuple(
            replace(beat, r_wave_s=beat.r_wave_s - start_s, end_systole_s=beat.end_systole_s - start_s)
            for beat in truth.beats
        ),
    )


def needed_depth_mm(heart: Heart, plane: Plane, time_s: float) -> float:
    """The depth that an operator sets so that the whole heart shows, in whole cm."""
    ranges = np.arange(4, 220, 6, dtype=np.float32)
    angles = np.deg2rad(np.arange(-28, 29, 4, dtype=np.float32))
    deep, across = ranges[:, None] * np.cos(angles), ranges[:, None] * np.sin(angles)
    points = plane.position + deep[..., None] * plane.depth + across[..., None] * plane.lateral
    found = np.isin(heart.tissue(np.asarray(points, np.float32), time_s).labels, _CHAMBERS).any(axis=1)
    deepest = float(ranges[found].max()) if found.any() else 140.0
    return float(np.clip(np.ceil((deepest + 16) / 10) * 10, 100, 230))


def bent(points_mm: np.ndarray, fan: Fan, *, rng: np.random.Generator) -> np.ndarray:
    """The samples' places as the tissue bends the beams: about a mm aside, so that no border comes out perfectly smooth."""
    shape = (*points_mm.shape[:2], 3)
    aside = cv2.resize(rng.standard_normal((22, 16, 3), np.float32), shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(points_mm + float(rng.uniform(0.7, 1.4)) * aside, np.float32)


def receiver_of(machine: Machine, fan: Fan, *, rng: np.random.Generator, quality: float) -> Receiver:
    """What a machine receives along a fan, from scatterers of its own."""
    scatterers = Scatterers(rng, grain_mm=max(0.55, 0.8 * fan.step_mm), texture_mm=float(rng.uniform(0.7, 1.1)))
    return Receiver(machine, fan, scatterers, rng=rng, quality=quality)


def shown_rate(heart: Heart, time_s: float) -> int:
    """The heart rate on the screen: from the last beats before a time, a whole number."""
    waves = heart.beats(8.0, time_s - 8.0)
    if len(waves) < 2:
        return round(heart.patient.heart_rate_bpm)
    return round(60 * (len(waves) - 1) / (waves[-1] - waves[0]))


def _clock(frames: int, frame_time_ms: float, times_ms: Sequence[float] | None) -> np.ndarray:
    clock: np.ndarray = np.arange(frames) * float(frame_time_ms)
    if times_ms is not None:
        clock = np.asarray(times_ms, np.float64)
    if clock.ndim != 1 or len(clock) == 0 or (np.diff(clock) <= 0).any():
        raise ValueError("a loop needs at least one frame, and times that rise")
    return np.asarray(clock - clock[0])
