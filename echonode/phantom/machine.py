"""The look and the physics of one vendor's scanner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

import numpy as np

_STREAM = 211


class Trace(StrEnum):
    """How a machine draws the ECG under a loop."""

    NONE = "none"
    COMPLETE = "complete"
    """The whole trace stands still and a bar moves along it."""
    WIPE = "wipe"
    """The trace is written from left to right over the one before."""


class Ruler(StrEnum):
    """Where a machine marks the depth."""

    LEFT = "left"
    RIGHT = "right"
    EDGE = "edge"
    """Along the left side of the sector."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rectangle:
    """A part of the screen in fractions of its width and height."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (0 <= self.x0 < self.x1 <= 1 and 0 <= self.y0 < self.y1 <= 1):
            raise ValueError(f"a rectangle of the screen must lie inside it, not {self}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One scanner: what its header says, how its beam measures, how its screen looks.

    Angles are degrees, lengths mm, levels dB. `depth_mm` None lets the operator choose the depth that the view needs.

    Raises:
        ValueError: a value no scanner has.
    """

    name: str
    manufacturer: str
    model: str
    software: str
    transducer: str

    rows: int
    columns: int
    channels: int = 3
    image: Rectangle
    """Where the sector may lie; its apex is at the top of it."""
    apex_x: float = 0.5
    """Of the image rectangle's width."""
    overscan: float = 1.0
    """More than 1 enlarges the sector over the edges of its rectangle (a zoomed picture)."""
    sector_deg: float = 85.0
    depth_mm: float | None = None
    footprint_mm: float = 0.0
    """How far the virtual apex lies behind the skin: 0 for a pointed sector."""
    frame_time_ms: float = 100 / 3

    lines: int = 192
    samples: int = 400
    axial_mm: float = 0.9
    """Full width at half maximum of the pulse."""
    beam_deg: float = 1.6
    """Full width at half maximum of the beam in the far field."""
    aperture_mm: float = 2.5
    """Full width at half maximum of the beam in the near field."""

    dynamic_range_db: float = 55.0
    gain_db: float = 0.0
    gamma: float = 1.0
    """Of the grey map: above 1 darkens the mid-greys."""
    knee: float = 0.0
    """0..1: how much the grey map is bent into an S."""
    persistence: float = 0.2
    smoothing: float = 0.0
    """Extra smoothing of the picture, in samples."""
    clutter_db: float = 0.0
    noise_db: float = 0.0
    haze_db: float = 0.0
    """Of side lobes."""
    mirrors: float = 1.0
    """How much brighter than speckle smooth borders come out, against a usual machine."""
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """RGB factors of the grey map."""

    trace: Trace = Trace.COMPLETE
    trace_box: Rectangle | None = None
    trace_rgb: tuple[int, int, int] = (60, 220, 60)
    strip: Rectangle = Rectangle(x0=0.03, y0=0.41, x1=0.925, y1=0.9)
    """Where an M-mode sweep is drawn; the ECG crosses its lower edge."""
    inset: Rectangle = Rectangle(x0=0.33, y0=0.075, x1=0.85, y1=0.385)
    """Where the sector that shows the sweep's line is drawn."""
    ruler: Ruler = Ruler.LEFT
    text_rgb: tuple[int, int, int] = (230, 230, 230)
    panels: tuple[tuple[Rectangle, tuple[int, int, int]], ...] = ()
    """Filled areas: title bars, foot bars, buttons."""
    bars: tuple[Rectangle, ...] = ()
    """Grey (or colour) scales, brightest at the top."""
    words: tuple[tuple[float, float, float, str], ...] = ()
    """x, y, size (fractions of the width, height, height) and text; {bpm}, {depth}, {fps}, {preset} are filled in."""

    def __post_init__(self) -> None:
        if self.rows < 16 or self.columns < 16 or self.channels not in (1, 3):
            raise ValueError("a screen has at least 16 x 16 pixels of one or three channels")
        if not 20 <= self.sector_deg <= 120 or not 10 <= self.dynamic_range_db <= 120:
            raise ValueError("the sector is 20 to 120 degrees and the dynamic range 10 to 120 dB")
        if self.lines < 8 or self.samples < 16 or self.frame_time_ms <= 0:
            raise ValueError("too few lines or samples, or no time between frames")
        if self.depth_mm is not None and not 20 <= self.depth_mm <= 400:
            raise ValueError(f"a depth of {self.depth_mm} mm is none for a heart")

    def __str__(self) -> str:
        return f"{self.manufacturer} {self.model}"


