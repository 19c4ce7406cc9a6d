"""The aortic root: a tube with sinuses that swings forwards as the left atrium fills, and cusps that open to a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echonode.phantom.canvas import Canvas, Indices, axes, chosen
from echonode.phantom.leaflets import Cone, on_leaflet
from echonode.phantom.skeleton import AORTIC_DEGREES, Skeleton, across
from echonode.phantom.tissue import Label
from echonode.phantom.ventricle import F32

_LEAN_RADIANS = 0.18
_SWING_RADIANS = 0.24
_CUSP_MM = 13.0
_CARRIED = 0.4
_WALL_MM = 2.0
_LENGTH_MM = 75.0
# Radius above the ring, as a share of the way from the ring's to the sinuses': sinuses, sinotubular junction, ascending.
_PROFILE_MM = (0.0, 3.0, 6.0, 10.0, 14.0, 19.0, 24.0, 40.0)
_PROFILE = (0.0, 0.55, 0.9, 1.0, 0.9, 0.57, 0.53, 0.73)


@dataclass(frozen=True, kw_only=True, slots=True)
class RootState:
    """The root at one moment: place of its ring, lean of its axis towards the chest, opening of the cusps."""

    ring_mm: float
    outflow_mm: float
    """How far the tube goes on from its ring to the LV's base, which comes down further."""
    lean_radians: float
    opening: float


def root_state(*, base_mm: float, atrial: float, opening: float) -> RootState:
    """The root when the left atrium is filled to `atrial` (0 to 1)."""
    return RootState(
        ring_mm=_CARRIED * base_mm,
        outflow_mm=(1 - _CARRIED) * base_mm,
        lean_radians=_LEAN_RADIANS + _SWING_RADIANS * (atrial - 0.3),
        opening=opening,
    )


def paint_root(canvas: Canvas, where: Indices, x: F32, y: F32, z: F32, *, bones: Skeleton, state: RootState) -> None:
    """Aorta, its wall and cusps; x, y, z are the places of `where`."""
    ux, uy = (np.float32(part) for part in across(AORTIC_DEGREES))
    u, v = x * ux + y * uy - np.float32(bones.aortic_u), y * ux - x * uy
    down = np.float32(state.ring_mm) - z
    cosine, sine = np.float32(np.cos(state.lean_radians)), np.float32(np.sin(state.lean_radians))
    height = down * cosine + u * sine
    near = np.flatnonzero(
        (height > -1.0 - state.outflow_mm) & (height < _LENGTH_MM) & (np.abs(v) < bones.sinus_radius + 3)
    )
    height, v = height[near], v[near]
    side = u[near] * cosine - down[near] * sine
    distance = np.sqrt(side * side + v * v)
    ring, sinus = bones.annulus_radius, bones.sinus_radius
    radius = np.interp(height, _PROFILE_MM, [ring + (sinus - ring) * share for share in _PROFILE]).astype(np.float32)
    place = axes(side * ux - v * uy, side * uy + v * ux, -height)
    wall = np.flatnonzero((distance >= radius) & (distance < radius + _WALL_MM))
    cavity = np.flatnonzero(distance < radius)
    canvas.paint(where[near[wall]], Label.WALL, material=chosen(place, wall), specular=0.5)
    canvas.paint(where[near[cavity]], Label.AORTA, material=chosen(place, cavity))
    along, beside, depth = axes(side / ring, v / ring, height)
    low = cavity[(height[cavity] < _CUSP_MM + 0.5) & (height[cavity] > -0.5)]
    cusp = Cone(
        ring_mm=ring,
        tip_radius=0.82 * state.opening,
        tip_centre=0.0,
        length_mm=_CUSP_MM,
        longer_mm=0.0,
        half_thickness_mm=0.75,
        bow=0.45 + 0.3 * state.opening,
    )
    on, share = on_leaflet(cusp, along=along[low], across=beside[low], depth_mm=depth[low])
    # Closed cusps press their free edges together: the line in the middle of the box.
    if state.opening < 0.15:
        on |= (distance[low] < 0.9) & (height[low] > _CUSP_MM - 6.5)
    leaf = low[on]
    canvas.paint(
        where[near[leaf]],
        Label.VALVE,
        material=(place[0][leaf], place[1][leaf], share[on] * np.float32(_CUSP_MM) - 300),
        specular=0.8,
    )
