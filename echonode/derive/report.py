"""The report of a study as a structured report: Comprehensive 3D SR (PS3.3 A.35.13), TID 1500 (PS3.16)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydicom.dataset import Dataset

from echonode.core.report import StudyReport
from echonode.core.settings import NodeSection
from echonode.derive.common import DerivedObject
from echonode.derive.report_document import (
    COMPREHENSIVE_3D_SR,
    derived_object,
    document_dataset,
    document_uid,
    structured,
)
from echonode.derive.report_sources import Sources
from echonode.derive.report_tree import measurement_report

KIND: Final = "report"
SERIES_NUMBER: Final = 9010


def report_uid(report: StudyReport) -> str:
    """The SOP Instance UID that `build_report` gives: the same report has the same."""
    return document_uid(KIND, report)


def build_report(
    report: StudyReport,
    *,
    headers: Mapping[str, Dataset],
    node: NodeSection,
    now: datetime,
    patient: Mapping[str, Any] | None = None,
) -> DerivedObject:
    """`report` as one object of its study; `now` is when it was made, `patient` the corrected identity, if it was.

    `headers` has the header, without pixels, of every object that the report refers to, by SOP Instance UID; at least
    one of the study itself.

    Raises:
        BadInput: a reference to an object or a frame that there is not.
    """
    sources = Sources.of(report, headers)
    dataset, header = document_dataset(
        KIND, report, sources, node=node, now=now, patient=patient, series_number=SERIES_NUMBER, title="Echo report"
    )
    dataset.SOPClassUID, dataset.SOPInstanceUID = COMPREHENSIVE_3D_SR, report_uid(report)
    structured(
        dataset,
        report,
        sources,
        content=measurement_report(report, sources, node),
        header=header,
        node=node,
    )
    return derived_object(dataset, kind=KIND)
