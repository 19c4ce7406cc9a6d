"""What an engine of slow motion is: flows between two frames, and the pictures between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.slow_motion.agreement import Agreement, Field

Pixels = NDArray[np.float32]

ACCELERATION: Final = 0.8  # of what is measured: it is the noisier, the less of it there is


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Two neighbouring frames, cut to the sector and without their overlays: uint8 (H, W, C), luma uint8 (H, W).

    `open_pixels` bool (H, W) is where pictures are wanted: inside the sector, not below an overlay.

    `before` and `after` are the luma of the frames around them, None at the ends of the loop or across a gap in time.
    The same frame of a loop is the same array in every pair that it is part of.
    """

    frame0: NDArray[np.uint8]
    frame1: NDArray[np.uint8]
    luma0: NDArray[np.uint8]
    luma1: NDArray[np.uint8]
    open_pixels: NDArray[np.bool_]
    before: NDArray[np.uint8] | None = None
    after: NDArray[np.uint8] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Flows:
    """Flow (H, W, 2), x then y in pixels, from frame 0 to 1 and from 1 to 0."""

    forward: Field
    backward: Field


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trial:
    """A frame of the loop that is known: its luma `truth` uint8 (H, W) at `t` between the frames of the pair beside it.

    `looked_at` bool (H, W) is where neither it nor the pair is hidden.
    """

    pair: Pair
    t: float
    truth: NDArray[np.uint8]
    looked_at: NDArray[np.bool_]


def pictures(pair: Pair) -> tuple[Pixels, Pixels]:
    """Both frames as float32 (H, W, C); of frames that are grey one channel, which is a third of the work."""
    frames = (pair.frame0, pair.frame1)
    if all(frame.shape[2] == 3 and _is_grey(frame) for frame in frames):
        frames = (frames[0][:, :, :1], frames[1][:, :, :1])
    first, second = (np.ascontiguousarray(frame).astype(np.float32) for frame in frames)
    return first, second


def _is_grey(frame: NDArray[np.uint8]) -> bool:
    return all(np.array_equal(frame[:, :, 0], frame[:, :, place]) for place in (1, 2))


class Engine(Protocol):
    """Works on one pair at a time; what it keeps between pairs saves time alone and never changes a result.

    `wary`: where the flows disagree its pictures are not to be believed, and the nearest acquired frame is shown.
    `remarks`: how it was suited to the loop, in words for those who read the object.
    """

    @property
    def wary(self) -> bool: ...

    @property
    def remarks(self) -> tuple[str, ...]: ...

    def suited(self, trials: Iterable[Trial]) -> Self:
        """The engine for one loop, told by frames of it that are known; itself where it has nothing to learn from them."""
        ...

    def flows(self, pair: Pair) -> Flows:
        """The motion between the two frames."""
        ...

    def frames(self, pair: Pair, flows: Flows, trust: Agreement, times: Sequence[float]) -> Iterator[Pixels]:
        """For each time in (0, 1), in order, the picture float32 (H, W, C or 1) on the scale of 0 to 255."""
        ...


def flows_at(flows: Flows, t: float) -> tuple[Field, Field]:
    """Flows from t to frame 0 and to frame 1, for motion that is linear over the interval (Super SloMo, equation 4)."""
    to0 = np.float32(-t * (1 - t)) * flows.forward + np.float32(t * t) * flows.backward
    to1 = np.float32((1 - t) ** 2) * flows.forward - np.float32(t * (1 - t)) * flows.backward
    return to0, to1
