"""Loops to learn slow motion from: luma of the sector with its times, from files, prepared clips and the phantom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.errors import EchonodeError
from echonode.tasks.common.sector import Scene, coloured, find_scene, grown, luma
from echonode.tasks.slow_motion.dataset import TWO_D_MODES, refused
from echonode.tasks.slow_motion.sources import (
    clips,
    is_prepared,
    owner_of,
    read_prepared,
    read_source,
    source_files,
)
from echonode.training.dataset import Candidate, DatasetManifest, Item, Split
from echonode.training.sources import study_of

MARGIN: Final = 8  # pixels around the sector
PHANTOM_ROWS: Final = 360  # phantom loops are drawn with as many rows as real ones have in their sector
FEWEST: Final = 3
PICTURES: Final = {"train": Split.TRAIN, "validation": Split.VALIDATION, "test": Split.TEST}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingLoop:
    """`light` uint8 (T, H, W), `times_ms` (T,), and where the picture counts, bool (H, W): in the sector, no marks."""

    light: NDArray[np.uint8]
    times_ms: NDArray[np.float64]
    counts: NDArray[np.bool_]


def layout(path: Path) -> Iterator[Candidate]:
    """Prepared clips with the splits they have, or DICOM and video files, which are split by study."""
    if path.is_dir() and is_prepared(path):
        for clip in clips(path):
            owner = clip.study or f"{clip.split}/{clip.name}"
            yield Candidate(
                key=f"{clip.split}/{clip.name}", patient=owner, files=clip.frames, split=PICTURES[clip.split],
                labels={"times_ms": list(clip.times_ms)},
            )  # fmt: skip
        return
    root = path if path.is_dir() else path.parent
    for file in source_files(path):
        try:
            owner = owner_of(file, root=root)
        except EchonodeError:
            continue  # a file that cannot be read teaches nothing
        yield Candidate(key=f"{root.resolve().name}/{file.relative_to(root).as_posix()}", patient=owner, files=(file,))


def loops_of(data: DatasetManifest, item: Item, *, colour: bool) -> list[TrainingLoop]:
    """What can be learned from in one item; empty when it is no moving picture of the kind that is wanted."""
    if item.phantom is not None:
        plans = [plan for plan in study_of(item.phantom).loops if not plan.colour]
        recorded = (plan.acquire(rows=PHANTOM_ROWS, columns=PHANTOM_ROWS * 4 // 3, labels=False) for plan in plans)
        found = [Clip(frames=each.frames, times_ms=each.times_ms, regions=each.regions) for each in recorded]
    else:
        found = [_clip(data, item)]
    return [loop for clip in found if (loop := _loop(clip, colour=colour)) is not None]


def _clip(data: DatasetManifest, item: Item) -> Clip:
    files = data.paths(item)
    if "times_ms" not in item.labels:
        return read_source(files[0])
    from echonode.tasks.slow_motion.sources import PreparedClip

    times = tuple(float(time) for time in item.labels["times_ms"])
    return read_prepared(PreparedClip(split=str(item.split), name=item.key, frames=files, times_ms=times))


def _loop(clip: Clip, *, colour: bool) -> TrainingLoop | None:
    if len(clip.frames) < FEWEST or (clip.mode not in TWO_D_MODES and not colour):
        return None
    if refused(clip, colour=True) is not None or (not colour and refused(clip, colour=False) is not None):
        return None
    scene = find_scene(clip.frames, clip.regions)
    if scene is None:
        return None
    box = scene.box(margin=MARGIN)
    frames = clip.frames[:, box[0], box[1]]
    light = np.stack([luma(np.ascontiguousarray(frame)) for frame in frames])
    return TrainingLoop(
        light=light, times_ms=clip.times_ms, counts=_counts(frames, scene)[: light.shape[1], : light.shape[2]]
    )


def _counts(frames: NDArray[np.uint8], scene: Scene) -> NDArray[np.bool_]:
    """The sector without marks and without what is coloured in any frame: traces of flow move by laws of their own."""
    box = scene.box(margin=MARGIN)
    hidden = scene.overlay[box].copy()
    if frames.shape[3] == 3:
        for frame in frames:
            hidden |= coloured(np.ascontiguousarray(frame), scene.tint)
        hidden = grown(hidden, 2)
    return scene.sector[box] & ~hidden
