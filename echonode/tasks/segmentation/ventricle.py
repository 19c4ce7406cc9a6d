"""What a segmented apical loop says of the left ventricle: end-diastole, end-systole, volumes, ejection fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.codes import Code
from echonode.core.results import Measurement
from echonode.tasks.segmentation.beats import Beats, beats_of, roughness, smoothed
from echonode.tasks.segmentation.disks import CAVITY, DISKS, Disks, disks_of, lengths_agree, mean_disks, volume_ml

STEADY_MS: Final = 20.0  # disks are averaged over so much time: speckle changes, a ventricle hardly does
MOST_WITHOUT: Final = 0.2  # of the frames may show no cavity
APICAL: Final[Mapping[str, str]] = {"399214001": "A4C", "399232001": "A2C", "399339008": "A3C"}
MILLILITRE: Final = Code("mL", "UCUM", "milliliter")
PERCENT: Final = Code("%", "UCUM", "percent")
SINGLE_PLANE: Final = Code("125208", "DCM", "Method of Disks, Single Plane")
BIPLANE: Final = Code("125207", "DCM", "Method of Disks, Biplane")
Three = tuple[Code, Code, Code]
CONCEPTS: Final[Mapping[str, Three]] = {
    "A4C": (
        Code("79992-4", "LN", "LV ejection fraction single plane 4C (MOD)"),
        Code("79999-9", "LN", "LV end diastolic volume single plane 4C (MOD)"),
        Code("80004-5", "LN", "LV end systolic volume single plane 4C (MOD)"),
    ),
    "A2C": (
        Code("79993-2", "LN", "LV ejection fraction single plane 2C (MOD)"),
        Code("79998-1", "LN", "LV end diastolic volume single plane 2C (MOD)"),
        Code("80003-7", "LN", "LV end systolic volume single plane 2C (MOD)"),
    ),
    "biplane": (
        Code("79991-6", "LN", "LV ejection fraction biplane (MOD)"),
        Code("79996-5", "LN", "LV end diastolic volume biplane (MOD)"),
        Code("80001-1", "LN", "LV end systolic volume biplane (MOD)"),
    ),
}
UNNAMED: Final[Three] = (
    Code("10230-1", "LN", "Left ventricular Ejection fraction"),
    Code("18026-5", "LN", "Left Ventricular End Diastolic Volume"),
    Code("18148-7", "LN", "Left Ventricular End Systolic Volume"),
)
"""Of a view that is not told, or has no concept of its own; PS3.16 TID 5300 has the others."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ventricle:
    """The left ventricle in one loop. `volumes_ml` (T,) is the single-plane curve, NaN where no cavity is seen.

    `ed_frames` and `es_frames` are the source's frames, counted from 0; disks are averaged over the beats. Without
    `calibrated` lengths are in pixels of the frame and only ratios mean something.
    """

    end_diastole: Disks
    end_systole: Disks
    ed_frames: tuple[int, ...]
    es_frames: tuple[int, ...]
    volumes_ml: NDArray[np.float64]
    calibrated: bool
    beat_ms: float
    roughness: float

    @property
    def ef_percent(self) -> float:
        """The single-plane ejection fraction."""
        return ejection_fraction(self.end_diastole.volume_ml, self.end_systole.volume_ml)

    def measurements(self, view: str | None) -> tuple[Measurement, ...]:
        """Ejection fraction, and both volumes where lengths are in mm."""
        concepts = CONCEPTS.get(view or "", UNNAMED)
        found = [(concepts[0], self.ef_percent, PERCENT, (*self.ed_frames, *self.es_frames))]
        if self.calibrated:
            found.append((concepts[1], self.end_diastole.volume_ml, MILLILITRE, self.ed_frames))
            found.append((concepts[2], self.end_systole.volume_ml, MILLILITRE, self.es_frames))
        return tuple(
            Measurement(concept=concept, value=value, unit=unit, method=SINGLE_PLANE, frames=tuple(sorted(frames)))
            for concept, value, unit, frames in found
        )

    def details(self, view: str | None) -> dict[str, Any]:
        """As JSON values; `biplane` reads it back."""
        curve = [round(float(value), 3) if np.isfinite(value) else None for value in self.volumes_ml]
        return {
            "view": view,
            "ed_frames": list(self.ed_frames),
            "es_frames": list(self.es_frames),
            "beat_ms": round(self.beat_ms, 1),
            "calibrated": self.calibrated,
            "ef_percent": self.ef_percent,
            "edv_ml": self.end_diastole.volume_ml if self.calibrated else None,
            "esv_ml": self.end_systole.volume_ml if self.calibrated else None,
            "volume_curve_ml": curve if self.calibrated else None,
            "area_roughness": self.roughness if np.isfinite(self.roughness) else None,
            "end_diastole": _plain(self.end_diastole),
            "end_systole": _plain(self.end_systole),
        }


