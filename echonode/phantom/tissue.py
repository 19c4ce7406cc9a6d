"""What lies at a point of the simulated chest: its label, and the piece of matter that it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Label(IntEnum):
    """Kinds of tissue; LV, MYOCARDIUM and LA are numbered as in CAMUS."""

    BACKGROUND = 0
    LV = 1
    MYOCARDIUM = 2
    LA = 3
    RV = 4
    RA = 5
    AORTA = 6
    VALVE = 7
    WALL = 8
    """RV free wall, atrial walls, septum of the atria, root walls, pericardium."""
    TISSUE = 9
    """Around the heart."""
    PAPILLARY = 10
    """Papillary muscles and chords: muscle to look at, cavity in every volume (ASE traces them into the cavity)."""


CAVITY: tuple[Label, ...] = (Label.LV, Label.PAPILLARY)
"""What counts as LV cavity."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tissue:
    """Labels uint8 (...), material coordinates float32 (..., 3) in mm, specular float32 (...) 0 to 1.

    `material` is where the piece of matter lies in the end-diastolic heart: it moves with the tissue, so scatterers
    looked up at it move too; each axis is contiguous by itself. `specular` is how mirror-like it is: pericardium and
    valves near 1, cavity 0.
    """

    labels: NDArray[np.uint8]
    material: NDArray[np.float32]
    specular: NDArray[np.float32]
