"""What is true of a simulated study, as values and as the JSON that lies beside its objects (docs/phantom.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from echonode.phantom.cohort import Study
from echonode.phantom.patient import Patient

FORMAT = 1
_DECIMALS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectTruth:
    """What is true of one object. `labels` and `file` are paths inside the study's folder.

    `truth` are the fields of `LoopTruth` or `SweepTruth`, without the boundaries of a sweep, which are an array in
    `labels`. `patient` differs from the study's in the stages of a stress study alone.
    """

    file: str
    kind: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    machine: str
    quality: float
    rows: int
    columns: int
    times_ms: tuple[float, ...]
    heart_rate_bpm: float
    r_waves_ms: tuple[float, ...]
    view: str | None
    level: str | None
    stage: str | None
    colour: bool
    labels: str | None
    patient: Patient
    truth: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class BiplaneTruth:
    """What a perfect observer gets from the method of disks on the A4C and A2C loops of a study, or of one stage."""

    stage: str | None
    edv_ml: float
    esv_ml: float
    ef_percent: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTruth:
    """What is true of one study."""

    study: Study
    study_uid: str
    patient_id: str
    biplane: tuple[BiplaneTruth, ...]
    objects: tuple[ObjectTruth, ...]

    def plain(self, *, folder: str) -> dict[str, Any]:
        """As JSON takes it; `folder` is what paths are relative to, as the reader finds it."""
        study = self.study
        return {
            "folder": folder,
            "study_instance_uid": self.study_uid,
            "patient_id": self.patient_id,
            "seed": study.seed,
            "index": study.index,
            "preset": study.preset.name,
            "machine": study.machine.name,
            "ischaemic_artery": study.artery,
            "patient": plain(study.patient) | {"esv_ml": plain(study.patient.esv_ml)},
            "biplane": plain(self.biplane),
            "objects": [_object(truth, rest=study.patient) for truth in self.objects],
        }


def document(cohort: str, studies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """truth.json as a whole, of what `StudyTruth.plain` gave."""
    return {"format": FORMAT, "cohort": cohort, "simulated": True, "studies": list(studies)}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` in place of what was there; never a part of it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def plain(value: Any) -> Any:
    """`value` of dataclasses, enumerations, arrays and numbers as JSON takes it; NaN is null, floats are rounded."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return round(value, _DECIMALS) if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value


def _object(truth: ObjectTruth, *, rest: Patient) -> dict[str, Any]:
    found: dict[str, Any] = plain(truth)
    if truth.patient == rest:
        del found["patient"]
    return found
