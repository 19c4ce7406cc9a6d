"""Loops on disk for training and evaluation: DICOM and video files, and prepared folders of clips. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from echonode.core.clip import Clip
from echonode.core.errors import BadInput, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import open_pixels, read_clip
from echonode.dicom.timing import GUESSED_MS
from echonode.dicom.video import PICTURE_SUFFIXES, VIDEO_SUFFIXES, natural_order, read_video

SPLITS: Final = ("train", "validation", "test")
MANIFEST: Final = "clips.json"
FORMAT: Final = 1
PART10_MARK: Final = b"DICM"


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedClip:
    """One clip of a prepared folder: its pictures in order, the time of each in ms, and what the manifest knows.

    `study` is empty and `timed` False where there is no manifest: then the times are a guess of 30 frames a second.
    """

    split: str
    name: str
    frames: tuple[Path, ...]
    times_ms: tuple[float, ...]
    study: str = ""
    source: str = ""
    timed: bool = True


def source_files(path: Path) -> list[Path]:
    """The DICOM and video files that `path` is or holds, in the order of their names.

    Raises:
        BadInput: it is not there, or there is none in it.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if path.is_file():
        return [path]
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and (file.suffix.lower() in VIDEO_SUFFIXES or is_part10(file))
    ]
    if not found:
        raise BadInput(f"{path}: neither DICOM nor video files in this folder")
    return found


def is_part10(file: Path) -> bool:
    """Whether the file begins as PS3.10 7.1 says and is no DICOMDIR."""
    try:
        with file.open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return False
    return head[128:] == PART10_MARK and file.name.upper() != "DICOMDIR"


def read_source(file: Path, *, limits: LimitsSection | None = None) -> Clip:
    """A DICOM or video file as a clip; colours are RGB once and for all, grey objects have one channel.

    Raises:
        UnreadableObject, BudgetExceeded, Undecodable: as `read_clip` and `read_video`.
    """
    limits = limits or LimitsSection()
    return read_clip(file, limits=limits) if is_part10(file) else read_video(file, limits=limits)


def owner_of(file: Path, *, root: Path, by: str = "study") -> str:
    """Whose loop it is, so that nobody is in two splits: the study's UID, or with `by` "patient" the Patient ID.

    A video file names no study: it is its folder's below `root`, or its own where it lies in `root` itself. A patient
    without an ID is the study.

    Raises:
        UnreadableObject, BudgetExceeded, Undecodable: as `open_pixels`.
    """
    if not is_part10(file):
        folder = file.parent.relative_to(root).as_posix() if file.parent != root else ""
        return folder or file.name
    with open_pixels(file, limits=LimitsSection()) as source:
        facts = source.facts()
    if by == "patient" and facts.patient_id.strip():
        return facts.patient_id.strip()
    return facts.study_uid or facts.sop_instance_uid or file.name


def is_prepared(root: Path) -> bool:
    """Whether the folder has the layout <split>/<clip>/<frame>, ours or the published method's."""
    return (root / MANIFEST).is_file() or any(True for _ in _folders(root))


def clips(root: Path, split: str | None = None) -> tuple[PreparedClip, ...]:
    """The clips of a prepared folder, or those of one split, in natural order.

    Raises:
        BadInput: nothing prepared there, or a manifest that is not ours or does not fit the folders.
    """
    known = _manifest(root)
    found = [_clip(name, folder, known) for name, folder in _folders(root) if split in (None, name)]
    if known and split is None:
        missing = sorted(set(known) - {(clip.split, clip.name) for clip in found})
        if missing:
            raise BadInput(f"{root}: clip {'/'.join(missing[0])} of its {MANIFEST} is gone")
    if not found:
        where = f"{root / split}" if split else f"{root}"
        raise BadInput(f"{where}: no prepared clips: {'|'.join(SPLITS)}/<clip>/<frame>.png was expected")
    return tuple(found)


def read_frame(file: Path) -> NDArray[np.uint8]:
    """A picture as uint8 (H, W, 1) where it is grey, else RGB (H, W, 3).

    Raises:
        UnreadableObject: no picture.
    """
    try:
        with Image.open(file) as picture:
            grey = picture.mode in ("1", "L", "LA")
            pixels = np.asarray(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UnreadableObject(f"{file}: is no readable picture: {error}") from error
    return pixels[:, :, None] if grey else pixels


def read_prepared(prepared: PreparedClip) -> Clip:
    """A prepared clip as a Clip; one channel where every picture is grey.

    Raises:
        BadInput: its pictures differ in size.
        UnreadableObject: one is no picture.
    """
    frames = [read_frame(file) for file in prepared.frames]
    if len({frame.shape[:2] for frame in frames}) > 1:
        raise BadInput(f"{prepared.frames[0].parent}: its pictures differ in size")
    if len({frame.shape[2] for frame in frames}) > 1:
        frames = [np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame for frame in frames]
    return Clip(frames=np.stack(frames), times_ms=np.asarray(prepared.times_ms, np.float64), timed=prepared.timed)


def _folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Each split with each folder of pictures below it."""
    for split in SPLITS:
        if not (root / split).is_dir():
            continue
        for folder in natural_order(path for path in (root / split).iterdir() if path.is_dir()):
            if any(file.suffix.lower() in PICTURE_SUFFIXES for file in folder.iterdir()):
                yield split, folder


def _clip(split: str, folder: Path, known: Mapping[tuple[str, str], Mapping[str, Any]]) -> PreparedClip:
    frames = tuple(natural_order(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES))
    guess = tuple(GUESSED_MS * index for index in range(len(frames)))
    bare = PreparedClip(split=split, name=folder.name, frames=frames, times_ms=guess, timed=False)
    if not known:
        return bare
    entry = known.get((split, folder.name))
    if entry is None or len(entry["times_ms"]) != len(frames):
        raise BadInput(f"{folder}: is not what the {MANIFEST} beside it says")
    return replace(
        bare, times_ms=tuple(entry["times_ms"]), study=entry["study"], source=entry["source"], timed=entry["timed"]
    )


def _manifest(root: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    path = root / MANIFEST
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise BadInput(f"{path}: format {content['format']!r}, but {FORMAT} is expected")
        return {
            (clip["split"], clip["clip"]): {name: clip[name] for name in ("times_ms", "study", "source", "timed")}
            for clip in content["clips"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: cannot be read: {type(error).__name__}: {error}") from error
