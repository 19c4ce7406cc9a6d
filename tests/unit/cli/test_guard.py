"""A model of simulated data looks at no patient's file by itself, and what it says is marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydicom.dataset import Dataset

from echonode.cli.guard import NOTE, OPTION, guarded, is_marked_simulated, mark_of, marked, refusal_for
from echonode.cli.main import execute
from echonode.core.package import Package
from echonode.core.settings import NodeSettings
from echonode.phantom.marker import write_block
from tests.support.loops import loop_dataset

SETTINGS = NodeSettings()
ALLOWING = NodeSettings.model_validate({"models": {"simulated_on_patients": True}})


def package(*, simulated: bool = True) -> Package:
    return Package(
        name="phantom-ef", version="1", task="ejection_fraction", title="EF", folder=Path(), digest="0" * 64,
        simulated=simulated,
    )  # fmt: skip


def written(path: Path, *, synthetic: bool = True, subject: bool = True, block: bool = True) -> Path:
    dataset: Dataset = loop_dataset()
    if synthetic:
        dataset.SyntheticData = "YES"
    if subject:
        dataset.QualityControlSubject = "YES"
    if block:
        write_block(dataset, origin="1-0000-quick#1")
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_patient_s_file_is_refused_in_one_line_that_says_how_to_go_on(tmp_path: Path) -> None:
    refusal = refusal_for(
        [package()], SETTINGS, written(tmp_path / "a.dcm", synthetic=False, subject=False, block=False)
    )
    assert refusal is not None
    assert refusal.code == "simulated"
    assert "\n" not in refusal.reason
    for word in ("phantom-ef", "ejection_fraction", "echonode models import coreecho", OPTION):
        assert word in refusal.reason


def test_a_video_has_no_header_to_say_that_it_is_simulated(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(b"RIFF")
    assert refusal_for([package()], SETTINGS, tmp_path / "a.avi") is not None


@pytest.mark.parametrize("missing", ["synthetic", "subject", "block"])
def test_a_part_of_the_marks_is_not_enough(tmp_path: Path, missing: str) -> None:
    path = written(tmp_path / "a.dcm", **{missing: False})
    assert not is_marked_simulated(path)
    assert refusal_for([package()], SETTINGS, path) is not None


def test_a_simulated_file_will_do_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.dcm")
    assert refusal_for([package()], SETTINGS, path) is None
    assert "marked as simulated, so phantom-ef runs" in capsys.readouterr().err.replace("\n", " ")


def test_node_toml_lets_it_run_on_patients(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", synthetic=False, subject=False, block=False)
    assert refusal_for([package()], ALLOWING, path) is None


def test_other_models_are_not_asked(tmp_path: Path) -> None:
    assert refusal_for([package(simulated=False)], SETTINGS, tmp_path / "missing") is None


def test_one_simulated_model_among_several_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(b"RIFF")
    assert refusal_for([package(simulated=False), package()], SETTINGS, tmp_path / "a.avi") is not None
    assert mark_of([package(simulated=False), package()]) == NOTE


def test_values_are_marked_and_only_those_that_need_it() -> None:
    assert marked([package()], {"value": 60.0}) == {"value": 60.0, "mark": NOTE}
    assert marked([package(simulated=False)], {"value": 60.0}) == {"value": 60.0}


def test_the_option_holds_while_its_command_runs_and_no_longer(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(b"RIFF")
    seen: list[Any] = []

    def command(path: Annotated[Path, typer.Argument()]) -> None:
        seen.append(refusal_for([package()], SETTINGS, path))

    app = typer.Typer()
    wrapped: Callable[..., Any] = guarded(command)
    app.command()(wrapped)
    app([OPTION, str(tmp_path / "a.avi")], standalone_mode=False)
    app([str(tmp_path / "a.avi")], standalone_mode=False)
    assert seen[0] is None
    assert seen[1] is not None


@pytest.mark.parametrize(
    "task", ["slow-motion", "ejection-fraction", "cmr", "mmode", "segmentation", "synthesis", "view"]
)
def test_every_task_has_the_option(
    task: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert execute(["run", task, "--help"]) == 0
    assert "--simulated-on-patients" in capsys.readouterr().out
