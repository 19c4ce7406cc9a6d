"""Clips for the classifier of CMR findings: the first second as the authors cut it, or several clips by time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.results import Ineligible
from echonode.tasks.common.inputs import counted, positive
from echonode.tasks.common.instants import frames_by_time, goes_round, starts_by_time
from echonode.tasks.common.sector_pictures import scene_of, sector_pictures

Frames = NDArray[np.uint8]
Numbers = NDArray[np.int64]

LARGEST: Final = np.float32(255)


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """`frames` every `stride`-th frame from the first (published), or every `period_ms` in `clips` clips (clinical).

    The authors' 32 frames last 1.07 s at 30 frames a second, the usual rate of stored echo loops: hence `period_ms`.
    """

    frames: int = 16
    stride: int = 2
    side: int = 112
    period_ms: float = 2000.0 / 30
    clips: int = 3

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Convention:
        """The convention that a package's [config] states; the authors' where it says nothing.

        Raises:
            PackageInvalid: a value that no clip can be made with.
        """
        usual = cls()
        return cls(
            frames=counted(config, "frames", usual.frames, most=512),
            stride=counted(config, "stride", usual.stride, most=64),
            side=counted(config, "side", usual.side, most=1024),
            period_ms=positive(config, "period_ms", usual.period_ms),
            clips=counted(config, "clips", usual.clips, most=64),
        )

    @property
    def clip_ms(self) -> float:
        """How long a clip lasts in clinical mode."""
        return self.frames * self.period_ms


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Preparation:
    """`clips`: uint8 (frames, side, side, 3) each, blue first in published mode; `shown`: frames of the source."""

    mode: str
    clips: tuple[Frames, ...]
    shown: tuple[Numbers, ...]
    starts_ms: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def tensors(self) -> Iterator[torch.Tensor]:
        """Each clip as float32 (3, frames, side, side) from 0 to 1, neither centred nor scaled further."""
        for clip in self.clips:
            scaled = clip.transpose(3, 0, 1, 2).astype(np.float32) / LARGEST
            yield torch.from_numpy(np.ascontiguousarray(scaled))


def published(clip: Clip, convention: Convention, *, zoom: float = 0.0) -> Preparation | Ineligible:
    """Every `stride`-th frame from the first, cut to a square and resized cubically, blue before green before red.

    The authors drop a video shorter than `frames` x `stride`; here that is a refusal with its reason.
    """
    needed = convention.frames * convention.stride
    if len(clip.frames) < needed:
        reason = f"the model needs {needed} frames or more; this has {len(clip.frames)}"
        return Ineligible(reason=reason, code="frames")
    shown = convention.stride * np.arange(convention.frames, dtype=np.int64)
    pictures = [square(clip.frames[index][:, :, ::-1], side=convention.side, zoom=zoom) for index in shown]
    return Preparation(
        mode="published",
        clips=(np.stack(pictures),),
        shown=(shown,),
        starts_ms=(0.0,),
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
    pictures = sector_pictures(clip, scene, wanted, side=convention.side)[..., None].repeat(3, axis=3)
    round_ = goes_round(clip.times_ms, clip_ms=convention.clip_ms)
    return Preparation(
        mode="clinical",
        clips=tuple(pictures[[place[int(index)] for index in indices]] for indices in shown),
        shown=tuple(shown),
        starts_ms=tuple(starts),
        notes=("the loop is shorter than a clip and goes round",) if round_ else (),
    )


def square(frame: Frames, *, side: int, zoom: float = 0.0) -> Frames:
    """A frame (H, W, 1 | 3) cut about its centre to a square, `zoom` of each side cut further, uint8 (side, side, 3).

    Half of the surplus goes on either side, rounded to even as Python rounds; a leftover pixel squeezes the picture
    by as much. No smoothing before shrinking: the authors' own resizer has none.
    """
    height, width = frame.shape[:2]
    across = min(max(0, round((width - height) / 2)), (width - 1) // 2)
    down = min(max(0, round((height - width) / 2)), (height - 1) // 2)
    cut = frame[down : height - down, across : width - across]
    rows, columns = int(cut.shape[0] * zoom), int(cut.shape[1] * zoom)
    cut = cut[rows : cut.shape[0] - rows, columns : cut.shape[1] - columns]
    deep = cut if cut.shape[2] == 3 else cut.repeat(3, axis=2)
    small: Frames = cv2.resize(np.ascontiguousarray(deep), (side, side), interpolation=cv2.INTER_CUBIC).astype(
        np.uint8, copy=False
    )
    return small
