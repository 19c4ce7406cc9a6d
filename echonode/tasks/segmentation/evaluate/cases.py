"""What is compared when a segmentation is judged, and how one study's cases are made: simulated, or read from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, Mode
from echonode.core.codes import Code
from echonode.core.results import Ineligible
from echonode.tasks.segmentation.disks import Disks, disks_of, volume_ml
from echonode.tasks.segmentation.runner import SegmentationRunner
from echonode.tasks.segmentation.ventricle import Ventricle, ejection_fraction

STRUCTURES: Final[Mapping[str, tuple[int, ...]]] = {
    "LV cavity": (1,), "myocardium": (2,), "LV with myocardium": (1, 2), "left atrium": (3,),
}  # fmt: skip
VIEW_CODES: Final[Mapping[str, Code]] = {
    "A4C": Code("399214001", "SCT", "Apical four chamber"),
    "A2C": Code("399232001", "SCT", "Apical two chamber"),
    "A3C": Code("399339008", "SCT", "Apical long axis"),
}
NAN: Final = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """One structure in one picture; `phase` is ED, ES or "" where it is not told."""

    patient: str
    view: str
    phase: str
    structure: str
    dice: float
    hausdorff_mm: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Volumes:
    """What was found of a ventricle, and what is true; `method` is biplane or the view of a single plane.

    `truth` is the heart's own (or the reference labels'); `observer` what the same method gives on perfect contours.
    """

    patient: str
    method: str
    found: Ejection
    truth: Ejection
    observer: Ejection


@dataclass(frozen=True, kw_only=True, slots=True)
class Ejection:
    """Volumes in ml and ejection fraction in percent; NaN where there is none."""

    edv_ml: float = NAN
    esv_ml: float = NAN
    ef_percent: float = NAN

    @classmethod
    def of(cls, edv_ml: float, esv_ml: float) -> Ejection:
        """Both volumes and what follows from them."""
        return cls(edv_ml=edv_ml, esv_ml=esv_ml, ef_percent=ejection_fraction(edv_ml, esv_ml))


@dataclass(frozen=True, kw_only=True, slots=True)
class Steadiness:
    """A loop over time: how far its end-diastoles and end-systoles were missed, and how much the cavity's area jumps.

    `reference_roughness` is that of the true labels.
    """

    patient: str
    view: str
    ed_ms: tuple[float, ...]
    es_ms: tuple[float, ...]
    roughness: float
    reference_roughness: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """Everything of one study, or of many."""

    overlaps: tuple[Overlap, ...] = ()
    volumes: tuple[Volumes, ...] = ()
    steadiness: tuple[Steadiness, ...] = ()
    refused: tuple[str, ...] = ()

    def __add__(self, other: Cases) -> Cases:
        return Cases(
            overlaps=self.overlaps + other.overlaps, volumes=self.volumes + other.volumes,
            steadiness=self.steadiness + other.steadiness, refused=self.refused + other.refused,
        )  # fmt: skip


def segmented(
    runner: SegmentationRunner, clip: Clip, preparation: str | None = None
) -> tuple[NDArray[np.uint8] | None, Ventricle | None, str]:
    """Labels (T, H, W) and the ventricle that the runner finds in a clip, or why there are none."""
    parameters: dict[str, Any] = {} if preparation is None else {"preparation": preparation}
    reading = runner.read(clip, parameters, _silent)
    if isinstance(reading, Ineligible):
        return None, None, reading.reason
    return reading.labels, reading.ventricle, "; ".join(reading.notes)


def still_of(picture: NDArray[np.uint8], regions: tuple[Any, ...], view: str | None) -> Clip:
    """One picture (H, W) as a runner is given it."""
    return Clip(
        frames=picture[None, :, :, None], times_ms=np.zeros(1), regions=regions, mode=Mode.B_MODE,
        view=VIEW_CODES.get(view or ""),
    )  # fmt: skip


def planes_of(pictures: Mapping[tuple[str, str], tuple[Disks | None, Disks | None]], patient: str) -> list[Volumes]:
    """Single-plane and biplane volumes of one patient's pictures: (view, phase) -> disks found, disks of the reference."""
    found: list[Volumes] = []
    for views in (("A4C",), ("A2C",), ("A4C", "A2C")):
        if not all((view, phase) in pictures for view in views for phase in ("ED", "ES")):
            continue
        both = []
        for side in (0, 1):
            planes = {phase: [pictures[view, phase][side] for view in views] for phase in ("ED", "ES")}
            both.append(_ejection(planes["ED"], planes["ES"]))
        method = "biplane" if len(views) == 2 else views[0]
        found.append(Volumes(patient=patient, method=method, found=both[0], truth=both[1], observer=both[1]))
    return found


def _ejection(end_diastole: Sequence[Disks | None], end_systole: Sequence[Disks | None]) -> Ejection:
    ed = [each for each in end_diastole if each is not None]
    es = [each for each in end_systole if each is not None]
    if len(ed) != len(end_diastole) or len(es) != len(end_systole):
        return Ejection()
    return Ejection.of(volume_ml(*ed), volume_ml(*es))


def disks_beside(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], spacing_mm: tuple[float, float]
) -> tuple[Disks | None, Disks | None]:
    """The disks of both label maps (H, W)."""
    return disks_of(found, spacing_mm), disks_of(truth, spacing_mm)


def _silent(done: int, total: int) -> None:
    """Nobody waits for one loop."""
