"""The page of a report: valid, the same every time, and with everything on it that a reader must see."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.report import ReportState, StudyReport
from echonode.core.settings import NodeSection
from echonode.derive.document import build_document
from echonode.derive.document_page import Page
from echonode.derive.report import build_report, report_uid
from tests.support import reports, validators
from tests.support.loops import write_loop

NODE = NodeSection(institution="Echo Lab", station="echo-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Dataset]:
    write_loop(tmp_path / "loop.dcm", study_uid="1.2.3", sop_instance_uid="1.2.3.1", frames=6)
    return reports.headers_of([tmp_path / "loop.dcm"])


def words(report: StudyReport, headers: dict[str, Dataset]) -> list[list[str]]:
    """The lines of text on every sheet."""
    page = Page(report=report, header=next(iter(headers.values())), node=NODE, made=NOW, uid="1.2.3.4")
    return [[text.get_text() for text in figure.texts] for figure in page.sheets().figures]


def built(path: Path, headers: dict[str, Dataset], **changes: Any) -> Dataset:
    build_document(reports.study_report(headers, **changes), headers=headers, node=NODE, now=NOW).write(path)
    return dcmread(path)


def test_validators_find_no_error(tmp_path: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "ultrasound" / "paediatric_hp").glob("*.dcm"))
    headers = reports.headers_of(files)
    path, beside = tmp_path / "page.dcm", tmp_path / "report.dcm"
    built(path, headers)
    build_report(reports.study_report(headers), headers=headers, node=NODE, now=NOW).write(beside)
    assert validators.iod_errors(path) == []
    assert validators.consistency_errors([*files, beside, path]) == []


def test_the_object_says_what_it_is(tmp_path: Path, small: dict[str, Dataset]) -> None:
    dataset = built(tmp_path / "page.dcm", small)
    assert (dataset.Modality, dataset.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert dataset.EncapsulatedDocument.startswith(b"%PDF-")
    assert len(dataset.EncapsulatedDocument) - dataset.EncapsulatedDocumentLength in (0, 1)
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength].rstrip().endswith(b"%%EOF")
    assert dataset.BurnedInAnnotation == "YES", "the patient's name stands on the page"
    assert (dataset.VerificationFlag, dataset.ContentQualification) == ("UNVERIFIED", "RESEARCH")
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "42148-7"
    sources = [item.ReferencedSOPInstanceUID for item in dataset.SourceInstanceSequence]
    assert sources == [report_uid(reports.study_report(small)), "1.2.3.1"]
    assert "BodyPartExamined" not in dataset
    assert dataset.SeriesDescription.endswith("RESEARCH")


def test_the_same_report_is_the_same_page(tmp_path: Path, small: dict[str, Dataset]) -> None:
    built(tmp_path / "a.dcm", small)
    built(tmp_path / "b.dcm", small)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_everything_a_reader_must_see_is_on_the_page(small: dict[str, Dataset]) -> None:
    (sheet,) = words(reports.study_report(small), small)
    text = "\n".join(sheet)
    for wanted in (
        "Echo, Ada", "P1", "PRELIMINARY", "54.2 %", "\u00b1 9.8 %", "118.4 mL", "48.2 mm", "72 bpm", "37 %", "66.0 %",
        "Predicted from echo: what cardiac MRI might show", "RESEARCH USE ONLY", "Methods are more than 10 EF points apart.",
        "Biplane EF: there is no apical two-chamber loop", "not recognised", "1 / 1", "Report 1.2.3.4",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert "unknown" in sheet, "an accuracy that nobody knows was not called so"


def test_a_long_study_runs_over_several_sheets_each_with_its_foot(small: dict[str, Dataset]) -> None:
    report = reports.study_report(small)
    loops = tuple(replace(report.loops[0], number=number) for number in range(1, 61))
    sheets = words(replace(report, loops=loops), small)
    assert len(sheets) > 1
    for number, sheet in enumerate(sheets, start=1):
        assert f"{number} / {len(sheets)}" in sheet
        assert any(line.startswith("RESEARCH USE ONLY") for line in sheet)
    assert "60" in sheets[-1]


def test_a_verified_page_names_the_person(tmp_path: Path, small: dict[str, Dataset]) -> None:
    verified = {"state": ReportState.VERIFIED, "verified_by": "Echo^Ada", "verified_at": 1767323045.0}
    (sheet,) = words(reports.study_report(small, **verified, review_comment="EF by eye"), small)
    assert "VERIFIED" in sheet
    assert "by Echo, Ada, 2026-01-02 03:04" in sheet
    assert "Reviewer: EF by eye" in sheet
    assert built(tmp_path / "page.dcm", small, **verified).VerificationFlag == "VERIFIED"


def test_a_report_without_values_says_so(small: dict[str, Dataset]) -> None:
    (sheet,) = words(reports.study_report(small, groups=()), small)
    assert "No value stands for the study: see why below." in sheet


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("chrArab", "\u0642\u0628\u0627\u0646\u064a, \u0644\u0646\u0632\u0627\u0631"),
        ("chrFrenMulti", "Buc, J\u00e9r\u00f4me"),
        ("chrX2", "Wang, XiaoDong"),
        ("chrKoreanMulti", "not printable here: see the ID"),
    ],
)
def test_a_name_is_printed_in_letters_that_the_page_has_or_not_at_all(
    tmp_path: Path, shared_data: Path, small: dict[str, Dataset], name: str, shown: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foreign = dcmread(shared_data / "nasty" / f"{name}.dcm", stop_before_pixels=True, force=True)
        for header in small.values():
            header.SpecificCharacterSet, header.PatientName = foreign.SpecificCharacterSet, str(foreign.PatientName)
    (sheet,) = words(reports.study_report(small), small)
    assert shown in sheet
    built(tmp_path / "page.dcm", small)
    assert validators.iod_errors(tmp_path / "page.dcm") == []


def test_a_pdf_reader_finds_the_text(tmp_path: Path, small: dict[str, Dataset]) -> None:
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext (poppler-utils) to read it with")
    path = tmp_path / "page.pdf"
    path.write_bytes(built(tmp_path / "page.dcm", small).EncapsulatedDocument)
    done = subprocess.run([reader, "-layout", str(path), "-"], capture_output=True, text=True, check=True)
    assert "54.2 %" in done.stdout
