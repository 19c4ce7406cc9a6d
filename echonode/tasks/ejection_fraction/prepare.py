"""Clips for the networks of ejection fraction: as the authors cut them, and by time for the clinic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.errors import BadInput
from echonode.core.results import Ineligible
from echonode.tasks.common.instants import frames_by_time, goes_round, starts_by_number, starts_by_time
from echonode.tasks.common.sector import Scene, luma
from echonode.tasks.common.sector_pictures import scene_of, sector_pictures
from echonode.tasks.ejection_fraction.convention import Convention

Frames = NDArray[np.uint8]
Numbers = NDArray[np.int64]

DARK_ROW: Final = 1.0  # mean level below which a row of the first frame is taken for the edge of the top banner
MARGIN_SHARE: Final = 10  # a tenth of the height goes on every side
FAIR_SHARE: Final = 0.5  # of the rows; less than this is left where text or noise reaches down beside the sector
PADDING: Final = -1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Preparation:
    """Clips that can be made one at a time: pictures, which of them each clip shows, and what was done to them.

    `pictures` uint8 (N, side, side, 1 | 3); `clips`: for each clip the places in `pictures`, PADDING for none;
    `shown`: for each clip the frames of the source; `starts`: in frames (published) or ms (clinical);
    `scene`: where the sector is, in clinical mode.
    """

    mode: str
    pictures: Frames
    clips: tuple[Numbers, ...]
    shown: tuple[Numbers, ...]
    starts: tuple[float, ...]
    notes: tuple[str, ...]
    scene: Scene | None = None

    def tensors(self, convention: Convention) -> Iterator[torch.Tensor]:
        """Each clip as float32 (3, frames, side, side), normalised."""
        levels = convention.levels()
        lanes = range(3) if self.pictures.shape[3] == 3 else (0, 0, 0)
        for places in self.clips:
            made = np.empty((3, len(places), *self.pictures.shape[1:3]), np.float32)
            missing = places == PADDING
            for channel, lane in enumerate(lanes):
                made[channel] = levels[channel][self.pictures[np.where(missing, 0, places), :, :, lane]]
                made[channel, missing] = levels[channel][0] if convention.padding == "before" else 0.0
            yield torch.from_numpy(made)


def published(
    clip: Clip, convention: Convention, *, clips: int | None = None, starts: Sequence[int] | None = None,
    seed: int | None = None, as_is: bool | None = None,
) -> Preparation:  # fmt: skip
    """Every `stride`-th frame from each start; a short video is padded at its end, as the authors do.

    A video of `side` x `side` is taken as it is, as any is with `as_is`; others go through EchoNet-Dynamic's crop first.
    Starts are `starts`, else drawn with `seed`, else all of them or evenly spread ones, as the convention says.

    Raises:
        BadInput: a start from which a clip does not fit.
    """
    count = len(clip.frames)
    last = convention.last_start(count)
    if starts is None:
        every = convention.all_starts and clips is None and seed is None
        starts = range(last + 1) if every else starts_by_number(last, clips=clips or convention.clips, seed=seed)
    elif max(starts) + convention.span > max(count, convention.padded):
        raise BadInput(f"start {max(starts)}: a clip of {convention.span} frames does not fit into {count}")
    shown = [start + convention.stride * np.arange(convention.frames) for start in starts]
    notes = [f"{convention.padded - count} frames were added to {count}"] if count < convention.padded else []
    wanted = sorted({int(index) for indices in shown for index in indices if index < count})
    if as_is or (as_is is None and clip.frames.shape[1:3] == (convention.side, convention.side)):
        pictures = clip.frames[wanted]
    else:
        pictures = echonet_pictures(clip.frames, wanted, side=convention.side)[..., None]
        notes.append("cropped and masked by EchoNet-Dynamic's procedure")
        kept = 1 - banner_rows(clip.frames) / clip.frames.shape[1]
        if kept < FAIR_SHARE:
            notes.append(f"that procedure left {100 * kept:.0f} % of the rows: it took the picture for a banner")
    place = {index: position for position, index in enumerate(wanted)}
    return Preparation(
        mode="published",
        pictures=pictures,
        clips=tuple(np.array([place.get(int(i), PADDING) for i in indices], np.int64) for indices in shown),
        shown=tuple(indices[indices < count].astype(np.int64) for indices in shown),
        starts=tuple(float(start) for start in starts),
        notes=tuple(notes),
    )


def clinical(clip: Clip, convention: Convention, *, clips: int | None = None, colour: bool) -> Preparation | Ineligible:
    """Frames every `period_ms`, of the sector alone, in luma, true to shape; a short loop goes round."""
    scene = scene_of(clip, colour=colour)
    if isinstance(scene, Ineligible):
        return scene
    starts = starts_by_time(clip.times_ms, clip_ms=convention.clip_ms, clips=clips or convention.clips)
    shown = [
        frames_by_time(clip.times_ms, start_ms=start, period_ms=convention.period_ms, count=convention.frames)
        for start in starts
    ]
    wanted = sorted({int(index) for indices in shown for index in indices})
    place = {index: position for position, index in enumerate(wanted)}
    round_ = goes_round(clip.times_ms, clip_ms=convention.clip_ms)
    return Preparation(
        mode="clinical",
        pictures=sector_pictures(clip, scene, wanted, side=convention.side)[..., None],
        clips=tuple(np.array([place[int(index)] for index in indices], np.int64) for indices in shown),
        shown=tuple(shown),
        starts=tuple(starts),
        notes=("the loop is shorter than a clip and goes round",) if round_ else (),
        scene=scene,
    )


def echonet_pictures(frames: Frames, indices: Sequence[int], *, side: int) -> Frames:
    """Frames `indices` as EchoNet-Dynamic prepared scanner output: uint8 (N, side, side).

    Everything above the first dark row of frame 0 goes; the longer side is cut to a square about its centre; a tenth
    goes on every side; luma is resized cubically, and the two upper corners are blackened. The authors then wrote
    JPEG video, whose loss is not repeated.
    """
    top = banner_rows(frames)
    height, width = frames.shape[1] - top, frames.shape[2]
    bias = abs(width - height) // 2
    rows = slice(top + bias, top + height - bias) if height > width else slice(top, top + height)
    columns = slice(bias, width - bias) if width > height else slice(0, width)
    margin = (rows.stop - rows.start) // MARGIN_SHARE
    inner = slice(margin, rows.stop - rows.start - margin)
    y, x = np.mgrid[0:side, 0:side]
    corner = side // 2 + side // MARGIN_SHARE
    kept = ((x + y > corner) & (x - y < corner)).astype(np.uint8)
    pictures = np.empty((len(indices), side, side), np.uint8)
    for position, index in enumerate(indices):
        square = luma(frames[index])[rows, columns][inner, inner]
        small = cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=cv2.INTER_CUBIC)
        pictures[position] = small * kept
    return pictures


def banner_rows(frames: Frames) -> int:
    """How many rows lie above the first dark row of frame 0; none where no row is dark, or the last one alone."""
    dark = np.flatnonzero(luma(frames[0]).mean(axis=1) < DARK_ROW)
    return int(dark[0]) if len(dark) and dark[0] < frames.shape[1] - 1 else 0
