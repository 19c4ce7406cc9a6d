"""The report of a study as a PACS, a viewer and a validator meet it: valid, complete, honest, the same every time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.codes import Code
from echonode.core.errors import BadInput
from echonode.core.report import ObjectReference, Refused, ReportedFinding, ReportState, StudyReport, ValueGroup
from echonode.core.results import Finding
from echonode.core.settings import NodeSection
from echonode.derive.report import build_report, report_uid
from echonode.derive.report_document import referenced_uids
from echonode.phantom.cohort import Cohort, LoopPlan
from echonode.phantom.writing import write_study
from tests.support import reports, validators
from tests.support.loops import write_loop

NODE = NodeSection(institution="Echo Lab", station="echo-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STUDIES = ("adult_xario", "stress_acuson", "paediatric_hp")
SINGLES = (
    "color-pl",
    "GREYSCALE_CINE",
    "examples_ybr_color",
    "no-pixel-spacing",
    "gdcm-US-ALOKA-16",
    "YBR_422",
    "US1_RLE",
)
NAMES = ("chrArab", "chrFrenMulti", "chrKoreanMulti", "chrRuss", "chrX2")


def built(path: Path, report: StudyReport, headers: Mapping[str, Dataset], **changes: Any) -> Dataset:
    """The report written to `path` and read again."""
    build_report(report, headers=headers, **({"node": NODE, "now": NOW} | changes)).write(path)
    return dcmread(path)


def files_of(shared_data: Path, study: str) -> list[Path]:
    return sorted((shared_data / "ultrasound" / study).glob("*.dcm"))


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Dataset]:
    """Headers of two small loops of one study."""
    for number in (1, 2):
        write_loop(tmp_path / f"{number}.dcm", study_uid="1.2.3", sop_instance_uid=f"1.2.3.{number}", frames=6)
    return reports.headers_of([tmp_path / "1.dcm", tmp_path / "2.dcm"])


def walk(item: Dataset) -> list[Dataset]:
    """Every content item of a tree, in order."""
    return [item, *(below for child in item.get("ContentSequence", ()) for below in walk(child))]


def named(item: Dataset, value: str) -> list[Dataset]:
    """The content items of a tree whose concept name has that code value."""
    return [
        each
        for each in walk(item)
        if "ConceptNameCodeSequence" in each and each.ConceptNameCodeSequence[0].CodeValue == value
    ]


def groups(dataset: Dataset) -> dict[str, Dataset]:
    """Measurement groups by tracking identifier."""
    return {named(group, "112039")[0].TextValue: group for group in named(dataset, "125007")}


@pytest.mark.parametrize("study", STUDIES)
def test_validators_find_no_error_in_the_report_of_a_real_study(tmp_path: Path, shared_data: Path, study: str) -> None:
    files = files_of(shared_data, study)
    headers = reports.headers_of(files)
    path = tmp_path / "report.dcm"
    built(path, reports.study_report(headers), headers)
    assert validators.iod_errors(path) == []
    assert validators.consistency_errors([*files, path]) == []
    assert "Measurement Group" in validators.dump(path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("single", SINGLES)
def test_validators_find_no_error_whatever_the_source_is_like(tmp_path: Path, shared_data: Path, single: str) -> None:
    """Retired classes, no patient, illegal names, palettes, no study identifier."""
    source = shared_data / "ultrasound" / "single" / f"{single}.dcm"
    headers = reports.headers_of([source])
    path = tmp_path / "report.dcm"
    dataset = built(path, reports.study_report(headers), headers)
    # A UID of the source that is none stays what it is: another would name another object.
    ours = [
        line
        for line in validators.iod_errors(path)
        if not any(said in line for said in ("Illegal root", "Leading zero"))
    ]
    assert ours == []
    ((uid, header),) = headers.items()
    reference = (
        dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    )
    assert (reference.ReferencedSOPInstanceUID, reference.ReferencedSOPClassUID) == (uid, header.SOPClassUID)


def test_validators_find_no_error_in_the_report_of_a_simulated_stress_study(tmp_path: Path) -> None:
    study = Cohort(count=1, seed=3, preset="stress")[0]
    plans = tuple(replace(plan, frames=5) for plan in study.plans if isinstance(plan, LoopPlan))[:6]
    truth = write_study(replace(study, plans=plans), tmp_path / "study", scale=0.15, labels=False)
    files = [tmp_path / "study" / each.file for each in truth.objects]
    headers = reports.headers_of(files)
    path = tmp_path / "report.dcm"
    dataset = built(path, reports.study_report(headers), headers)
    assert validators.iod_errors(path) == []
    assert validators.consistency_errors([*files, path]) == []
    stages = {item.TextValue for item in named(dataset, "109055") if item.ValueType == "TEXT"}
    assert stages == {loop.stage for loop in reports.loops_of(headers)}
    views = {
        item.ConceptCodeSequence[0].CodeMeaning for item in named(dataset, "111031") if "ConceptCodeSequence" in item
    }
    assert "Apical four chamber" in views


@pytest.mark.slow
@pytest.mark.parametrize("state", list(ReportState))
def test_pixelmed_finds_the_template_and_no_error(
    tmp_path: Path, small: dict[str, Dataset], state: ReportState
) -> None:
    entered = reports.value(
        reports.EF, 45, reports.PERCENT, algorithm=None, selected=True, entered_by="Echo^Ada", selection="entered"
    )
    report = reports.study_report(small, state=ReportState.VERIFIED, verified_by="Dr Echo", verified_at=1767323045.0)
    group = replace(report.groups[0], values=(*report.groups[0].values, entered), contrast=True)
    report = replace(report, groups=(group, *report.groups[1:]))
    path = tmp_path / "report.dcm"
    built(path, report, small)
    assert validators.sr_errors(path) == []


@pytest.mark.parametrize("name", NAMES)
def test_names_in_every_script_come_back(
    tmp_path: Path, shared_data: Path, small: dict[str, Dataset], name: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foreign = dcmread(shared_data / "nasty" / f"{name}.dcm", stop_before_pixels=True, force=True)
        wanted = str(foreign.PatientName)
        for header in small.values():
            header.SpecificCharacterSet, header.PatientName = foreign.SpecificCharacterSet, foreign.PatientName
    path = tmp_path / "report.dcm"
    report = reports.study_report(small, remarks=("L'\u00e9tude est limit\u00e9e: \u00b1 2 %.",))
    dataset = built(path, report, small)
    assert str(dataset.PatientName).rstrip("^=") == wanted.rstrip("^=")
    assert any("\u00e9tude" in item.TextValue for item in walk(dataset) if "TextValue" in item)
    assert validators.iod_errors(path) == []


def test_highdicom_reads_back_every_number_with_its_frames(tmp_path: Path, small: dict[str, Dataset]) -> None:
    from highdicom.sr import srread

    path = tmp_path / "report.dcm"
    report = reports.study_report(small)
    built(path, report, small)
    content = srread(path).content
    found = {group.tracking_identifier: group for group in content.get_image_measurement_groups()}
    assert list(found) == [
        "View and quality 1", "View and quality 2", "LV function: segmentation 2.1", "LV function: ef-video 1.0.3",
        "LV function", "CMR findings predicted from echo: cmr-wall-motion 0.9",
    ]  # fmt: skip
    disks = {item.name.meaning: item for item in found["LV function: segmentation 2.1"].get_measurements()}
    ejection = disks["Left Ventricular Ejection Fraction by US"]
    assert (ejection.value, ejection.unit.value, ejection.method.value) == (54.2, "%", "125207")
    assert ejection.derivation.meaning == "Mean"
    (image,) = ejection.referenced_images
    assert list(image.ReferencedSOPSequence[0].ReferencedFrameNumber) == [1, 3], "frames count from 1"
    video = found["LV function: ef-video 1.0.3"].get_measurements()[0]
    assert "ReferencedFrameNumber" not in video.referenced_images[0].ReferencedSOPSequence[0], "none means all frames"
    assert [item.value for item in found["LV function"].get_measurements()] == [48.2, 32.9, 72]


def test_a_number_says_how_sure_and_how_steady_it_is_and_why_it_was_chosen(
    tmp_path: Path, small: dict[str, Dataset]
) -> None:
    dataset = built(tmp_path / "report.dcm", reports.study_report(small), small)
    told = groups(dataset)
    ejection = named(told["LV function: segmentation 2.1"], "18043-0")[0]
    below = {item.ConceptNameCodeSequence[0].CodeValue: item for item in ejection.ContentSequence}
    assert below["371884006"].MeasuredValueSequence[0].NumericValue == 9.8
    assert below["371884006"].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "%"
    assert below["REPEATABILITY"].MeasuredValueSequence[0].NumericValue == 1.2
    assert below["COUNT"].MeasuredValueSequence[0].NumericValue == 3
    assert below["UNC-BASIS"].TextValue == "Half width of the 95 % limits: locked test, 120 studies"
    assert below["121404"].ConceptCodeSequence[0].CodeValue == "121412", "a mean value was chosen"
    assert below["SEL-REASON"].TextValue == "biplane method of disks comes first"
    assert below["121106"].TextValue == "Apical views of one stage."
    video = named(told["LV function: ef-video 1.0.3"], "18043-0")[0]
    assert named(video, "ACCURACY")[0].TextValue.startswith("Accuracy unknown")
    assert not named(video, "SELECTED")
    systolic = named(told["LV function: segmentation 2.1"], "18148-7")[0]
    assert named(systolic, "SELECTED")
    assert not named(systolic, "121404"), "it is neither a mean, nor the latest, nor chosen by a person"


def test_every_number_is_written_once_and_exactly(tmp_path: Path, small: dict[str, Dataset]) -> None:
    dataset = built(tmp_path / "report.dcm", reports.study_report(small), small)
    for item in walk(dataset):
        for measured in item.get("MeasuredValueSequence", ()):
            assert "FloatingPointValue" not in measured, "9.2 would come back as 9.199999"
            assert len(str(measured.NumericValue)) <= 6


def test_the_model_is_named_with_its_digests_in_the_group_and_in_the_equipment(
    tmp_path: Path, small: dict[str, Dataset]
) -> None:
    dataset = built(tmp_path / "report.dcm", reports.study_report(small), small)
    group = groups(dataset)["LV function: segmentation 2.1"]
    assert named(group, "111001")[0].TextValue == "segmentation"
    parameters = [item.TextValue for item in named(group, "111002")]
    assert f"package sha256: {'ab' * 32}" in parameters
    assert f"weights network sha256: {'cd' * 32}" in parameters
    assert "trained on simulated data alone" in parameters
    equipment = dataset.ContributingEquipmentSequence
    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in equipment]
    assert purposes == ["109101"] + ["109102"] * 4, "one scanner, four models"
    assert any("cd" * 32 in item.get("ContributionDescription", "") for item in equipment)
    assert not named(groups(dataset)["LV function"], "111001"), "a value without a model was given one"


def test_why_there_is_no_result_is_in_the_loop_the_group_and_the_study(
    tmp_path: Path, small: dict[str, Dataset]
) -> None:
    dataset = built(tmp_path / "report.dcm", reports.study_report(small), small)
    told = groups(dataset)
    (loop,) = named(told["View and quality 1"], "NORESULT")
    assert loop.TextValue == "M-mode: no M-mode region: this is a 2D loop"
    assert loop.ContentSequence[0].ConceptCodeSequence[0].CodeValue == "MODE"
    assert named(told["LV function: segmentation 2.1"], "NORESULT")[0].TextValue.startswith("Left atrium: no apical")
    study = named(dataset, "C0034375")[0]
    assert [item.TextValue for item in named(study, "NORESULT")] == ["Biplane EF: there is no apical two-chamber loop"]
    assert "The patient's age is not known." in [item.TextValue for item in named(study, "REMARK")]


def test_a_loop_refused_for_its_quality_has_no_number(tmp_path: Path, small: dict[str, Dataset]) -> None:
    report = reports.study_report(small)
    refused = Refused(task="Ejection fraction", reason="the picture is too poor", code="quality")
    loops = (replace(report.loops[0], refusals=(refused,), quality=0.2), *report.loops[1:])
    group = groups(built(tmp_path / "r.dcm", replace(report, loops=loops), small))["View and quality 1"]
    assert named(group, "111101")[0].ConceptCodeSequence[0].CodeValue == "RID14"
    assert [item for item in walk(group) if item.get("ValueType") == "NUM"] == []


def test_an_unknown_view_is_said_and_an_unknown_quality_is_not(tmp_path: Path, small: dict[str, Dataset]) -> None:
    loops = tuple(replace(loop, view=None, view_confidence=None, quality=None) for loop in reports.loops_of(small))
    group = groups(built(tmp_path / "r.dcm", reports.study_report(small, loops=loops), small))["View and quality 1"]
    views = [item for item in named(group, "111031") if item.ValueType == "CODE"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in views] == ["VIEW-UNKNOWN"]
    assert not named(group, "111101")
    assert not [item for item in walk(group) if item.get("ValueType") == "NUM"]


def test_the_evidence_is_exactly_what_the_tree_points_at(tmp_path: Path, small: dict[str, Dataset]) -> None:
    dataset = built(tmp_path / "report.dcm", reports.study_report(small), small)
    evidence = [
        instance.ReferencedSOPInstanceUID
        for study in dataset.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
    assert sorted(evidence) == sorted(referenced_uids(dataset)) == sorted(small)
    other = deepcopy(next(iter(small.values())))
    other.SOPInstanceUID = "1.2.3.77"
    again = built(tmp_path / "again.dcm", reports.study_report(small), small | {"1.2.3.77": other})
    assert "1.2.3.77" not in str(again.CurrentRequestedProcedureEvidenceSequence)


def test_derived_pictures_are_in_the_library_and_others_are_not(tmp_path: Path, small: dict[str, Dataset]) -> None:
    segmentation = ObjectReference(
        sop_instance_uid="1.2.3.8", sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4", series_uid="1.2.3.9"
    )
    note = replace(segmentation, sop_instance_uid="1.2.3.10", sop_class_uid="1.2.840.10008.5.1.4.1.1.104.1")
    report = reports.study_report(small, derived=(("segmentation", segmentation), ("document", note)))
    path = tmp_path / "report.dcm"
    dataset = built(path, report, small)
    library = named(dataset, "111028")[0]
    assert referenced_uids(library) == ["1.2.3.1", "1.2.3.2", "1.2.3.8"]
    assert validators.iod_errors(path) == []


def test_a_machines_report_is_preliminary_and_says_that_it_is_research(
    tmp_path: Path, small: dict[str, Dataset]
) -> None:
    dataset = built(tmp_path / "report.dcm", reports.study_report(small), small)
    assert (dataset.CompletionFlag, dataset.VerificationFlag, dataset.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    assert "VerifyingObserverSequence" not in dataset
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.SeriesDescription.endswith("RESEARCH")
    assert 9001 <= dataset.SeriesNumber <= 9999
    assert dataset.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert dataset.PerformedProcedureCodeSequence[0].CodeValue == "433236007"
    assert len(dataset.ReferencedPerformedProcedureStepSequence) == 0
    assert dataset.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99ECHONODE"
    assert "BodyPartExamined" not in dataset
    assert named(named(dataset, "C0034375")[0], "INTENDEDUSE")
    assert not validators.iod_errors(tmp_path / "report.dcm")


def test_a_verified_report_names_who_and_when_and_what_it_replaces(tmp_path: Path, small: dict[str, Dataset]) -> None:
    before = ObjectReference(
        sop_instance_uid="2.25.7", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", series_uid="2.25.8"
    )
    for header in small.values():
        header.TimezoneOffsetFromUTC = "+0200"
    entered = reports.value(reports.EF, 45.0, reports.PERCENT, algorithm=None, selected=True, entered_by="Echo^Ada")
    report = reports.study_report(
        small, state=ReportState.VERIFIED, predecessors=(before,), verified_by="Echo^Ada", verified_at=1767323045.0,
        groups=(ValueGroup(topic="lv-function", title="LV function", values=(entered,)),),
        review_comment="EF by eye",
    )  # fmt: skip
    path = tmp_path / "report.dcm"
    dataset = built(path, report, small)
    assert (dataset.VerificationFlag, dataset.PreliminaryFlag) == ("VERIFIED", "FINAL")
    (observer,) = dataset.VerifyingObserverSequence
    assert (str(observer.VerifyingObserverName), observer.VerifyingOrganization) == ("Echo^Ada", "Echo Lab")
    assert str(observer.VerificationDateTime) == "20260102050405.000000+0200", "not on the clock of the study"
    predecessor = dataset.PredecessorDocumentsSequence[0]
    assert predecessor.StudyInstanceUID == "1.2.3"
    series = predecessor.ReferencedSeriesSequence[0]
    assert (series.SeriesInstanceUID, series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) == ("2.25.8", "2.25.7")
    number = named(groups(dataset)["LV function: entered by Echo^Ada"], "18043-0")[0]
    assert named(number, "121404")[0].ConceptCodeSequence[0].CodeValue == "121410", "user chosen value"
    assert str(named(number, "121008")[0].PersonName) == "Echo^Ada"
    assert not named(number, "ACCURACY"), "a person's value has no model's accuracy"
    assert named(dataset, "REVIEW")[0].TextValue == "EF by eye"
    assert dataset.InstanceNumber == 2
    assert validators.iod_errors(path) == []


def test_an_addendum_is_preliminary_and_leaves_the_verified_report_valid(
    tmp_path: Path, small: dict[str, Dataset]
) -> None:
    before = ObjectReference(
        sop_instance_uid="2.25.7", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", series_uid="2.25.8"
    )
    report = reports.study_report(small, state=ReportState.ADDENDUM, predecessors=(before,))
    dataset = built(tmp_path / "report.dcm", report, small)
    assert (dataset.VerificationFlag, dataset.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert any("stays valid" in item.TextValue for item in named(dataset, "REMARK"))
    assert len(dataset.PredecessorDocumentsSequence) == 1


def test_the_same_report_is_the_same_object(tmp_path: Path, small: dict[str, Dataset]) -> None:
    report = reports.study_report(small)
    built(tmp_path / "a.dcm", report, small)
    built(tmp_path / "b.dcm", report, small)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    later = built(tmp_path / "c.dcm", report, small, now=datetime(2026, 5, 6, tzinfo=UTC))
    first = dcmread(tmp_path / "a.dcm")
    assert later.SOPInstanceUID == first.SOPInstanceUID == report_uid(report)
    assert later.ContentSequence == first.ContentSequence


@pytest.mark.parametrize(
    "change",
    [
        {"content_digest": "00" * 32}, {"revision": 1}, {"state": ReportState.ADDENDUM}, {"verified_by": "X^Y"},
        {"verified_at": 1.0},
        {"predecessors": (ObjectReference(sop_instance_uid="2.25.7", sop_class_uid="1.2", series_uid="2.25.8"),)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_another_report_is_another_object(small: dict[str, Dataset], change: dict[str, Any]) -> None:
    report = reports.study_report(small)
    assert report_uid(report) != report_uid(replace(report, **change))


def test_a_corrected_patient_is_in_the_report_in_a_new_series(tmp_path: Path, small: dict[str, Dataset]) -> None:
    patient = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Right^One"}]},
        "00100020": {"vr": "LO", "Value": ["R"]},
    }
    report = reports.study_report(small)
    wrong = built(tmp_path / "wrong.dcm", report, small)
    right = built(tmp_path / "right.dcm", replace(report, revision=1), small, patient=patient)
    assert (str(right.PatientName), right.PatientID) == ("Right^One", "R")
    assert right.PatientBirthDate == "", "the birth date of the wrong patient was left"
    assert right.SeriesInstanceUID != wrong.SeriesInstanceUID


WINDOW = Code("WINDOW", "99ACME", "Acoustic window")


def further_report(headers: Mapping[str, Dataset]) -> StudyReport:
    """A report with a number and an answer under codes of another package's own scheme."""
    uid = next(iter(headers))
    answer = Finding(concept=WINDOW, value=Code("GOOD", "99ACME", "Good"), confidence=0.8)
    number = reports.value(WINDOW, 71.4, reports.PERCENT, frames={uid: (0, 2)}, algorithm=reports.VIDEO, selected=True)
    group = ValueGroup(
        topic="further",
        title="Further measurements",
        values=(number,),
        findings=(ReportedFinding(finding=answer, frames={uid: ()}, algorithm=reports.VIDEO),),
    )
    report = reports.study_report(headers)
    return replace(report, groups=(*report.groups, group))


