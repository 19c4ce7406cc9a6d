"""What models say of a simulated heart beside what is true of it: one line an answer, with how far off it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from echonode.core.codes import Code
from echonode.core.results import Details, Finding, Ineligible, LabelMap, Measurement, Result
from echonode.core.settings import SelfCheckSection
from echonode.dicom.views import VIEWS

EJECTION_FRACTIONS = frozenset({"10230-1", "18043-0", "79991-6", "79992-4", "79993-2"})
"""LOINC codes of an ejection fraction, whatever its method."""
DIAMETERS: Mapping[str, tuple[str, str]] = {"29436-3": ("LVIDd", "lvidd_mm"), "29438-9": ("LVIDs", "lvids_mm")}
HEART_RATE = "8867-4"
ONE_PLANE = 1.5
"""How much further an ejection fraction of one traced plane may be off: two contours, and no averaging."""
STRUCTURES: Mapping[Code, tuple[str, tuple[int, ...]]] = {
    Code("87878005", "SCT", "Left ventricle"): ("LV", (1, 10)),
    Code("49848007", "SCT", "Left Ventricle Myocardium"): ("myocardium", (2,)),
    Code("82471001", "SCT", "Left atrium"): ("LA", (3,)),
}
"""Codes of label maps, and the labels of the simulated heart that are the same structure (docs/phantom.md)."""

PARAMETERS: Mapping[str, Mapping[str, Any]] = {"mmode": {"species": "human"}}
"""What a run is told that a scanner's header need not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One comparison; `limit` is how far `measured` may be from `truth`. In words where the answer is no number."""

    what: str
    unit: str = ""
    measured: float | None = None
    truth: float | None = None
    limit: float | None = None
    says: str = ""
    ok: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One simulated object: its entry of truth.json, and the folder that its `labels` are relative to."""

    entry: Mapping[str, Any]
    folder: Path

    @property
    def truth(self) -> Mapping[str, Any]:
        """The fields of its loop's or sweep's truth."""
        found: Mapping[str, Any] = self.entry["truth"]
        return found


Examiner = Callable[[Iterable[Result], Shown, SelfCheckSection], list[Said]]


def examine(task: str, results: Iterable[Result], shown: Shown, limits: SelfCheckSection) -> list[Said]:
    """What the results of one run say beside the truth; a refusal is said in words, and nothing is no line at all."""
    given = list(results)
    refused = [Said(what="refused", says=each.reason) for each in given if isinstance(each, Ineligible)]
    examiner = EXAMINERS.get(task)
    if all(isinstance(each, Ineligible | Details) for each in given):
        return refused
    # Beside other results a refusal is of a part of the task: what was given is held against the truth all the same.
    return [] if examiner is None else examiner(given, shown, limits)


def compared(what: str, *, unit: str, measured: float, truth: float | None, limit: float | None) -> Said:
    """A number beside the truth; sound without one of them to compare with."""
    ok = bool(np.isfinite(measured)) and (truth is None or limit is None or abs(measured - truth) <= limit)
    return Said(what=what, unit=unit, measured=float(measured), truth=truth, limit=limit, ok=ok)


def _view(results: Iterable[Result], shown: Shown, limits: SelfCheckSection) -> list[Said]:
    said = []
    for finding in (each for each in results if isinstance(each, Finding)):
        name = next((name for name, code in VIEWS.items() if code == finding.value), finding.value.meaning)
        true = shown.entry["view"]
        words = f"{name} where {true} is shown" if name != true else str(true)
        said.append(Said(what="view", measured=finding.confidence, says=words, ok=name == true))
    return said


def _ejection_fraction(results: Iterable[Result], shown: Shown, limits: SelfCheckSection) -> list[Said]:
    return [
        compared("EF", unit="%", measured=each.value, truth=shown.truth["ef_percent"], limit=limits.ef_points)
        for each in results
        if isinstance(each, Measurement) and each.concept.value in EJECTION_FRACTIONS
    ][:1]


def _segmentation(results: Iterable[Result], shown: Shown, limits: SelfCheckSection) -> list[Said]:
    given = list(results)
    said = [_disks(each, shown, limits) for each in given if _is_fraction(each)][:1]
    maps = [each for each in given if isinstance(each, LabelMap)]
    if not maps or not shown.entry["labels"]:
        return said
    with np.load(shown.folder / shown.entry["labels"]) as arrays:
        labels = arrays["labels"]
    for value, code in maps[0].segments.items():
        if code not in STRUCTURES:
            continue
        name, codes = STRUCTURES[code]
        scores = [
            _dice(drawn == value, np.isin(labels[frame], codes))
            for frame, drawn in zip(maps[0].frames, maps[0].labels, strict=True)
            if frame < len(labels) and labels[frame].shape == drawn.shape
        ]
        if scores:
            limit = limits.dice_loss if name == "LV" else None
            said.append(compared(f"{name} Dice", unit="", measured=float(np.mean(scores)), truth=1.0, limit=limit))
    return said


def _is_fraction(result: Result) -> bool:
    return isinstance(result, Measurement) and result.concept.value in EJECTION_FRACTIONS


def _disks(result: Result, shown: Shown, limits: SelfCheckSection) -> Said:
    assert isinstance(result, Measurement)
    truth = shown.truth.get("disks_ef_percent")
    truth = shown.truth["ef_percent"] if truth is None else truth
    limit = ONE_PLANE * limits.ef_points
    return compared("EF of disks", unit="%", measured=result.value, truth=truth, limit=limit)


def _mmode(results: Iterable[Result], shown: Shown, limits: SelfCheckSection) -> list[Said]:
    said = []
    first: dict[str, Measurement] = {}
    for each in results:
        if isinstance(each, Measurement):
            first.setdefault(each.concept.value, each)
    for code, (name, key) in DIAMETERS.items():
        if code in first and shown.truth.get(key):
            true = float(median(shown.truth[key]))
            said.append(compared(name, unit="mm", measured=first[code].value, truth=true, limit=limits.diameter_mm))
    if HEART_RATE in first:
        said.append(
            compared(
                "heart rate",
                unit="/min",
                measured=first[HEART_RATE].value,
                truth=shown.entry["heart_rate_bpm"],
                limit=limits.heart_rate_bpm,
            )
        )
    return said


def _any_number(results: Iterable[Result], shown: Shown, limits: SelfCheckSection) -> list[Said]:
    """What no single simulated heart can judge: that a number came is all that is asked."""
    return [
        compared(each.concept.meaning, unit=each.unit.value, measured=each.value, truth=None, limit=None)
        for each in results
        if isinstance(each, Measurement)
    ]


def _dice(drawn: Any, true: Any) -> float:
    both = int(np.count_nonzero(drawn)) + int(np.count_nonzero(true))
    return 2.0 * int(np.count_nonzero(drawn & true)) / both if both else 1.0


EXAMINERS: Mapping[str, Examiner] = {
    "view": _view,
    "ejection_fraction": _ejection_fraction,
    "segmentation": _segmentation,
    "mmode": _mmode,
    "cmr": _any_number,
}
"""Tasks of which a simulated heart tells what is right. Slow motion is looked at as it comes back."""
