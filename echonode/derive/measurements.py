"""What was measured, for echo reporting systems: Comprehensive SR (PS3.3 A.35.3), TID 5200 (PS3.16).

It has conventional numbers alone, each once and only if it stands for the study: a reporting system pastes what it is
sent, so that a prediction would become a measured value in its report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal

from pydicom.dataset import Dataset

from echonode.core.codes import Code
from echonode.core.errors import BadInput
from echonode.core.report import ReportedValue, StudyReport, ValueGroup
from echonode.core.results import Measurement
from echonode.core.settings import NodeSection
from echonode.derive import report_codes as codes
from echonode.derive import report_items as items
from echonode.derive.common import DerivedObject
from echonode.derive.report_document import (
    COMPREHENSIVE_SR,
    derived_object,
    document_dataset,
    document_uid,
    structured,
)
from echonode.derive.report_sources import Sources
from echonode.derive.report_tree import device
from echonode.derive.report_values import seen_in
from echonode.dicom import quantities

KIND: Final = "measurements"
SERIES_NUMBER: Final = 9011
TEMPLATE: Final = "5200"
_OF_VENTRICLE: Final = (
    quantities.LVID_D, quantities.LVID_S, quantities.IVS_D, quantities.LVPW_D, quantities.END_DIASTOLIC_VOLUME,
    quantities.END_SYSTOLIC_VOLUME, codes.EJECTION_FRACTION, quantities.SHORTENING,
)  # fmt: skip
_PREDICTIONS: Final = ("cmr",)
_LENGTHS: Final[Mapping[str, tuple[Code, float]]] = {
    "mm": (Code("mm", "UCUM", "mm"), 1.0),
    "cm": (Code("cm", "UCUM", "cm"), 10.0),
}
"""Each unit of length with its millimetres."""


def exported(report: StudyReport) -> tuple[tuple[ValueGroup, ReportedValue], ...]:
    """The values that `build_measurements` writes, with their groups; none where there is nothing to export."""
    known = {*_OF_VENTRICLE, quantities.HEART_RATE}
    return tuple(
        (group, value)
        for group in report.groups
        if group.topic not in _PREDICTIONS
        for value in group.values
        if value.selected and codes.generic(value.measurement).concept in known
    )


def build_measurements(
    report: StudyReport,
    *,
    headers: Mapping[str, Dataset],
    node: NodeSection,
    now: datetime,
    length_unit: Literal["mm", "cm"] = "mm",
    patient: Mapping[str, Any] | None = None,
) -> DerivedObject:
    """The selected conventional numbers of `report`, lengths in `length_unit`; the rest as `build_report`.

    Raises:
        BadInput: nothing to export (see `exported`), a unit that is none, or a reference to what is not there.
    """
    if length_unit not in _LENGTHS:
        raise BadInput(f"lengths are exported in {' or '.join(_LENGTHS)}, not {length_unit!r}")
    chosen = exported(report)
    if not chosen:
        raise BadInput("the report has no measured value that stands for the study: there is nothing to export")
    sources = Sources.of(report, headers)
    dataset, header = document_dataset(
        KIND, report, sources, node=node, now=now, patient=patient, series_number=SERIES_NUMBER, title="Measurements"
    )
    dataset.SOPClassUID = COMPREHENSIVE_SR
    dataset.SOPInstanceUID = document_uid(KIND, report, length_unit)
    content = items.container(codes.ECHO_REPORT, [], relationship=None, template=TEMPLATE)
    items.with_items(content, _tree(chosen, sources, node=node, length_unit=length_unit))
    # Its predecessors are reports of another kind: those that replace an export are told by the report itself.
    structured(dataset, replace(report, predecessors=()), sources, content=content, header=header, node=node)
    return derived_object(dataset, kind=KIND)


def _tree(
    chosen: Sequence[tuple[ValueGroup, ReportedValue]], sources: Sources, *, node: NodeSection, length_unit: str
) -> Iterator[Any]:
    """TID 5200 below its root: language, observer, and findings by site (TID 5202)."""
    yield items.code(codes.LANGUAGE, codes.ENGLISH, items.HAS_CONCEPT_MOD)
    yield from device(node)
    for site, concepts in ((codes.LEFT_VENTRICLE, _OF_VENTRICLE), (codes.HEART, (quantities.HEART_RATE,))):
        numbers = [
            _number(value, sources, length_unit)
            for _, value in chosen
            if codes.generic(value.measurement).concept in concepts
        ]
        if not numbers:
            continue
        yield items.container(
            codes.FINDINGS,
            [
                items.code(codes.FINDING_SITE, site, items.HAS_CONCEPT_MOD),
                items.container(codes.MEASUREMENT_GROUP, numbers),
            ],
        )


def _number(value: ReportedValue, sources: Sources, length_unit: str) -> Any:
    """A measurement (TID 5203) with its method and the pictures that it was read from."""
    said = _in_unit(codes.generic(value.measurement), length_unit)
    below: list[Any] = []
    if said.method is not None:
        below.append(items.code(codes.METHOD, said.method, items.HAS_CONCEPT_MOD))
    if said.derivation is not None:
        below.append(items.code(codes.DERIVATION, said.derivation, items.HAS_CONCEPT_MOD))
    below += seen_in(value.frames, sources)
    return items.with_items(items.number(said.concept, said.value, said.unit, items.CONTAINS), below)


def _in_unit(said: Measurement, length_unit: str) -> Measurement:
    if said.unit.value not in _LENGTHS:
        return said
    unit, millimetres = _LENGTHS[length_unit]
    return replace(said, value=said.value * _LENGTHS[said.unit.value][1] / millimetres, unit=unit)
