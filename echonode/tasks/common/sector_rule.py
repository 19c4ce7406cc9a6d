"""The label map of parity sets: a sector with a heart in it, by a rule that needs nobody's code."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def label_map(height: int, width: int, seed: int) -> NDArray[np.int64]:
    """The sector map of the rule: a cone of tissue (2) with atrium (4), myocardium (3) and cavity (1) as ellipses."""
    y = (np.arange(height)[:, None] + 0.5) / height
    x = (np.arange(width)[None, :] + 0.5) / width
    phase = 2 * math.pi * (seed % 97) / 97
    middle, heart = 0.5 + 0.04 * math.sin(phase), 0.42 + 0.03 * math.cos(phase)
    cone = (np.abs(x - 0.5) <= 0.08 + 0.55 * y) & (y <= 0.97)
    labels = np.where(cone, 2, 0).astype(np.int64)
    for code, down, half_width, half_height in ((4, 0.40, 0.17, 0.13), (3, 0.0, 0.22, 0.32), (1, 0.0, 0.15, 0.25)):
        inside = ((x - middle) / half_width) ** 2 + ((y - (heart + down)) / half_height) ** 2 <= 1
        labels[inside & cone] = code
    return labels
