"""A report as a value, made by hand of the headers of real or simulated objects: what flow would decide, without flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.clip import Mode
from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.report import (
    Algorithm,
    LoopSaid,
    ObjectReference,
    Refused,
    ReportedFinding,
    ReportedValue,
    ReportState,
    StudyReport,
    ValueGroup,
)
from echonode.core.results import Finding, Measurement
from echonode.dicom.facts import facts_of
from echonode.dicom.views import view_code

MM = Code("mm", "UCUM", "mm")
ML = Code("mL", "UCUM", "milliliter")
PERCENT = Code("%", "UCUM", "percent")
BEATS = Code("{beats}/min", "UCUM", "beats per minute")
EF = Code("10230-1", "LN", "Left ventricular Ejection fraction")
EDV = Code("18026-5", "LN", "Left Ventricular End Diastolic Volume")
ESV = Code("18148-7", "LN", "Left Ventricular End Systolic Volume")
LVID_D = Code("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension")
LVID_S = Code("29438-9", "LN", "Left Ventricle Internal Systolic Dimension")
HEART_RATE = Code("8867-4", "LN", "Heart rate")
PROB_WMA = Code("PROB-WMA", PRIVATE_SCHEME, "Predicted probability of wall motion abnormality")
WALL_MOTION = Code("PRED-WMA", PRIVATE_SCHEME, "Predicted wall motion")
MEAN = Code("373098007", "SCT", "Mean")
ESTIMATED = Code("121427", "DCM", "Estimated")
LV = Code("87878005", "SCT", "Left ventricle")
BIPLANE = Code("125207", "DCM", "Method of Disks, Biplane")
TEICHHOLZ = Code("125209", "DCM", "Teichholz")
REGRESSION = Code("VIDEOREGR", PRIVATE_SCHEME, "Video regression by neural network")

DISKS = Algorithm(
    name="segmentation", version="2.1", title="Left ventricle by method of disks", digest="ab" * 32,
    weights_sha256={"network": "cd" * 32}, parameters={"disks": 20}, trained_on="500 simulated studies", simulated=True,
)  # fmt: skip
VIDEO = Algorithm(
    name="ef-video", version="1.0.3", title="Ejection fraction of a loop", digest="12" * 32,
    weights_sha256={"encoder": "34" * 32, "regressor": "56" * 32}, trained_on="905 studies", reference="Somebody, 2025",
)  # fmt: skip
CMR = Algorithm(
    name="cmr-wall-motion", version="0.9", title="Wall motion", digest="78" * 32, weights_sha256={"n": "90" * 32}
)
VIEWS = Algorithm(name="view", version="1", title="View of a loop", digest="aa" * 32, weights_sha256={"n": "bb" * 32})


def headers_of(paths: Sequence[Path]) -> dict[str, Dataset]:
    """Headers without pixels by SOP Instance UID."""
    headers = [dcmread(path, stop_before_pixels=True, force=True) for path in paths]
    return {str(header.SOPInstanceUID): header for header in headers}


def loops_of(headers: Mapping[str, Dataset], **changes: Any) -> tuple[LoopSaid, ...]:
    """What the headers tell of each object, with a quality and a refusal here and there."""
    return tuple(loop_of(header, number=number, **changes) for number, header in enumerate(headers.values(), start=1))


def loop_of(header: Dataset, *, number: int = 1, **changes: Any) -> LoopSaid:
    """What one header tells."""
    facts = facts_of(header, transfer_syntax_uid="1.2.840.10008.1.2.1")
    values: dict[str, Any] = {
        "number": number,
        "source": reference_of(header),
        "mode": str(facts.mode),
        "mode_reason": facts.mode_reason,
        "view": view_code(facts.view),
        "view_reason": facts.view_reason,
        "view_confidence": round(0.97 - 0.1 * number, 3) % 1,
        "quality": (0.9, 0.5, 0.1, None)[number % 4],
        "stage": facts.stage,
        "frames": facts.frames,
        "algorithm": VIEWS,
        "refusals": (
            Refused(task="M-mode", reason="no M-mode region: this is a 2D loop", code="mode"),
        ) if facts.mode is not Mode.M_MODE else (),
    }  # fmt: skip
    return LoopSaid(**(values | changes))


def reference_of(header: Dataset) -> ObjectReference:
    """A reference to the object of that header."""
    return ObjectReference(
        sop_instance_uid=str(header.SOPInstanceUID),
        sop_class_uid=str(header.SOPClassUID),
        series_uid=str(header.SeriesInstanceUID),
    )


def value(concept: Code, number: float, unit: Code, **changes: Any) -> ReportedValue:
    """A reported value; what belongs to the measurement and what to its place in the report may both be changed."""
    outer = {"frames": {}, "algorithm": DISKS, "selected": False, "selection": "", "entered_by": ""}
    around = {name: changes.pop(name, default) for name, default in outer.items()}
    return ReportedValue(measurement=Measurement(concept=concept, value=number, unit=unit, **changes), **around)


def study_report(headers: Mapping[str, Dataset], **changes: Any) -> StudyReport:
    """A realistic report of these objects: biplane and video EF, volumes, a predicted finding, refusals and remarks."""
    loops = loops_of(headers)
    first = next((loop for loop in loops if loop.frames > 3), loops[0])
    uid = first.source.sop_instance_uid
    two = {uid: (0, 2) if first.frames > 3 else ()}
    function = ValueGroup(
        topic="lv-function",
        title="LV function",
        stage=first.stage,
        values=(
            value(
                EF, 54.2371, PERCENT, method=BIPLANE, frames=two, selected=True, uncertainty=9.81,
                uncertainty_basis="locked test, 120 studies", repeatability=1.234, count=3, derivation=MEAN, site=LV,
                selection="biplane method of disks comes first", notes=("Apical views of one stage.",),
            ),
            value(EDV, 118.44, ML, method=BIPLANE, frames=two, selected=True, count=3, derivation=MEAN),
            value(ESV, 54.19, ML, method=BIPLANE, frames=two, selected=True),
            value(EF, 66.0, PERCENT, method=REGRESSION, algorithm=VIDEO, frames={uid: ()}, derivation=ESTIMATED),
            value(LVID_D, 48.2231, MM, selected=True, frames={uid: ()}, algorithm=None, uncertainty=3.0),
            value(LVID_S, 32.9, MM, selected=True, algorithm=None),
            value(HEART_RATE, 71.6, BEATS, selected=True, algorithm=None),
        ),
        refusals=(Refused(task="Left atrium", reason="no apical two-chamber loop at rest", code="no-partner", algorithm=DISKS),),
        remarks=("Methods are more than 10 EF points apart.",),
    )  # fmt: skip
    predicted = ValueGroup(
        topic="cmr",
        title="CMR findings predicted from echo",
        values=(value(PROB_WMA, 37.4, PERCENT, algorithm=CMR, frames={uid: ()}, derivation=ESTIMATED, selected=True),),
        findings=(
            ReportedFinding(
                finding=Finding(
                    concept=WALL_MOTION, value=Code("373122000", "SCT", "Normal wall motion"), confidence=0.63
                ),
                frames={uid: ()},
                algorithm=CMR,
            ),
        ),
    )
    values: dict[str, Any] = {
        "study_uid": str(next(iter(headers.values())).StudyInstanceUID),
        "state": ReportState.PRELIMINARY,
        "loops": loops,
        "groups": (function, predicted),
        "refusals": (Refused(task="Biplane EF", reason="there is no apical two-chamber loop"),),
        "remarks": ("The patient's age is not known.",),
        "content_digest": "ef" * 32,
    }
    return StudyReport(**(values | changes))
