"""A query as plain values: one form for C-FIND and QIDO-RS (PS3.4 C.2.2.2), compiled to SQL by the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Single:
    """Single value matching; `ignore_case` for person names."""

    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """List of UID matching, and of values where a list is allowed."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`*` and `?` matching, every other character literal."""

    pattern: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Range matching of DA, TM and DT in DICOM's own text form; None is open."""

    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Matching of person names by words: each word of `value` begins a word of the name, whatever case and accents."""

    value: str


@dataclass(frozen=True, slots=True)
class Universal:
    """An empty key: matches everything and is returned."""


Matcher = Single | AnyOf | Wildcard | Range | Fuzzy | Universal


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryRequest:
    """Which objects at which level; `keys` maps a DICOM keyword (PatientID) to its matcher."""

    level: Level
    keys: Mapping[str, Matcher] = field(default_factory=dict)
    limit: int | None = None
    offset: int = 0
    include_hidden: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryMatch:
    """One match: the attributes of its level and of those above, as DICOM JSON (PS3.18 F.2), 8-digit hex tag -> item.

    Values stand in Unicode; the edge chooses the character set. `counts` has the computed keywords
    (NumberOfStudyRelatedInstances, ModalitiesInStudy ...) where the request asked for them. `row` is the archive's own
    name of the match.
    """

    level: Level
    attributes: Mapping[str, Any]
    counts: Mapping[str, Any] = field(default_factory=dict)
    row: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredInstance:
    """Where one stored object lies: enough to send it. `path` is a Part 10 file, `dataset_offset` its data set."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_uid: str
    study_uid: str
    patient_id: str
    sha256: str
    size: int
    path: str
    dataset_offset: int
    derived: bool = False
    hidden: bool = False
    withdrawn: str = ""
    """Why a result was taken back; it is hidden then."""
