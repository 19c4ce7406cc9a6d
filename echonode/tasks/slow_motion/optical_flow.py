"""The engine without weights: dense inverse search flow in both directions, fused as Super SloMo fuses.

Flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, as in OpenCV, on luma smoothed against
speckle. What speeds up or slows down is met where it is: the frames before and after the two tell the acceleration (Xu et
al., "Quadratic Video Interpolation", NeurIPS 2019). A frame in which a point is not visible, judged by the agreement of
the flows, weighs nothing there.

The mean of two warped frames has less speckle than either, and a loop whose every fourth frame is crisp flickers. So
the fine texture of the mean is raised to the energy that the two frames have there: no detail is invented, what both
show is made as strong as it was. It costs 0.1 to 0.6 dB against held-out frames (benchmarks/slow_motion.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.tasks.slow_motion.agreement import Agreement, Field, sampled
from echonode.tasks.slow_motion.engine import ACCELERATION, Flows, Pair, Pixels, Trial, flows_at, pictures
from echonode.tasks.slow_motion.texture import raised

LEAST_WEIGHT: Final = np.float32(1e-3)
MOST_GAIN: Final = np.float32(2.0)
ACCELERATION_SIGMA: Final = 4.0  # pixels
SMOOTHNESS: Final = 60.0
KEPT_FLOWS: Final = 4  # those of a pair and of the one before it

Light = NDArray[np.uint8]


class OpticalFlow:
    """An Engine. `prefilter_sigma` in pixels smooths the pictures in which motion is looked for, 0 leaves them.

    `texture_sigma` in pixels says what is fine texture, 0 leaves the plain mean. `smoothness` weighs how even motion is in
    the variational refinement, `iterations` how often that is done: OpenCV's preset, 20 and 5, follows speckle that has
    changed, which is no motion.
    """

    wary = True
    remarks: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        prefilter_sigma: float = 1.5,
        texture_sigma: float = 0.0,
        smoothness: float = SMOOTHNESS,
        iterations: int = 25,
    ) -> None:
        self._sigma = prefilter_sigma
        self._texture_sigma = texture_sigma
        self._known: list[tuple[Light, Light, Field]] = []
        self._search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._search.setVariationalRefinementAlpha(smoothness)
        self._search.setVariationalRefinementIterations(iterations)

    def suited(self, trials: Iterable[Trial]) -> Self:
        """Itself: nothing in it is learned from a loop."""
        return self

    def flows(self, pair: Pair) -> Flows:
        """The motion between the two frames."""
        return Flows(forward=self.motion(pair.luma0, pair.luma1), backward=self.motion(pair.luma1, pair.luma0))

    def around(self, pair: Pair) -> tuple[Field | None, Field | None]:
        """The motion from frame 0 to the frame before it and from frame 1 to the one after it, None where there is none."""
        return (
            None if pair.before is None else self.motion(pair.luma0, pair.before),
            None if pair.after is None else self.motion(pair.luma1, pair.after),
        )

    def frames(self, pair: Pair, flows: Flows, trust: Agreement, times: Sequence[float]) -> Iterator[Pixels]:
        """For each time in (0, 1), in order, the picture float32 (H, W, C or 1) on the scale of 0 to 255."""
        picture0, picture1 = pictures(pair)
        before, after = self.around(pair)
        bent0, bent1 = _accelerated(flows.forward, before), _accelerated(flows.backward, after)
        for t in times:
            to0, to1 = flows_at(flows, t)
            bend = np.float32(ACCELERATION * t * (1 - t) / 2)
            yield self.fused(picture0, picture1, trust, (to0 + bend * bent0, to1 + bend * bent1), t)

    def fused(
        self, picture0: Pixels, picture1: Pixels, trust: Agreement, towards: tuple[Field, Field], t: float
    ) -> Pixels:
        """The picture at t from two pictures float32 (H, W, C) and the flows from t `towards` each of them."""
        to0, to1 = towards
        weight0 = np.float32(1 - t) * np.maximum(sampled(trust.at0, to0), LEAST_WEIGHT)
        weight1 = np.float32(t) * np.maximum(sampled(trust.at1, to1), LEAST_WEIGHT)
        share = (weight1 / (weight0 + weight1))[:, :, None]
        warped0, warped1 = _deep(sampled(picture0, to0, sharp=True)), _deep(sampled(picture1, to1, sharp=True))
        mean: Pixels = warped0 + share * (warped1 - warped0)
        if self._texture_sigma > 0:
            mean += self._lost_texture(warped0, warped1, mean, share[:, :, 0])
        return mean

    def motion(self, first: Light, second: Light) -> Field:
        """The flow (H, W, 2) from the first luma uint8 (H, W) to the second, in pixels; the last few are not found twice."""
        for one, other, field in self._known:
            if one is first and other is second:
                return field
        field = self._flow(self._smooth(first), self._smooth(second))
        self._known = [*self._known, (first, second, field)][-KEPT_FLOWS:]
        return field

    def _lost_texture(
        self, warped0: Pixels, warped1: Pixels, mean: Pixels, share: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What the mean lacks of the fine texture's energy, float32 (H, W, 1): luma, so that no colour appears."""
        light0, light1, light = (picture.mean(axis=2) for picture in (warped0, warped1, mean))
        fine, gain = raised(light0, light1, light, share, sigma=self._texture_sigma, most=MOST_GAIN)
        lost: NDArray[np.float32] = (gain - 1) * fine
        return lost[:, :, None]

    def _smooth(self, light: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._sigma <= 0:
            return np.ascontiguousarray(light)
        return cv2.GaussianBlur(light, (0, 0), self._sigma).astype(np.uint8, copy=False)

    def _flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Field:
        found: Field = self._search.calc(first, second, None)
        return found


def _accelerated(onwards: Field, back: Field | None) -> Field:
    """The acceleration (H, W, 2), in pixels by interval squared, of what moves by two flows; zero where one is missing, or
    is that to a repeated frame."""
    if back is None or not back.any():
        return np.zeros_like(onwards)
    return cv2.GaussianBlur(onwards + back, (0, 0), ACCELERATION_SIGMA).astype(np.float32, copy=False)


def _deep(picture: NDArray[np.float32]) -> Pixels:
    return picture if picture.ndim == 3 else picture[:, :, None]
