"""`echonode simulate` on the command line: what it says when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.cli import simulate as command
from echonode.cli.main import execute
from echonode.phantom.frames import Syntax
from echonode.phantom.presets import PRESETS

SMALL = ("--preset", "quick", "--scale", "0.1", "--no-labels")


def test_a_study_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "folder"
    assert execute(["simulate", str(out), *SMALL, "--syntax", "rle"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1-0000-quick  ")
    assert "EF " in lines[0]
    assert "4 objects" in lines[0]
    assert lines[1] == f"1 study in {out}; what is true of them is in {out}/truth.json"
    assert execute(["simulate", str(out), *SMALL, "--syntax", "rle"]) == 0
    assert "was there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--studies", "0"], "studies"),
        (["--seed", "-1"], "seed"),
        (["--preset", "marathon"], "marathon"),
        (["--syntax", "gif"], "gif"),
        (["--scale", "2"], "scale"),
        (["--workers", "0"], "workers"),
    ],
)
def test_a_wrong_argument_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert execute(["simulate", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("")
    assert execute(["simulate", str(tmp_path), *SMALL]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_the_command_offers_what_there_is() -> None:
    """The command lists its choices without loading the simulation; the two lists must not drift apart."""
    assert [each.value for each in command.PresetName] == list(PRESETS)
    assert [each.value for each in command.SyntaxName] == [each.value for each in Syntax]
