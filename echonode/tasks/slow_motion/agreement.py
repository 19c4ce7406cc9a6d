"""Whether the flow forwards and the flow backwards tell the same story.

A point that moves by F01 must come back by F10 (Sundaram, Brox, Keutzer, ECCV 2010). Where it does not, one of the two
frames does not show it (occlusion), or the motion was not understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

MOTION_SHARE: Final = 0.1  # a long motion may miss by a tenth of its length
SMOOTHING: Final = 2.0  # pixels; trust changes over the picture without seams


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Agreement:
    """Trust (H, W), 1 where the flows agree and 0 where they do not: `at0` seen from frame 0, `at1` from frame 1."""

    at0: Field
    at1: Field

    def disagreeing(self, where: NDArray[np.bool_]) -> float:
        """The share of `where` in which neither frame's flow is trusted."""
        if not where.any():
            return 0.0
        return float((np.maximum(self.at0, self.at1)[where] < 0.5).mean())


def agreement(forward: Field, backward: Field, *, tolerance: float) -> Agreement:
    """Trust in flows (H, W, 2) in pixels; it falls from 1 at `tolerance` to 0 at twice that."""
    return Agreement(
        at0=_trust(forward, backward, tolerance=tolerance), at1=_trust(backward, forward, tolerance=tolerance)
    )


def sampled(picture: NDArray[np.float32], flow: Field, *, sharp: bool = False) -> NDArray[np.float32]:
    """`picture` (H, W[, C]) where `flow` (H, W, 2) points; the border is repeated."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + flow[:, :, 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[:, :, 1]
    how = cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR
    return cv2.remap(picture, x, y, how, borderMode=cv2.BORDER_REPLICATE).astype(np.float32, copy=False)


def _trust(there: Field, back: Field, *, tolerance: float) -> Field:
    returned = there + sampled(back, there)
    missed = _length(returned)
    allowed = tolerance + MOTION_SHARE * _length(there)
    trust = np.clip(2 - missed / allowed, 0, 1).astype(np.float32)
    smooth: Field = cv2.GaussianBlur(trust, (0, 0), SMOOTHING)
    return smooth


def _length(flow: Field) -> Field:
    """Of each vector, in pixels; a norm over an axis of two takes six times as long."""
    found: Field = np.sqrt(flow[:, :, 0] ** 2 + flow[:, :, 1] ** 2)
    return found
