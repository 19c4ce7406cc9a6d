"""What every derived object has in common: what is copied, what is new, what it refers to, and that it says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from echonode.core.codes import (
    ACQUISITION_EQUIPMENT,
    PRIVATE_SCHEME,
    SOURCE_IMAGE,
    Code,
)
from echonode.core.identity import IMPLEMENTATION_CLASS_UID
from echonode.core.package import Package
from echonode.core.settings import NodeSection
from echonode.derive.copying import character_set_for, copy_elements
from echonode.derive.identity import with_identity as with_identity
from echonode.dicom import elements
from echonode.dicom.facts import MANUFACTURER
from echonode.dicom.lossy import METHOD_OF_SYNTAX

RESEARCH_USE_ONLY = "RESEARCH USE ONLY"
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
PATIENT_AND_STUDY = (
    "IssuerOfPatientID", "OtherPatientIDsSequence", "PatientAge", "PatientSize", "PatientWeight",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "BreedRegistrationSequence", "PatientSexNeutered", "ResponsiblePerson", "ResponsiblePersonRole",
    "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "StudyInstanceUID", "StudyDescription", "ProcedureCodeSequence", "IssuerOfAccessionNumberSequence",
    "TimezoneOffsetFromUTC",
)  # fmt: skip
_SCANNER = (
    "Manufacturer", "InstitutionName", "StationName", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class DerivedObject:
    """A derived object that is named but not yet written; `write` makes the Part 10 file at a path.

    `kind` is what routes.toml calls it: slow-motion, report, segmentation, capture, document. Writing twice gives the
    same pixels under the same UID; times of creation are fixed when the object is built.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax_uid: str
    kind: str
    write: Callable[[Path], None]


