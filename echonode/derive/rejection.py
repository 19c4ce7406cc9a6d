"""A rejection note: a Key Object Selection Document (PS3.3 A.35.4) that tells archives to show objects no more.

As in IHE's Imaging Object Change Management: the title says why (PS3.16 CID 7010), the objects are in the evidence
and in the content tree (TID 2010). Each note is of one study.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from echonode.core.codes import PROCESSING_EQUIPMENT, REJECTED_FOR_QUALITY, Code
from echonode.core.errors import BadInput
from echonode.core.identity import derived_uid
from echonode.core.settings import NodeSection
from echonode.derive.common import (
    DerivedObject,
    base_dataset,
    code_item,
    reference_to,
    set_character_set,
    study_time,
    with_identity,
)
from echonode.derive.names import Names
from echonode.derive.part10 import write_document
from echonode.dicom import elements
from echonode.dicom.facts import MANUFACTURER

KIND = "rejection"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
SERIES_NUMBER = 9006
_TITLE_MODIFIER = Code("113011", "DCM", "Document Title Modifier")
_OTHER_FAILURE = Code("111220", "DCM", "Other failure")
_DESCRIPTION = Code("113012", "DCM", "Key Object Description")
_OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
_PERSON = Code("121006", "DCM", "Person")
_PERSON_NAME = Code("121008", "DCM", "Person Observer Name")
_LONGEST_NAME = 64


def build_rejection(
    headers: Seq[Dataset],
    *,
    reason: str,
    by: str,
    node: NodeSection,
    now: datetime,
    patient: Mapping[str, Any] | None = None,
    title: Code = REJECTED_FOR_QUALITY,
    revision: int = 0,
) -> DerivedObject:
    """A note that the objects with these headers are rejected, by the person `by`, for `reason` in their own words.

    `title` is REJECTED_FOR_QUALITY for a result that is not right, REJECTED_FOR_SAFETY where the objects tell of the
    wrong patient. The same objects, title, reason and person give the same UID. `patient` is the study's patient as
    DICOM JSON where it is no longer the one of the headers.

    Raises:
        BadInput: no object, objects of several studies, or no reason.
    """
    unique = {elements.text(header, "SOPInstanceUID"): header for header in headers}
    studies = {elements.text(header, "StudyInstanceUID") for header in headers}
    if len(studies) != 1 or "" in unique:
        raise BadInput("a rejection note is of objects of one study")
    if not reason.strip() or not by.strip():
        raise BadInput("a rejection needs its reason and who rejects")
    study = studies.pop()
    words = (title.value, " ".join(reason.split()), " ".join(by.split()), str(revision))
    names = Names(
        study_uid=study,
        series_uid=derived_uid("series", KIND, study, str(revision)),
        sop_instance_uid=derived_uid(KIND, study, *sorted(unique), *words),
    )
    note = _Note(
        headers=tuple(unique[each] for each in sorted(unique)),
        reason=reason.strip(),
        by=words[2],
        title=title,
        node=node,
        now=now,
        patient=patient,
        names=names,
    )
    return names.derived_object(
        KIND, sop_class_uid=KEY_OBJECTS, transfer_syntax_uid=ExplicitVRLittleEndian, write=note.write
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    headers: tuple[Dataset, ...]
    reason: str
    by: str
    title: Code
    node: NodeSection
    now: datetime
    patient: Mapping[str, Any] | None
    names: Names

    def write(self, path: Path) -> None:
        """The note to `path`."""
        write_document(self._dataset(), path)

    def _dataset(self) -> Dataset:
        header = with_identity(self.headers[0], self.patient)
        now = study_time(header, self.now)
        dataset = base_dataset(header, node=self.node, now=now)
        self.names.put_on(dataset, sop_class_uid=KEY_OBJECTS)
        dataset.Modality, dataset.SeriesNumber = "KO", SERIES_NUMBER
        dataset.SeriesDescription = f"{self.title.meaning} RESEARCH"
        dataset.ManufacturerModelName = MANUFACTURER
        dataset.ReferencedPerformedProcedureStepSequence = Sequence([])
        dataset.InstanceNumber = 1
        dataset.CurrentRequestedProcedureEvidenceSequence = Sequence([self._evidence()])
        self._content(dataset)
        ours = Dataset()
        ours.PurposeOfReferenceCodeSequence = Sequence([code_item(PROCESSING_EQUIPMENT)])
        ours.Manufacturer = MANUFACTURER
        ours.StationName = ours.DeviceSerialNumber = self.node.station
        ours.ContributionDateTime = now.strftime("%Y%m%d%H%M%S.%f")
        dataset.ContributingEquipmentSequence = Sequence([ours])
        set_character_set(header, dataset)
        return dataset

    def _evidence(self) -> Dataset:
        """Current Requested Procedure Evidence (PS3.3 C.17.2): every rejected object by its series."""
        by_series: dict[str, list[Dataset]] = {}
        for header in self.headers:
            by_series.setdefault(elements.text(header, "SeriesInstanceUID"), []).append(reference_to(header))
        study = Dataset()
        study.StudyInstanceUID = elements.text(self.headers[0], "StudyInstanceUID")
        study.ReferencedSeriesSequence = Sequence([])
        for uid, objects in by_series.items():
            series = Dataset()
            series.SeriesInstanceUID = uid
            series.ReferencedSOPSequence = Sequence(objects)
            study.ReferencedSeriesSequence.append(series)
        return study

    def _content(self, dataset: Dataset) -> None:
        """The content tree (TID 2010): title, its modifier, who, why, and the objects."""
        dataset.ValueType = "CONTAINER"
        dataset.ConceptNameCodeSequence = Sequence([code_item(self.title)])
        dataset.ContinuityOfContent = "SEPARATE"
        template = Dataset()
        template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
        dataset.ContentTemplateSequence = Sequence([template])
        items = []
        if self.title == REJECTED_FOR_QUALITY:  # then the template wants to know what failed (CID 7011)
            items.append(_coded("HAS CONCEPT MOD", _TITLE_MODIFIER, _OTHER_FAILURE))
        items.append(_coded("HAS OBS CONTEXT", _OBSERVER_TYPE, _PERSON))
        name = self.by if "^" in self.by else f"{self.by}^"
        person = _item("HAS OBS CONTEXT", "PNAME", _PERSON_NAME)
        person.PersonName = name[:_LONGEST_NAME]
        items.append(person)
        said = _item("CONTAINS", "TEXT", _DESCRIPTION)
        said.TextValue = self.reason
        items.append(said)
        for header in self.headers:
            item = _item("CONTAINS", "IMAGE" if elements.has(header, "Rows") else "COMPOSITE", None)
            item.ReferencedSOPSequence = Sequence([reference_to(header)])
            items.append(item)
        dataset.ContentSequence = Sequence(items)


def _item(relationship: str, kind: str, name: Code | None) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, kind
    if name is not None:
        item.ConceptNameCodeSequence = Sequence([code_item(name)])
    return item


def _coded(relationship: str, name: Code, value: Code) -> Dataset:
    item = _item(relationship, "CODE", name)
    item.ConceptCodeSequence = Sequence([code_item(value)])
    return item
