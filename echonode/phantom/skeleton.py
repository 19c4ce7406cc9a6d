"""Where valves, atria, right heart and aortic root sit around the left ventricle: one patient's fixed dimensions.

All in the heart frame; `u` runs from the axis towards the anteroseptal wall (150 degrees), where the aorta leaves, `v`
across it (60 degrees).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echonode.phantom.patient import Patient
from echonode.phantom.ventricle import Ventricle

AORTIC_DEGREES = 150.0
TRICUSPID_DEGREES = 203.0
RIGHT_DEGREES = 192.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Skeleton:
    """Lengths in mm at end-diastole; ring centres are (x, y)."""

    annulus_radius: float
    sinus_radius: float
    aortic_u: float
    mitral_u: float
    mitral_semi_u: float
    mitral_semi_v: float
    mitral_scale: float
    outer_radius: float
    tricuspid: NDArray[np.float64]
    tricuspid_radius: float
    right_centre: NDArray[np.float64]
    right_semi: tuple[float, float, float]
    """Outwards, along the wall, along the axis."""
    right_atrium_ml: float


def skeleton(patient: Patient, ventricle: Ventricle) -> Skeleton:
    """The dimensions that go with a patient's left ventricle."""
    base = float(np.sqrt(ventricle.cavity_area(np.zeros(1, np.float32))[0]))
    sinus = patient.aortic_root_mm / 2
    annulus = min(0.70 * sinus, 0.62 * base)
    semi_u = 0.66 * base
    mitral_u = semi_u - base
    aortic_u = mitral_u + semi_u + annulus
    outer = ventricle.radius_mm + ventricle.wall_mm
    width = patient.rv_width_mm
    return Skeleton(
        annulus_radius=annulus,
        sinus_radius=sinus,
        aortic_u=aortic_u,
        mitral_u=mitral_u,
        mitral_semi_u=semi_u,
        mitral_semi_v=0.92 * base,
        mitral_scale=base / 21.0,
        outer_radius=outer,
        tricuspid=across(TRICUSPID_DEGREES, outer + 0.44 * width),
        tricuspid_radius=0.43 * width,
        right_centre=across(RIGHT_DEGREES, outer),
        right_semi=(0.45 * width + 10, width + 11 + 0.3 * (outer - 31), 0.74 * ventricle.length_mm),
        right_atrium_ml=0.5 * patient.la_volume_ml + 24,
    )


def across(degrees: float, radius: float = 1.0) -> NDArray[np.float64]:
    """(x, y) at an angle of the segments."""
    angle = np.deg2rad(degrees)
    return np.array([radius * np.cos(angle), radius * np.sin(angle)])
