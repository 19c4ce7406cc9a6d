"""`echonode models parity` must say NO and exit with 1 when a network gives other numbers than its authors' code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from echonode.cli import parity as command
from echonode.cli.main import execute
from echonode.core.errors import BadInput
from echonode.core.parity import ParityRow
from echonode.core.task import TaskSpec

ROWS = [
    ParityRow(network="a", quantity="one", difference=1e-6, tolerance=1e-5),
    ParityRow(network="a", quantity="two", difference=9e-6, tolerance=1e-5),
    ParityRow(network="b", quantity="three", difference=0.0, tolerance=0.0),
]


def checked(folder: Path, whole: bool) -> list[ParityRow]:
    """What a task would say of the set."""
    if (folder / "broken").exists():
        raise BadInput("x.json: is no JSON")
    if (folder / "lacking").exists():
        raise KeyError("logits")
    off = ParityRow(network="b", quantity="four", difference=float("inf"), tolerance=1.0)
    heavy = ParityRow(network="b", quantity="heavy", difference=0.0, tolerance=1.0)
    return ROWS + ([off] if (folder / "off").exists() else []) + ([heavy] if whole else [])


@pytest.fixture
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    spec = TaskSpec(name="t", title="T", runner="", parity="x:y")
    monkeypatch.setattr("echonode.core.task.installed_tasks", lambda: {"t": spec})
    monkeypatch.setattr("echonode.core.task.resolve", lambda _: checked)
    (tmp_path / "set.json").write_text("{}")
    return tmp_path


def test_a_table_and_the_nearest_of_each_network(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["models", "parity", str(vectors)]) == 0
    out = capsys.readouterr().out
    assert "3 of 3 quantities pass" in out
    assert out.count(" two ") == 2, "in the table and as the one that came nearest"
    assert execute(["models", "parity", str(vectors), "--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["quantity"] for row in found["quantities"]] == ["one", "two", "three", "heavy"]
    assert [row["quantity"] for row in found["networks"]] == ["two", "three"]


@pytest.mark.parametrize(
    ("mark", "says"), [("off", "NO"), ("broken", "x.json: is no JSON"), ("lacking", "set cannot be read: KeyError")]
)
def test_a_network_too_far_off_or_a_damaged_set_is_exit_code_1(
    mark: str, says: str, vectors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (vectors / mark).touch()
    assert execute(["models", "parity", str(vectors)]) == 1
    printed = capsys.readouterr()
    assert says in printed.out + printed.err


def test_no_vectors_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["models", "parity"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(command.DEFAULT_SET) in line


@pytest.mark.slow
def test_a_changed_number_of_the_real_set_is_found(
    parity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(parity / "slowmo", tmp_path / "slowmo")
    shutil.copy(parity / "set.json", tmp_path)
    for path in (tmp_path / "slowmo", *(tmp_path / "slowmo").iterdir()):
        path.chmod(0o755)
    assert execute(["models", "parity", str(tmp_path)]) == 0
    table = json.loads((tmp_path / "slowmo" / "coeffs.json").read_text())
    table["C01"][2] += 1e-6
    (tmp_path / "slowmo" / "coeffs.json").write_text(json.dumps(table))
    capsys.readouterr()
    assert execute(["models", "parity", str(tmp_path), "--json"]) == 1
    failed = [row for row in json.loads(capsys.readouterr().out)["quantities"] if not row["passed"]]
    assert [row["quantity"] for row in failed] == ["coefficient C01"]
