"""C-FIND at four levels in both models, and what a retrieve sends."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from echonode.core.errors import BadQuery
from echonode.dicom.matching import Root
from echonode.flow.query import find, select
from tests.support.door import DoorBench, encoded, picture

REPORT = "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.fixture
def archive(door: DoorBench) -> DoorBench:
    """Two patients; the first has two studies, the first of which has two series."""
    door.send(picture("1.1.1.1", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", InstanceNumber="1"))
    door.send(picture("1.1.1.2", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", InstanceNumber="2"))
    door.send(
        picture(
            "1.1.2.1", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.2", Modality="SR", SOPClassUID=REPORT,
            PixelData=None,
        )
    )  # fmt: skip
    later = {"StudyDate": "20260301", "StudyTime": "0930", "AccessionNumber": "A2"}
    door.send(picture("1.2.1.1", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1", **later))
    other = {"PatientID": "P2", "PatientName": "Björk^Åsa=日本", "PatientBirthDate": None, "AccessionNumber": "A3"}
    door.send(picture("1.3.1.1", StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", **other))
    return door


def identifier_of(keys: dict[str, Any]) -> Dataset:
    """An identifier as it comes over the wire: bytes that nobody has checked."""
    identifier = Dataset()
    for keyword, value in keys.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        identifier.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
    wire = BytesIO(encoded(identifier))
    return read_dataset(wire, is_implicit_VR=False, is_little_endian=True)


def ask(door: DoorBench, level: str, root: Root = "study", **keys: Any) -> list[Dataset]:
    identifier = identifier_of({"QueryRetrieveLevel": level} | keys)
    return list(find(door.archive, identifier, root=root, ae_title="ECHONODE"))


def studies(door: DoorBench, **keys: Any) -> list[str]:
    return [str(each.StudyInstanceUID) for each in ask(door, "STUDY", StudyInstanceUID="", **keys)]


def test_each_level_answers_once_for_each_entity(archive: DoorBench) -> None:
    assert [p.PatientID for p in ask(archive, "PATIENT", "patient", PatientID="")] == ["P1", "P2"]
    assert studies(archive) == ["1.1", "1.2", "1.3"]
    series = ask(archive, "SERIES", StudyInstanceUID="1.1", SeriesInstanceUID="", Modality="")
    assert [(str(s.SeriesInstanceUID), s.Modality) for s in series] == [("1.1.1", "US"), ("1.1.2", "SR")]
    images = ask(archive, "IMAGE", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", SOPInstanceUID="", Rows="")
    assert [(str(i.SOPInstanceUID), i.Rows) for i in images] == [("1.1.1.1", 4), ("1.1.1.2", 4)]


def test_patient_root_goes_down_by_unique_keys(archive: DoorBench) -> None:
    found = ask(archive, "STUDY", "patient", PatientID="P1", StudyInstanceUID="")
    assert [str(each.StudyInstanceUID) for each in found] == ["1.1", "1.2"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"PatientID": "P1"}, ["1.1", "1.2"]),
        ({"PatientID": "p1"}, []),
        ({"PatientID": "P?"}, ["1.1", "1.2", "1.3"]),
        ({"PatientName": "echo*"}, ["1.1", "1.2"]),
        ({"PatientName": "ECHO^ADA"}, ["1.1", "1.2"]),
        ({"PatientName": "*"}, ["1.1", "1.2", "1.3"]),
        ({"StudyDate": "20260102"}, ["1.1", "1.3"]),
        ({"StudyDate": "20260101-20260228"}, ["1.1", "1.3"]),
        ({"StudyDate": "20260201-"}, ["1.2"]),
        ({"StudyDate": "-20260201"}, ["1.1", "1.3"]),
        ({"StudyTime": "09-0959"}, ["1.2"]),
        ({"AccessionNumber": "A2"}, ["1.2"]),
        ({"AccessionNumber": "A*", "PatientID": "P2"}, ["1.3"]),
        ({"StudyInstanceUID": ["1.1", "1.3"]}, ["1.1", "1.3"]),
        ({"ModalitiesInStudy": "SR"}, ["1.1"]),
        ({"ModalitiesInStudy": ["SR", "US"]}, ["1.1", "1.2", "1.3"]),
        ({"SOPClassesInStudy": REPORT}, ["1.1"]),
        ({"ReferringPhysicianName": "Nobody*"}, []),
        ({"PatientBirthDate": "19600101"}, ["1.1", "1.2"]),
        ({"PatientID": "' OR 1=1 --"}, []),
        ({"PatientID": "%"}, []),
    ],
)
def test_keys(archive: DoorBench, keys: dict[str, Any], expected: list[str]) -> None:
    keys.setdefault("StudyInstanceUID", "")
    assert [str(each.StudyInstanceUID) for each in ask(archive, "STUDY", **keys)] == expected


def test_computed_values(archive: DoorBench) -> None:
    asked = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy", "SOPClassesInStudy")
    (study,) = ask(archive, "STUDY", StudyInstanceUID="1.1", **dict.fromkeys(asked, ""))
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 3)
    assert list(study.ModalitiesInStudy) == ["SR", "US"]
    assert len(study.SOPClassesInStudy) == 2
    asked = ("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")
    (patient,) = ask(archive, "PATIENT", "patient", PatientID="P1", **dict.fromkeys(asked, ""))
    assert [patient[keyword].value for keyword in asked] == [2, 3, 4]
    (series,) = ask(
        archive, "SERIES", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", NumberOfSeriesRelatedInstances=""
    )
    assert series.NumberOfSeriesRelatedInstances == 2


def test_answers_repeat_what_was_asked_and_say_where_to_get_it(archive: DoorBench) -> None:
    wanted = Dataset()
    wanted.CodeValue = "1"
    (study,) = ask(
        archive, "STUDY", StudyInstanceUID="1.2", RequestedProcedureID="", ProcedureCodeSequence=[wanted], Rows=""
    )
    assert (study.QueryRetrieveLevel, study.RetrieveAETitle, study.InstanceAvailability) == (
        "STUDY", "ECHONODE", "ONLINE",
    )  # fmt: skip
    assert not study.RequestedProcedureID
    assert len(study.ProcedureCodeSequence) == 0, "a sequence key is not matched on, and comes back empty"
    assert study.Rows is None, "Rows says nothing of a study"
    assert "PatientName" not in study


def test_text_beyond_ascii_is_unicode_and_declared(archive: DoorBench) -> None:
    (plain,) = ask(archive, "STUDY", StudyInstanceUID="1.2", PatientName="")
    assert "SpecificCharacterSet" not in plain
    (study,) = ask(archive, "STUDY", StudyInstanceUID="1.3", PatientName="")
    assert study.SpecificCharacterSet == "ISO_IR 192"
    assert "Björk^Åsa=日本".encode() in encoded(study)


def test_a_query_in_another_character_set_finds_the_name(archive: DoorBench) -> None:
    assert studies(archive, SpecificCharacterSet="ISO_IR 100", PatientName="björk^åsa") == ["1.3"]
    assert studies(archive, SpecificCharacterSet="ISO_IR 192", PatientName="=日*") == ["1.3"]


def test_a_name_in_a_scanner_s_character_set_is_indexed_in_unicode(door: DoorBench) -> None:
    russian = picture("1.9.1", SpecificCharacterSet="ISO_IR 144", PatientName="Люкceмбypг")
    door.send(russian)
    assert studies(door, SpecificCharacterSet="ISO_IR 192", PatientName="люкce*") == ["1.2.3"]


@pytest.mark.parametrize(
    ("level", "root", "keys"),
    [
        ("", "study", {}),
        ("FRAME", "study", {}),
        ("PATIENT", "study", {"PatientID": ""}),
        ("STUDY", "patient", {"StudyInstanceUID": ""}),
        ("STUDY", "patient", {"PatientID": "P*"}),
        ("SERIES", "study", {"SeriesInstanceUID": ""}),
        ("SERIES", "study", {"StudyInstanceUID": ["1.1", "1.2"]}),
        ("IMAGE", "study", {"StudyInstanceUID": "1.1"}),
        ("STUDY", "study", {"StudyInstanceUID": "1.*"}),
        ("STUDY", "study", {"StudyDate": "yesterday"}),
        ("STUDY", "study", {"StudyTime": "25 o'clock-"}),
    ],
)
def test_identifiers_that_fit_no_level_are_refused_at_once(
    archive: DoorBench, level: str, root: Root, keys: dict[str, Any]
) -> None:
    identifier = identifier_of({"QueryRetrieveLevel": level} | keys)
    with pytest.raises(BadQuery) as refusal:
        find(archive.archive, identifier, root=root, ae_title="ECHONODE")
    assert refusal.value.dicom_status == 0xA900


@pytest.mark.parametrize(
    ("root", "keys", "expected"),
    [
        ("patient", {"QueryRetrieveLevel": "PATIENT", "PatientID": "P1"}, ["1.1.1.1", "1.1.1.2", "1.1.2.1", "1.2.1.1"]),
        ("study", {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ["1.2", "1.3"]}, ["1.2.1.1", "1.3.1.1"]),
        (
            "study",
            {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.2"},
            ["1.1.2.1"],
        ),
        (
            "study",
            {
                "QueryRetrieveLevel": "IMAGE",
                "StudyInstanceUID": "1.1",
                "SeriesInstanceUID": "1.1.1",
                "SOPInstanceUID": ["1.1.1.2", "1.3.1.1"],
            },
            ["1.1.1.2"],
        ),
    ],
)
def test_a_retrieve_selects_what_it_names_and_nothing_else(
    archive: DoorBench, root: Root, keys: dict[str, Any], expected: list[str]
) -> None:
    identifier = identifier_of(keys)
    assert [each.sop_instance_uid for each in select(archive.archive, identifier, root=root)] == expected


def test_a_retrieve_without_its_key_sends_nothing_at_all(archive: DoorBench) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = ""
    with pytest.raises(BadQuery):
        select(archive.archive, identifier, root="study")


def test_two_issuers_of_one_patient_id_are_two_patients(door: DoorBench) -> None:
    for number, issuer in enumerate(("CLINIC A", "CLINIC B")):
        study = f"1.{number + 1}"
        door.send(
            picture(f"{study}.1.1", StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", IssuerOfPatientID=issuer)
        )
    found = ask(door, "PATIENT", "patient", PatientID="P1", IssuerOfPatientID="")
    assert [each.IssuerOfPatientID for each in found] == ["CLINIC A", "CLINIC B"]
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.PatientID, identifier.IssuerOfPatientID = "PATIENT", "P1", "CLINIC B"
    assert [each.study_uid for each in select(door.archive, identifier, root="patient")] == ["1.2"]


def test_many_matches_come_in_the_order_of_arrival(door: DoorBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echonode.archive.index._CHUNK", 7)
    for number in range(30):
        door.send(
            picture(f"1.{number + 1}.1.1", StudyInstanceUID=f"1.{number + 1}", SeriesInstanceUID="1.1", PatientID="")
        )
    assert studies(door) == [f"1.{number + 1}" for number in range(30)]
    assert len(ask(door, "PATIENT", "patient", PatientID="")) == 30, "objects without PatientID are not one patient"
