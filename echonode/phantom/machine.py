"""The look and the physics of one vendor's scanner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """RGB factors of the grey map."""

    trace: Trace = Trace.COMPLETE
    trace_box: Rectangle | None = None
    trace_rgb: tuple[int, int, int] = (60, 220, 60)
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
