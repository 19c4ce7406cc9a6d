"""The whole heart put together at one moment: which structure covers which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echonode.phantom.beat import Phase
from echonode.phantom.canvas import Axes, Canvas, Indices
from echonode.phantom.chambers import ChambersState, chambers_state, paint_atria, paint_right_ventricle
from echonode.phantom.leaflets import Cone, mitral_cone, on_leaflet, tricuspid_cone
from echonode.phantom.patient import Patient
from echonode.phantom.root import RootState, paint_root, root_state
from echonode.phantom.skeleton import AORTIC_DEGREES, TRICUSPID_DEGREES, Skeleton, across
from echonode.phantom.tissue import Label
from echonode.phantom.ventricle import F32, MaterialPoints, Ventricle, VentricleState

_FLOOR_MM = 3.5
_RING_MM = 14.0
_PERICARDIUM_MM = 2.0
_CARRIED_MM = 9.0
_PAPILLARY_DEGREES = (-8.0, 245.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeartState:
    """Everything that is constant for one frame."""

    t_s: float
    phase: Phase
    ventricle: VentricleState
    chambers: ChambersState
    root: RootState
    mitral: Cone
    tricuspid: Cone
    shift_mm: tuple[float, float, float]
    """How far the heart as a whole has moved."""


def heart_state(
    patient: Patient, *, ventricle: Ventricle, bones: Skeleton, phase: Phase, t_s: float, volume_ml: float
) -> HeartState:
    """The heart at one moment of the rhythm."""
    lv = ventricle.state(volume_ml=volume_ml, emptied=phase.emptied)
    reserve = 0.72 if patient.fibrillates else 0.48
    la_volume = patient.la_volume_ml * (reserve + (1 - reserve) * phase.atrial)
    squeeze = 1.5 * phase.emptied * min(1.0, patient.ef_percent / 60)
    forward = across(AORTIC_DEGREES, squeeze)
    breath = np.sin(2 * np.pi * (t_s / 4.2 + (patient.seed % 97) / 97))
    return HeartState(
        t_s=t_s,
        phase=phase,
        ventricle=lv,
        chambers=chambers_state(
            bones,
            la_volume_ml=la_volume,
            ra_share=0.6 + 0.4 * phase.atrial,
            base_mm=lv.base_mm,
            emptied=phase.emptied,
            right_pump=0.6 + 0.4 * min(1.0, patient.ef_percent / 55),
        ),
        root=root_state(base_mm=lv.base_mm, atrial=phase.atrial, opening=phase.aortic),
        mitral=mitral_cone(
            opening=phase.mitral, scale=bones.mitral_scale, ring_mm=bones.mitral_semi_u, base_mm=lv.base_mm
        ),
        tricuspid=tricuspid_cone(
            opening=phase.mitral, scale=bones.tricuspid_radius / 15, ring_mm=bones.tricuspid_radius
        ),
        shift_mm=(float(forward[0]), float(forward[1] + 0.5 * breath), float(0.9 * breath)),
    )


def paint_heart(x: F32, y: F32, z: F32, *, ventricle: Ventricle, bones: Skeleton, state: HeartState) -> Canvas:
    """What lies at points that are already free of `state.shift_mm`."""
    where = ventricle.locate(x, y, z, state=state.ventricle)
    canvas = Canvas(
        labels=np.full(x.shape, Label.TISSUE, np.uint8),
        material=np.empty((3, len(x)), np.float32),
        specular=np.zeros(x.shape, np.float32),
    )
    rest = np.flatnonzero(~(where.inside | where.muscle))
    rx, ry, rz = x[rest], y[rest], z[rest]
    _surroundings(canvas, where, rest, rx, ry, rz)
    _floor(canvas, where, rest, bones)
    # Nothing of the atria and the root reaches further down than the rings; most of a picture does.
    low = np.flatnonzero(rz < max(state.chambers.tricuspid_mm, state.chambers.base_mm) + _RING_MM)
    behind = (rest[low], rx[low], ry[low], rz[low])
    paint_atria(canvas, *behind, bones=bones, state=state.chambers)
    paint_right_ventricle(canvas, rest, rx, ry, rz, bones=bones, state=state.chambers)
    _mouth(canvas, *behind, bones=bones, base_mm=state.ventricle.base_mm)
    paint_root(canvas, *behind, bones=bones, state=state.root)
    _tricuspid(canvas, rest, rx, ry, rz, bones=bones, state=state)
    muscle, cavity = np.flatnonzero(where.muscle), np.flatnonzero(where.inside)
    canvas.paint(muscle, Label.MYOCARDIUM, material=_at(where, muscle))
    canvas.paint(cavity, Label.LV, material=_at(where, cavity))
    _papillary(canvas, where, cavity, ventricle=ventricle, state=state.ventricle)
    _mitral(canvas, cavity, x, y, z, bones=bones, state=state)
    return canvas


def _at(where: MaterialPoints, which: Indices) -> Axes:
    return where.x[which], where.y[which], where.z[which]


def _surroundings(canvas: Canvas, where: MaterialPoints, rest: Indices, x: F32, y: F32, z: F32) -> None:
    """What lies around is carried along by the heart's surface, the less the further off; the pericardium is bright."""
    depth = where.depth[rest]
    away = np.minimum(depth, 0) * np.float32(1 / _CARRIED_MM)
    weight = 1 / (1 + away * away)
    for axis, (still, place) in enumerate(((where.x, x), (where.y, y), (where.z, z))):
        canvas.material[axis, rest] = place + (still[rest] - place) * weight
    shell = rest[(depth <= 0) & (depth > -_PERICARDIUM_MM) & (where.z[rest] > -1)]
    canvas.paint(shell, Label.WALL, material=None, specular=1.0)


