"""Loops of one study together: planes of two patients, or of two stages, must never be multiplied with each other."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from echonode.cli.segmentation import Loop, _print_studies
from echonode.cli.truth import Truth
from echonode.core.package import Package
from echonode.tasks.segmentation.ventricle import biplane


def loop(view: str | None, *, study: str = "2.25.9", stage: str | None = None, width: float = 40.0) -> Loop:
    disks = {"length_mm": 80.0, "diameters_mm": [width] * 20}
    small = {"length_mm": 80.0, "diameters_mm": [width / 2] * 20}
    ventricle = {
        "calibrated": True, "ef_percent": 75.0, "edv_ml": 100.0, "esv_ml": 25.0, "end_diastole": disks,
        "end_systole": small,
    }  # fmt: skip
    return Loop(
        source=Path(f"{view}.dcm"), view=view, study_uid=study, stage=stage, preparation="clinical",
        details={"ventricle": ventricle},
    )  # fmt: skip


def printed(loops: list[Loop], capsys: pytest.CaptureFixture[str], known: Truth | None = None) -> list[dict[str, Any]]:
    package = Package(name="m", version="1", task="segmentation", title="m", folder=Path(), digest="0")
    loaded: Any = SimpleNamespace(tool=lambda name: biplane, package=package, packages=(package,))
    _print_studies(loaded, loops, known, as_json=True)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_both_planes_of_a_study_give_its_volume(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = printed([loop("A4C"), loop("A2C", width=50.0)], capsys)
    assert found["biplane"][0]["edv_ml"] == pytest.approx(125.66, abs=0.1)
    assert found["biplane"][0]["ef_percent"] == pytest.approx(75)


@pytest.mark.parametrize(
    "loops",
    [
        [loop("A4C"), loop("A2C", study="2.25.8")],
        [loop("A4C", stage="Rest"), loop("A2C", stage="Peak")],
        [loop("A4C", study=""), loop("A2C", study="")],
        [loop("A4C"), loop(None)],
    ],
)
def test_planes_that_do_not_belong_together_stay_apart(loops: list[Loop], capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(loops, capsys) == []


def test_of_several_loops_the_longest_axes_make_the_pair(capsys: pytest.CaptureFixture[str]) -> None:
    short = loop("A4C", width=60.0)
    for phase in ("end_diastole", "end_systole"):
        short.details["ventricle"][phase]["length_mm"] = 76.0
    (found,) = printed([short, loop("A4C"), loop("A2C")], capsys)
    assert found["biplane"][0]["lengths_mm"] == [[80.0, 80.0], [80.0, 80.0]]


def test_foreshortened_planes_are_told_and_not_multiplied(capsys: pytest.CaptureFixture[str]) -> None:
    short = loop("A2C")
    short.details["ventricle"]["end_diastole"]["length_mm"] = 60.0
    package = Package(name="m", version="1", task="segmentation", title="m", folder=Path(), digest="0")
    loaded: Any = SimpleNamespace(tool=lambda name: biplane, package=package, packages=(package,))
    _print_studies(loaded, [loop("A4C"), short], None, as_json=True)
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "A2C is foreshortened" in streams.err


def test_the_truth_stands_beside_each_plane_and_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = [
        {"file": f"{view}.dcm", "sop_instance_uid": f"2.25.{number}", "view": view, "truth": {"ef_percent": 70.0}}
        for number, view in enumerate(("A4C", "A2C"))
    ]
    (tmp_path / "truth.json").write_text(json.dumps({"study_instance_uid": "2.25.9", "objects": objects}))
    found = [loop("A4C"), loop("A2C")]
    placed = [
        Loop(source=tmp_path / each.source, view=each.view, study_uid=each.study_uid, stage=None,
             preparation="clinical", details=each.details)
        for each in found
    ]  # fmt: skip
    _, truth = printed(placed, capsys, Truth.read(tmp_path))
    rows = {(row["measurement"]): row for row in truth["truth"]}
    assert rows["A4C EF"]["difference"] == 5.0
    assert rows["biplane EF"]["truth"] == 70.0
    assert rows["A4C EDV"]["truth"] is None
