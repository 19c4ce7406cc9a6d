"""Pictures without the text, traces and marks that lie over them."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.tasks.common.sector import Mask

FILL_SIGMAS: Final = (2.0, 8.0, 32.0)


def without(frame: NDArray[np.uint8], hidden: Mask) -> NDArray[np.uint8]:
    """A frame (H, W, C) whose `hidden` pixels are filled from what lies around them; for motion and warps only."""
    if not hidden.any():
        return np.ascontiguousarray(frame)
    known = (~hidden).astype(np.float32)
    filled = frame.astype(np.float32)
    source = filled * known[:, :, None]
    missing = hidden.copy()
    for sigma in FILL_SIGMAS:
        weight = cv2.GaussianBlur(known, (0, 0), sigma)
        reached = missing & (weight > 0.02)
        if reached.any():
            spread = cv2.GaussianBlur(source, (0, 0), sigma).reshape(filled.shape)
            filled[reached] = spread[reached] / weight[reached][:, None]
            missing &= ~reached
        if not missing.any():
            break
    filled[missing] = 0
    return as_bytes(filled)


def as_bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rounded to the nearest level and kept within 0 to 255."""
    rounded: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return rounded
