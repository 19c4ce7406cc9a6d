"""What goes into a runner: decoded frames with their times, calibration and identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np

from echonode.core.codes import Code


class Mode(StrEnum):
    """What an ultrasound object shows, from its regions, ImageType and pixels."""

    B_MODE = "2d"
    COLOUR = "2d-colour"
    M_MODE = "m-mode"
    COLOUR_M_MODE = "colour-m-mode"
    PW = "pw"
    CW = "cw"
    TDI = "tdi"
    VOLUME = "3d"
    REPORT = "report"
    UNKNOWN = "unknown"


class SpatialFormat(IntEnum):
    """Region Spatial Format (0018,6012), PS3.3 C.8.5.5.1.1."""

    NONE = 0
    TWO_D = 1
    M_MODE = 2
    SPECTRAL = 3
    WAVEFORM = 4
    GRAPHICS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """One item of the Sequence of Ultrasound Regions (0018,6011); locations in pixels, inclusive, as written.

    `delta_x`, `delta_y` are physical units a pixel and may be negative (a velocity axis that points up);
    `units_x`, `units_y` are the codes of PS3.3 C.8.5.5.1.15 (3 cm, 4 s, 7 cm/s). None where the header has none.
    """

    spatial_format: int
    data_type: int
    flags: int = 0
    x0: int
    y0: int
    x1: int
    y1: int
    units_x: int | None = None
    units_y: int | None = None
    delta_x: float | None = None
    delta_y: float | None = None
    reference_x: int | None = None
    reference_y: int | None = None

    @property
    def calibrated(self) -> bool:
        """Whether both axes have a unit and a finite, non-zero size."""
        return all(
            unit not in (None, 0) and delta is not None and np.isfinite(delta) and delta != 0
            for unit, delta in ((self.units_x, self.delta_x), (self.units_y, self.delta_y))
        )

    def within(self, *, rows: int, columns: int) -> bool:
        """Whether the box is a box and lies inside the image."""
        return 0 <= self.x0 < self.x1 < columns and 0 <= self.y0 < self.y1 < rows


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceIdentity:
    """Which stored object a clip was decoded from; empty UIDs for a video file or a folder of pictures."""

    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    series_uid: str = ""
    study_uid: str = ""
    pixel_digest: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """Frames uint8 T x H x W x C (C = 1 luma or 3 RGB), with the time of each frame in ms from the first.

    Raises:
        ValueError: wrong dtype or shape, or times that do not rise.
    """

    frames: np.ndarray
    times_ms: np.ndarray
    source: SourceIdentity = field(default_factory=SourceIdentity)
    regions: tuple[Region, ...] = ()
    mode: Mode = Mode.UNKNOWN
    view: Code | None = None
    stage: str | None = None
    heart_rate: float | None = None
    timed: bool = True
    """False when no time was found in the source and `times_ms` are a stated guess."""
    r_waves_ms: tuple[float, ...] = ()
    """R waves on the clock of `times_ms`, as the scanner found them; empty where the source tells none."""

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[3] not in (1, 3):
            raise ValueError(f"frames must be uint8 T x H x W x (1|3), not {self.frames.dtype} {self.frames.shape}")
        if self.times_ms.shape != (len(self.frames),) or (np.diff(self.times_ms) <= 0).any():
            raise ValueError("times_ms must rise and have one entry a frame")
