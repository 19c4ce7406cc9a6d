"""Acquired frames that are left out and asked back, and the simple answers that a model must beat.

Nothing else tells the truth about slow motion: the only known pictures between two frames are acquired ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.results import Loop
from echonode.tasks.common.sector import Mask, luma
from echonode.tasks.slow_motion.agreement import Field, sampled
from echonode.tasks.slow_motion.eligibility import FACTORS
from echonode.tasks.slow_motion.engine import Flows, flows_at
from echonode.tasks.slow_motion.evaluate.quality import Luma
from echonode.tasks.slow_motion.schedule import schedule

MARGIN: Final = 16  # pixels around the sector, so that flow finds what moves in
OFF_GRID: Final = 0.05  # of the interval between kept frames: a picture of another moment is no answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A left-out frame: its index in the clip, those of the kept frames around it, and t between them, by time."""

    index: int
    before: int
    after: int
    t: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldOut:
    """A clip of which every `factor`-th frame is kept; `skipped` left-out frames equal a neighbour and are not asked."""

    clip: Clip
    factor: int
    kept: tuple[int, ...]
    targets: tuple[Target, ...]
    skipped: int

    @property
    def gap_ms(self) -> float:
        """The mean time between kept frames."""
        return float(np.diff(self.clip.times_ms[list(self.kept)]).mean())

    def sparse(self) -> Clip:
        """The kept frames with their true times, everything else as in the clip."""
        kept = list(self.kept)
        return Clip(
            frames=self.clip.frames[kept],
            times_ms=self.clip.times_ms[kept] - self.clip.times_ms[0],
            source=self.clip.source,
            regions=self.clip.regions,
            mode=self.clip.mode,
            view=self.clip.view,
            stage=self.clip.stage,
            heart_rate=self.clip.heart_rate,
            timed=self.clip.timed,
        )

    def dense_factor(self) -> int:
        """The factor with which slow motion of the sparse clip has frames nearest to the left-out ones.

        `factor` itself for a loop of even times; a multiple of it where the times are uneven.
        """
        times = self.clip.times_ms[list(self.kept)] - self.clip.times_ms[0]
        wanted = self.clip.times_ms[[target.index for target in self.targets]] - self.clip.times_ms[0]

        def worst(factor: int) -> float:
            made = schedule(times, factor=factor).times_ms
            return float(np.abs(made[None, :] - wanted[:, None]).min(axis=1).max())

        tried = [factor for factor in range(self.factor, FACTORS[-1] + 1, self.factor) if factor in FACTORS]
        return min(tried, key=lambda factor: (round(worst(factor), 6), factor))

    def answers(self, loop: Loop) -> Iterator[tuple[Target, NDArray[np.uint8]]]:
        """Each target with the frame (H, W, C) of slow motion that shows its moment; left out where none does."""
        times = self.clip.times_ms - self.clip.times_ms[0]
        for target in self.targets:
            near = int(np.abs(loop.times_ms - times[target.index]).argmin())
            interval = times[target.after] - times[target.before]
            if not loop.acquired[near] and abs(loop.times_ms[near] - times[target.index]) <= OFF_GRID * interval:
                yield target, loop.frames[near]


def held_out(clip: Clip, *, factor: int, sector: Mask) -> HeldOut | None:
    """The clip with every `factor`-th frame kept; None when fewer than two are, or when no frame can be asked back."""
    kept = tuple(range(0, len(clip.frames), factor))
    if len(kept) < 2:
        return None
    targets, skipped = [], 0
    for before, after in pairwise(kept):
        for index in range(before + 1, after):
            if _equal(clip, index, index - 1, sector) or _equal(clip, index, index + 1, sector):
                skipped += 1
                continue
            start, stop = clip.times_ms[before], clip.times_ms[after]
            t = float((clip.times_ms[index] - start) / (stop - start))
            targets.append(Target(index=index, before=before, after=after, t=t))
    if not targets:
        return None
    return HeldOut(clip=clip, factor=factor, kept=kept, targets=tuple(targets), skipped=skipped)


def repetition(first: Luma, second: Luma, t: float) -> Luma:
    """The nearest acquired frame."""
    return first if t <= 0.5 else second


def blending(first: Luma, second: Luma, t: float) -> Luma:
    """The mean of both frames, weighed by time."""
    return np.float32(1 - t) * first + np.float32(t) * second


class DisFlow:
    """Classical flow without any care: DIS MEDIUM on luma smoothed by `sigma`, bilinear warps, fused by time.

    Kroeger et al., ECCV 2016, as in OpenCV; flows at t for linear motion by Super SloMo, equation 4.
    """

    def __init__(self, *, sigma: float) -> None:
        self._sigma = sigma
        self._search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flows(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Flows:
        """Flow both ways between two pictures of luma, uint8 (H, W)."""
        smooth0, smooth1 = self._smooth(first), self._smooth(second)
        return Flows(forward=self._flow(smooth0, smooth1), backward=self._flow(smooth1, smooth0))

    def _smooth(self, light: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._sigma <= 0:
            return np.ascontiguousarray(light)
        return cv2.GaussianBlur(light, (0, 0), self._sigma).astype(np.uint8, copy=False)

    def _flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Field:
        found: Field = self._search.calc(first, second, None)
        return found


def warped(first: Luma, second: Luma, flows: Flows, t: float) -> Luma:
    """Both pictures warped to t and fused by 1 - t and t."""
    to0, to1 = flows_at(flows, t)
    return blending(sampled(first, to0), sampled(second, to1), t)


def by_pair(targets: tuple[Target, ...]) -> Mapping[tuple[int, int], list[Target]]:
    """Targets of each pair of kept frames, in order."""
    found: dict[tuple[int, int], list[Target]] = {}
    for target in targets:
        found.setdefault((target.before, target.after), []).append(target)
    return found


def _equal(clip: Clip, one: int, other: int, sector: Mask) -> bool:
    """Whether two frames show the same luma inside the sector: a scanner or a converter repeated one."""
    return bool(np.array_equal(luma(clip.frames[one])[sector], luma(clip.frames[other])[sector]))
