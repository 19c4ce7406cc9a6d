"""Clips to learn from: nothing on both sides, beats that are really cut, colours as they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echonode.core.errors import BadInput
from echonode.dicom.video import write_video
from echonode.tasks.slow_motion.crop import crop_box, cropped, sized
from echonode.tasks.slow_motion.dataset import Preparation, Prepared, prepare
from echonode.tasks.slow_motion.sources import clips, is_prepared, read_prepared, read_source
from tests.support.loops import disc_frames, loop_dataset


def write_loop(path: Path, *, study: str, frames: int = 26, waves: list[float] | None = None, **other: object) -> Path:
    dataset = loop_dataset(study_uid=study, frames=frames, size=64, patient_id=study, **other)
    if waves is not None:
        dataset.RWaveTimeVector = waves
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    for number in range(4):
        for loop in range(2):
            write_loop(tmp_path / "site" / f"s{number}" / f"{loop}.dcm", study=f"1.2.{number}", seed=number)
    return tmp_path / "site"


def made(out: Path, *train: Path, **options: object) -> Prepared:
    return prepare(Preparation(train=train, out=out, **options))  # type: ignore[arg-type]


def manifest(out: Path) -> dict:
    return json.loads((out / "clips.json").read_text())


def test_no_study_is_on_two_sides(studies: Path, tmp_path: Path) -> None:
    """A model that is tested on the hearts that it learnt from looks better than it is."""
    found = made(tmp_path / "out", studies)
    assert sum(found.clips.values()) == 16, "two clips of 12 frames of each of eight loops"
    splits: dict[str, set[str]] = {}
    for clip in clips(tmp_path / "out"):
        splits.setdefault(clip.study, set()).add(clip.split)
    assert len(splits) == 4
    assert all(len(split) == 1 for split in splits.values())
    assert {split for each in splits.values() for split in each} == {"train", "validation", "test"}


def test_a_study_in_train_and_in_test_is_refused(studies: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="both sides"):
        made(tmp_path / "out", studies, test=(studies / "s1",))


def test_the_published_layout_validates_on_the_test(studies: Path, tmp_path: Path) -> None:
    """Numbers of the paper can only be compared with its own split."""
    found = made(
        tmp_path / "out", studies / "s0", studies / "s1", test=(studies / "s2", studies / "s3"), layout="published"
    )
    assert found.clips["validation"] == 1, "a fifth of eight test clips"
    assert found.clips["test"] == 7
    tested = {clip.study for clip in clips(tmp_path / "out", "test")}
    assert {clip.study for clip in clips(tmp_path / "out", "validation")} <= tested


def test_two_beats_are_cut_from_a_vector_as_pydicom_reads_it(tmp_path: Path) -> None:
    """pydicom gives no list: the published code tests for one and never cuts."""
    file = write_loop(tmp_path / "a" / "x.dcm", study="1.2.9", frames=60, waves=[40.0, 240.0, 500.0, 760.0, 1000.0])
    assert read_source(file).r_waves_ms == (40.0, 240.0, 500.0, 760.0, 1000.0)
    made(tmp_path / "out", file, test_share=0.0, validation_share=0.0)
    taken = [clip["frames"] for clip in manifest(tmp_path / "out")["clips"]]
    assert taken == [list(range(12, 24)), list(range(24, 36))], "frames 12 (240 ms) to 38 (760 ms), remainder dropped"


def test_frames_are_those_of_the_source(tmp_path: Path) -> None:
    """A clip that is shifted by one frame, or recoloured, teaches another motion."""
    file = write_loop(tmp_path / "a" / "x.dcm", study="1.2.9", frames=25)
    made(tmp_path / "out", file, test_share=0.0, validation_share=0.0)
    first, second = clips(tmp_path / "out", "train")
    truth = disc_frames(frames=25, size=64)
    assert np.array_equal(read_prepared(first).frames[..., 0], truth[:12])
    assert np.array_equal(read_prepared(second).frames[..., 0], truth[12:24])
    assert second.times_ms == tuple(20.0 * index for index in range(12))
    entry = manifest(tmp_path / "out")["clips"][0]
    assert entry["source"] == "a/x.dcm"
    assert len(entry["sha256"]) == 64
    assert "1.2.9" not in json.dumps(manifest(tmp_path / "out")), "whose it is stays with the site"


def test_colour_is_kept_once_and_colour_doppler_left_out(tmp_path: Path, draw: Callable[..., np.ndarray]) -> None:
    """A second conversion from YBR turns hearts green."""
    frames = draw(12)
    (tmp_path / "v").mkdir()
    write_video(tmp_path / "v" / "grey.mkv", frames, fps=30)
    write_video(tmp_path / "v" / "doppler.mkv", draw(12, colour_box=True), fps=30)
    found = made(tmp_path / "out", tmp_path / "v", test_share=0.0, validation_share=0.0)
    (clip,) = clips(tmp_path / "out", "train")
    assert np.array_equal(read_prepared(clip).frames, frames)
    assert [(name, "colour" in reason) for name, reason in found.left_out] == [("v/doppler.mkv", True)]
    both = made(tmp_path / "both", tmp_path / "v", test_share=0.0, validation_share=0.0, colour=True)
    assert both.clips["train"] == 2


def test_crops_reach_beyond_the_picture_in_black(tmp_path: Path) -> None:
    """The published crop of 640 x 640 is larger than many pictures."""
    clip = read_source(write_loop(tmp_path / "x.dcm", study="1.2.9", frames=3))
    box = crop_box(clip, (80, 90))
    assert box == (31 - 40, -10, 80, 90), "around the middle of the region, from a little above it"
    picture = cropped(clip.frames[0], box)
    assert picture.shape == (90, 80, 1)
    assert not picture[:10].any()
    assert np.array_equal(picture[10:74, 9:73], clip.frames[0])
    assert sized(picture, (40, 45)).shape == (45, 40, 1)
    left, top, width, height = crop_box(clip, "sector")
    assert left >= 0
    assert top >= 0
    assert left + width <= 64
    assert top + height <= 64


def test_the_folders_of_the_published_code_are_read(tmp_path: Path) -> None:
    """Whoever has prepared data already must not prepare them again."""
    for name in ("2", "10"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for index in range(12):
            Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(tmp_path / "train" / name / f"{index}.png")
    assert is_prepared(tmp_path)
    found = clips(tmp_path)
    assert [clip.name for clip in found] == ["2", "10"]
    assert [int(frame[0, 0, 0]) for frame in read_prepared(found[0]).frames] == list(range(12))
    assert not found[0].timed


def test_a_folder_that_was_changed_is_not_trusted(tmp_path: Path) -> None:
    """A clip that was moved between splits would leak without a word."""
    file = write_loop(tmp_path / "a" / "x.dcm", study="1.2.9")
    made(tmp_path / "out", file, test_share=0.0, validation_share=0.0)
    (tmp_path / "out" / "test").mkdir()
    (tmp_path / "out" / "train" / "000000").rename(tmp_path / "out" / "test" / "000000")
    with pytest.raises(BadInput, match=r"clips\.json"):
        clips(tmp_path / "out")


def test_what_cannot_work_is_said_before_work(tmp_path: Path) -> None:
    file = write_loop(tmp_path / "a" / "x.dcm", study="1.2.9")
    with pytest.raises(BadInput, match="too few to split"):
        made(tmp_path / "one", file)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(BadInput, match="not empty"):
        made(tmp_path / "full", file)
    with pytest.raises(BadInput, match="too few frames"):
        made(tmp_path / "short", write_loop(tmp_path / "b" / "x.dcm", study="1.2.8", frames=11))
    with pytest.raises(BadInput, match="no such file"):
        made(tmp_path / "none", tmp_path / "nowhere")
