"""A simulated data set can be made again to the last byte, gone on with, and is never mixed with another."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from echonode.core.errors import BadInput
from echonode.phantom.cohort import Cohort
from echonode.phantom.frames import Syntax
from echonode.phantom.simulation import ARGUMENTS_FILE, TRUTH_FILE, Simulation, simulate

COHORT = "phantom:2@32/quick"
SIMULATION = Simulation(cohort=Cohort.parse(COHORT), syntax=Syntax.JPEG, scale=0.12)
COMMAND = ("--studies", "2", "--seed", "32", "--preset", "quick", "--scale", "0.12")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    list(simulate(SIMULATION, folder))
    return folder


def test_two_other_processes_make_the_same_bytes(simulated: Path, tmp_path: Path) -> None:
    """With another hash seed, another clock's zone and in parallel: a published number must be found again."""
    environment = os.environ | {"PYTHONHASHSEED": "12345", "TZ": "Pacific/Auckland", "LANG": "C"}
    done = subprocess.run(
        [sys.executable, "-m", "echonode", "simulate", str(tmp_path / "again"), *COMMAND, "--workers", "2"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "again") == digests(simulated)
    assert len(done.stdout.splitlines()) == 3, "one line a study, and one in the end"


def test_truth_names_every_file_and_what_is_true_of_it(simulated: Path) -> None:
    truth = json.loads((simulated / TRUTH_FILE).read_text())
    assert (truth["format"], truth["cohort"], truth["simulated"]) == (1, COHORT, True)
    named = set()
    for study, planned in zip(truth["studies"], SIMULATION.cohort, strict=True):
        assert study["patient"]["ef_percent"] == planned.patient.ef_percent
        assert len(study["objects"]) == planned.preset.objects
        for each in study["objects"]:
            folder = simulated / study["folder"]
            named |= {folder / each["file"], folder / each["labels"]}
            with np.load(folder / each["labels"]) as arrays:
                assert arrays.files == (["labels", "times_ms"] if each["kind"] == "loop" else ["boundaries"])
    assert named <= set(simulated.rglob("*.*"))
    assert len(list(simulated.rglob("*.dcm"))) == 8


def test_an_interrupted_simulation_goes_on_and_keeps_what_is_there(simulated: Path, tmp_path: Path) -> None:
    whole = digests(simulated)
    shutil.copytree(simulated, tmp_path, dirs_exist_ok=True)
    first, second = (tmp_path / study.name for study in SIMULATION.cohort)
    (tmp_path / TRUTH_FILE).unlink()
    second.rename(tmp_path / f".{second.name}.part")
    (tmp_path / f".{second.name}.part" / TRUTH_FILE).unlink()
    kept = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    again = list(simulate(SIMULATION, tmp_path))
    assert [study.seconds is None for study in again] == [True, False]
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == kept
    assert digests(tmp_path) == whole


@pytest.mark.parametrize(
    "other",
    [
        Simulation(cohort=Cohort.parse("phantom:2@8/quick"), scale=0.12),
        Simulation(cohort=Cohort.parse("phantom:3@32/quick"), scale=0.12),
        Simulation(cohort=Cohort.parse(COHORT), scale=0.12, labels=False),
        Simulation(cohort=Cohort.parse(COHORT), scale=0.12, syntax=Syntax.RLE),
        Simulation(cohort=Cohort.parse(COHORT), scale=0.13),
    ],
)
def test_two_simulations_are_never_mixed(simulated: Path, other: Simulation) -> None:
    before = digests(simulated)
    with pytest.raises(BadInput, match="holds another simulation"):
        list(simulate(other, simulated))
    assert digests(simulated) == before


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="not empty"):
        list(simulate(SIMULATION, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_whose_arguments_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", '"x"', "\x80"):
        (tmp_path / ARGUMENTS_FILE).write_bytes(text.encode("latin-1"))
        with pytest.raises(BadInput):
            list(simulate(SIMULATION, tmp_path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(BadInput, match="cannot be used as a folder"):
        list(simulate(SIMULATION, tmp_path / "out"))


def keys_of(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in keys_of(each)}
    return {key for each in value for key in keys_of(each)} if isinstance(value, list) else set()


def test_every_key_of_the_truth_is_documented(simulated: Path, checkout: Path) -> None:
    page = (checkout / "docs" / "phantom.md").read_text()
    keys = keys_of(json.loads((simulated / TRUTH_FILE).read_text()))
    assert sorted(key for key in keys if f"`{key}`" not in page) == []
