"""`echonode run slow-motion --compare`: the movie that decides whether slow motion is worth looking at."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from echonode.cli.main import execute
from echonode.dicom.video import read_video
from tests.support.loops import loop_dataset


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    path = tmp_path / "loop.dcm"
    loop_dataset(frames=8).save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(autouse=True)
def in_the_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)


def test_a_movie_and_a_secondary_capture(loop: Path, tmp_path: Path) -> None:
    given = ["run", "slow-motion", str(loop), "--out", str(tmp_path / "out"), "--factor", "2", "--compare"]
    assert execute(given) == 0
    assert execute([*given, "--format", "mp4"]) == 0
    dataset = pydicom.dcmread(tmp_path / "out" / "loop-slow2-compared.dcm")
    movie = read_video(tmp_path / "out" / "loop-slow2-compared.mp4")
    assert dataset.NumberOfFrames == len(movie.frames) == 15
    assert dataset.Columns in (movie.frames.shape[2] - 1, movie.frames.shape[2])


def test_a_sheet_is_no_movie(loop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["run", "slow-motion", str(loop), "--out", str(tmp_path / "out"), "--compare", "--format", "sheet"]
    assert execute(given) == 2
    assert "--compare makes a movie" in capsys.readouterr().err