_BAR = (52, 52, 66)
_SLATE = Machine(
    name="slate",
    manufacturer="Northlight Medical",
    model="Slate 5",
    software="NL 4.2.1",
    transducer="P5-2",
    rows=600,
    columns=800,
    image=Rectangle(x0=0.095, y0=0.125, x1=0.905, y1=0.85),
    apex_x=0.51,
    sector_deg=88,
    footprint_mm=4,
    axial_mm=1.2,
    beam_deg=2.0,
    dynamic_range_db=50,
    gain_db=-3,
    gamma=1.15,
    knee=0.3,
    persistence=0.3,
    clutter_db=-8,
    noise_db=-6,
    trace=Trace.COMPLETE,
    trace_box=Rectangle(x0=0.095, y0=0.765, x1=0.895, y1=0.885),
    trace_rgb=(100, 235, 50),
    ruler=Ruler.LEFT,
    panels=(
        (Rectangle(x0=0, y0=0, x1=1, y1=0.065), _BAR),
        (Rectangle(x0=0, y0=0.953, x1=1, y1=1), _BAR),
        *((Rectangle(x0=x, y0=0.96, x1=x + 0.048, y1=0.992), (8, 8, 12)) for x in (0.73, 0.785, 0.84, 0.892, 0.944)),
    ),
    bars=(Rectangle(x0=0.065, y0=0.138, x1=0.08, y1=0.33),),
    words=(
        (0.49, 0.053, 0.026, "{preset}"),
        (0.735, 0.053, 0.026, "{bpm:03d}bpm"),
        (0.88, 0.357, 0.024, "MIm:1.4"),
        (0.925, 0.417, 0.024, "80"),
        (0.925, 0.455, 0.024, "DR"),
        (0.925, 0.482, 0.024, "50"),
        (0.055, 0.62, 0.024, "P5-2"),
        (0.055, 0.648, 0.024, "T4.2"),
        (0.055, 0.705, 0.024, "{fps} fps"),
        (0.18, 0.985, 0.022, "STORE: 71% FREE"),
    ),
)
_COBALT = Machine(
    name="cobalt",
    manufacturer="MERIDIAN",
    model="Cobalt XP",
    software="7.0",
    transducer="3V2c",
    rows=480,
    columns=640,
    image=Rectangle(x0=0.0, y0=0.02, x1=1.0, y1=0.96),
    overscan=1.25,
    sector_deg=90,
    frame_time_ms=40,
    axial_mm=0.8,
    beam_deg=1.7,
    aperture_mm=3,
    dynamic_range_db=54,
    gain_db=-3.5,
    gamma=1.1,
    persistence=0.1,
    clutter_db=4,
    noise_db=4,
    haze_db=7,
    mirrors=0.55,
    tint=(0.9, 0.9, 1.08),
    trace=Trace.NONE,
    strip=Rectangle(x0=0.05, y0=0.34, x1=0.94, y1=0.93),
    inset=Rectangle(x0=0.25, y0=0.075, x1=0.75, y1=0.325),
    ruler=Ruler.EDGE,
    panels=tuple(
        (Rectangle(x0=x, y0=y, x1=x + 0.22, y1=y + 0.006), (110, 190, 160)) for x in (0.0, 0.78) for y in (0.06, 0.973)
    ),
    words=((0.02, 0.045, 0.024, "{preset}  {bpm} BPM"), (0.86, 0.045, 0.024, "{depth} mm")),
)
_HARBOUR = Machine(
    name="harbour",
    manufacturer="Harbour Instruments",
    model="HI 5500",
    software="B.1",
    transducer="S4",
    rows=430,
    columns=480,
    image=Rectangle(x0=0.05, y0=0.012, x1=0.95, y1=0.83),
    sector_deg=80,
    frame_time_ms=30,
    axial_mm=0.8,
    beam_deg=1.7,
    dynamic_range_db=54,
    gain_db=-1.5,
    gamma=1.1,
    persistence=0.25,
    clutter_db=4,
    noise_db=4,
    haze_db=5,
    mirrors=0.6,
    trace=Trace.COMPLETE,
    trace_box=Rectangle(x0=0.083, y0=0.865, x1=0.535, y1=0.95),
    trace_rgb=(40, 190, 70),
    ruler=Ruler.EDGE,
    bars=(Rectangle(x0=0.965, y0=0.045, x1=0.998, y1=0.44),),
    words=((0.23, 0.19, 0.026, "S"), (0.02, 0.045, 0.026, "{preset}"), (0.02, 0.085, 0.026, "{bpm} bpm")),
)
_POCKET = Machine(
    name="pocket",
    manufacturer="Fieldsound, Inc.",
    model="Pocket T",
    software="60.80.102",
    transducer="P21x",
    rows=480,
    columns=640,
    image=Rectangle(x0=0.14, y0=0.085, x1=0.86, y1=0.86),
    sector_deg=76,
    footprint_mm=9,
    lines=160,
    axial_mm=1.4,
    beam_deg=2.6,
    aperture_mm=4,
    dynamic_range_db=62,
    gain_db=-8,
    gamma=1.25,
    persistence=0.35,
    smoothing=0.9,
    clutter_db=-3,
    noise_db=-1,
    haze_db=2,
    mirrors=0.8,
    trace=Trace.NONE,
    ruler=Ruler.RIGHT,
    panels=tuple(
        (Rectangle(x0=0.13 + 0.128 * k, y0=0.948, x1=0.252 + 0.128 * k, y1=0.995), (38, 44, 62)) for k in range(6)
    ),
    words=(
        (0.01, 0.045, 0.03, "{preset}"),
        (0.01, 0.09, 0.03, "Gen THI"),
        (0.93, 0.09, 0.03, "Crd"),
        (0.93, 0.14, 0.03, "P21"),
        (0.94, 0.3, 0.03, "MI"),
        (0.94, 0.34, 0.03, "0.9"),
        (0.17, 0.98, 0.024, "Gen"),
        (0.42, 0.98, 0.024, "Sector"),
        (0.8, 0.98, 0.024, "Page 1/3"),
    ),
)
_AURORA = Machine(
    name="aurora",
    manufacturer="Aalto Ultrasound",
    model="Aurora E9",
    software="203.72",
    transducer="M5S-D",
    rows=708,
    columns=1016,
    image=Rectangle(x0=0.12, y0=0.03, x1=0.92, y1=0.9),
    sector_deg=75,
    frame_time_ms=20,
    lines=200,
    samples=440,
    axial_mm=0.8,
    beam_deg=1.5,
    dynamic_range_db=60,
    gain_db=0,
    gamma=1.2,
    knee=0.5,
    persistence=0.3,
    smoothing=0.6,
    clutter_db=-5,
    noise_db=-4,
    tint=(1.0, 0.93, 0.8),
    trace=Trace.WIPE,
    trace_box=Rectangle(x0=0.05, y0=0.9, x1=0.93, y1=0.985),
    trace_rgb=(60, 230, 230),
    strip=Rectangle(x0=0.04, y0=0.4, x1=0.94, y1=0.95),
    inset=Rectangle(x0=0.3, y0=0.02, x1=0.8, y1=0.38),
    ruler=Ruler.RIGHT,
    bars=(Rectangle(x0=0.965, y0=0.05, x1=0.98, y1=0.2),),
    words=(
        (0.02, 0.04, 0.02, "{preset}"),
        (0.02, 0.07, 0.02, "M5S-D  FR {fps}"),
        (0.02, 0.1, 0.02, "{depth} mm  1.7/3.4"),
        (0.94, 0.985, 0.024, "{bpm}"),
    ),
)
_GRANITE = Machine(
    name="granite",
    manufacturer="Granite Cardiac Systems",
    model="G7",
    software="2.3",
    transducer="X5-1",
    rows=600,
    columns=800,
    channels=1,
    image=Rectangle(x0=0.1, y0=0.04, x1=0.9, y1=0.86),
    sector_deg=86,
    frame_time_ms=20,
    footprint_mm=2,
    axial_mm=1.0,
    beam_deg=1.6,
    dynamic_range_db=56,
    gain_db=-3,
    gamma=1.2,
    knee=0.4,
    persistence=0.35,
    smoothing=0.4,
    clutter_db=-4,
    noise_db=-1,
    haze_db=2,
    mirrors=0.9,
    trace=Trace.WIPE,
    trace_box=Rectangle(x0=0.06, y0=0.87, x1=0.92, y1=0.97),
    trace_rgb=(200, 200, 200),
    strip=Rectangle(x0=0.06, y0=0.36, x1=0.93, y1=0.94),
    inset=Rectangle(x0=0.3, y0=0.03, x1=0.75, y1=0.34),
    ruler=Ruler.RIGHT,
    bars=(Rectangle(x0=0.955, y0=0.06, x1=0.97, y1=0.23),),
    words=(
        (0.015, 0.05, 0.022, "FR {fps}Hz"),
        (0.015, 0.08, 0.022, "{depth} mm"),
        (0.015, 0.14, 0.022, "2D"),
        (0.015, 0.168, 0.022, " 58%"),
        (0.015, 0.196, 0.022, " C 50"),
        (0.86, 0.05, 0.022, "M3"),
        (0.925, 0.985, 0.022, "{bpm} bpm"),
    ),
)

