"""Loops come as AVI and as folders of pictures too: their times and their order must be the file's."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from echonode.core.errors import BadInput, BudgetExceeded, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.video import (
    contact_sheet,
    natural_order,
    read_pictures,
    read_video,
    write_pictures,
    write_video,
)


def moving(frames: int = 6, rows: int = 48, columns: int = 64, channels: int = 3) -> np.ndarray:
    movie = np.zeros((frames, rows, columns, channels), np.uint8)
    for index, frame in enumerate(movie):
        frame[8:24, 4 * index : 4 * index + 16] = 200
    return movie


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_ffv1_loses_nothing(tmp_path: Path, channels: int, size: tuple[int, int]) -> None:
    movie = moving(rows=size[0], columns=size[1], channels=channels)
    write_video(tmp_path / "a.mkv", movie, fps=30)
    clip = read_video(tmp_path / "a.mkv")
    assert clip.frames.shape == (6, *size, 3)
    assert np.array_equal(clip.frames[..., :channels], movie)
    assert clip.times_ms == pytest.approx(np.arange(6) * 1000 / 30, abs=0.4)


def test_mp4_plays_at_the_rate_asked_for(tmp_path: Path) -> None:
    movie = moving(rows=47, columns=63)
    write_video(tmp_path / "a.mp4", movie, fps=29.97)
    clip = read_video(tmp_path / "a.mp4")
    assert clip.timed
    assert clip.frames.shape[1:3] == (48, 64)
    assert clip.times_ms == pytest.approx(np.arange(6) * 1000 / 29.97, abs=0.1)
    assert np.abs(clip.frames[:, :47, :63].astype(int) - movie).mean() < 4


def test_an_avi_comes_in(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for frame in moving():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    clip = read_video(path)
    assert clip.times_ms.tolist() == [0, 40, 80, 120, 160, 200]
    assert clip.source.name == "a.avi"


def test_real_gaps_between_frames_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp, frame in zip((0, 40, 80, 240, 280, 320), moving(), strict=True):
            shown = av.VideoFrame.from_ndarray(frame, format="rgb24")
            shown.pts, shown.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    assert read_video(path).times_ms == pytest.approx([0, 40, 80, 240, 280, 320], abs=1)


def test_what_is_no_video_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(UnreadableObject, match=r"a\.avi"):
        read_video(path)


def test_a_video_is_decoded_under_the_budget(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", moving(), fps=30)
    with pytest.raises(BudgetExceeded):
        read_video(tmp_path / "a.mkv", limits=LimitsSection(frames=3))


def test_pictures_come_in_the_order_a_person_expects(tmp_path: Path) -> None:
    movie = moving(11)
    for index, frame in enumerate(movie):
        Image.fromarray(frame).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    clip = read_pictures(tmp_path, fps=25)
    assert np.array_equal(clip.frames, movie)
    assert clip.times_ms[-1] == 400
    assert [path.name for path in natural_order([Path("b10"), Path("b9"), Path("a")])] == ["a", "b9", "b10"]


def test_grey_pictures_stay_grey_and_come_back_as_written(tmp_path: Path) -> None:
    movie = moving(channels=1)
    paths = write_pictures(tmp_path / "out", movie)
    assert paths[3].name == "000003.png"
    assert np.array_equal(read_pictures(tmp_path / "out", fps=25).frames, movie)


def test_pictures_that_make_no_loop_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no picture"):
        read_pictures(tmp_path, fps=25)
    Image.fromarray(moving()[0]).save(tmp_path / "a.png")
    Image.fromarray(moving(rows=50)[0]).save(tmp_path / "b.png")
    with pytest.raises(BadInput, match="another size"):
        read_pictures(tmp_path, fps=25)
    with pytest.raises(BadInput, match="frames a second"):
        read_pictures(tmp_path, fps=0)
    (tmp_path / "b.png").write_bytes(b"broken")
    with pytest.raises(UnreadableObject, match=r"b\.png"):
        read_pictures(tmp_path, fps=25)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.mp4 or \.mkv"):
        write_video(tmp_path / "a.gif", moving(), fps=25)


def test_a_contact_sheet_has_every_frame_and_label() -> None:
    movie = moving(5)
    sheet = contact_sheet(list(movie), columns=2, labels=["one", "two", "three", "four", "five"])
    assert sheet.shape[1] == 2 * 64 + 4
    assert np.array_equal(sheet[:48, :64], movie[0])
    assert np.array_equal(sheet[:48, 68:], movie[1])
    assert contact_sheet(list(movie), columns=3).shape == (2 * 48 + 4, 3 * 64 + 8, 3)
    with pytest.raises(ValueError, match="frame"):
        contact_sheet([], columns=2)
