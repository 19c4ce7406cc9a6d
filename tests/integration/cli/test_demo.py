"""`echonode demo` as a new user sees it: a loop goes in, its slow motion comes back, exit code 0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pydicom

from echonode.cli.demo import example_loop


def run_demo(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ECHONODE_")}
    return subprocess.run(
        [sys.executable, "-m", "echonode", "demo", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_loop_comes_back_into_the_same_study(tmp_path: Path) -> None:
    done = run_demo("--factor", "2", "--keep", folder=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    for word in ("slow-motion -> refined-flow", "came back", "the same study", "in all"):
        assert word in done.stdout
    source = pydicom.dcmread(example_loop(), stop_before_pixels=True)
    received = pydicom.dcmread(tmp_path / "demo" / "slow-motion.dcm", stop_before_pixels=True)
    assert received.StudyInstanceUID == source.StudyInstanceUID
    assert received.SeriesInstanceUID != source.SeriesInstanceUID
    assert int(received.NumberOfFrames) == 2 * (int(source.NumberOfFrames) - 1) + 1
    assert (tmp_path / "demo" / "contact-sheet.png").stat().st_size > 10_000
    assert "ready" in (tmp_path / "demo" / "node.log").read_text()
    assert (tmp_path / "demo" / "node" / "data" / "echonode.sqlite3").is_file()


def test_a_loop_that_does_not_come_back_in_time_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    done = run_demo("--deadline", "1", "--factor", "8", folder=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "did not happen within 1 s" in line
    assert "node.log" in line
