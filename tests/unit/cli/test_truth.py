"""truth.json beside measurements: a user who compares a model with the wrong object would trust wrong errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echonode.cli.truth import Compared, Truth, compared_as_json, show_compared
from echonode.core.errors import BadInput


def simulated() -> dict[str, Any]:
    objects = [
        {"file": "IM_0001.dcm", "sop_instance_uid": "2.25.1", "view": "A4C", "stage": None, "heart_rate_bpm": 61.0,
         "labels": "labels/IM_0001.npz", "truth": {"ef_percent": 58.0, "disks_ef_percent": 57.0}},
        {"file": "IM_0002.dcm", "sop_instance_uid": "2.25.2", "view": "A4C", "stage": "Peak", "labels": None,
         "heart_rate_bpm": 130.0, "patient": {"ef_percent": 66.0}, "truth": {"disks_ef_percent": None}},
    ]  # fmt: skip
    study = {
        "folder": "5-0000-quick", "study_instance_uid": "2.25.9", "patient": {"ef_percent": 58.0, "edv_ml": 100.0},
        "biplane": [{"stage": None, "ef_percent": 59.0}, {"stage": "Peak", "ef_percent": 67.0}], "objects": objects,
    }  # fmt: skip
    return {"format": 1, "cohort": "phantom:1@5/quick", "simulated": True, "studies": [study]}


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    (tmp_path / "truth.json").write_text(json.dumps(simulated()))
    return Truth.read(tmp_path)


def test_an_object_is_found_by_its_uid_and_knows_its_own_heart(truth: Truth) -> None:
    rest, peak = truth.of_instance("2.25.1"), truth.of_instance("2.25.2")
    assert rest is not None
    assert peak is not None
    assert (rest.number("ef_percent"), rest.number("edv_ml"), rest.number("heart_rate_bpm")) == (58.0, 100.0, 61.0)
    assert peak.number("ef_percent") == 66.0, "under stress it is another heart than at rest"
    assert peak.number("disks_ef_percent") is None
    assert rest.biplane is not None
    assert peak.biplane is not None
    assert (rest.biplane["ef_percent"], peak.biplane["ef_percent"]) == (59.0, 67.0)
    assert truth.of_instance("2.25.7") is None
    assert truth.of_instance("") is None


def test_a_file_is_found_where_the_simulation_put_it(truth: Truth, tmp_path: Path) -> None:
    found = truth.of_file(tmp_path / "5-0000-quick" / ".." / "5-0000-quick" / "IM_0001.dcm")
    assert found is not None
    assert found.labels == tmp_path / "5-0000-quick" / "labels" / "IM_0001.npz"
    assert truth.of_file(tmp_path / "IM_0001.dcm") is None


def test_the_truth_of_one_study_is_read_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(simulated()["studies"][0]))
    found = Truth.read(tmp_path / "truth.json").of_file(tmp_path / "IM_0002.dcm")
    assert found is not None
    assert found.stage == "Peak"


@pytest.mark.parametrize("text", ["[]", "{}", "not json", '{"format": 2, "studies": []}', '{"objects": [{"file": 1}]}'])
def test_another_file_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(BadInput, match=r"other\.json"):
        Truth.read(tmp_path / "other.json")


def test_the_table_shows_measured_true_and_their_difference(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Compared(source="a.dcm", measurement="EF", unit="%", value=55.25, truth=58.0),
        Compared(source="b.dcm", measurement="EF", unit="%", value=None, truth=61.0),
    ]
    show_compared(rows)
    shown = capsys.readouterr().out
    assert "EF [%]" in shown
    assert "-2.8" in shown or "-2.7" in shown
    assert compared_as_json(rows)[0]["difference"] == pytest.approx(-2.75)
    assert compared_as_json(rows)[1]["difference"] is None


def test_what_is_no_number_never_reaches_json(tmp_path: Path) -> None:
    row = Compared(source="a", measurement="EF", value=float("nan"), truth=float(np.float64(1)))
    assert row.as_json()["value"] is None
