"""What a segmented loop says: labels, and the area of each structure in each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.results import Ineligible, LabelMap, Measurement, Result
from echonode.tasks.common.concepts import LV_MYOCARDIUM
from echonode.tasks.common.uncertainty import Limits
from echonode.tasks.segmentation.ventricle import Ventricle

SEGMENTS: Final[Mapping[int, Code]] = {
    1: Code("87878005", "SCT", "Left ventricle"),
    2: LV_MYOCARDIUM,
    3: Code("82471001", "SCT", "Left atrium"),
}
NAMES: Final[Mapping[int, str]] = {1: "lv_cavity", 2: "myocardium", 3: "left_atrium"}
AREAS: Final[Mapping[int, Code]] = {
    1: Code("LVAREA", PRIVATE_SCHEME, "Largest area of left ventricular cavity in loop"),
    2: Code("MYOAREA", PRIVATE_SCHEME, "Largest area of left ventricular myocardium in loop"),
    3: Code("LAAREA", PRIVATE_SCHEME, "Largest area of left atrium in loop"),
}
SQUARE_CENTIMETRE: Final = Code("cm2", "UCUM", "square centimeter")
PIXELS: Final = Code("{pixels}", "UCUM", "pixels")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """Labels uint8 (N, H, W) of the frames `frames`, and the area of a pixel where the header tells it.

    `ventricle` is there when the frames show a whole beat of an apical view; `view` is its name, A4C, where it is told.
    """

    labels: NDArray[np.uint8]
    frames: tuple[int, ...]
    pixel_cm2: float | None
    mode: str
    notes: tuple[str, ...] = ()
    ventricle: Ventricle | None = None
    view: str | None = None
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """Of the package's locked test in this mode, by "A4C EF", "biplane EDV"."""
    no_ventricle: str = ""
    """Why `ventricle` is not there, where it could have been."""

    def pixels(self, code: int) -> NDArray[np.int64]:
        """Pixels of a structure, one number a frame."""
        counts: NDArray[np.int64] = (self.labels == code).sum(axis=(1, 2), dtype=np.int64)
        return counts

    def results(self) -> tuple[Result, ...]:
        """The label map; ejection fraction and volumes by the method of disks where a beat is seen, or why there are
        none; the largest area of each structure that is seen, in cm2, or in pixels without calibration.
        """
        found: list[Result] = [LabelMap(labels=self.labels, frames=self.frames, segments=SEGMENTS)]
        if self.ventricle is not None:
            found.extend(self.ventricle.measurements(self.view, self.limits))
        for code, concept in AREAS.items():
            counts = self.pixels(code)
            place = int(counts.argmax())
            if counts[place] == 0:
                continue
            scale, unit = (1.0, PIXELS) if self.pixel_cm2 is None else (self.pixel_cm2, SQUARE_CENTIMETRE)
            found.append(
                Measurement(
                    concept=concept, value=float(counts[place]) * scale, unit=unit, frames=(self.frames[place],)
                )
            )
        if self.no_ventricle:
            found.append(Ineligible(reason=f"no volumes: {self.no_ventricle}", code="beats"))
        elif self.ventricle is not None and self.pixel_cm2 is None:
            found.append(Ineligible(reason="no volumes: the source tells no size of its pixels", code="uncalibrated"))
        return tuple(found)

    def details(self) -> dict[str, Any]:
        """Areas of every structure in every frame, as JSON values; cm2 is null without calibration."""
        areas = {}
        for code, name in NAMES.items():
            counts = [int(count) for count in self.pixels(code)]
            cm2 = None if self.pixel_cm2 is None else [count * self.pixel_cm2 for count in counts]
            areas[name] = {"code": code, "px": counts, "cm2": cm2}
        return {
            "preparation": self.mode,
            "frames": list(self.frames),
            "size": list(self.labels.shape[1:]),
            "areas": areas,
            "limits_95": {name: limits.plain() for name, limits in self.limits.items()},
            "ventricle": None if self.ventricle is None else self.ventricle.details(self.view),
            "notes": list(self.notes),
        }
