"""A loop of the simulated heart as a scanner shows it, with everything that is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from echonode.core.clip import Region
from echonode.phantom.machine import Machine

if TYPE_CHECKING:
    from echonode.phantom.patient import Patient
    from echonode.phantom.truth import LoopTruth
    from echonode.phantom.views import Plane, View


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
    """A loop of `patient` in `view`, seen by `machine`."""
    raise NotImplementedError
