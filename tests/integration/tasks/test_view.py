"""`echonode run view` and `echonode evaluate view` with the shipped package, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from echonode.cli.main import execute

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        torch.set_num_threads(1)
        code = execute([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return code, streams.out, streams.err

    return call


@pytest.fixture(scope="module")
def package(checkout: Path) -> Path:
    """The package that comes with echonode."""
    return checkout / "models" / "phantom-view"


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated study that nothing was trained on."""
    out = tmp_path_factory.mktemp("simulated") / "studies"
    assert execute(["simulate", str(out), "--studies", "1", "--seed", "9000007", "--scale", "0.5"]) == 0
    return out


def test_the_views_of_a_simulated_study_are_named_and_its_sweeps_refused(
    run: Run, package: Path, simulation: Path
) -> None:
    """The demo and the nightly self-check send such studies: their loops must be told apart."""
    code, out, errors = run("run", "view", simulation, "--model", package, "--truth", simulation, "--json")
    assert code == 2  # the M-mode sheets are refused
    lines = [json.loads(line) for line in out.splitlines()]
    loops = [line for line in lines if line["refused"] is None]
    assert {line["truth"] for line in loops} == {"PLAX", "PSAX", "A4C", "A2C", "A3C"}
    assert sum(line["right"] is False for line in loops) <= 1  # unknown is no wrong answer
    assert sum(line["details"]["likeliest"] == line["truth"] for line in loops) >= len(loops) - 1
    for line in loops:
        (finding,) = line["findings"]
        assert finding["concept"]["value"] == "111031"
        assert 0 <= finding["confidence"] <= 1
    sweeps = [line for line in lines if line["refused"] is not None]
    assert {line["refused"]["code"] for line in sweeps} == {"mode"}
    assert "takes 2d or 2d-colour" in errors


def test_the_table_shows_the_truth_beside_the_answer(run: Run, package: Path, simulation: Path) -> None:
    """A person who tries the package must see at once how right it was."""
    loop = min(simulation.glob("*/*.dcm"))
    code, out, _ = run("run", "view", loop, "--model", package, "--truth", simulation)
    assert code == 0
    assert "truth" in out
    assert "of 1 views as truth.json says" in out


def test_real_loops_are_read_by_a_list_with_a_line_each(
    run: Run, package: Path, shared_data: Path, tmp_path: Path
) -> None:
    """How a model trained on simulated hearts does on real ones must be shown, file by file."""
    (tmp_path / "ultrasound").symlink_to(shared_data / "ultrasound")
    listed = tmp_path / "views.csv"
    listed.write_text(
        "file,view\nultrasound/adult_xario/I_000031.dcm,PLAX\nultrasound/single/examples_ybr_color.dcm,A4C\n"
        "ultrasound/single/US1_UNCI.dcm,OTHER\n"
    )
    code, out, errors = run("evaluate", "view", "--model", package, "--data", listed, "--json", "-")
    assert code == 0, errors
    rows = json.loads(out)["tables"]["Recordings"]["rows"]
    assert [row["truth"] for row in rows] == ["PLAX", "OTHER", "A4C"]
    assert all(0 <= row["confidence"] <= 1 for row in rows)


def test_the_shipped_package_is_small_and_says_that_it_is_simulated(package: Path) -> None:
    """A clinician who reads the card must not take it for a model of patients."""
    assert sum(file.stat().st_size for file in package.iterdir()) < 2 << 20
    card = (package / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Trained on simulated data alone." in card
    assert "view accuracy" in card
