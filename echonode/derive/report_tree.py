"""The content tree of a report: TID 1500, its image library, its groups, and what is said of the whole study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from echonode.core.identity import derived_uid
from echonode.core.report import LoopSaid, ReportState, StudyReport
from echonode.core.settings import NodeSection
from echonode.derive import report_codes as codes
from echonode.derive import report_items as items
from echonode.derive.common import RESEARCH_USE_ONLY
from echonode.derive.report_groups import groups_of, remarks_of
from echonode.derive.report_sources import Sources
from echonode.derive.report_values import refusal_of
from echonode.dicom import elements
from echonode.dicom.facts import MANUFACTURER

if TYPE_CHECKING:
    from highdicom.sr import ContentItem, ObserverContext

STATEMENT = f"{RESEARCH_USE_ONLY}: numbers of this report were made by a machine and are not for diagnosis."
VERIFIED = "Verified by a person; numbers that a machine made are named with their algorithm."
ADDENDUM = "Addendum of a machine to a report that a person has verified: that one stays valid."


def measurement_report(report: StudyReport, sources: Sources, node: NodeSection) -> Dataset:
    """The root of the tree (TID 1500).

    Raises:
        BadInput: a reference to what is not there.
    """
    from highdicom.sr import (
        MeasurementReport,
        MeasurementsAndQualitativeEvaluations,
        ObservationContext,
        TrackingIdentifier,
    )

    groups = groups_of(report, sources)
    if not groups:
        # TID 1500 wants a group: a study of which nothing can be said has one that says so.
        nothing = TrackingIdentifier(uid=derived_uid("loop", report.study_uid), identifier="No ultrasound object")
        groups = [MeasurementsAndQualitativeEvaluations(tracking_identifier=nothing)]
    root = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=device(node)),
        procedure_reported=items.coded(codes.IMAGING_PROCEDURE),
        imaging_measurements=groups,
    )[0]
    library = image_library(report, sources)
    if library is not None:
        root.ContentSequence.insert(len(root.ContentSequence) - 1, library)
    items.with_items(root, [items.container(codes.QUALITATIVE_EVALUATIONS, _of_study(report, sources))])
    return root


def device(node: NodeSection) -> ObserverContext:
    """This node as the observer (TID 1002, 1004); its UID is the same as long as it keeps its name."""
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext

    return ObserverContext(
        observer_type=items.coded(codes.DEVICE),
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=derived_uid("device", node.institution, node.station, node.ae_title),
            name=node.station,
            manufacturer_name=MANUFACTURER,
            model_name=MANUFACTURER,
            serial_number=node.station,
        ),
    )


def image_library(report: StudyReport, sources: Sources) -> ContentItem | None:
    """The pictures that the report speaks of (TID 1600), and in a second group those that were made of them.

    Built here since highdicom's knows neither the retired ultrasound classes nor view and stage.
    """
    recorded = [_entry(loop, sources) for loop in report.loops if sources.is_picture(loop.source.sop_instance_uid)]
    derived = [
        _picture(reference.sop_instance_uid, sources, [items.text(codes.DERIVED_KIND, kind, items.HAS_ACQ_CONTEXT)])
        for kind, reference in report.derived
        if sources.is_picture(reference.sop_instance_uid)
        and sources.study_of(reference.sop_instance_uid) == report.study_uid
    ]
    groups = [items.container(codes.IMAGE_LIBRARY_GROUP, group) for group in (recorded, derived) if group]
    return items.container(codes.IMAGE_LIBRARY, groups) if groups else None


def _entry(loop: LoopSaid, sources: Sources) -> ContentItem:
    told = []
    if loop.view is not None:
        told.append(items.code(codes.IMAGE_VIEW, loop.view, items.HAS_ACQ_CONTEXT))
    if loop.stage and items.plain(loop.stage):
        told.append(items.text(codes.STAGE, loop.stage, items.HAS_ACQ_CONTEXT))
    return _picture(loop.source.sop_instance_uid, sources, told)


def _picture(uid: str, sources: Sources, told: list[ContentItem]) -> ContentItem:
    """An entry of the image library (TID 1601, 1602): modality and size first, then what is told beside."""
    entry = items.image(codes.SOURCE, sources.reference(uid), relationship=items.CONTAINS)
    header = sources.headers.get(uid)
    below: list[ContentItem] = []
    if header is not None:
        modality = codes.MODALITIES.get(elements.text(header, "Modality"))
        if modality is not None:
            below.append(items.code(codes.MODALITY, modality, items.HAS_ACQ_CONTEXT))
        for name, count in (
            (codes.ROWS, elements.unsigned(header, "Rows")),
            (codes.COLUMNS, elements.unsigned(header, "Columns")),
        ):
            if count:
                below.append(items.number(name, count, codes.PIXELS, items.HAS_ACQ_CONTEXT))
    return items.with_items(entry, [*below, *told])


def _of_study(report: StudyReport, sources: Sources) -> Iterator[ContentItem]:
    """What is said of the study as a whole: that it is research, why results are missing, remarks, who looked."""
    yield items.code(codes.INTENDED_USE, codes.RESEARCH_ONLY)
    yield items.text(codes.REMARK, STATEMENT)
    if report.state is ReportState.ADDENDUM:
        yield items.text(codes.REMARK, ADDENDUM)
    if report.state is ReportState.VERIFIED:
        yield items.text(codes.REMARK, VERIFIED)
    if items.plain(report.review_comment):
        yield items.text(codes.REVIEW, report.review_comment)
    for refused in report.refusals:
        yield refusal_of(refused, sources)
    yield from remarks_of(report.remarks)