MACHINES: Mapping[str, Machine] = MappingProxyType(
    {look.name: look for look in (_SLATE, _COBALT, _HARBOUR, _POCKET, _AURORA, _GRANITE)}
)
"""The named looks. The makers and models are invented."""


def machine(name_or_seed: str | int) -> Machine:
    """A scanner: a named one of `MACHINES`, or, from a seed, one of its own, somewhere between and around them.

    Raises:
        ValueError: no machine has this name.
    """
    if isinstance(name_or_seed, str):
        if name_or_seed not in MACHINES:
            raise ValueError(f"no machine is called {name_or_seed!r}; there are {', '.join(MACHINES)}")
        return MACHINES[name_or_seed]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([name_or_seed, _STREAM])))
    looks = tuple(MACHINES.values())
    shell, beam, screen = (looks[int(index)] for index in rng.integers(len(looks), size=3))
    warmth = rng.uniform(-0.12, 0.08)
    grey = shell.channels == 1 or rng.random() < 0.5
    return replace(
        shell,
        name=f"look-{name_or_seed}",
        model=f"{shell.model[:1]}{int(rng.integers(10, 990))}",
        software=f"{int(rng.integers(1, 9))}.{int(rng.integers(0, 9))}",
        sector_deg=float(np.clip(beam.sector_deg + rng.normal(0, 5), 60, 100)),
        footprint_mm=float(beam.footprint_mm * rng.uniform(0, 1.3)),
        frame_time_ms=float(rng.choice((15, 20, 25, 30, 100 / 3, 40))),
        axial_mm=float(beam.axial_mm * rng.uniform(0.8, 1.25)),
        beam_deg=float(beam.beam_deg * rng.uniform(0.8, 1.25)),
        aperture_mm=float(beam.aperture_mm * rng.uniform(0.8, 1.4)),
        dynamic_range_db=float(screen.dynamic_range_db + rng.uniform(-6, 8)),
        gain_db=float(screen.gain_db + rng.normal(0, 2.5)),
        gamma=float(screen.gamma * rng.uniform(0.9, 1.15)),
        knee=float(rng.uniform(0, 0.6)),
        persistence=float(rng.uniform(0.05, 0.45)),
        smoothing=float(screen.smoothing * rng.uniform(0, 1.2)),
        clutter_db=float(beam.clutter_db + rng.normal(0, 2)),
        noise_db=float(beam.noise_db + rng.normal(0, 2)),
        haze_db=float(beam.haze_db + rng.normal(0, 2)),
        mirrors=float(beam.mirrors * rng.uniform(0.7, 1.2)),
        tint=(1.0, 1.0, 1.0) if grey else (1 + min(warmth, 0), 1 - abs(warmth) / 2, 1 - max(warmth, 0)),
    )
