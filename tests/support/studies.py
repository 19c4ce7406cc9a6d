"""Studies as values for the report: facts, what models said of them, and a report composed of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from echonode.core.clip import Mode
from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.facts import Facts
from echonode.core.readings import KeptReading, StudyValue
from echonode.core.report import Algorithm, ObjectReference, ReportedValue, ReportState, StudyReport
from echonode.core.results import Finding, Ineligible, Measurement, Result
from echonode.core.routes import Conditions, ReportSection, Route, RoutesFile
from echonode.core.states import WorkState
from echonode.core.task import TaskSpec
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.report import compose

STUDY = "1.2.3"
PERCENT = Code("%", "UCUM", "percent")
MILLIMETRE = Code("mm", "UCUM", "mm")
MILLILITRE = Code("mL", "UCUM", "mL")
NO_UNIT = Code("1", "UCUM", "no units")
BIPLANE = Code("125207", "DCM", "Method of Disks, Biplane")
SINGLE_PLANE = Code("125208", "DCM", "Method of Disks, Single Plane")
TEICHHOLZ = Code("125209", "DCM", "Teichholz")
REGRESSION = Code("VIDEOREGR", PRIVATE_SCHEME, "Video regression by neural network")
EF = Code("10230-1", "LN", "Left ventricular Ejection fraction")
EF_TEICHHOLZ = Code("18043-0", "LN", "Left Ventricular Ejection Fraction")
EF_BIPLANE = Code("79991-6", "LN", "LV ejection fraction biplane (MOD)")
EF_A4C = Code("79993-2", "LN", "LV ejection fraction single plane 4C (MOD)")
EF_A2C = Code("79992-4", "LN", "LV ejection fraction single plane 2C (MOD)")
EDV = Code("18026-5", "LN", "Left Ventricular End Diastolic Volume")
LVIDD = Code("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension")
WALL_MOTION = Code("PROB-WMA", PRIVATE_SCHEME, "Predicted probability of wall motion abnormality")
LV_AREA = Code("LVAREA", PRIVATE_SCHEME, "Largest area of left ventricular cavity in loop")
IMAGE_VIEW = Code("111031", "DCM", "Image View")

TASKS: Mapping[str, TaskSpec] = {
    "ejection_fraction": TaskSpec(name="ejection_fraction", title="Ejection fraction", runner="none:none"),
    "mmode": TaskSpec(name="mmode", title="M-mode measurements", runner="none:none"),
    "segmentation": TaskSpec(
        name="segmentation", title="Segmentation of the left heart", runner="none:none",
        combine="tests.support.studies:biplane_of_all",
    ),
    "cmr": TaskSpec(
        name="cmr", title="CMR findings predicted from echo", runner="none:none", combine="tests.support.studies:fused_of_all"
    ),
    "view": TaskSpec(name="view", title="View of the heart", runner="none:none"),
}  # fmt: skip
ROUTES = RoutesFile(
    route=(
        Route(name="ef", task="ejection_fraction", model="ef-model", when=Conditions(mode=(Mode.B_MODE,), view=("A4C",))),
        Route(name="mmode", task="mmode", model="mmode-model", when=Conditions(mode=(Mode.M_MODE,))),
        Route(name="seg", task="segmentation", model="seg-model", when=Conditions(mode=(Mode.B_MODE,), view=("A4C", "A2C"))),
        Route(name="cmr", task="cmr", model="cmr-model", when=Conditions(mode=(Mode.B_MODE,), view=("A4C",))),
        Route(name="view", task="view", model="view-model", when=Conditions(mode=(Mode.B_MODE,))),
    ),
    report=ReportSection(ef_disagreement=10.0),
)  # fmt: skip
ROUTE_OF = {"ejection_fraction": "ef", "mmode": "mmode", "segmentation": "seg", "cmr": "cmr", "view": "view"}


def loop(name: str, **changes: Any) -> Facts:
    """An A4C loop at rest of a patient of 60; `name` is the last part of its UID."""
    values: dict[str, Any] = {
        "sop_instance_uid": f"{STUDY}.1.{name}", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.3.1", "series_uid": f"{STUDY}.1",
        "study_uid": STUDY, "transfer_syntax_uid": "1.2.840.10008.1.2.4.50", "modality": "US", "mode": Mode.B_MODE,
        "mode_reason": "one 2D tissue region", "view": "A4C", "view_reason": "View Code Sequence", "frames": 48,
        "has_pixels": True, "frame_rate": 50.0, "calibrated": True, "age_years": 60.0,
    }  # fmt: skip
    return Facts(**(values | changes))


def strip(name: str, **changes: Any) -> Facts:
    """An M-mode strip."""
    return loop(name, **({"mode": Mode.M_MODE, "view": "PLAX", "frames": 1} | changes))


def number(concept: Code, value: float, *, method: Code | None = None, **changes: Any) -> Measurement:
    """A measurement in the unit that its concept has."""
    unit = {EDV: MILLILITRE, LVIDD: MILLIMETRE, WALL_MOTION: NO_UNIT}.get(concept, PERCENT)
    return Measurement(
        **({"concept": concept, "value": value, "unit": unit, "method": method, "frames": (1, 9)} | changes)
    )


def view_finding(confidence: float | None = 0.9) -> Finding:
    """What a view classifier says."""
    value = Code("399214001", "SCT", "Apical four chamber")
    return Finding(concept=IMAGE_VIEW, value=value, confidence=confidence)


def said(of: Facts, task: str, *results: Result, model: str = "", **changes: Any) -> KeptReading:
    """What the model of a task said of an object."""
    name = model or f"{ROUTE_OF.get(task, task)}-model"
    values: dict[str, Any] = {
        "sop_instance_uid": of.sop_instance_uid, "study_uid": of.study_uid, "task": task, "model": name, "version": "1",
        "digest": hashlib.sha256(name.encode()).hexdigest(), "route": ROUTE_OF.get(task, task), "work_id": "w",
        "results": results, "view": of.view, "stage": of.stage, "at": 1.0,
    }  # fmt: skip
    return KeptReading(**(values | changes))


def refusal(reason: str = "no whole beat", code: str = "beats") -> Ineligible:
    """A model's refusal."""
    return Ineligible(reason=reason, code=code)


