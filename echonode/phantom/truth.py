"""What a perfect observer would report of a loop: volumes, diameters, timing, wall motion, and the disks of its plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echonode.phantom.heart import Heart
from echonode.phantom.segments import SEGMENTS
from echonode.phantom.views import Plane, View

DISKS = 20
_SPACING_MM = 0.5
_APICAL = (View.A4C, View.A2C, View.A3C)
_SEEN: dict[View, tuple[int, ...]] = {
    View.PLAX: (2, 5, 8, 11),
    View.A4C: (3, 6, 9, 12, 14, 16, 17),
    View.A5C: (3, 6, 9, 12, 14, 16, 17),
    View.SUBCOSTAL: (3, 6, 9, 12, 14, 16, 17),
    View.A2C: (1, 4, 7, 10, 13, 15, 17),
    View.A3C: (2, 5, 8, 11, 14, 16, 17),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentTruth:
    """A segment of the AHA's 17 (`number` from 1), its name, and its score: 1 normal ... 4 dyskinetic."""

    number: int
    name: str
    score: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BeatTruth:
    """One beat whose R wave lies in the loop; frames are None where the loop ends before."""

    r_wave_s: float
    end_systole_s: float
    ed_frame: int | None
    es_frame: int | None
    lvidd_mm: float
    lvids_mm: float
    ivsd_mm: float
    lvpwd_mm: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopTruth:
    """The truth of one loop; times on the loop's own clock, diameters on the PLAX M-mode line at the chordal level.

    `disks_*` are what the method of disks gives on this plane's own contour alone (an unforeshortened plane comes out
    near the true volume, a foreshortened one below); None where the view has no such contour.
    """

    view: View
    ef_percent: float
    edv_ml: float
    esv_ml: float
    volumes_ml: tuple[float, ...]
    r_waves_s: tuple[float, ...]
    beats: tuple[BeatTruth, ...]
    ed_frames: tuple[int, ...]
    es_frames: tuple[int, ...]
    lvidd_mm: float
    lvids_mm: float
    segments: tuple[SegmentTruth, ...]
    disks_edv_ml: float | None
    disks_esv_ml: float | None

    @property
    def disks_ef_percent(self) -> float | None:
        """The ejection fraction that a perfect single-plane method of disks would find in this loop."""
        if self.disks_edv_ml is None or self.disks_esv_ml is None:
            return None
        return 100 * (1 - self.disks_esv_ml / self.disks_edv_ml)


def loop_truth(heart: Heart, view: View, plane: Plane, times_s: Sequence[float] | NDArray[np.floating]) -> LoopTruth:
    """The truth of frames taken at `times_s` (heart's time, rising) in a plane."""
    times = np.asarray(times_s, np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.03
    waves = heart.beats(float(times[-1] - times[0]) + step, float(times[0]))
    beats = tuple(_beat(heart, wave, times=times, step=step) for wave in waves)
    ed_s = waves[0] if waves else heart.beats(10.0, float(times[-1]))[0]
    es_s = heart.end_systole_s(ed_s)
    apical = view in _APICAL
    return LoopTruth(
        view=view,
        ef_percent=heart.patient.ef_percent,
        edv_ml=heart.patient.edv_ml,
        esv_ml=heart.patient.esv_ml,
        volumes_ml=tuple(heart.volume_ml(float(t)) for t in times),
        r_waves_s=waves,
        beats=beats,
        ed_frames=tuple(beat.ed_frame for beat in beats if beat.ed_frame is not None),
        es_frames=tuple(beat.es_frame for beat in beats if beat.es_frame is not None),
        lvidd_mm=heart.lvid_mm(ed_s),
        lvids_mm=heart.lvid_mm(es_s),
        segments=_segments(heart, view, plane),
        disks_edv_ml=_if_measurable(heart, plane, ed_s) if apical else None,
        disks_esv_ml=_if_measurable(heart, plane, es_s) if apical else None,
    )


class Unmeasurable(ValueError):
    """A plane that the method of disks cannot be used on: nobody could read a volume from it."""


def disks_ml(heart: Heart, planes: Sequence[Plane], t_s: float) -> float:
    """The method of disks on the true contours of one apical plane, or of two that stand across each other.

    20 disks along the line from the mitral annulus to the apex (ASE/EACVI 2015, section 2.1).

    Raises:
        ValueError: not one or two planes.
        Unmeasurable: a plane that misses the cavity or its mitral annulus.
    """
    if len(planes) not in (1, 2):
        raise ValueError(f"the method of disks takes one plane or two, not {len(planes)}")
    lengths, widths = zip(*(_disks(heart, plane, t_s) for plane in planes), strict=True)
    return float(np.pi / 4 * (widths[0] * widths[-1]).sum() * max(lengths) / DISKS / 1000)


def _if_measurable(heart: Heart, plane: Plane, t_s: float) -> float | None:
    try:
        return disks_ml(heart, (plane,), t_s)
    except Unmeasurable:
        return None


def _disks(heart: Heart, plane: Plane, t_s: float) -> tuple[float, NDArray[np.float64]]:
    down = np.arange(0, 180, _SPACING_MM, dtype=np.float32)
    right = np.arange(-60, 60, _SPACING_MM, dtype=np.float32)
    rows, columns = np.meshgrid(down, right, indexing="ij")
    cavity, height = heart.cavity(plane.at(rows, columns), t_s)
    places = np.stack([rows[cavity], columns[cavity]], axis=1).astype(np.float64)
    at_base = height[cavity] < 1.5 * _SPACING_MM
    if not at_base.any():
        raise Unmeasurable("the plane misses the mitral annulus")
    base = places[at_base].mean(axis=0)
    apart = places - base
    apex = apart[(apart**2).sum(axis=1).argmax()]
    length = float(np.linalg.norm(apex))
    along = apart @ (apex / length)
    disk = np.clip((along / length * DISKS).astype(int), 0, DISKS - 1)
    area = np.bincount(disk, minlength=DISKS) * _SPACING_MM**2
    return length, np.asarray(area / (length / DISKS), np.float64)


def _beat(heart: Heart, wave: float, *, times: NDArray[np.float64], step: float) -> BeatTruth:
    end_systole = heart.end_systole_s(wave)
    walls = heart.walls_mm(heart.chordal_line, wave)
    return BeatTruth(
        r_wave_s=wave,
        end_systole_s=end_systole,
        ed_frame=_frame(times, wave, step),
        es_frame=_frame(times, end_systole, step),
        lvidd_mm=float(walls[2] - walls[1]),
        lvids_mm=heart.lvid_mm(end_systole),
        ivsd_mm=float(walls[1] - walls[0]),
        lvpwd_mm=float(walls[3] - walls[2]),
    )


def _frame(times: NDArray[np.float64], at: float, step: float) -> int | None:
    nearest = int(np.abs(times - at).argmin())
    return nearest if abs(times[nearest] - at) <= step else None


def _segments(heart: Heart, view: View, plane: Plane) -> tuple[SegmentTruth, ...]:
    if view is View.PSAX:
        share = float(plane.position[2]) / heart.ventricle.length_mm
        numbers = range(1, 7) if share < 0.35 else range(7, 13) if share < 0.7 else range(13, 17)
    else:
        numbers = range(0)
    scores = heart.patient.wall_motion
    return tuple(
        SegmentTruth(number=number, name=SEGMENTS[number - 1], score=scores[number - 1])
        for number in (numbers or _SEEN[view])
    )
