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


def mass(*, lvid: float, septum: float, posterior: float) -> float:
    """Mass of the left ventricle in g from end-diastolic dimensions in mm: the cube formula of the American Society of
    Echocardiography (Devereux et al., Am J Cardiol 1986;57:450), 0.8 x 1.04 x ((LVID + IVS + LVPW)^3 - LVID^3) + 0.6, cm."""
    inner, outer = lvid / 10, (lvid + septum + posterior) / 10
    return 0.8 * 1.04 * (outer**3 - inner**3) + 0.6


def relative_wall(*, lvid: float, posterior: float) -> float:
    """Relative wall thickness: twice the posterior wall by the cavity's diameter, both at end-diastole."""
    return 2 * posterior / lvid


def fractional_shortening(end_diastolic: float, end_systolic: float) -> float:
    """Per cent of the end-diastolic diameter."""
    return 100.0 * (end_diastolic - end_systolic) / end_diastolic
