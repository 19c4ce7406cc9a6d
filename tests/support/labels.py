"""Label maps as a segmentation network gives them, for pictures of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from echonode.core.codes import Code
from echonode.core.results import LabelMap

SEGMENTS: Final[Mapping[int, Code]] = {
    1: Code("87878005", "SCT", "Left ventricle"),
    2: Code("49848007", "SCT", "Myocardium of left ventricle"),
    3: Code("82471001", "SCT", "Left atrium"),
}


def beating_labels(frames: int, rows: int, columns: int) -> np.ndarray:
    """uint8 T x H x W: a cavity (1) in a wall (2) that become smaller and larger, an atrium (3) below in odd frames."""
    y, x = np.mgrid[:rows, :columns]
    from_centre = np.hypot((y - rows * 0.45) / rows, (x - columns * 0.5) / columns)
    labels = np.zeros((frames, rows, columns), np.uint8)
    for frame in range(frames):
        radius = 0.16 + 0.05 * np.cos(2 * np.pi * frame / 12)
        labels[frame][from_centre < radius + 0.06] = 2
        labels[frame][from_centre < radius] = 1
        if frame % 2:
            labels[frame][np.hypot((y - rows * 0.8) / rows, (x - columns * 0.5) / columns) < 0.1] = 3
    return labels


def label_map(frames: int, rows: int, columns: int, *, first: int = 0) -> LabelMap:
    """`beating_labels` of the source frames from `first` on."""
    return LabelMap(
        labels=beating_labels(frames, rows, columns),
        frames=tuple(range(first, first + frames)),
        segments=SEGMENTS,
    )
