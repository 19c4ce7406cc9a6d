"""A loop of the simulated heart as a scanner shows it, with everything that is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from echonode.core.clip import Region
from echonode.phantom import ecg
from echonode.phantom.colour import ColourBox, colour_scale
from echonode.phantom.heart import Heart, Label
from echonode.phantom.machine import Machine, Rectangle, Trace
from echonode.phantom.overlay import Canvas, TraceStrip, furnish, greys
from echonode.phantom.patient import Patient
from echonode.phantom.receiver import Receiver
from echonode.phantom.speckle import Scatterers
from echonode.phantom.transducer import Fan, Frame
from echonode.phantom.truth import LoopTruth, loop_truth
from echonode.phantom.views import Plane, View
from echonode.phantom.views import plane as plane_of

_STREAM = 212
_FULL_ROWS = 600
_PRESETS = ("Adult Heart", "Cardiac", "Adult Echo", "Echo Gen")
_WHOLE = Rectangle(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
_CHAMBERS = (Label.LV, Label.MYOCARDIUM, Label.LA, Label.RV, Label.RA, Label.AORTA)


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
    screen = _Screen(machine, fan, heart, rng=rng, times_s=times_s, rate=rate, colour=colour, overlays=overlays)
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
        truth=loop_truth(heart, view, plane, times_s),
        colour=colour,
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


def fan_of(machine: Machine, *, overlays: bool, image: Rectangle | None = None) -> Fan:
    """The fan that fits a machine's picture (or `image`), with as many lines and samples as its raster can show."""
    image = image or (machine.image if overlays else _WHOLE)
    if machine.depth_mm is None:
        raise ValueError("the operator has not set a depth")
    frame = Frame(
        x0=round(image.x0 * machine.columns),
        y0=round(image.y0 * machine.rows),
        x1=round(image.x1 * machine.columns),
        y1=round(image.y1 * machine.rows),
        apex_x=machine.apex_x if overlays else 0.5,
        overscan=machine.overscan if overlays else 1.0,
    )
    share = min(1.0, max(0.2, 1.25 * (frame.y1 - frame.y0) * frame.overscan / _FULL_ROWS))
    return Fan(
        frame,
        sector_deg=machine.sector_deg,
        depth_mm=machine.depth_mm,
        footprint_mm=machine.footprint_mm,
        lines=max(64, round(machine.lines * share)),
        samples=max(96, round(machine.samples * share)),
    )


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


