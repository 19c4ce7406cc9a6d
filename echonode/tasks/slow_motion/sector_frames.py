"""The frames of a loop cut to its sector: pairs to work between, and frames that are known to try an engine on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.common.sector import Mask, Scene, coloured, grown, luma, without_specks
from echonode.tasks.slow_motion.engine import Pair, Trial
from echonode.tasks.slow_motion.prepare import without

MARGIN: Final = 16  # pixels of the picture around the sector, so that warps find what moves in
COLOUR_GROWTH: Final = 2  # pixels; traces have soft edges
SMALLEST_MARK: Final = 20  # pixels; what is coloured and smaller is noise of the compression on bright tissue
UNEVEN: Final = 0.3  # share by which the time to a neighbouring frame may differ from the pair's own
REACH: Final = 4  # frames that a trial reaches beyond its first
TRIALS: Final = 4


class SectorFrames:
    """The frames of a clip cut to its sector, without what hides the picture in each."""

    def __init__(self, frames: NDArray[np.uint8], times_ms: NDArray[np.float64], scene: Scene) -> None:
        self.frames = frames
        self.box = scene.box(margin=MARGIN)
        self._times = times_ms
        self._tint = scene.tint
        self._sector = scene.sector[self.box]
        self._overlay = scene.overlay[self.box]
        self._kept: dict[int, _Cut] = {}

    def pair(self, index: int) -> Pair:
        """Frames `index` and the next."""
        return self._pair(index, apart=1)

    def trials(self) -> Iterator[Trial]:
        """Up to four frames from all over the loop, each asked of the frames beside it: over twice the time of a pair.

        None that is repeated, and none where the loop's times are uneven.
        """
        known = [index for index in range(len(self.frames) - 2) if self._even(index)]
        starts = np.linspace(0, len(known), TRIALS, endpoint=False).astype(int)
        for start, stop in pairwise([*starts, len(known)]):
            trials = (self._trial(index) for index in known[start:stop])
            yield from islice((trial for trial in trials if trial is not None), 1)

    def _trial(self, index: int) -> Trial | None:
        """The frame after frame `index`; None where it repeats one of its neighbours."""
        pair = self._pair(index, apart=2)
        middle = self._cut(index + 1)
        looked_at = pair.open_pixels & ~middle.hidden
        if any(np.array_equal(middle.light[looked_at], each[looked_at]) for each in (pair.luma0, pair.luma1)):
            return None
        start, moment, end = self._times[index : index + 3]
        return Trial(pair=pair, t=float((moment - start) / (end - start)), truth=middle.light, looked_at=looked_at)

    def _pair(self, index: int, *, apart: int) -> Pair:
        """Frame `index` and the one that many further, with those that far around them."""
        other = index + apart
        self._kept = {place: cut for place, cut in self._kept.items() if abs(place - index) <= REACH}
        first, second = self._cut(index), self._cut(other)
        gap = self._times[other] - self._times[index]
        return Pair(
            frame0=first.frame, frame1=second.frame, luma0=first.light, luma1=second.light,
            open_pixels=self._sector & ~(first.hidden | second.hidden),
            before=self._around(index - apart, beside=index, gap=gap),
            after=self._around(other + apart, beside=other, gap=gap),
        )  # fmt: skip

    def _around(self, place: int, *, beside: int, gap: float) -> NDArray[np.uint8] | None:
        """The luma of a frame around a pair, when it follows at the pair's own pace."""
        if not 0 <= place < len(self.frames) or abs(abs(self._times[place] - self._times[beside]) / gap - 1) > UNEVEN:
            return None
        return self._cut(place).light

    def _even(self, index: int) -> bool:
        """Whether the two frames after this one follow each other at one pace."""
        first, second = np.diff(self._times[index : index + 3])
        return bool(abs(second / first - 1) <= UNEVEN)

    def _cut(self, index: int) -> _Cut:
        """A frame without what hides it, and where that was; those of the next pairs are kept."""
        if index not in self._kept:
            frame = np.ascontiguousarray(self.frames[index][self.box])
            hidden = self._overlay | grown(without_specks(coloured(frame, self._tint), SMALLEST_MARK), COLOUR_GROWTH)
            clean = without(frame, hidden)
            self._kept[index] = _Cut(frame=clean, light=luma(clean), hidden=hidden)
        return self._kept[index]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Cut:
    """One frame cut to the sector without what hides it, its luma, and where it was hidden."""

    frame: NDArray[np.uint8]
    light: NDArray[np.uint8]
    hidden: Mask
