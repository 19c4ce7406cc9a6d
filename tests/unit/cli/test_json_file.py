"""`--json` prints and `--json FILE.json` writes: neither may swallow an input."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.cli.json_file import with_file
from echonode.cli.main import execute
from echonode.cli.written import free, stem_of, stems_of


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["--json", "loop.dcm"], ["--json", "loop.dcm"]),
        (["loop.dcm", "--json"], ["loop.dcm", "--json"]),
        (["--json", "--model", "m"], ["--json", "--model", "m"]),
        (["loop.dcm", "--json", "out.json"], ["loop.dcm", "--json", "--json-file", "out.json"]),
        (["--json=values.txt", "loop.dcm"], ["--json", "--json-file", "values.txt", "loop.dcm"]),
        (["--truth", "truth.json", "--json"], ["--truth", "truth.json", "--json"]),
        (["--", "--json", "a.json"], ["--", "--json", "a.json"]),
    ],
)
def test_what_follows_json_is_a_file_where_it_is_called_one(given: list[str], understood: list[str]) -> None:
    assert with_file(given) == understood


def test_a_file_in_no_folder_is_one_line_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["run", "view", str(tmp_path), "--json", str(tmp_path / "nowhere" / "out.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no such folder" in line


def test_a_name_keeps_the_dots_that_end_nothing(tmp_path: Path) -> None:
    """Scanners name files after UIDs: cut at the last dot, two loops would be one."""
    assert stem_of(tmp_path / "1.2.840.7") == "1.2.840.7"
    assert stem_of(tmp_path / "IM_0001.DCM") == "IM_0001"


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "IM_0001.dcm", tmp_path / "b" / "im_0001.dcm"
    assert stems_of([one, other]) == {one: "IM_0001", other: "im_0001-2"}
    taken: set[str] = set()
    assert [free("x", taken) for _ in range(3)] == ["x", "x-2", "x-3"]
