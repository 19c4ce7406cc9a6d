"""What a segmented apical loop says of the left heart: end-diastole, end-systole, volumes, ejection fraction."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.codes import Code
from echonode.core.results import Measurement
from echonode.tasks.common.concepts import (
    EJECTION_FRACTION,
    END_DIASTOLIC_VOLUME,
    END_SYSTOLIC_VOLUME,
    MEAN,
    MILLILITRE,
    PERCENT,
)
from echonode.tasks.common.uncertainty import Limits, stated
from echonode.tasks.segmentation.beats import Beats, beats_of, roughness, smoothed
from echonode.tasks.segmentation.disks import (
    ATRIUM,
    CAVITY,
    DISKS,
    Disks,
    atrium_disks_of,
    disks_of,
    lengths_agree,
    mean_disks,
    volume_ml,
)

STEADY_MS: Final = 20.0  # disks are averaged over so much time: speckle changes, a ventricle hardly does
MOST_WITHOUT: Final = 0.2  # of the frames may show no cavity
NEARLY: Final = 0.05  # of a beat may be missing at the end of a whole one
AROUND: Final = 0.25  # of a beat before and after end-systole, in which the atrium is largest
CUT_SHARE: Final = 0.15  # of the atrium's border; more at the sector's edge means that some of it lies outside
APICAL: Final[Mapping[str, str]] = {"399214001": "A4C", "399232001": "A2C", "399339008": "A3C"}
SINGLE_PLANE: Final = Code("125208", "DCM", "Method of Disks, Single Plane")
BIPLANE: Final = Code("125207", "DCM", "Method of Disks, Biplane")
LEFT_ATRIUM: Final = Code("82471001", "SCT", "Left atrium")
ATRIAL: Final[Mapping[str, Code]] = {
    "A4C": Code("79986-6", "LN", "Left atrium end systolic volume single plane 4C (MOD)"),
    "A2C": Code("79985-8", "LN", "Left atrium end systolic volume single plane 2C (MOD)"),
    "biplane": Code("79983-3", "LN", "Left atrium end systolic volume biplane (MOD)"),
}
"""There is no generic code of it; the ventricle's are generic, and their method and source tell the plane."""
NO_WHOLE_BEAT: Final = "the loop shows less than a whole beat"
CUT_ATRIUM: Final = "the left atrium reaches the edge of the sector: its volume may be too small"


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """One beat of a loop: the frames of its end-diastole and end-systole, and their single-plane volumes."""

    ed_frame: int
    es_frame: int
    edv_ml: float
    esv_ml: float

    @property
    def ef_percent(self) -> float:
        """The single-plane ejection fraction."""
        return ejection_fraction(self.edv_ml, self.esv_ml)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Atrium:
    """The left atrium when it is largest, at the end of systole, averaged over the beats; `cut` by the sector's edge."""

    disks: Disks
    frames: tuple[int, ...]
    cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ventricle:
    """The left ventricle in one loop. `volumes_ml` (T,) is the single-plane curve, NaN where no cavity is seen.

    `ed_frames` and `es_frames` are the source's frames, counted from 0; disks are averaged over the beats. Without
    `calibrated` lengths are in pixels of the frame and only ratios mean something. `whole_beats` is how many the loop
    lasts.
    """

    end_diastole: Disks
    end_systole: Disks
    ed_frames: tuple[int, ...]
    es_frames: tuple[int, ...]
    volumes_ml: NDArray[np.float64]
    calibrated: bool
    beat_ms: float
    roughness: float
    beats: tuple[Beat, ...] = ()
    whole_beats: int = 1
    atrium: Atrium | None = None

    @property
    def ef_percent(self) -> float:
        """The single-plane ejection fraction."""
        return ejection_fraction(self.end_diastole.volume_ml, self.end_systole.volume_ml)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of its volumes."""
        return () if self.whole_beats else (NO_WHOLE_BEAT,)

    def measurements(self, view: str | None, limits: Mapping[str, Limits] | None = None) -> tuple[Measurement, ...]:
        """Ejection fraction; both volumes, and the atrium's of a view that is told, where lengths are in mm.

        `limits` of the locked test are called "A4C EF", "A4C EDV", "A4C LA volume".
        """
        known = limits or {}
        phases = tuple(sorted({*self.ed_frames, *self.es_frames}))
        ejected = [each.ef_percent for each in self.beats]
        rows = [("EF", EJECTION_FRACTION, self.ef_percent, PERCENT, phases, len(ejected), ejected)]
        if self.calibrated:
            rows += [
                ("EDV", END_DIASTOLIC_VOLUME, self.end_diastole.volume_ml, MILLILITRE, self.ed_frames, len(self.ed_frames),
                 list({each.ed_frame: each.edv_ml for each in self.beats}.values())),
                ("ESV", END_SYSTOLIC_VOLUME, self.end_systole.volume_ml, MILLILITRE, self.es_frames, len(self.es_frames),
                 list({each.es_frame: each.esv_ml for each in self.beats}.values())),
            ]  # fmt: skip
        found = [
            Measurement(
                concept=concept, value=value, unit=unit, method=SINGLE_PLANE, frames=tuple(sorted(frames)),
                repeatability=statistics.stdev(each) if len(each) > 1 else None, count=count or None,
                derivation=MEAN if count > 1 else None, notes=self.notes, **stated(known.get(f"{view} {name}")),
            )
            for name, concept, value, unit, frames, count, each in rows
        ]  # fmt: skip
        if self.calibrated and self.atrium is not None and view is not None and view in ATRIAL:
            found.append(
                Measurement(
                    concept=ATRIAL[view], value=self.atrium.disks.volume_ml, unit=MILLILITRE, method=SINGLE_PLANE,
                    frames=tuple(sorted(self.atrium.frames)), count=len(self.atrium.frames), site=LEFT_ATRIUM,
                    derivation=MEAN if len(self.atrium.frames) > 1 else None,
                    notes=(*self.notes, *((CUT_ATRIUM,) if self.atrium.cut else ())),
                    **stated(known.get(f"{view} LA volume")),
                )
            )  # fmt: skip
        return tuple(found)

    def details(self, view: str | None) -> dict[str, Any]:
        """As JSON values; `biplane` and `combine` read them back."""
        curve = [round(float(value), 3) if np.isfinite(value) else None for value in self.volumes_ml]
        volumes = [
            {"ed_frame": each.ed_frame, "es_frame": each.es_frame, "ef_percent": each.ef_percent}
            | ({"edv_ml": each.edv_ml, "esv_ml": each.esv_ml} if self.calibrated else {})
            for each in self.beats
        ]
        atrium = None if self.atrium is None else {
            **_plain(self.atrium.disks), "frames": list(self.atrium.frames), "cut": self.atrium.cut,
            "volume_ml": self.atrium.disks.volume_ml if self.calibrated else None,
        }  # fmt: skip
        return {
            "view": view,
            "ed_frames": list(self.ed_frames),
            "es_frames": list(self.es_frames),
            "beat_ms": round(self.beat_ms, 1),
            "beats": volumes,
            "whole_beats": self.whole_beats,
            "calibrated": self.calibrated,
            "ef_percent": self.ef_percent,
            "edv_ml": self.end_diastole.volume_ml if self.calibrated else None,
            "esv_ml": self.end_systole.volume_ml if self.calibrated else None,
            "volume_curve_ml": curve if self.calibrated else None,
            "area_roughness": self.roughness if np.isfinite(self.roughness) else None,
            "end_diastole": _plain(self.end_diastole),
            "end_systole": _plain(self.end_systole),
            "atrium": atrium,
        }


def ventricle_of(
    labels: NDArray[np.uint8], *, frames: Sequence[int], times_ms: NDArray[np.float64],
    spacing_mm: tuple[float, float], calibrated: bool, heart_rate: float | None,
    sector: NDArray[np.bool_] | None = None,
) -> Ventricle | str:  # fmt: skip
    """The ventricle of label maps (T, H, W) taken at `times_ms` (T,), or in words why there is none.

    `frames` numbers the maps as the source does; `spacing_mm` is (row, column), in pixels unless `calibrated`; `sector`
    (H, W), where it is known, tells whether the atrium reaches beyond it.
    """
    areas = (labels == CAVITY).sum(axis=(1, 2)).astype(np.float64)
    steady = _steady([disks_of(each, spacing_mm) for each in labels], times_ms)
    if steady is None:
        return "the cavity of the left ventricle is seen in too few frames"
    each_frame, seen = steady
    areas = np.interp(np.arange(len(labels)), np.flatnonzero(seen), areas[seen])
    beats: Beats | None = beats_of(areas, times_ms, heart_rate=heart_rate)
    if beats is None:
        return "no whole beat is told from the cavity's area"
    volumes = np.array([each.volume_ml for each in each_frame])
    gap = float(np.median(np.diff(times_ms)))
    return Ventricle(
        end_diastole=mean_disks([each_frame[place] for place in beats.end_diastole]),
        end_systole=mean_disks([each_frame[place] for place in beats.end_systole]),
        ed_frames=tuple(frames[place] for place in beats.end_diastole),
        es_frames=tuple(frames[place] for place in beats.end_systole),
        volumes_ml=np.where(seen, volumes, np.nan), calibrated=calibrated, beat_ms=beats.beat_ms,
        roughness=roughness(areas, times_ms),
        beats=tuple(
            Beat(
                ed_frame=frames[large], es_frame=frames[small], edv_ml=float(volumes[large]),
                esv_ml=float(volumes[small]),
            )
            for large, small in _pairs(beats)
        ),
        whole_beats=int((float(times_ms[-1] - times_ms[0]) + gap) / beats.beat_ms + NEARLY),
        atrium=_atrium(labels, frames, times_ms, spacing_mm, beats, sector),
    )  # fmt: skip


def _steady(
    disks: Sequence[Disks | None], times_ms: NDArray[np.float64]
) -> tuple[list[Disks], NDArray[np.bool_]] | None:  # fmt: skip
    """Disks of every frame, smoothed over time, and where some were seen; None where too few frames show any.

    A frame without takes what its neighbours in time have.
    """
    seen = np.array([each is not None for each in disks])
    if seen.mean() < 1 - MOST_WITHOUT:
        return None
    table = np.array([[each.length_mm, *each.diameters_mm] for each in disks if each is not None])
    places = np.flatnonzero(seen)
    whole = np.stack([np.interp(np.arange(len(disks)), places, column) for column in table.T], axis=1)
    steady = smoothed(whole, times_ms, STEADY_MS)
    return [Disks(length_mm=row[0], diameters_mm=row[1:]) for row in steady], seen


def _pairs(beats: Beats) -> list[tuple[int, int]]:
    """Each end-systole with the end-diastole before it; the first one with that after it where the loop begins between."""
    return [
        (max((large for large in beats.end_diastole if large < small), default=beats.end_diastole[0]), small)
        for small in beats.end_systole
    ]


def _atrium(
    labels: NDArray[np.uint8], frames: Sequence[int], times_ms: NDArray[np.float64], spacing_mm: tuple[float, float],
    beats: Beats, sector: NDArray[np.bool_] | None,
) -> Atrium | None:  # fmt: skip
    """The atrium where it is largest about each end-systole; None where too few frames show it."""
    steady = _steady([atrium_disks_of(each, spacing_mm) for each in labels], times_ms)
    if steady is None:
        return None
    each_frame, _ = steady
    volumes = np.array([each.volume_ml for each in each_frame])
    largest = set()
    for small in beats.end_systole:
        near = np.flatnonzero(np.abs(times_ms - times_ms[small]) <= AROUND * beats.beat_ms)
        largest.add(int(near[volumes[near].argmax()]))
    places = sorted(largest)
    cut = sector is not None and any(_cut(labels[place] == ATRIUM, sector) for place in places)
    return Atrium(
        disks=mean_disks([each_frame[place] for place in places]), frames=tuple(frames[place] for place in places),
        cut=cut,
    )  # fmt: skip


def _cut(mask: NDArray[np.bool_], sector: NDArray[np.bool_]) -> bool:
    """Whether much of a structure's border lies at the edge of the sector."""
    around = (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~mask
    return bool((around & ~sector).sum() > CUT_SHARE * max(1, around.sum()))


def ejection_fraction(edv_ml: float, esv_ml: float) -> float:
    """Percent of the end-diastolic volume that is ejected."""
    return 100 * (1 - esv_ml / edv_ml)


def biplane(four: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Volumes and ejection fraction of both apical views, from the details of their loops; the tool "biplane".

    Raises:
        ValueError: why they do not go together: a loop without a ventricle, without calibration, of less than a whole
            beat, or long axes that differ by more than 10 %.
    """
    planes = []
    for details in (four, two):
        found = details.get("ventricle")
        if not found or not found.get("calibrated"):
            raise ValueError("both apical loops need a whole beat and the size of their pixels")
        if not found.get("whole_beats", 1):
            raise ValueError(f"{found.get('view') or 'one of the planes'}: {NO_WHOLE_BEAT}")
        planes.append((found, disks_read(found["end_diastole"]), disks_read(found["end_systole"])))
    lengths = [[each.length_mm for each in plane[1:]] for plane in planes]
    if not lengths_agree(planes[0][1], planes[1][1]):
        long, short = max(lengths[0][0], lengths[1][0]), min(lengths[0][0], lengths[1][0])
        view = "A4C" if lengths[0][0] < lengths[1][0] else "A2C"
        raise ValueError(
            f"the long axes differ by {100 * (1 - short / long):.0f} % (A4C {lengths[0][0]:.0f} mm, A2C "
            f"{lengths[1][0]:.0f} mm), more than 10 %: {view} is foreshortened"
        )
    edv, esv = (volume_ml(planes[0][phase], planes[1][phase]) for phase in (1, 2))
    atria = [plane[0].get("atrium") for plane in planes]
    atrial = None if None in atria else volume_ml(*(disks_read(each) for each in atria))
    return {
        "edv_ml": edv,
        "esv_ml": esv,
        "ef_percent": ejection_fraction(edv, esv),
        "la_ml": atrial,
        "lengths_mm": lengths,
        "lengths_agree": True,
    }


def _plain(disks: Disks) -> dict[str, Any]:
    return {
        "length_mm": round(disks.length_mm, 4), "diameters_mm": [round(float(each), 4) for each in disks.diameters_mm],
    }  # fmt: skip


def disks_read(found: Mapping[str, Any]) -> Disks:
    """The disks that details tell.

    Raises:
        ValueError: they are none.
    """
    diameters = np.asarray(found["diameters_mm"], np.float64)
    if diameters.shape != (DISKS,):
        raise ValueError(f"{DISKS} diameters are expected")
    return Disks(length_mm=float(found["length_mm"]), diameters_mm=diameters)
