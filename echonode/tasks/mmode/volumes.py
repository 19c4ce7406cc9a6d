"""Volume of the left ventricle from its diameter, and what follows from two of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def teichholz(diameter: NDArray[np.float64]) -> NDArray[np.float64]:
    """7 D^3 / (2.4 + D): cm to mL (Teichholz et al., Am J Cardiol 1976;37:7), and as it is used in mice, mm to uL."""
    volume: NDArray[np.float64] = 7.0 * diameter**3 / (2.4 + diameter)
    return volume


def ejection_fraction(end_diastolic: float, end_systolic: float) -> float:
    """Per cent of the end-diastolic volume."""
    return 100.0 * (end_diastolic - end_systolic) / end_diastolic


def fractional_shortening(end_diastolic: float, end_systolic: float) -> float:
    """Per cent of the end-diastolic diameter."""
    return 100.0 * (end_diastolic - end_systolic) / end_diastolic
