"""An M-mode sweep of the simulated heart as a scanner shows it, with the boundaries that are in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from echonode.core.clip import Region
from echonode.phantom.machine import Machine

if TYPE_CHECKING:
    from echonode.phantom.patient import Patient
    from echonode.phantom.views import Level


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
    """A sweep of the line at `level` of `patient`, seen by `machine`."""
    raise NotImplementedError