def canceled(of: Facts, task: str, reason: str, **changes: Any) -> WorkItem:
    """A run that was given up."""
    route = ROUTE_OF[task]
    values: dict[str, Any] = {
        "id": "w1", "kind": WorkKind.RUN, "queue": f"{route}-model", "unique_key": "k", "state": WorkState.CANCELED,
        "study_uid": of.study_uid, "series_uid": of.series_uid, "sop_instance_uid": of.sop_instance_uid, "route": route,
        "payload": {"task": task, "model": f"{route}-model"}, "correlation_id": "", "priority": 0, "attempts": 3,
        "max_attempts": 3, "created_at": 1.0, "updated_at": 2.0, "not_before": 0.0, "lease_owner": None,
        "lease_until": None, "held": None, "reason": reason, "outcome": {},
    }  # fmt: skip
    return WorkItem(**(values | changes))


def algorithm(model: str, version: str, digest: str) -> Algorithm | None:
    """Every model is known: those called simulated-... were trained on simulated data, ef-model is for adults."""
    return Algorithm(
        name=model, version=version, title=model.replace("-", " "), digest=digest,
        simulated=model.startswith("simulated"), age_years_min=18.0 if model == "ef-model" else None,
    )  # fmt: skip


def report_of(facts: Sequence[Facts], readings: Sequence[KeptReading] = (), **changes: Any) -> StudyReport:
    """The report that is composed of it."""
    values: dict[str, Any] = {
        "study_uid": STUDY, "facts": facts, "references": {}, "readings": readings, "open_or_canceled": (),
        "derived": (), "routes": ROUTES, "algorithms": algorithm, "tasks": TASKS, "revision": 0,
        "state": ReportState.PRELIMINARY,
    }  # fmt: skip
    return compose(**(values | changes))


def values_of(report: StudyReport, *, selected: bool | None = None) -> list[ReportedValue]:
    """Every value of a report, or those that are (not) selected."""
    everything = [value for group in report.groups for value in group.values]
    return everything if selected is None else [value for value in everything if value.selected is selected]


def reference(name: str) -> ObjectReference:
    """A stored object."""
    return ObjectReference(sop_instance_uid=f"{STUDY}.9.{name}", sop_class_uid="1.2.4", series_uid=f"{STUDY}.9")


def biplane_of_all(readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]:
    """A biplane ejection fraction, the plain mean of single planes, where both apical views are there."""
    planes = {each.view: each for each in readings if each.measurements}
    if not {"A4C", "A2C"} <= planes.keys():
        return [Ineligible(reason="biplane needs an A4C and an A2C loop of one stage", code="biplane")]
    both = [planes["A4C"], planes["A2C"]]
    value = sum(each.measurements[0].value for each in both) / 2
    return [
        StudyValue(
            measurement=Measurement(concept=EF_BIPLANE, value=value, unit=PERCENT, method=BIPLANE),
            frames={each.sop_instance_uid: each.measurements[0].frames for each in both},
            model=both[0].model, version=both[0].version, digest=both[0].digest,
        )
    ]  # fmt: skip


def fused_of_all(readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]:
    """The largest probability of all models, as one of a fused model; its count says of how many readings."""
    numbers = [(each, one) for each in readings for one in each.measurements]
    return [
        StudyValue(
            measurement=Measurement(
                concept=WALL_MOTION, value=max(one.value for _, one in numbers), unit=NO_UNIT, count=len(numbers)
            ),
            frames={each.sop_instance_uid: () for each, _ in numbers},
            model="fused", version="1", digest="f",
        )
    ]  # fmt: skip
