"""A corrected patient in derived objects: nothing of the wrong one may be left, and the source must stay as it is."""

from __future__ import annotations

from pydicom.dataset import Dataset

from echonode.derive.common import with_identity


def header() -> Dataset:
    source = Dataset()
    source.PatientName, source.PatientID, source.PatientBirthDate = "Wrong^Patient", "W1", "19500101"
    source.OtherPatientIDs = "W2"
    source.PatientSex, source.PatientWeight, source.StudyInstanceUID = "M", "70", "1.2.3"
    return source


def test_the_corrected_patient_replaces_the_wrong_one() -> None:
    source = header()
    named = with_identity(
        source,
        {
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Right^Patient"}]},
            "00100020": {"vr": "LO", "Value": ["R1"]},
            "00100040": {"vr": "CS"},
            "0020000D": {"vr": "UI", "Value": ["9.9"]},
        },
    )
    assert (str(named.PatientName), named.PatientID) == ("Right^Patient", "R1")
    assert not named.PatientSex
    assert "PatientBirthDate" not in named, "the birth date of the wrong patient was left"
    assert "OtherPatientIDs" not in named
    assert named.StudyInstanceUID == "1.2.3", "more than the patient was replaced"
    assert named.PatientWeight == 70
    assert (str(source.PatientName), source.PatientID) == ("Wrong^Patient", "W1"), "the source was changed"


def test_no_correction_is_a_copy() -> None:
    source = header()
    named = with_identity(source, None)
    named.PatientID = "other"
    assert source.PatientID == "W1"
