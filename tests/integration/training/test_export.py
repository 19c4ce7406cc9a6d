"""Pictures of the archive as a data set: what names a person stays behind, what a doctor signed comes along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from echonode.core.errors import BadInput, BadQuery
from echonode.training.export import export, read_labels
from tests.support.door import DoorBench, encoded, picture

KEY = b"k" * 32
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


def coded(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def report(uid: str, value: str, verified: str) -> Dataset:
    number, measured, group = Dataset(), Dataset(), Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, coded("%", "UCUM", "percent")
    number.ValueType, number.ConceptNameCodeSequence = (
        "NUM",
        coded("10230-1", "LN", "Left ventricular ejection fraction"),
    )
    number.MeasuredValueSequence = Sequence([measured])
    group.ValueType, group.ContentSequence = "CONTAINER", Sequence([number])
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = COMPREHENSIVE_SR, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = "1.2.3", "1.2.3.9", "SR"
    dataset.PatientID, dataset.PatientName, dataset.StudyDate = "P1", "Echo^Ada", "20260102"
    dataset.VerificationFlag, dataset.ValueType = verified, "CONTAINER"
    dataset.ContentSequence = Sequence([group])
    return dataset


@pytest.fixture
def door(tmp_path: Path) -> Iterator[DoorBench]:
    bench = DoorBench(tmp_path / "node")
    named = picture("1.2.3.4", StageName="REST", OperatorsName="Who^Knows", FrameTime="33")
    named.add_new(0x00990010, "LO", "VENDOR")
    named.add_new(0x00991001, "LO", "Echo^Ada")
    others = (
        picture("1.2.3.5"), picture("1.2.4.1", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1", PatientID="P2"),
        report("1.2.3.6", "61.5", "VERIFIED"), report("1.2.3.7", "12", "UNVERIFIED"),
    )  # fmt: skip
    for dataset in (named, *others):
        assert bench.send(encoded(dataset)).accepted
    yield bench
    bench.archive.close()


def test_nothing_that_names_a_person_or_an_object_is_copied(door: DoorBench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(door.archive, "", out, key=KEY) == 3
    for file in out.rglob("*.dcm"):
        content = file.read_bytes()
        for word in (b"Ada", b"Who", b"P1", b"20260102", b"1.2.3.4", b"1960", b"A1\0", b"VENDOR"):
            assert word not in content, word
    kept = [pydicom.dcmread(file) for file in out.rglob("*.dcm")]
    assert sorted(each.get("StageName", "") for each in kept) == ["", "", "REST"]
    assert all(each.pixel_array.shape == (4, 4) and each.PatientIdentityRemoved == "YES" for each in kept)


def test_a_patient_stays_one_patient_and_another_key_gives_other_names(door: DoorBench, tmp_path: Path) -> None:
    """Otherwise a patient could be in two splits, or be looked up by trying all numbers of the hospital."""
    export(door.archive, "", tmp_path / "a", key=KEY)
    export(door.archive, "", tmp_path / "b", key=b"j" * 32)
    names = [
        {path.name: len(list(path.rglob("*.dcm"))) for path in (tmp_path / turn).iterdir() if path.is_dir()}
        for turn in "ab"
    ]
    assert sorted(names[0].values()) == sorted(names[1].values()) == [1, 2]
    assert not names[0].keys() & names[1].keys()


def test_labels_are_those_that_a_person_verified(door: DoorBench, tmp_path: Path) -> None:
    """A number that nobody looked at is no truth to learn from."""
    export(door.archive, "PatientID=P1", tmp_path / "out", key=KEY)
    (labels,) = read_labels(tmp_path / "out").values()
    assert labels == [
        {"code": "10230-1", "scheme": "LN", "meaning": "Left ventricular ejection fraction", "value": 61.5, "unit": "%"}
    ]


def test_a_query_that_fits_nothing_or_is_none_is_told(door: DoorBench, tmp_path: Path) -> None:
    for query in ("PatientID=P9", "PatientID", "StudyDate=20270101-"):
        with pytest.raises(BadInput):
            export(door.archive, query, tmp_path / "out", key=KEY)
    with pytest.raises(BadQuery):
        export(door.archive, "Nonsense=1", tmp_path / "out", key=KEY)
    assert export(door.archive, "StudyDate=20260101-20260131&PatientID=P?", tmp_path / "two", key=KEY) == 3
