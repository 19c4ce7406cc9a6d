"""Structured reports as scanners send them, by hand: TID 5200 in today's codes and in those of older editions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
Triple = tuple[str, str, str]
FINDINGS: Triple = ("59776-5", "LN", "Findings")
OLD_FINDINGS: Triple = ("121070", "DCM", "Findings")
SITE: Triple = ("363698007", "SCT", "Finding Site")
LV: Triple = ("87878005", "SCT", "Left ventricle")
LA: Triple = ("82471001", "SCT", "Left atrium")
METHOD: Triple = ("370129005", "SCT", "Measurement Method")
MODE: Triple = ("399264008", "SCT", "Image Mode")
MM: Triple = ("mm", "UCUM", "mm")
CM: Triple = ("cm", "UCUM", "cm")
ML: Triple = ("ml", "UCUM", "ml")
PERCENT: Triple = ("%", "UCUM", "%")
EF: Triple = ("18043-0", "LN", "Left Ventricular Ejection Fraction")
LVID_D: Triple = ("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension")
OLD: dict[str, str] = {
    "363698007": "G-C0E3", "87878005": "T-32600", "82471001": "T-32300", "370129005": "G-C036", "399264008": "G-0373",
    "399155008": "G-0394", "399064001": "G-03A2", "373098007": "R-00317", "90096001": "F-32120", "82799009": "F-32100",
    "399235004": "G-0383", "128975004": "F-01604", "434161005": "F-05028", "386136009": "R-10047",
}  # fmt: skip


def coded(code: Triple) -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def code(name: Triple, value: Triple, relationship: str = "HAS CONCEPT MOD") -> Dataset:
    """A CODE item."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, "CODE"
    item.ConceptNameCodeSequence, item.ConceptCodeSequence = [coded(name)], [coded(value)]
    return item


def number(name: Triple, value: str, unit: Triple | None, *below: Dataset) -> Dataset:
    """A NUM item."""
    measured = Dataset()
    measured.NumericValue = value
    if unit is not None:
        measured.MeasurementUnitsCodeSequence = [coded(unit)]
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
    item.ConceptNameCodeSequence, item.MeasuredValueSequence = [coded(name)], [measured]
    if below:
        item.ContentSequence = list(below)
    return item


def container(name: Triple, *below: Dataset) -> Dataset:
    """A CONTAINER item."""
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ContinuityOfContent = "CONTAINS", "CONTAINER", "SEPARATE"
    item.ConceptNameCodeSequence = [coded(name)]
    item.ContentSequence = list(below)
    return item


def group(*below: Dataset) -> Dataset:
    """A measurement group."""
    return container(("125007", "DCM", "Measurement Group"), *below)


def section(site: Triple, *groups: Dataset, findings: Triple = FINDINGS) -> Dataset:
    """Findings of one site."""
    return container(findings, code(SITE, site), *groups)


def report(*content: Dataset, study_uid: str = "1.2.3", **attributes: Any) -> Dataset:
    """The whole object, as a data set with file meta."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = COMPREHENSIVE_SR, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, generate_uid()
    dataset.Modality, dataset.Manufacturer = "SR", "Scanner Works"
    dataset.PatientID, dataset.PatientName = "P1", "Echo^Ada"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260102", "101112", "A1"
    dataset.ContentDate, dataset.ContentTime = "20260102", "111213"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [coded(("125200", "DCM", "Adult Echocardiography Procedure Report"))]
    dataset.ContentSequence = list(content)
    dataset.update(attributes_of(attributes))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def attributes_of(values: dict[str, Any]) -> Dataset:
    """Elements by keyword."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def in_older_edition(dataset: Dataset, scheme: str = "SRT") -> Dataset:
    """The same report as a cart of an older edition writes it: SNOMED-RT identifiers, findings (121070, DCM)."""
    for item in _all_codes(dataset):
        if item.CodingSchemeDesignator == "SCT":
            item.CodeValue, item.CodingSchemeDesignator = OLD[item.CodeValue], scheme
        elif item.CodeValue == FINDINGS[0]:
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = OLD_FINDINGS
    return dataset


def _all_codes(dataset: Dataset) -> Iterable[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                if "CodeValue" in item:
                    yield item
                else:
                    yield from _all_codes(item)