class _Screen:
    """The screen of one loop: what stands still on it, and what each frame puts into it."""

    def __init__(
        self,
        machine: Machine,
        fan: Fan,
        heart: Heart,
        *,
        rng: np.random.Generator,
        times_s: np.ndarray,
        rate: int,
        colour: bool,
        overlays: bool,
    ) -> None:
        self._fan, self._machine = fan, machine
        self._map = greys(machine)[:, None]
        canvas = Canvas(machine.rows, machine.columns)
        self._strip: TraceStrip | None = None
        frame_ms = 1000 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else machine.frame_time_ms
        if overlays:
            said = {
                "bpm": rate,
                "depth": round(fan.depth_mm),
                "fps": round(1000 / frame_ms),
                "preset": _PRESETS[int(rng.integers(len(_PRESETS)))],
            }
            furnish(canvas, machine, fan, said=said, scale=colour_scale() if colour else None)
            if machine.trace is not Trace.NONE and machine.trace_box is not None:
                self._trace(machine, machine.trace_box, heart, rng=rng, times_s=times_s)
                if machine.trace is Trace.COMPLETE and self._strip is not None:
                    canvas.line(self._points, colour=machine.trace_rgb, width=max(1.0, machine.rows / 600))
        self._still = canvas.screen()
        y0, y1, x0, x1 = fan.box
        self._over = np.ascontiguousarray(self._still[y0:y1, x0:x1])
        self._plain = not self._over.any()

    @property
    def regions(self) -> tuple[Region, ...]:
        """The ECG's region, if there is an ECG."""
        return () if self._strip is None else (self._strip.region(),)

    def _trace(
        self, machine: Machine, where: Rectangle, heart: Heart, *, rng: np.random.Generator, times_s: np.ndarray
    ) -> None:
        start, end = float(times_s[0]), float(times_s[-1])
        if machine.trace is Trace.COMPLETE:
            seconds = max(end - start, 1.2) * float(rng.uniform(1.05, 1.6))
            before = float(rng.uniform(0, 1)) * (seconds - (end - start))
            self._strip = TraceStrip(
                where, rows=machine.rows, columns=machine.columns, start_s=start - before, seconds=seconds
            )
        else:
            seconds = float(rng.uniform(2.5, 4.0))
            self._strip = TraceStrip(
                where, rows=machine.rows, columns=machine.columns, start_s=start - 2 * seconds, seconds=seconds
            )
        pages = max(1, int(np.ceil((end - self._strip.start_s) / seconds)) + 1)
        self._per_page = max(8, 2 * (self._strip.x1 - self._strip.x0))
        times = self._strip.start_s + np.arange(pages * self._per_page) * (seconds / self._per_page)
        waves = heart.beats(float(times[-1] - times[0]) + 3, float(times[0]) - 1.5)
        shape = ecg.lead(rng, fibrillates=heart.patient.fibrillates)
        self._voltages = ecg.voltage(times, waves, shape=shape, rng=rng)
        self._points = self._strip.points(self._voltages[: self._per_page])

    def show(self, frame: np.ndarray, grey: np.ndarray, flow: np.ndarray | None, time_s: float) -> None:
        """Fill `frame` (H, W, C) with the screen at a time; `grey` and `flow` (RGB, black where none) cover the fan's box."""
        y0, y1, x0, x1 = self._fan.box
        single = frame.shape[2] == 1
        full = np.empty((*frame.shape[:2], 3), np.uint8) if single else frame
        np.copyto(full, self._still)
        picture = cv2.applyColorMap(grey, self._map)
        if flow is not None:
            np.copyto(picture, flow, where=(flow.max(axis=2) > 24)[..., None])
        full[y0:y1, x0:x1] = picture if self._plain else cv2.max(picture, self._over)
        if self._strip is not None:
            self._cursor(full, self._strip, time_s)
        if single:
            frame[..., 0] = cv2.cvtColor(full, cv2.COLOR_RGB2GRAY)

    def _cursor(self, full: np.ndarray, strip: TraceStrip, time_s: float) -> None:
        size = self._machine.rows / 600
        colour = self._machine.trace_rgb
        if self._machine.trace is Trace.COMPLETE:
            column = round(strip.column(time_s))
            wide = max(1, round(3 * size))
            full[strip.y0 : strip.y1, column : column + wide] = colour
            return
        page, share = divmod((time_s - strip.start_s) / strip.seconds, 1)
        now = int(share * self._per_page)
        gap = self._per_page // 40
        new = self._voltages[int(page) * self._per_page :][:now]
        old = self._voltages[(int(page) - 1) * self._per_page :][now + gap : self._per_page]
        whole = np.concatenate([new, np.full(self._per_page - len(new) - len(old), np.nan), old])
        points = np.round(strip.points(whole) * 16)
        pieces = [points[: len(new)], points[self._per_page - len(old) :]]
        lines = [piece.astype(np.int32) for piece in pieces if len(piece) > 1]
        cv2.polylines(full, lines, False, colour, max(1, round(size)), cv2.LINE_AA, 4)


def _clock(frames: int, frame_time_ms: float, times_ms: Sequence[float] | None) -> np.ndarray:
    clock: np.ndarray = np.arange(frames) * float(frame_time_ms)
    if times_ms is not None:
        clock = np.asarray(times_ms, np.float64)
    if clock.ndim != 1 or len(clock) == 0 or (np.diff(clock) <= 0).any():
        raise ValueError("a loop needs at least one frame, and times that rise")
    return np.asarray(clock - clock[0])
