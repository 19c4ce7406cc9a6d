"""Loops outside DICOM: video files and folders of pictures in, video, pictures and contact sheets out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from echonode.core.clip import Clip, SourceIdentity
from echonode.core.errors import BadInput, BudgetExceeded, Undecodable, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.timing import GUESSED_MS

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_CODECS = {".mp4": "libx264", ".mkv": "ffv1"}
_GAP = 4
_TIME_BASE_MS = 1.0
_LABEL = 13


def read_video(path: Path, *, limits: LimitsSection | None = None) -> Clip:
    """A video file as RGB frames with the time that the file gives each of them.

    `timed` is False where the times of the file do not rise; its mean rate then stands in.

    Raises:
        UnreadableObject: no video file.
        BudgetExceeded: more frames or bytes than `limits`.
        Undecodable: no frame, a corrupt stream, or pictures of changing size.
    """
    limits = limits or LimitsSection()
    frames: list[np.ndarray] = []
    times: list[float | None] = []
    try:
        with av.open(str(path), mode="r") as container:
            if not container.streams.video:
                raise Undecodable(f"{path.name} holds no video stream")
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            rate = video.average_rate or video.guessed_rate
            _check(video.codec_context.height, video.codec_context.width, max(video.frames, 1), limits, path.name)
            for frame in container.decode(video):
                if frames and (frame.height, frame.width) != frames[0].shape[:2]:
                    raise Undecodable(f"{path.name}: the picture size changes inside the video")
                _check(frame.height, frame.width, len(frames) + 1, limits, path.name)
                frames.append(frame.to_ndarray(format="rgb24"))
                times.append(frame.time)
    except av.InvalidDataError as error:
        kind = UnreadableObject if not frames else Undecodable
        raise kind(f"{path.name} is no readable video: {error}") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableObject(f"{path.name} is no readable video: {error}") from error
    if not frames:
        raise Undecodable(f"{path.name} has no frame")
    known = [time for time in times if time is not None]
    stamps: np.ndarray = np.array(known, np.float64) * 1000.0
    timed = len(known) == len(frames) and bool((np.diff(stamps) > 0).all())
    if not timed:
        stamps = np.arange(len(frames)) * (1000.0 / float(rate) if rate else GUESSED_MS)
    stamps = _on_a_grid(stamps - stamps[0])
    return Clip(frames=np.stack(frames), times_ms=stamps, source=SourceIdentity(name=path.name), timed=timed)


def _on_a_grid(stamps: np.ndarray) -> np.ndarray:
    """Times on their uniform grid where a container's time base, mostly whole milliseconds, only rounded them."""
    if len(stamps) < 2:
        return stamps
    grid: np.ndarray = np.linspace(0.0, stamps[-1], len(stamps))
    return grid if np.abs(stamps - grid).max() <= _TIME_BASE_MS else stamps


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Paths by name, numbers by their value: frame2 before frame10."""
    return sorted(paths, key=lambda path: [(part.isdigit(), int(part) if part.isdigit() else 0, part.lower())
                                           for part in re.split(r"(\d+)", path.name)])  # fmt: skip


def read_pictures(folder: Path, *, fps: float, limits: LimitsSection | None = None) -> Clip:
    """The PNG, JPEG, BMP and TIFF files of a folder, in natural order, as a clip at `fps`; grey when all are grey.

    Raises:
        BadInput: no picture, an impossible rate, or pictures of different sizes.
        BudgetExceeded: more pictures or bytes than `limits`.
        UnreadableObject: a picture cannot be read.
    """
    limits = limits or LimitsSection()
    if not 0 < fps <= 1000:
        raise BadInput(f"{fps} frames a second: a rate above 0, at most 1000, was expected")
    paths = natural_order(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise BadInput(f"{folder} holds no picture")
    pictures: list[np.ndarray] = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                _check(picture.height, picture.width, len(paths), limits, path.name)
                grey = picture.mode in ("1", "L", "LA")
                pictures.append(np.asarray(picture.convert("L" if grey else "RGB")))
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError, ValueError) as error:
            raise UnreadableObject(f"{path.name} is no readable picture: {error}") from error
        if pictures[-1].shape[:2] != pictures[0].shape[:2]:
            raise BadInput(f"{path.name} has another size than {paths[0].name}")
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [np.repeat(p[..., None], 3, axis=2) if p.ndim == 2 else p for p in pictures]
    frames = np.stack(pictures)
    return Clip(
        frames=frames if frames.ndim == 4 else frames[..., None],
        times_ms=np.arange(len(frames)) * (1000.0 / fps),
        source=SourceIdentity(name=folder.name),
    )


def write_video(path: Path, frames: np.ndarray, *, fps: float) -> None:
    """Frames uint8 T x H x W x (1 | 3) as .mp4 (H.264) or, without any loss, as .mkv (FFV1).

    H.264 needs even sides: an odd one gets one more line, a copy of the last.

    Raises:
        BadInput: another suffix.
    """
    codec = _CODECS.get(path.suffix.lower())
    if codec is None:
        raise BadInput(f"{path.name}: .mp4 or .mkv was expected")
    lossless = codec == "ffv1"
    odd = [0, 0] if lossless else [frames.shape[1] % 2, frames.shape[2] % 2]
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(100000))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1] + odd[0], frames.shape[2] + odd[1]
        grey = frames.shape[3] == 1
        stream.pix_fmt = ("gray" if grey else "bgr0") if lossless else "yuv420p"
        if not lossless:
            stream.options = {"crf": "16", "preset": "medium"}
        stream.codec_context.thread_count = 2
        for frame in frames:
            picture = np.pad(frame, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
            shown = (
                av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[..., 0]), format="gray")
                if grey
                else av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            )
            container.mux(stream.encode(shown))
        container.mux(stream.encode())


def write_pictures(folder: Path, frames: np.ndarray) -> list[Path]:
    """Frames as 000000.png, 000001.png ... in `folder`, which is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for index, frame in enumerate(frames):
        path = folder / f"{index:06d}.png"
        Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame).save(path)
        written.append(path)
    return written


def contact_sheet(frames: Sequence[np.ndarray], *, columns: int, labels: Sequence[str] = ()) -> np.ndarray:
    """Frames uint8 H x W x (1 | 3) side by side, uint8 RGB, with a label under each.

    Raises:
        ValueError: no frame, or no column.
    """
    if not len(frames) or columns < 1:
        raise ValueError("a contact sheet needs a frame and a column")
    height, width = frames[0].shape[:2]
    below = _LABEL + _GAP if labels else 0
    rows = -(-len(frames) // columns)
    across = min(columns, len(frames))
    sheet = Image.new("RGB", (across * (width + _GAP) - _GAP, rows * (height + below + _GAP) - _GAP), (24, 24, 24))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_LABEL - 1)
    for index, frame in enumerate(frames):
        x, y = index % columns * (width + _GAP), index // columns * (height + below + _GAP)
        rgb = np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame
        sheet.paste(Image.fromarray(np.ascontiguousarray(rgb)), (x, y))
        if index < len(labels):
            draw.text((x + 2, y + height), labels[index], fill=(230, 230, 230), font=font)
    return np.asarray(sheet)


def _check(rows: int, columns: int, count: int, limits: LimitsSection, name: str) -> None:
    frame = rows * columns * 3
    if count > limits.frames or frame > limits.frame_bytes or frame * count > limits.decoded_bytes:
        raise BudgetExceeded(f"{name}: {count} frames of {columns} x {rows} exceed the limits")
