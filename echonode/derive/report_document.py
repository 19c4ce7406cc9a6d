"""What every document of a report has around its content: patient, study, equipment, evidence, state (PS3.3 A.35, C.17).

Both structured reports and the page of a report share it, so that they cannot say different things of the same study.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from echonode.core.codes import PRIVATE_PREFIX, PROCESSING_EQUIPMENT
from echonode.core.identity import IMPLEMENTATION_VERSION_NAME, derived_uid
from echonode.core.report import Algorithm, ReportState, StudyReport
from echonode.core.settings import NodeSection
from echonode.derive import report_codes as codes
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    base_dataset,
    code_item,
    declare_private_scheme,
    reference_item,
    scanner_equipment,
    set_character_set,
    study_time,
    with_identity,
)
from echonode.derive.part10 import write_document
from echonode.derive.report_groups import algorithm_key
from echonode.derive.report_items import person_name, plain
from echonode.derive.report_sources import Sources
from echonode.dicom.facts import MANUFACTURER

COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR: Final = "1.2.840.10008.5.1.4.1.1.88.34"


def document_uid(kind: str, report: StudyReport, *further: str) -> str:
    """The SOP Instance UID of one document of one report: another content, state, reviewer or predecessor is another."""
    verified = "" if report.verified_at is None else f"{report.verified_at:.6f}"
    return derived_uid(
        kind,
        report.study_uid,
        report.content_digest,
        *(each.sop_instance_uid for each in report.predecessors),
        "",
        str(report.revision),
        str(report.state),
        report.verified_by,
        verified,
        *further,
    )


def document_series_uid(kind: str, report: StudyReport) -> str:
    """The Series Instance UID that all reports of one kind share in a study, as long as its patient stays the same."""
    return derived_uid("series", kind, report.study_uid, str(report.revision))


def document_dataset(
    kind: str,
    report: StudyReport,
    sources: Sources,
    *,
    node: NodeSection,
    now: datetime,
    patient: Mapping[str, Any] | None,
    series_number: int,
    title: str,
) -> tuple[Dataset, Dataset]:
    """Patient, study, series, equipment and creation attributes; with the header that they were copied from.

    Raises:
        BadInput: no object of the study has a header.
    """
    header = with_identity(sources.patient_header(report), patient)
    local = study_time(header, now)
    dataset = base_dataset(header, node=node, now=local)
    dataset.StudyInstanceUID = report.study_uid
    dataset.SeriesInstanceUID = document_series_uid(kind, report)
    dataset.SeriesNumber = series_number
    dataset.SeriesDescription = f"{title} RESEARCH"
    dataset.InstanceNumber = len(report.predecessors) + 1
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = IMPLEMENTATION_VERSION_NAME
    dataset.ContentQualification = "RESEARCH"
    dataset.ContributingEquipmentSequence = Sequence(equipment(report, sources, node=node, now=local))
    return dataset, header


def structured(
    dataset: Dataset,
    report: StudyReport,
    sources: Sources,
    *,
    content: Dataset,
    header: Dataset,
    node: NodeSection,
) -> None:
    """SR Document General and Content (PS3.3 C.17.2, C.17.3): state, evidence, predecessors, and the tree."""
    dataset.Modality = "SR"
    dataset.ReferencedPerformedProcedureStepSequence = Sequence()
    dataset.PerformedProcedureCodeSequence = Sequence([code_item(codes.TRANSTHORACIC)])
    dataset.CompletionFlag = "COMPLETE"
    dataset.CompletionFlagDescription = RESEARCH_USE_ONLY
    if report.state is ReportState.VERIFIED:
        dataset.VerificationFlag, dataset.PreliminaryFlag = "VERIFIED", "FINAL"
        dataset.VerifyingObserverSequence = Sequence([verifier(report, node=node, header=header)])
    else:
        dataset.VerificationFlag, dataset.PreliminaryFlag = "UNVERIFIED", "PRELIMINARY"
    if report.predecessors:
        before = [each.sop_instance_uid for each in report.predecessors]
        dataset.PredecessorDocumentsSequence = Sequence(_referenced(before, sources))
    for element in content:
        dataset[element.tag] = element
    used = referenced_uids(content)
    here = [uid for uid in used if sources.study_of(uid) == report.study_uid]
    elsewhere = [uid for uid in used if uid not in here]
    if here:
        dataset.CurrentRequestedProcedureEvidenceSequence = Sequence(_referenced(here, sources))
    if elsewhere:
        dataset.PertinentOtherEvidenceSequence = Sequence(_referenced(elsewhere, sources))
    declare_private_scheme(dataset, further=_foreign_schemes(report))
    set_character_set(header, dataset)


def _foreign_schemes(report: StudyReport) -> set[str]:
    """The private coding schemes of models of other packages, as far as the report uses them."""
    numbers = [value.measurement for group in report.groups for value in group.values]
    answers = [said.finding for group in report.groups for said in group.findings]
    told = [code for each in numbers for code in (each.concept, each.unit, each.method, each.site, each.derivation)]
    told += [code for each in answers for code in (each.concept, each.value, each.method)]
    return {code.scheme for code in told if code is not None and code.scheme.startswith(PRIVATE_PREFIX)}


def verifier(report: StudyReport, *, node: NodeSection, header: Dataset) -> Dataset:
    """Who has the last word, for whom, and when: an item of Verifying Observer Sequence (0040,A073)."""
    item = Dataset()
    item.VerifyingObserverName = person_name(report.verified_by or "not stated")
    item.VerifyingOrganization = node.institution or "not stated"
    at = study_time(header, datetime.fromtimestamp(report.verified_at or 0.0, UTC))
    item.VerificationDateTime = at.strftime("%Y%m%d%H%M%S.%f%z")
    item.VerifyingObserverIdentificationCodeSequence = Sequence()
    return item


def equipment(report: StudyReport, sources: Sources, *, node: NodeSection, now: datetime) -> Iterator[Dataset]:
    """Contributing Equipment (PS3.3 C.12.1.1.5): every scanner, then this node once for each algorithm."""
    for header in sources.scanners(report):
        yield scanner_equipment(header)
    algorithms: list[Algorithm | None] = [*algorithms_of(report)]
    for algorithm in algorithms or [None]:
        ours = Dataset()
        ours.PurposeOfReferenceCodeSequence = Sequence([code_item(PROCESSING_EQUIPMENT)])
        ours.Manufacturer = MANUFACTURER
        if node.institution:
            ours.InstitutionName = node.institution
        ours.StationName = node.station
        ours.DeviceSerialNumber = node.station
        ours.ContributionDateTime = now.strftime("%Y%m%d%H%M%S.%f")
        if algorithm is None:
            ours.ManufacturerModelName, ours.SoftwareVersions = MANUFACTURER, IMPLEMENTATION_VERSION_NAME
            ours.ContributionDescription = "Report of what scanners told; no model gave a result"
        else:
            ours.ManufacturerModelName = plain(algorithm.title)[:64] or algorithm.name
            ours.SoftwareVersions = f"{algorithm.name} {algorithm.version}"[:64]
            ours.ContributionDescription = _contribution(algorithm)
        yield ours


def algorithms_of(report: StudyReport) -> list[Algorithm]:
    """Every algorithm that the report names, each with its parameters once, in the order of the report."""
    found: dict[str, Algorithm] = {}
    for algorithm in _named(report):
        if algorithm is not None:
            found.setdefault(algorithm_key(algorithm), algorithm)
    return list(found.values())


def _named(report: StudyReport) -> Iterator[Algorithm | None]:
    for loop in report.loops:
        yield loop.algorithm
        yield from (refused.algorithm for refused in loop.refusals)
    for group in report.groups:
        yield from (value.algorithm for value in group.values)
        yield from (finding.algorithm for finding in group.findings)
        yield from (refused.algorithm for refused in group.refusals)
    yield from (refused.algorithm for refused in report.refusals)


def _contribution(algorithm: Algorithm) -> str:
    weights = ", ".join(f"{name} sha256 {digest}" for name, digest in sorted(algorithm.weights_sha256.items()))
    trained = f"; trained on: {algorithm.trained_on}" if algorithm.trained_on else ""
    text = (
        f"Model {algorithm.name} {algorithm.version}, package sha256 {algorithm.digest or 'none'}; "
        f"weights: {weights or 'none'}{trained}; {RESEARCH_USE_ONLY.lower()}"
    )
    return text.encode("ascii", "replace").decode()[:1024]


def referenced_uids(content: Dataset) -> list[str]:
    """Every SOP Instance UID that IMAGE and COMPOSITE items of a tree point at, in order, each once."""
    found: dict[str, None] = {}

    def walk(item: Dataset) -> None:
        for reference in item.get("ReferencedSOPSequence") or ():
            found[str(reference.ReferencedSOPInstanceUID)] = None
        for below in item.get("ContentSequence") or ():
            walk(below)

    walk(content)
    return list(found)


def _referenced(uids: Iterable[str], sources: Sources) -> Iterator[Dataset]:
    """Hierarchical references (PS3.3 table 10-4a): by study, then by series."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for uid in uids:
        reference = sources.reference(uid)
        instance = reference_item(reference.sop_class_uid, uid)
        studies.setdefault(sources.study_of(uid), {}).setdefault(reference.series_uid, []).append(instance)
    for study_uid, by_series in studies.items():
        study = Dataset()
        study.StudyInstanceUID = study_uid
        study.ReferencedSeriesSequence = Sequence()
        for series_instance_uid, instances in by_series.items():
            series = Dataset()
            series.SeriesInstanceUID = series_instance_uid
            series.ReferencedSOPSequence = Sequence(instances)
            study.ReferencedSeriesSequence.append(series)
        yield study


def derived_object(dataset: Dataset, *, kind: str) -> DerivedObject:
    """`dataset` as an object that writes itself, in Explicit VR Little Endian."""

    def write(path: Path) -> None:
        write_document(dataset, path)

    return DerivedObject(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        series_uid=str(dataset.SeriesInstanceUID),
        study_uid=str(dataset.StudyInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        kind=kind,
        write=write,
    )