def code_item(code: Code) -> Dataset:
    """A code sequence item (PS3.3 table 8.8-1)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def base_dataset(source: Dataset, *, node: NodeSection, now: datetime) -> Dataset:
    """Patient, study, equipment and creation attributes of an object that is derived from `source`.

    Type 2 attributes that the source lacks are written empty; values that the standard forbids are put right.
    """
    dataset = Dataset()
    copy_elements(source, dataset, TYPE_2, empty=True)
    if dataset.PatientSex not in ("M", "F", "O", None):
        dataset.PatientSex = None
    copy_elements(source, dataset, PATIENT_AND_STUDY)
    dataset.InstanceCreatorUID = IMPLEMENTATION_CLASS_UID
    for prefix in ("InstanceCreation", "Content"):
        setattr(dataset, f"{prefix}Date", now.strftime("%Y%m%d"))
        setattr(dataset, f"{prefix}Time", now.strftime("%H%M%S.%f"))
    dataset.Manufacturer = MANUFACTURER
    if node.institution:
        dataset.InstitutionName = node.institution
    dataset.StationName = node.station
    dataset.DeviceSerialNumber = node.station
    return dataset


def study_time(source: Dataset, now: datetime) -> datetime:
    """`now` on the clock of the source: in its Timezone Offset From UTC (0008,0201), which we copy, if it has one."""
    offset = re.fullmatch(r"([+-])(\d{2})(\d{2})", elements.text(source, "TimezoneOffsetFromUTC"))
    if offset is None or now.tzinfo is None:
        return now
    minutes = int(offset[2]) * 60 + int(offset[3])
    if minutes >= 24 * 60:
        return now
    return now.astimezone(timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes)))


def set_character_set(source: Dataset, dataset: Dataset) -> None:
    """Write the Specific Character Set in which every copied text of `dataset` can be expressed."""
    terms = character_set_for(source, dataset)
    if terms is not None:
        dataset.SpecificCharacterSet = terms if len(terms) > 1 else terms[0]


def reference_source(source: Dataset, dataset: Dataset, *, locations_preserved: bool) -> None:
    """Source Image Sequence and Common Instance Reference (PS3.3 C.7.6.1.1.4, C.12.2) to the one source image."""
    image = reference_to(source)
    image.SpatialLocationsPreserved = "YES" if locations_preserved else "NO"
    image.PurposeOfReferenceCodeSequence = Sequence([code_item(SOURCE_IMAGE)])
    dataset.SourceImageSequence = Sequence([image])
    refer_to_instance(source, dataset)


def refer_to_instance(source: Dataset, dataset: Dataset) -> None:
    """Common Instance Reference (PS3.3 C.12.2) to the one source image."""
    series = Dataset()
    series.SeriesInstanceUID = elements.text(source, "SeriesInstanceUID")
    series.ReferencedInstanceSequence = Sequence([reference_to(source)])
    dataset.ReferencedSeriesSequence = Sequence([series])


def reference_to(header: Dataset) -> Dataset:
    """`reference_item` to the object with that header."""
    return reference_item(elements.text(header, "SOPClassUID"), elements.text(header, "SOPInstanceUID"))


def reference_item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """A reference to an object (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def contribute(
    source: Dataset, dataset: Dataset, *, role: Code, package: Package, node: NodeSection, now: datetime
) -> None:
    """Contributing Equipment (PS3.3 C.12.1.1.5): the scanner, then this node in `role` with its model."""
    ours = our_equipment(role, package, node=node, now=now)
    dataset.ContributingEquipmentSequence = Sequence([scanner_equipment(source), ours])


def scanner_equipment(header: Dataset) -> Dataset:
    """The item of Contributing Equipment (PS3.3 C.12.1.1.5) that names the scanner of the object with that header."""
    scanner = Dataset()
    scanner.PurposeOfReferenceCodeSequence = Sequence([code_item(ACQUISITION_EQUIPMENT)])
    copy_elements(header, scanner, _SCANNER)
    if "Manufacturer" not in scanner:
        scanner.Manufacturer = "unknown"
    return scanner


def our_equipment(role: Code, package: Package, *, node: NodeSection, now: datetime) -> Dataset:
    """The item of Contributing Equipment (PS3.3 C.12.1.1.5) that says what this node did, and with which model."""
    ours = Dataset()
    ours.PurposeOfReferenceCodeSequence = Sequence([code_item(role)])
    ours.Manufacturer = MANUFACTURER
    ours.StationName = node.station
    ours.ManufacturerModelName = package.title[:64]
    ours.DeviceSerialNumber = node.station
    ours.SoftwareVersions = f"{package.name} {package.version}"[:64]
    ours.ContributionDateTime = now.strftime("%Y%m%d%H%M%S.%f")
    weights = ", ".join(f"{name} sha256 {digest}" for name, digest in sorted(package.weights_sha256.items()))
    ours.ContributionDescription = (
        (
            f"Model {package.name} {package.version}, package sha256 {package.digest}; weights: {weights or 'none'}; "
            f"trained on: {package.trained_on}; intended use: {package.intended_use}"
        )
        .encode("ascii", "replace")
        .decode()[:1024]
    )
    return ours


def declare_private_scheme(dataset: Dataset, *, further: Collection[str] = ()) -> None:
    """Coding Scheme Identification (PS3.3 C.12.1.1.3) of our private codes, and of the `further` schemes of models."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = "echonode private codes"
    item.CodingSchemeResponsibleOrganization = "echonode"
    items = [item]
    for scheme in sorted(set(further) - {PRIVATE_SCHEME}):
        items.append(Dataset())
        items[-1].CodingSchemeDesignator = scheme
        items[-1].CodingSchemeName = "private codes of a model"
    dataset.CodingSchemeIdentificationSequence = Sequence(items)


def lossy_bookkeeping(
    source: Dataset, dataset: Dataset, *, source_syntax: str, method: str | None, ratio: float | None
) -> str:
    """Lossy Image Compression and its ratios and methods, ours after the source's (PS3.3 C.7.6.1.1.5).

    `method` and `ratio` are None when our own encoding is lossless. Once lossy is lossy for ever. Returns a sentence
    for Derivation Description where the source's own history is incomplete, else nothing.
    """
    before = METHOD_OF_SYNTAX.get(source_syntax)
    was_lossy = elements.text(source, "LossyImageCompression") == "01" or before is not None
    ratios = [f"{value:.6g}" for value in elements.decimals(source, "LossyImageCompressionRatio") if value > 0]
    methods = [value for value in elements.texts(source, "LossyImageCompressionMethod") if value]
    if not methods and len(ratios) == 1 and before is not None:
        methods = [before]
    remark = ""
    if len(ratios) != len(methods) or (was_lossy and not methods):
        ratios, methods = [], []
        remark = "The source was lossy before, its ratio or method is not stated." if was_lossy else ""
    if not was_lossy:
        ratios, methods = [], []
    if method is not None and ratio is not None:
        ratios.append(f"{ratio:.6g}")
        methods.append(method)
    dataset.LossyImageCompression = "01" if was_lossy or method is not None else "00"
    if methods:
        dataset.LossyImageCompressionRatio = ratios if len(ratios) > 1 else ratios[0]
        dataset.LossyImageCompressionMethod = methods if len(methods) > 1 else methods[0]
    return remark


def parameters_text(parameters: Mapping[str, Any]) -> str:
    """Parameters as one line of JSON."""
    return json.dumps(dict(parameters), sort_keys=True, default=str)
