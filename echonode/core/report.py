"""The report of a study as a value: what flow decides and derive writes down.

Nothing in it is averaged or fused over stages of a stress test or over contrast states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from echonode.core.codes import Code
from echonode.core.results import Finding, Measurement


class ReportState(StrEnum):
    """What a report is to its reader."""

    PRELIMINARY = "preliminary"  # a machine's, nobody has looked
    VERIFIED = "verified"  # a person has the last word
    ADDENDUM = "addendum"  # a machine's, after a person's


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectReference:
    """A stored object that the report speaks of."""

    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Algorithm:
    """The model behind a statement. `weights_sha256` may be empty for a classical method. `age_years_min` is the youngest
    patient that it was made for, None where its manifest does not tell.
    """

    name: str
    version: str
    title: str
    digest: str
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    trained_on: str = ""
    simulated: bool = False
    reference: str = ""
    age_years_min: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Why there is no result; `task` is the task's title for people. Of one loop, or of the study where `source` is None."""

    task: str
    reason: str
    code: str = ""
    source: ObjectReference | None = None
    algorithm: Algorithm | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopSaid:
    """What is known of one object: its group "view and quality". `number` counts the objects of the report from 1."""

    number: int
    source: ObjectReference
    mode: str
    mode_reason: str = ""
    view: Code | None = None
    view_reason: str = ""
    view_confidence: float | None = None
    quality: float | None = None
    stage: str | None = None
    contrast: bool = False
    frames: int = 1
    algorithm: Algorithm | None = None
    refusals: tuple[Refused, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedValue:
    """A number with where it was read: `frames` maps SOP Instance UIDs to frames counted from 0, none for all frames.

    `selected` marks the one value of its concept that stands for the study; `selection` says why.
    """

    measurement: Measurement
    frames: Mapping[str, tuple[int, ...]]
    algorithm: Algorithm | None
    selected: bool = False
    selection: str = ""
    entered_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedFinding:
    """A coded answer with where it was seen."""

    finding: Finding
    frames: Mapping[str, tuple[int, ...]]
    algorithm: Algorithm | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueGroup:
    """Values of one topic at one stage: `topic` is "lv-function", "cmr" or "further". `title` for people: "LV function, Low Dose"."""

    topic: str
    title: str
    stage: str | None = None
    contrast: bool = False
    values: tuple[ReportedValue, ...] = ()
    findings: tuple[ReportedFinding, ...] = ()
    refusals: tuple[Refused, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyReport:
    """One report of one study.

    `predecessors` are earlier reports that it replaces (or, an addendum, adds to), newest first. `content_digest` names
    everything that the report says: the same content is the same report. `derived` are further objects made of the study
    (segmentations, overlays) that the report may point at, by kind.
    """

    study_uid: str
    state: ReportState
    loops: tuple[LoopSaid, ...]
    groups: tuple[ValueGroup, ...]
    refusals: tuple[Refused, ...] = ()
    remarks: tuple[str, ...] = ()
    predecessors: tuple[ObjectReference, ...] = ()
    derived: tuple[tuple[str, ObjectReference], ...] = ()
    revision: int = 0
    content_digest: str = ""
    verified_by: str = ""
    verified_at: float | None = None
    review_comment: str = ""