def ventricle_of(
    labels: NDArray[np.uint8], *, frames: Sequence[int], times_ms: NDArray[np.float64],
    spacing_mm: tuple[float, float], calibrated: bool, heart_rate: float | None,
) -> Ventricle | str:  # fmt: skip
    """The ventricle of label maps (T, H, W) taken at `times_ms` (T,), or in words why there is none.

    `frames` numbers the maps as the source does; `spacing_mm` is (row, column), in pixels unless `calibrated`.
    """
    disks = [disks_of(each, spacing_mm) for each in labels]
    seen = np.array([each is not None for each in disks])
    if seen.mean() < 1 - MOST_WITHOUT:
        return "the cavity of the left ventricle is seen in too few frames"
    # A frame without a cavity takes what its neighbours in time have.
    places = np.flatnonzero(seen)
    table = np.array([[each.length_mm, *each.diameters_mm] for each in disks if each is not None])
    whole = np.stack([np.interp(np.arange(len(disks)), places, column) for column in table.T], axis=1)
    areas = (labels == CAVITY).sum(axis=(1, 2)).astype(np.float64)
    areas = np.interp(np.arange(len(disks)), places, areas[places])
    beats: Beats | None = beats_of(areas, times_ms, heart_rate=heart_rate)
    if beats is None:
        return "no whole beat is told from the cavity's area"
    steady = smoothed(whole, times_ms, STEADY_MS)
    each_frame = [Disks(length_mm=row[0], diameters_mm=row[1:]) for row in steady]
    return Ventricle(
        end_diastole=mean_disks([each_frame[place] for place in beats.end_diastole]),
        end_systole=mean_disks([each_frame[place] for place in beats.end_systole]),
        ed_frames=tuple(frames[place] for place in beats.end_diastole),
        es_frames=tuple(frames[place] for place in beats.end_systole),
        volumes_ml=np.array([each.volume_ml if one else np.nan for each, one in zip(each_frame, seen, strict=True)]),
        calibrated=calibrated, beat_ms=beats.beat_ms, roughness=roughness(areas, times_ms),
    )  # fmt: skip


def ejection_fraction(edv_ml: float, esv_ml: float) -> float:
    """Percent of the end-diastolic volume that is ejected."""
    return 100 * (1 - esv_ml / edv_ml)


def biplane(four: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Volumes and ejection fraction of both apical views, from the details of their loops; the tool "biplane".

    Both must be calibrated: their lengths are compared. `lengths_agree` says whether they are within 10 %.

    Raises:
        ValueError: a loop without a ventricle, or without calibration.
    """
    planes = []
    for details in (four, two):
        found = details.get("ventricle")
        if not found or not found.get("calibrated"):
            raise ValueError("both apical loops need a whole beat and the size of their pixels")
        planes.append((_disks(found["end_diastole"]), _disks(found["end_systole"])))
    edv, esv = (volume_ml(planes[0][phase], planes[1][phase]) for phase in (0, 1))
    return {
        "edv_ml": edv,
        "esv_ml": esv,
        "ef_percent": ejection_fraction(edv, esv),
        "lengths_mm": [[each.length_mm for each in pair] for pair in planes],
        "lengths_agree": lengths_agree(planes[0][0], planes[1][0]),
    }


def _plain(disks: Disks) -> dict[str, Any]:
    return {
        "length_mm": round(disks.length_mm, 4), "diameters_mm": [round(float(each), 4) for each in disks.diameters_mm],
    }  # fmt: skip


def _disks(found: Mapping[str, Any]) -> Disks:
    diameters = np.asarray(found["diameters_mm"], np.float64)
    if diameters.shape != (DISKS,):
        raise ValueError(f"{DISKS} diameters are expected")
    return Disks(length_mm=float(found["length_mm"]), diameters_mm=diameters)
