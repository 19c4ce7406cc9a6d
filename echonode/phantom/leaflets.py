"""Leaflets of the valves: thin cones that hang from a ring and swing open and shut.

The rings, closed and open shapes follow what M-mode shows: the anterior mitral leaflet is long and swings towards the
septum in E and A, the posterior one is short and mirrors it; the aortic cusps open to a box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echonode.phantom.ventricle import F32


@dataclass(frozen=True, kw_only=True, slots=True)
class Cone:
    """Leaflets at one moment, in their ring's own coordinates; lengths in units of the ring where not mm.

    `tip_radius` 0 closed, near 1 open; `tip_centre` is how far the tips' middle lies towards the long leaflet;
    `length_mm` and `longer_mm` give the depth of the tips below the ring, in the middle and towards the long leaflet.
    """

    ring_mm: float
    tip_radius: float
    tip_centre: float
    length_mm: float
    longer_mm: float
    half_thickness_mm: float
    bow: float = 1.0
    seam: float = 0.0
    """How far shut leaflets meet along a line across the ring and not in one point, 0 to 1."""


def mitral_cone(*, opening: float, scale: float, ring_mm: float, base_mm: float) -> Cone:
    """The mitral leaflets at an opening of 0 to 1.

    The chords hold the tips at their distance from the papillary muscles, so shut leaflets grow flat as the base comes
    down by `base_mm`.
    """
    shut_mm = max(5.0, scale * 14.0 - 0.52 * base_mm)
    return Cone(
        ring_mm=ring_mm,
        tip_radius=0.02 + 0.83 * opening,
        tip_centre=-0.30 * (1 - opening),
        length_mm=shut_mm + (scale * 18.5 - shut_mm) * opening,
        longer_mm=scale * 6.0 * opening,
        half_thickness_mm=0.95,
        bow=0.5 + 0.65 * opening,
        seam=0.6 * max(0.0, 1 - 5 * opening),
    )


def tricuspid_cone(*, opening: float, scale: float, ring_mm: float) -> Cone:
    """The tricuspid leaflets at an opening of 0 to 1."""
    return Cone(
        ring_mm=ring_mm,
        tip_radius=0.02 + 0.8 * opening,
        tip_centre=-0.1 * (1 - opening),
        length_mm=scale * (6.0 + 11.0 * opening),
        longer_mm=scale * 2.0,
        half_thickness_mm=0.85,
    )


def on_leaflet(cone: Cone, *, along: F32, across: F32, depth_mm: F32) -> tuple[NDArray[np.bool_], F32]:
    """Which points (n,) lie on a leaflet, and how far down it (0 ring to 1 tip).

    `along` and `across` are places in the ring in units of its radius, `along` towards the long leaflet; `depth_mm`
    is the distance below the ring, downstream.
    """
    reach = np.clip(along, -1, 1) * np.float32(cone.longer_mm) + np.float32(cone.length_mm)
    down = depth_mm / reach
    share = np.clip(down, 0, 1)
    curve = share if cone.bow == 1.0 else share ** np.float32(cone.bow)
    middle = along - np.float32(cone.tip_centre) * share
    beside = across * (1 - np.float32(cone.seam) * share) if cone.seam else across
    radius = np.sqrt(middle * middle + beside * beside)
    wanted = 1 + np.float32(cone.tip_radius - 1) * curve
    run = np.float32(cone.ring_mm * (1 - cone.tip_radius))
    slant = reach / np.sqrt(reach * reach + run * run)
    apart = np.abs(radius - wanted) * np.float32(cone.ring_mm) * slant
    return (apart < cone.half_thickness_mm) & (down > -0.02) & (down <= 1), share
