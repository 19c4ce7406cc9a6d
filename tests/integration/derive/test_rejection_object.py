"""A rejection note that an archive does not understand leaves a withdrawn result on the cardiologist's screen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from echonode.core.codes import REJECTED_FOR_QUALITY, REJECTED_FOR_SAFETY
from echonode.core.errors import BadInput
from echonode.core.settings import NodeSection
from echonode.derive.common import DerivedObject
from echonode.derive.rejection import build_rejection
from tests.support.loops import loop_dataset
from tests.support.validators import consistency_errors, dump, iod_errors, sr_errors

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def objects(tmp_path: Path) -> list[Path]:
    """Two objects of one series and one of another, in one study."""
    study, paths = generate_uid(), []
    for number in range(3):
        dataset = loop_dataset(study_uid=study, frames=2, size=32)
        if number == 2:
            dataset.SeriesInstanceUID, dataset.SeriesNumber = generate_uid(), 2
        path = tmp_path / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def headers(paths: list[Path]) -> list[Dataset]:
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]


def build(paths: list[Path], **changes: Any) -> DerivedObject:
    options: dict[str, Any] = {
        "reason": "traced the papillary muscle",
        "by": "Ada Echo",
        "node": NodeSection(),
        "now": NOW,
    }
    return build_rejection(headers(paths), **(options | changes))


def written(derived: DerivedObject, folder: Path) -> tuple[Path, Dataset]:
    path = folder / "note.dcm"
    derived.write(path)
    return path, pydicom.dcmread(path)


@pytest.mark.parametrize("title", [REJECTED_FOR_QUALITY, REJECTED_FOR_SAFETY], ids=["quality", "safety"])
def test_validators_are_content(tmp_path: Path, objects: list[Path], title: Any) -> None:
    path, dataset = written(build(objects, title=title), tmp_path)
    assert iod_errors(path) == []
    assert consistency_errors([*objects, path]) == []
    assert dataset.ConceptNameCodeSequence[0].CodeValue == title.value


@pytest.mark.slow
@pytest.mark.parametrize("title", [REJECTED_FOR_QUALITY, REJECTED_FOR_SAFETY], ids=["quality", "safety"])
def test_the_template_is_that_of_key_objects(tmp_path: Path, objects: list[Path], title: Any) -> None:
    path, _ = written(build(objects, title=title), tmp_path)
    # PixelMed never finds the condition of a title's modifier fulfilled, in whichever row.
    unknown = "Conditional content item present when condition not satisfied"
    assert [line for line in sr_errors(path) if unknown not in line] == []


def test_the_note_can_be_read(tmp_path: Path, objects: list[Path]) -> None:
    path, _ = written(build(objects), tmp_path)
    said = dump(path)
    assert "Ada Echo" in said
    assert said.count("contains IMAGE") == 3


def test_every_object_is_in_evidence_and_content_by_its_series(tmp_path: Path, objects: list[Path]) -> None:
    _, dataset = written(build(objects), tmp_path)
    rejected = {header.SOPInstanceUID for header in headers(objects)}
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == dataset.StudyInstanceUID == headers(objects)[0].StudyInstanceUID
    assert sorted(len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence) == [1, 2]
    evidence = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    content = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in dataset.ContentSequence
        if item.ValueType == "IMAGE"
    }
    assert evidence == content == rejected


def test_a_report_is_rejected_as_a_composite_object(tmp_path: Path, objects: list[Path]) -> None:
    report = headers(objects)[0]
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.34"
    for keyword in ("Rows", "Columns", "NumberOfFrames"):
        delattr(report, keyword)
    derived = build_rejection([report], reason="wrong", by="A^B", node=NodeSection(), now=NOW)
    _, dataset = written(derived, tmp_path)
    assert dataset.ContentSequence[-1].ValueType == "COMPOSITE"


def test_the_same_decision_is_the_same_note(objects: list[Path]) -> None:
    first = build(objects)
    assert build(list(reversed(objects)) + objects[:1]).sop_instance_uid == first.sop_instance_uid
    others = [build(objects[:2]), build(objects, reason="other"), build(objects, by="Bob"),
              build(objects, title=REJECTED_FOR_SAFETY)]  # fmt: skip
    assert len({first.sop_instance_uid, *(other.sop_instance_uid for other in others)}) == 5


def test_a_note_needs_objects_of_one_study_a_reason_and_a_person(tmp_path: Path, objects: list[Path]) -> None:
    foreign = tmp_path / "foreign.dcm"
    loop_dataset(frames=2, size=32).save_as(foreign, enforce_file_format=True)
    for paths, changes in (([], {}), ([*objects, foreign], {}), (objects, {"reason": " "}), (objects, {"by": ""})):
        with pytest.raises(BadInput):
            build(paths, **changes)


def test_a_corrected_patient_is_the_one_that_the_note_names(tmp_path: Path, objects: list[Path]) -> None:
    patient = {"00100020": {"vr": "LO", "Value": ["R1"]}}
    path, dataset = written(build(objects, patient=patient, reason="größer"), tmp_path)
    assert dataset.PatientID == "R1"
    assert b"Echo^Ada" not in path.read_bytes()
    assert dataset.ContentSequence[3].TextValue == "größer"
