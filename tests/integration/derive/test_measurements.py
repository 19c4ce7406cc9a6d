"""What an echo reporting system imports: measured values alone, each once, in its unit; never a prediction."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.errors import BadInput
from echonode.core.report import ReportState
from echonode.core.settings import NodeSection
from echonode.derive.measurements import build_measurements, exported
from echonode.derive.report import build_report
from tests.support import reports, validators
from tests.support.loops import write_loop

NODE = NodeSection(institution="Echo Lab", station="echo-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Dataset]:
    write_loop(tmp_path / "loop.dcm", study_uid="1.2.3", sop_instance_uid="1.2.3.1", frames=6)
    return reports.headers_of([tmp_path / "loop.dcm"])


def built(path: Path, headers: dict[str, Dataset], **changes: Any) -> Dataset:
    unit = changes.pop("length_unit", "mm")
    report = reports.study_report(headers, **changes)
    build_measurements(report, headers=headers, node=NODE, now=NOW, length_unit=unit).write(path)
    return dcmread(path)


def numbers(dataset: Dataset) -> dict[str, tuple[float, str]]:
    """Value and unit of every NUM item of the tree by concept, its place held to TID 5200."""
    found: dict[str, tuple[float, str]] = {}
    for section in dataset.ContentSequence:
        if section.ConceptNameCodeSequence[0].CodeValue != "59776-5":
            continue
        assert section.ContentSequence[0].ConceptNameCodeSequence[0].CodeValue == "363698007", "findings of no site"
        for group in section.ContentSequence[1:]:
            assert group.ConceptNameCodeSequence[0].CodeValue == "125007"
            for item in group.ContentSequence:
                measured = item.MeasuredValueSequence[0]
                code = item.ConceptNameCodeSequence[0].CodeValue
                assert code not in found, "a value was written twice"
                found[code] = (float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue)
    return found


def test_selected_measured_values_alone_are_exported(tmp_path: Path, small: dict[str, Dataset]) -> None:
    path = tmp_path / "m.dcm"
    dataset = built(path, small)
    assert numbers(dataset) == {
        "18043-0": (54.2, "%"), "18026-5": (118.4, "ml"), "18148-7": (54.2, "ml"), "29436-3": (48.2, "mm"),
        "29438-9": (32.9, "mm"), "8867-4": (72, "{H.B.}/min"),
    }  # fmt: skip
    assert (dataset.SOPClassUID, dataset.Modality) == ("1.2.840.10008.5.1.4.1.1.88.33", "SR")
    assert dataset.ContentTemplateSequence[0].TemplateIdentifier == "5200"
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "125200"
    assert "PROB" not in str(dataset), "a reporting system would paste a prediction as a measured value"
    assert "66.0" not in validators.dump(path), "a value that was not chosen was exported"


def test_lengths_come_in_the_unit_of_the_destination(tmp_path: Path, small: dict[str, Dataset]) -> None:
    in_cm, in_mm = built(tmp_path / "cm.dcm", small, length_unit="cm"), built(tmp_path / "mm.dcm", small)
    assert numbers(in_cm)["29436-3"] == (4.82, "cm")
    assert numbers(in_cm)["18026-5"] == (118.4, "ml")
    assert in_cm.SOPInstanceUID != in_mm.SOPInstanceUID, "one UID would name two contents"
    with pytest.raises(BadInput, match="not 'inch'"):
        built(tmp_path / "inch.dcm", small, length_unit="inch")


def test_validators_find_no_error(tmp_path: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "ultrasound" / "adult_xario").glob("*.dcm"))
    headers = reports.headers_of(files)
    path, beside = tmp_path / "m.dcm", tmp_path / "report.dcm"
    built(path, headers, state=ReportState.VERIFIED, verified_by="Echo^Ada", verified_at=1767323045.0)
    build_report(reports.study_report(headers), headers=headers, node=NODE, now=NOW).write(beside)
    assert validators.iod_errors(path) == []
    assert validators.consistency_errors([*files, beside, path]) == []
    assert "Adult Echocardiography" in validators.dump(path)


def test_a_report_without_measured_values_exports_nothing(tmp_path: Path, small: dict[str, Dataset]) -> None:
    report = reports.study_report(small)
    predicted = replace(report, groups=report.groups[1:])
    assert exported(predicted) == ()
    assert len(exported(report)) == 6
    with pytest.raises(BadInput, match="nothing to export"):
        build_measurements(predicted, headers=small, node=NODE, now=NOW)