def _floor(canvas: Canvas, where: MaterialPoints, rest: Indices, bones: Skeleton) -> None:
    """The fibrous skeleton between the rings of the valves."""
    height = where.z[rest]
    low = rest[(height <= 0) & (height > -_FLOOR_MM)]
    low = low[where.depth[low] > 1.5]
    canvas.paint(low, Label.WALL, material=None, specular=0.4)


def _mouth(canvas: Canvas, rest: Indices, x: F32, y: F32, z: F32, *, bones: Skeleton, base_mm: float) -> None:
    height = z - np.float32(base_mm)
    near = np.flatnonzero((height <= 0.5) & (height > -_FLOOR_MM - 1))
    along, beside = _ring(x[near], y[near], bones)
    near = near[along * along + beside * beside < 0.98]
    where = rest[near]
    canvas.paint(where, Label.LA, material=None)


def _ring(x: F32, y: F32, bones: Skeleton) -> tuple[F32, F32]:
    """Places in the mitral ring, in units of its half-axes."""
    ux, uy = (np.float32(part) for part in across(AORTIC_DEGREES))
    along = (x * ux + y * uy - np.float32(bones.mitral_u)) * np.float32(1 / bones.mitral_semi_u)
    return along, (y * ux - x * uy) * np.float32(1 / bones.mitral_semi_v)


def _mitral(canvas: Canvas, cavity: Indices, x: F32, y: F32, z: F32, *, bones: Skeleton, state: HeartState) -> None:
    height = z[cavity] - np.float32(state.ventricle.base_mm)
    low = np.flatnonzero(height < state.mitral.length_mm + state.mitral.longer_mm)
    height, low = height[low], cavity[low]
    along, beside = _ring(x[low], y[low], bones)
    on, share = on_leaflet(state.mitral, along=along, across=beside, depth_mm=height)
    leaf = low[on]
    canvas.paint(
        leaf,
        Label.VALVE,
        material=(along[on] * 15, beside[on] * 15, share[on] * np.float32(20) - 200),
        specular=0.75,
    )


def _tricuspid(canvas: Canvas, rest: Indices, x: F32, y: F32, z: F32, *, bones: Skeleton, state: HeartState) -> None:
    depth = z - np.float32(state.chambers.tricuspid_mm)
    low = np.flatnonzero((depth > -0.5) & (depth < state.tricuspid.length_mm + state.tricuspid.longer_mm))
    low = low[canvas.labels[rest[low]] == Label.RV]
    ux, uy = (np.float32(part) for part in across(TRICUSPID_DEGREES))
    dx, dy = x[low] - np.float32(bones.tricuspid[0]), y[low] - np.float32(bones.tricuspid[1])
    along = (dx * ux + dy * uy) * np.float32(1 / bones.tricuspid_radius)
    beside = (dy * ux - dx * uy) * np.float32(1 / bones.tricuspid_radius)
    on, share = on_leaflet(state.tricuspid, along=along, across=beside, depth_mm=depth[low])
    canvas.paint(
        rest[low[on]],
        Label.VALVE,
        material=(along[on] * 15, beside[on] * 15, share[on] * np.float32(20) - 250),
        specular=0.6,
    )


def _papillary(
    canvas: Canvas, where: MaterialPoints, cavity: Indices, *, ventricle: Ventricle, state: VentricleState
) -> None:
    """Two muscles that stand on the wall and keep their thickness while the cavity narrows."""
    length = ventricle.length_mm
    z = where.z[cavity]
    middle = np.flatnonzero((z > 0.26 * length) & (z < 0.84 * length))
    z, chosen = z[middle], cavity[middle]
    x, y = where.x[chosen], where.y[chosen]
    taper = (z * np.float32(1 / length) - np.float32(0.55)) * np.float32(1 / 0.29)
    edge = np.sqrt(ventricle.cavity_area(z))
    narrow = float(state.area.mean())
    thick = np.float32(0.21 * ventricle.radius_mm * narrow**-0.35)
    limit = thick * thick * (1 - taper * taper)
    for degrees in _PAPILLARY_DEGREES:
        px, py = (np.float32(part) for part in across(degrees, 0.78))
        on = (x - px * edge) ** 2 + (y - py * edge) ** 2 < limit
        canvas.paint(chosen[on], Label.PAPILLARY, material=None)
