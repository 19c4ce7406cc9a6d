"""An M-mode sweep of the simulated heart as a scanner shows it, with the boundaries that are in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from echonode.core.clip import Region, SpatialFormat
from echonode.phantom import ecg
from echonode.phantom.acquire import needed_depth_mm, receiver_of, shown_rate
from echonode.phantom.heart import Heart
from echonode.phantom.line_receiver import LineReceiver
from echonode.phantom.machine import Machine, Rectangle
from echonode.phantom.overlay import Canvas, TraceStrip, furnish, greys
from echonode.phantom.patient import Patient
from echonode.phantom.transducer import Fan, fan_of
from echonode.phantom.views import Level, Line, mmode_line

_STREAM = 213
_CENTIMETRES, _SECONDS, _TISSUE = 3, 4, 1
_BORDER = (120, 150, 190)
_MARGIN_S = 0.5
_LINES_PER_S = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class StripBox:
    """Where the strip lies in the picture, in pixels, inclusive, and what a pixel of it is."""

    x0: int
    y0: int
    x1: int
    y1: int
    mm_per_row: float
    s_per_column: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SweepTruth:
    """What is true of the swept line.

    `lvidd_mm`, `lvids_mm` have one entry for each whole beat that the strip shows; `ivsd_mm`, `lvpwd_mm` too. They are empty
    off the LV level. `boundaries` is float32 4 x strip columns, in rows of the strip counted from its top: top of the septum,
    bottom of the septum (the top of the cavity), top of the posterior wall (the bottom of the cavity), bottom of the posterior
    wall; NaN where there is none and off the LV level.
    """

    lvidd_mm: tuple[float, ...]
    lvids_mm: tuple[float, ...]
    ivsd_mm: tuple[float, ...]
    lvpwd_mm: tuple[float, ...]
    heart_rate_bpm: float
    boundaries: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sweep:
    """One simulated M-mode picture: `frame` uint8 H x W x 3, its calibrated regions and its truth.

    `regions` is the small 2D sector (cm, cm), the strip (s, cm), and the ECG. `strip` says where the strip lies.
    `r_waves_s` are counted from the strip's left edge, `r_wave_columns` are the same in columns of the strip.
    """

    frame: np.ndarray
    regions: tuple[Region, ...]
    level: Level
    machine: Machine
    strip: StripBox
    r_waves_s: tuple[float, ...]
    r_wave_columns: tuple[float, ...]
    heart_rate_bpm: float
    truth: SweepTruth


def sweep(
    patient: Patient,
    *,
    level: Level,
    machine: Machine,
    seed: int,
    seconds: float = 3.0,
    rows: int | None = None,
    columns: int | None = None,
    quality: float = 1.0,
) -> Sweep:
    """A sweep of the line at `level` of `patient`, seen by `machine`: the same arguments give the same bytes.

    The strip shows `seconds` of it, under a small sector with the line, with the ECG across its lower edge.

    Raises:
        ValueError: no time, or a quality outside 0 to 1.
    """
    if seconds <= 0:
        raise ValueError(f"a sweep takes time, not {seconds} s")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, patient.seed, _STREAM])))
    heart = Heart(patient)
    line = mmode_line(level, patient)
    line = replace(line, angle_radians=line.angle_radians + float(np.deg2rad(rng.normal(0, 1.2))))
    start_s = 4.0 + float(rng.uniform(0, 60 / patient.heart_rate_bpm))
    depth_mm = machine.depth_mm or needed_depth_mm(heart, line.plane, start_s)
    machine = replace(machine, depth_mm=depth_mm, rows=rows or machine.rows, columns=columns or machine.columns)
    fan = fan_of(machine, overlays=True, image=machine.inset)
    box = _strip_box(machine, seconds=seconds)
    width, height = box.x1 - box.x0 + 1, box.y1 - box.y0 + 1
    rate = shown_rate(heart, start_s + seconds)

    canvas = Canvas(machine.rows, machine.columns)
    _furnish(canvas, machine, fan, box, rate=rate, seconds=seconds)
    frame = canvas.screen()
    sector = receiver_of(machine, fan, rng=rng, quality=quality).picture(
        heart.tissue(fan.points(line.plane), start_s + seconds)
    )
    y0, y1, x0, x1 = fan.box
    picture = cv2.applyColorMap(fan.convert(sector), greys(machine)[:, None])
    frame[y0:y1, x0:x1] = cv2.max(picture, frame[y0:y1, x0:x1])
    _dotted(frame, fan, line)

    receiver = LineReceiver(machine, line, samples=max(96, min(440, round(1.15 * height))), rng=rng, quality=quality)
    times_s = start_s + (np.arange(width) + 0.5) * box.s_per_column
    lines = min(width, max(64, round(_LINES_PER_S * seconds)))
    received = receiver.picture(heart, start_s + (np.arange(lines) + 0.5) * (seconds / lines))
    swept = cv2.resize(received, (width, height), interpolation=cv2.INTER_AREA if lines == width else cv2.INTER_LINEAR)
    inside = frame[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1]
    np.copyto(inside, cv2.applyColorMap(swept, greys(machine)[:, None]))
    trace = _trace(frame, machine, box, heart, rng=rng, start_s=start_s, seconds=seconds)

    waves = tuple(wave - start_s for wave in heart.beats(seconds, start_s))
    return Sweep(
        frame=frame,
        regions=(fan.region(), _strip_region(box), trace.region()),
        level=level,
        machine=machine,
        strip=box,
        r_waves_s=waves,
        r_wave_columns=tuple(wave / box.s_per_column - 0.5 for wave in waves),
        heart_rate_bpm=float(rate),
        truth=_truth(heart, line, box, times_s=times_s, rate=rate),
    )


def _truth(heart: Heart, line: Line, box: StripBox, *, times_s: np.ndarray, rate: int) -> SweepTruth:
    if line.level is not Level.LV:
        nothing = np.full((4, len(times_s)), np.nan, np.float32)
        return SweepTruth(
            lvidd_mm=(), lvids_mm=(), ivsd_mm=(), lvpwd_mm=(), heart_rate_bpm=float(rate), boundaries=nothing
        )
    walls = np.array([heart.walls_mm(line, float(time)) for time in times_s]).T
    start, end = times_s[0] - box.s_per_column / 2, times_s[-1] + box.s_per_column / 2
    beats = [wave for wave in heart.beats(float(end - start), float(start)) if heart.end_systole_s(wave) < end]
    diastole = [heart.walls_mm(line, wave) for wave in beats]
    systole = [heart.walls_mm(line, heart.end_systole_s(wave)) for wave in beats]
    return SweepTruth(
        lvidd_mm=tuple(float(wall[2] - wall[1]) for wall in diastole),
        lvids_mm=tuple(float(wall[2] - wall[1]) for wall in systole),
        ivsd_mm=tuple(float(wall[1] - wall[0]) for wall in diastole),
        lvpwd_mm=tuple(float(wall[3] - wall[2]) for wall in diastole),
        heart_rate_bpm=float(rate),
        boundaries=(walls / box.mm_per_row - 0.5).astype(np.float32),
    )


def _strip_box(machine: Machine, *, seconds: float) -> StripBox:
    where = machine.strip
    x0, x1 = round(where.x0 * machine.columns), round(where.x1 * machine.columns)
    y0, y1 = round(where.y0 * machine.rows), round(where.y1 * machine.rows)
    if machine.depth_mm is None:
        raise ValueError("the operator has not set a depth")
    return StripBox(
        x0=x0,
        y0=y0,
        x1=x1 - 1,
        y1=y1 - 1,
        mm_per_row=machine.depth_mm / (y1 - y0),
        s_per_column=seconds / (x1 - x0),
    )


def _strip_region(box: StripBox) -> Region:
    return Region(
        spatial_format=SpatialFormat.M_MODE,
        data_type=_TISSUE,
        flags=2,
        x0=box.x0,
        y0=box.y0,
        x1=box.x1,
        y1=box.y1,
        units_x=_SECONDS,
        units_y=_CENTIMETRES,
        delta_x=box.s_per_column,
        delta_y=box.mm_per_row / 10,
        reference_x=box.x1 - box.x0,
        reference_y=0,
    )


def _furnish(canvas: Canvas, machine: Machine, fan: Fan, box: StripBox, *, rate: int, seconds: float) -> None:
    """Draw what surrounds the sector and the strip: bars and words of the top, depth and time marks of the strip."""
    size, colour = canvas.rows / 600, machine.text_rgb
    top = tuple(panel for panel in machine.panels if panel[0].y1 < machine.inset.y0 or panel[0].y0 > machine.strip.y1)
    words = tuple(word for word in machine.words if word[1] < min(machine.strip.y0, 0.3) and "fps" not in word[3])
    bars = tuple(_shortened(bar, machine.strip) for bar in machine.bars)
    said = {"bpm": rate, "depth": round(fan.depth_mm), "preset": "Adult Heart"}
    furnish(canvas, replace(machine, panels=top, words=words, bars=bars), fan, said=said)
    right, bottom = box.x1 + 1, box.y1 + 1
    corners = np.array([(box.x0, box.y0), (right, box.y0), (right, bottom), (box.x0, bottom), (box.x0, box.y0)])
    canvas.line(corners - 0.5, colour=_BORDER)
    for cm in range(int((bottom - box.y0) * box.mm_per_row // 10) + 1):
        y, long = box.y0 + cm * 10 / box.mm_per_row, 6 if cm % 5 == 0 else 3
        canvas.line(np.array([(right, y), (right + long * size, y)]), colour=colour)
        if cm % 5 == 0:
            canvas.words(str(cm), right + 9 * size, y + 5 * size, height=14 * size, colour=colour)
    for tick in range(int(seconds * 5) + 1):
        x, long = right - tick * 0.2 / box.s_per_column, 7 if tick % 5 == 0 else 3
        canvas.line(np.array([(x, bottom), (x, bottom + long * size)]), colour=colour)
        if tick % 5 == 0:
            canvas.words(str(-tick // 5), x - 7 * size, bottom + 20 * size, height=14 * size, colour=colour)


def _shortened(bar: Rectangle, strip: Rectangle) -> Rectangle:
    """A grey scale that ends above the strip."""
    return replace(bar, y1=max(bar.y0 + 0.01, min(bar.y1, strip.y0 - 0.02)))


def _dotted(frame: np.ndarray, fan: Fan, line: Line) -> None:
    """Dot the swept line over the small sector."""
    radius = max(1, round(frame.shape[0] / 600))
    for depth in np.arange(0, fan.depth_mm, 5):
        x = fan.apex[0] + depth * np.sin(line.angle_radians) / fan.mm_per_pixel
        y = fan.apex[1] + depth * np.cos(line.angle_radians) / fan.mm_per_pixel
        cv2.circle(frame, (round(x), round(y)), radius - 1, (210, 210, 160), -1)


def _trace(
    frame: np.ndarray,
    machine: Machine,
    box: StripBox,
    heart: Heart,
    *,
    rng: np.random.Generator,
    start_s: float,
    seconds: float,
) -> TraceStrip:
    """Draw the ECG across the lower edge of the strip, in step with it."""
    rows, columns = frame.shape[:2]
    high = (box.y1 - box.y0) / rows * 0.16
    low = (box.y1 + 1) / rows
    where = Rectangle(
        x0=box.x0 / columns, y0=low - 0.72 * high, x1=(box.x1 + 1) / columns, y1=min(1.0, low + 0.28 * high)
    )
    strip = TraceStrip(where, rows=rows, columns=columns, start_s=start_s, seconds=seconds)
    times = start_s + np.linspace(0, seconds, 2 * (box.x1 - box.x0 + 1))
    waves = heart.beats(seconds + 2 * _MARGIN_S + 2, start_s - _MARGIN_S - 1)
    shape = ecg.lead(rng, fibrillates=heart.patient.fibrillates)
    points = strip.points(ecg.voltage(times, waves, shape=shape, rng=rng))
    fixed = [np.round(points * 16).astype(np.int32)]
    cv2.polylines(frame, fixed, False, machine.trace_rgb, max(1, round(rows / 600)), cv2.LINE_AA, 4)
    return strip
