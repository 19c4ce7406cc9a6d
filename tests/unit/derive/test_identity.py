"""A corrected patient in derived objects: nothing of the wrong one may be left, and the source must stay as it is."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from echonode.core.errors import UnreadableObject
from echonode.core.settings import NodeSection
from echonode.derive.common import base_dataset, set_character_set, with_identity


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


RIGHT = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
    "00100020": {"vr": "LO", "Value": ["R1"]},
    "00100030": {"vr": "DA", "Value": ["19600101"]},
}


def test_nothing_that_tells_of_the_wrong_patient_is_left() -> None:
    source = header()
    source.PatientAge, source.ResponsiblePerson, source.PatientComments = "070Y", "Wrong^Parent", "lives at ..."
    source.PatientMotherBirthName, source.CurrentPatientLocation = "Wrong^Mother", "ward 7"
    source.PatientIdentityRemoved, source.DeidentificationMethod = "YES", "by hand"
    source.ReferencedPatientSequence = [Dataset()]
    source.add_new(0x00091001, "LO", "Wrong^Patient")
    named = with_identity(source, RIGHT)
    left = {element.keyword for element in named if element.tag.group in (0x0010, 0x0038, 0x0012, 0x0008)}
    assert left == {"PatientName", "PatientID", "PatientBirthDate", "PatientWeight", "SpecificCharacterSet"}
    assert not [tag for tag in named.keys() if tag.is_private]  # noqa: SIM118


def test_age_and_species_stay_where_they_are_the_same() -> None:
    source = header()
    source.PatientBirthDate, source.PatientAge = "19600101", "065Y"
    source.PatientSpeciesDescription, source.PatientBreedDescription = "Canis lupus familiaris", "Beagle"
    same = RIGHT | {"00102201": {"vr": "LO", "Value": ["Canis lupus familiaris"]}}
    assert with_identity(source, same).PatientAge == "065Y"
    assert with_identity(source, same).PatientBreedDescription == "Beagle"
    assert "PatientBreedDescription" not in with_identity(source, RIGHT), "a person has a breed"


def test_names_of_both_character_sets_can_be_written_and_read_again() -> None:
    source = header()
    source.SpecificCharacterSet = "ISO_IR 100"
    source.StudyDescription = "Herz größer"
    source.PatientName = "Müller^Jörg"
    raw = BytesIO()
    dcmwrite(raw, source, implicit_vr=False, little_endian=True)
    raw.seek(0)
    read = dcmread(raw, force=True)
    named = with_identity(read, RIGHT)
    derived = base_dataset(named, node=NodeSection(), now=datetime(2026, 1, 2))
    set_character_set(named, derived)
    again = BytesIO()
    dcmwrite(again, derived, implicit_vr=False, little_endian=True)
    again.seek(0)
    written = dcmread(again, force=True)
    assert str(written.PatientName) == "Yamada^Tarou=山田^太郎"
    assert written.StudyDescription == "Herz größer"
    kept = with_identity(read, {"00100020": {"vr": "LO", "Value": ["R1"]}})
    assert kept.SpecificCharacterSet == "ISO_IR 100", "another character set than needed"


def test_what_is_no_json_of_a_patient_is_refused() -> None:
    with pytest.raises(UnreadableObject):
        with_identity(header(), {"PatientName": {"vr": "PN"}})
