"""From frames to what the network sees, in training and in use alike. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Region, SpatialFormat


def chosen(count: int, frames: int) -> tuple[int, ...]:
    """At most `frames` of `count` frames, evenly over the loop, counted from 0."""
    return tuple(sorted({int(place) for place in np.linspace(0, count - 1, min(frames, count))}))


def prepared(frames: NDArray[np.uint8], regions: Sequence[Region], *, side: int) -> NDArray[np.float32]:
    """The 2D region of frames T x H x W x (1|3) as float32 T x side x side, 0 to 1; the whole picture without one."""
    rows, columns = frames.shape[1:3]
    box = next((each for each in regions if each.spatial_format == SpatialFormat.TWO_D), None)
    if box is not None and box.within(rows=rows, columns=columns):
        frames = frames[:, box.y0 : box.y1 + 1, box.x0 : box.x1 + 1]
    luma = frames[..., 0] if frames.shape[3] == 1 else frames.mean(axis=3)
    small = [cv2.resize(each.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) for each in luma]
    return (np.stack(small) / 255).astype(np.float32)
