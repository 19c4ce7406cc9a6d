"""The export for reporting systems, read by the reader of scanners' reports: what one says the other understands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from pydicom import dcmread

from echonode.core.settings import NodeSection
from echonode.derive.measurements import build_measurements
from echonode.dicom.scanner_report import read_scanner_report
from tests.support import reports
from tests.support.loops import write_loop


@pytest.mark.parametrize("unit", ["mm", "cm"])
def test_every_number_comes_back_and_says_that_it_is_research(tmp_path: Path, unit: Literal["mm", "cm"]) -> None:
    """An export of another echonode in the same study must not pass for what a sonographer measured."""
    write_loop(tmp_path / "loop.dcm", study_uid="1.2.3", sop_instance_uid="1.2.3.1", frames=6)
    headers = reports.headers_of([tmp_path / "loop.dcm"])
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    made = build_measurements(
        reports.study_report(headers), headers=headers, node=NodeSection(), now=now, length_unit=unit
    )
    made.write(tmp_path / "m.dcm")
    found = read_scanner_report(dcmread(tmp_path / "m.dcm"))
    assert found is not None
    assert found.unread == ()
    assert found.research
    values = {each.measurement.concept.value: each for each in found.values}
    assert {code: round(each.measurement.value, 3) for code, each in values.items()} == {
        "18043-0": 54.2, "18026-5": 118.4, "18148-7": 54.2, "29436-3": 48.2, "29438-9": 32.9, "8867-4": 72.0,
    }  # fmt: skip
    method = values["18043-0"].measurement.method
    assert method is not None
    assert method.value == "125207"
    assert values["18043-0"].sources == ("1.2.3.1",)
