"""`echonode run slow-motion`: files in, files out, without a node."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from PIL import Image

from echonode.cli.demo import example_loop
from echonode.cli.main import execute
from echonode.core.settings import LimitsSection
from echonode.derive.cine import cine_uid
from echonode.dicom.video import read_pictures, read_video
from echonode.registry.catalogue import Catalogue


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECHONODE_CONFIG", raising=False)


def test_dicom_in_gives_the_object_that_the_node_would_make(tmp_path: Path, checkout: Path) -> None:
    assert execute(["run", "slow-motion", str(example_loop()), "--factor", "2", "--out", "out"]) == 0
    (made,) = (tmp_path / "out").iterdir()
    data = pydicom.dcmread(made, stop_before_pixels=True)
    package = Catalogue([checkout / "models"]).get("refined-flow")
    assert data.SOPInstanceUID == cine_uid(example_loop(), package=package, parameters={"factor": 2})
    assert int(data.NumberOfFrames) == 59
    assert execute(["run", "slow-motion", str(made), "--out", "again"]) == 2, "results are never run again"


def test_video_and_pictures_go_in_and_come_out_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "slow-motion", str(example_loop()), "--factor", "2", "--out", "a", "--format", "png"]) == 0
    (folder,) = (tmp_path / "a").iterdir()
    pictures = read_pictures(folder, fps=30)
    assert pictures.frames.shape == (59, 240, 320, 3)
    for name in list(folder.glob("*.png"))[12:]:
        name.unlink()
    assert execute(["run", "slow-motion", str(folder), "--factor", "2", "--out", "b", "--format", "mkv"]) == 0
    (video,) = (tmp_path / "b").iterdir()
    clip = read_video(video, limits=LimitsSection())
    assert len(clip.frames) == 23
    assert execute(["run", "slow-motion", str(video), "--factor", "3", "--out", "c", "--timing", "true-time"]) == 0
    (slow,) = (tmp_path / "c").iterdir()
    assert slow.suffix == ".mp4"
    assert read_video(slow).times_ms[-1] == pytest.approx(clip.times_ms[-1], rel=0.05)
    assert execute(["run", "slow-motion", str(video), "--out", "d", "--format", "dicom"]) == 2
    assert "only a DICOM file can become DICOM" in capsys.readouterr().err


def test_a_sheet_shows_the_first_frames_side_by_side(tmp_path: Path) -> None:
    assert execute(["run", "slow-motion", str(example_loop()), "--factor", "4", "--out", "e", "--format", "sheet"]) == 0
    (sheet,) = (tmp_path / "e").iterdir()
    with Image.open(sheet) as picture:
        width, height = picture.size
    assert width >= 4 * 320, "one row for each recorded frame"
    assert height >= 12 * 240, "48 frames"


def test_a_loop_that_is_refused_is_named_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], checkout: Path
) -> None:
    still = example_loop().with_name("examples_rgb_color.dcm")
    assert execute(["run", "slow-motion", str(still), str(checkout / "README.md"), "--out", "out"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "examples_rgb_color.dcm: refused: " in first
    assert "neither a DICOM file nor a video" in second
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--device", "cuda:97"], "torch finds"),
        (["--device", "tpu"], "cpu"),
        (["--model", "nope"], "there is no model 'nope'"),
    ],
)
def test_a_wrong_choice_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    assert execute(["run", "slow-motion", str(example_loop()), "--out", "out", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