def test_a_number_of_unknown_concept_is_said_of_the_heart_and_its_scheme_declared(
    tmp_path: Path, small: dict[str, Dataset]
) -> None:
    """A reader would look up 99ACME in vain, and take the number for one of the left ventricle."""
    path = tmp_path / "report.dcm"
    dataset = built(path, further_report(small), small)
    (group,) = (found for title, found in groups(dataset).items() if title.startswith("Further measurements: "))
    assert float(named(group, "WINDOW")[0].MeasuredValueSequence[0].NumericValue) == 71.4
    assert named(group, "WINDOW")[1].ConceptCodeSequence[0].CodeMeaning == "Good"
    assert {item.ConceptCodeSequence[0].CodeMeaning for item in named(group, "363698007")} == {"Heart"}
    assert [item.CodingSchemeDesignator for item in dataset.CodingSchemeIdentificationSequence] == [
        "99ECHONODE", "99ACME",
    ]  # fmt: skip
    assert validators.iod_errors(path) == []


@pytest.mark.slow
def test_pixelmed_finds_no_error_in_a_number_of_unknown_concept(tmp_path: Path, small: dict[str, Dataset]) -> None:
    path = tmp_path / "report.dcm"
    built(path, further_report(small), small)
    assert validators.sr_errors(path) == []


def test_a_report_of_nothing_still_says_so(tmp_path: Path, small: dict[str, Dataset]) -> None:
    report = reports.study_report(small, loops=(), groups=(), refusals=(Refused(task="", reason="no ultrasound"),))
    path = tmp_path / "report.dcm"
    dataset = built(path, report, small)
    assert named(dataset, "NORESULT")[0].TextValue == "no ultrasound"
    assert validators.iod_errors(path) == []


def test_a_reference_to_what_is_not_there_is_refused(small: dict[str, Dataset]) -> None:
    report = reports.study_report(small)
    wrong = reports.value(reports.EF, 50.0, reports.PERCENT, frames={"1.2.3.1": (6,)})
    group = ValueGroup(topic="lv-function", title="LV function", values=(wrong,))
    with pytest.raises(BadInput, match="frame 6"):
        build_report(replace(report, groups=(group,)), headers=small, node=NODE, now=NOW)
    with pytest.raises(BadInput, match="header of at least one object"):
        build_report(report, headers={}, node=NODE, now=NOW)
