"""An adult model must not measure a child or a mouse, and a height of zero must not index anything."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from echonode.dicom import patient
from echonode.dicom.facts import facts_of
from echonode.phantom.marker import write_block


def header(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        vr, tag = dictionary_VR(keyword), tag_for_keyword(keyword)
        dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    return dataset


def coded(value: str, meaning: str = "something") -> Dataset:
    return header(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)


@pytest.mark.parametrize(
    ("values", "age"),
    [
        ({"PatientAge": "074Y"}, 74.0),
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": "010D"}, 0.027),
        ({"PatientAge": "000Y"}, None),
        ({"PatientAge": "999Y"}, None),
        ({"PatientAge": "old"}, None),
        ({"PatientBirthDate": "20080102", "StudyDate": "20260102"}, 18.0),
        ({"PatientBirthDate": "20080103", "StudyDate": "20260102"}, 17.997),
        ({"PatientBirthDate": "1990.05.01", "StudyDate": "2000.05.01"}, 10.0),
        ({"PatientAge": "000Y", "PatientBirthDate": "19700101", "StudyDate": "20200101"}, 50.0),
        ({"PatientBirthDate": "18581118", "StudyDate": "20060624"}, None),
        ({"PatientBirthDate": "20200101", "StudyDate": "20200101"}, None),
        ({"PatientBirthDate": "20300101", "StudyDate": "20200101"}, None),
        ({"PatientBirthDate": "19700101"}, None),
        ({}, None),
    ],
)
def test_an_age_that_cannot_be_true_is_no_age(values: dict[str, str], age: float | None) -> None:
    assert patient.age_years(header(**values)) == (None if age is None else pytest.approx(age, abs=0.002))


@pytest.mark.parametrize(
    ("size", "weight", "expected"),
    [("1.78", "72", (1.78, 72.0)), ("178", "7200", (None, None)), ("0", "0", (None, None)), ("", "", (None, None))],
)
def test_height_and_weight_of_somebody_who_can_be(size: str, weight: str, expected: tuple[Any, Any]) -> None:
    dataset = header(PatientSize=size or None, PatientWeight=weight or None)
    assert (patient.height_m(dataset), patient.weight_kg(dataset)) == expected


@pytest.mark.parametrize(
    ("values", "species"),
    [
        ({}, "human"),
        ({"PatientSpeciesDescription": "Homo sapiens"}, "human"),
        ({"PatientSpeciesDescription": "Mus musculus"}, "mouse"),
        ({"PatientSpeciesDescription": "Mouse"}, "mouse"),
        ({"PatientSpeciesCodeSequence": [coded("447612001", "Mus musculus")]}, "mouse"),
        ({"PatientSpeciesCodeSequence": [coded("337915000", "Homo sapiens")]}, "human"),
        ({"PatientSpeciesCodeSequence": [coded("448771007", "Canis lupus familiaris")]}, "canis lupus familiaris"),
        ({"ResponsiblePerson": "Smith^J", "PatientBreedDescription": "Labrador"}, "animal"),
        ({"ResponsiblePerson": "Smith^J"}, "human"),
        ({"PatientBreedDescription": "C57BL/6J"}, "mouse"),
    ],
)
def test_an_animal_is_no_person(values: dict[str, Any], species: str) -> None:
    """A child has a responsible person too: that alone makes no animal."""
    assert patient.species(header(**values)) == species


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "TEE", "0001"]}, True),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "TTE", "0001"], "StudyDescription": "TTE, then TEE"}, False),
        ({"ImageType": ["ORIGINAL", "PRIMARY"], "StudyDescription": "TTE"}, False),
        ({"SeriesDescription": "Transesophageal Echocardiogram"}, True),
        ({"ProtocolName": "TOE adult"}, True),
        ({"StudyDescription": "STEEL valve"}, False),
        ({"ProcedureCodeSequence": [coded("105376000")]}, True),
        ({}, False),
    ],
)
def test_what_was_taken_from_the_oesophagus_is_told(values: dict[str, Any], found: bool) -> None:
    assert patient.is_transesophageal(header(**values)) is found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"StageName": "Rest LVO"}, True),
        ({"ProtocolName": "Contrast LVO"}, True),
        ({"ProtocolName": "Non-contrast"}, False),
        ({"SeriesDescription": "without contrast"}, False),
        ({"ContrastBolusAgent": "SonoVue"}, True),
        ({"ContrastBolusAgent": "NONE"}, False),
        ({"PerformedProtocolCodeSequence": [coded("433231002")]}, True),
        ({"StudyDescription": "Echo with contrast if needed"}, False),
        ({}, False),
    ],
)
def test_opacified_loops_are_kept_apart(values: dict[str, Any], found: bool) -> None:
    """A study's description speaks of the order, not of this loop."""
    assert patient.is_contrast(header(**values)) is found


def test_the_facts_tell_all_of_it() -> None:
    dataset = header(
        PatientAge="007Y", PatientSex="f", PatientSize="1.2", PatientWeight="24", ProtocolName="Paed", ViewNumber="3",
        SyntheticData="YES", QualityControlSubject="YES",
    )  # fmt: skip
    assert not facts_of(dataset, transfer_syntax_uid="").simulated
    write_block(dataset, origin="1-0000-quick#1")
    facts = facts_of(dataset, transfer_syntax_uid="")
    assert (facts.age_years, facts.sex, facts.height_m, facts.weight_kg) == (7.0, "F", 1.2, 24.0)
    assert (facts.protocol, facts.view_number, facts.species, facts.simulated) == ("Paed", 3, "human", True)
    assert type(facts).from_dict(facts.as_dict()) == facts
