"""The engine without weights: dense inverse search flow in both directions, fused as Super SloMo fuses.

Flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, as in OpenCV, on luma smoothed against
speckle. A frame in which a point is not visible, judged by the agreement of the flows, weighs nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.tasks.slow_motion.agreement import Agreement, Field, sampled
from echonode.tasks.slow_motion.engine import Flows, Pair, Pixels, flows_at

LEAST_WEIGHT: Final = np.float32(1e-3)


class OpticalFlow:
    """An Engine. `prefilter_sigma` in pixels smooths the pictures in which motion is looked for, 0 leaves them."""

    def __init__(self, *, prefilter_sigma: float = 1.5) -> None:
        self._sigma = prefilter_sigma
        self._search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flows(self, pair: Pair) -> Flows:
        """The motion between the two frames."""
        first, second = self._smooth(pair.luma0), self._smooth(pair.luma1)
        return Flows(forward=self._flow(first, second), backward=self._flow(second, first))

    def frames(self, pair: Pair, flows: Flows, trust: Agreement, times: Sequence[float]) -> Iterator[Pixels]:
        """For each time in (0, 1), in order, the picture float32 (H, W, C) on the scale of 0 to 255."""
        picture0, picture1 = pair.frame0.astype(np.float32), pair.frame1.astype(np.float32)
        for t in times:
            to0, to1 = flows_at(flows, t)
            weight0 = np.float32(1 - t) * np.maximum(sampled(trust.at0, to0), LEAST_WEIGHT)
            weight1 = np.float32(t) * np.maximum(sampled(trust.at1, to1), LEAST_WEIGHT)
            share = (weight1 / (weight0 + weight1))[:, :, None]
            warped0, warped1 = _deep(sampled(picture0, to0, sharp=True)), _deep(sampled(picture1, to1, sharp=True))
            yield warped0 + share * (warped1 - warped0)

    def _smooth(self, light: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._sigma <= 0:
            return np.ascontiguousarray(light)
        return cv2.GaussianBlur(light, (0, 0), self._sigma).astype(np.uint8, copy=False)

    def _flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Field:
        found: Field = self._search.calc(first, second, None)
        return found


def _deep(picture: NDArray[np.float32]) -> Pixels:
    return picture if picture.ndim == 3 else picture[:, :, None]
