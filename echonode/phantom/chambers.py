"""Atria and right ventricle: ellipsoids that fill and empty, joined to the base that descends in systole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echonode.phantom.canvas import Axes, Canvas, Indices, axes, chosen
from echonode.phantom.skeleton import AORTIC_DEGREES, RIGHT_DEGREES, Skeleton, across
from echonode.phantom.tissue import Label
from echonode.phantom.ventricle import F32


@dataclass(frozen=True, kw_only=True, slots=True)
class Ellipsoid:
    """A chamber at one moment: centre, direction of its first axis across the long axis, half-axes; `still` is the
    same chamber at end-diastole, where its material coordinates live."""

    centre: tuple[float, float, float]
    degrees: float
    semi: tuple[float, float, float]
    still_centre: tuple[float, float, float]
    still_semi: tuple[float, float, float]
    lean: float = 0.0
    """How much the middle comes nearer to the axis a mm towards the apex."""

    def depth(self, x: F32, y: F32, z: F32) -> tuple[F32, Axes]:
        """Distance to the surface along the ray from the centre, mm, negative inside; and the material coordinates."""
        cosine, sine = (np.float32(part) for part in across(self.degrees))
        dx, dy, dz = (p - np.float32(c) for p, c in zip((x, y, z), self.centre, strict=True))
        first, second = dx * cosine + dy * sine, dy * cosine - dx * sine
        if self.lean:
            first += np.float32(self.lean) * np.maximum(dz, 0)
        square = first * first + second * second + dz * dz
        a, b, c = (np.float32(1 / semi) for semi in self.semi)
        first, second, dz = first * a, second * b, dz * c
        norm = np.sqrt(first * first + second * second + dz * dz)
        np.maximum(norm, np.float32(1e-3), out=norm)
        depth = np.sqrt(square) * (1 - 1 / norm)
        first, second = first * np.float32(self.still_semi[0]), second * np.float32(self.still_semi[1])
        material = axes(
            first * cosine - second * sine + np.float32(self.still_centre[0]),
            first * sine + second * cosine + np.float32(self.still_centre[1]),
            dz * np.float32(self.still_semi[2]) + np.float32(self.still_centre[2]),
        )
        return np.asarray(depth, np.float32), material


@dataclass(frozen=True, kw_only=True, slots=True)
class ChambersState:
    """The chambers around the LV at one moment; `base_mm` and `tricuspid_mm` are the heights of the two rings."""

    left_atrium: Ellipsoid
    right_atrium: Ellipsoid
    right_ventricle: Ellipsoid
    base_mm: float
    tricuspid_mm: float


def chambers_state(
    bones: Skeleton, *, la_volume_ml: float, ra_share: float, base_mm: float, emptied: float, right_pump: float = 1.0
) -> ChambersState:
    """The chambers when the base has come down by `base_mm`; `still` is the heart at end-diastole, atria emptied."""
    tricuspid = 5.0 + base_mm * 1.5
    la_now, la_still = _left_atrium(bones, la_volume_ml, base_mm), _left_atrium(bones, 30.0, 0.0)
    ra_now = _right_atrium(bones, bones.right_atrium_ml * ra_share, tricuspid)
    ra_still = _right_atrium(bones, 30.0, 5.0)
    narrow = 1 - 0.24 * emptied * right_pump
    centre = (float(bones.right_centre[0]), float(bones.right_centre[1]), 12.0)
    semi = bones.right_semi
    return ChambersState(
        left_atrium=_moved(AORTIC_DEGREES, la_now, la_still),
        right_atrium=_moved(RIGHT_DEGREES, ra_now, ra_still),
        right_ventricle=_moved(
            RIGHT_DEGREES,
            (centre, (semi[0] * narrow, semi[1] * (0.4 + 0.6 * narrow), semi[2])),
            (centre, semi),
            lean=_RIGHT_LEAN,
        ),
        base_mm=base_mm,
        tricuspid_mm=tricuspid,
    )


_RIGHT_LEAN = 0.28
_SEPTUM_MM = 11.0
_OUTFLOW = across(RIGHT_DEGREES - 90)
_Shape = tuple[tuple[float, float, float], tuple[float, float, float]]


def _moved(degrees: float, now: _Shape, still: _Shape, *, lean: float = 0.0) -> Ellipsoid:
    return Ellipsoid(centre=now[0], degrees=degrees, semi=now[1], still_centre=still[0], still_semi=still[1], lean=lean)


def _left_atrium(bones: Skeleton, volume_ml: float, base_mm: float) -> _Shape:
    # The mouth cuts off a cap of about 3 %.
    size = (1000 * volume_ml * 1.03 / (4 / 3 * np.pi * 0.82 * 0.96 * 1.12)) ** (1 / 3)
    x, y = across(AORTIC_DEGREES, bones.mitral_u - 3.0)
    return (float(x), float(y), base_mm - 0.82 * 1.12 * size), (0.82 * size, 0.96 * size, 1.12 * size)


def _right_atrium(bones: Skeleton, volume_ml: float, tricuspid_mm: float) -> _Shape:
    size = (1000 * volume_ml * 1.05 / (4 / 3 * np.pi * 0.92 * 1.0 * 1.1)) ** (1 / 3)
    x, y = bones.tricuspid - across(RIGHT_DEGREES, 2.0)
    return (float(x), float(y), tricuspid_mm - 0.8 * 1.1 * size), (0.96 * size, size, 1.1 * size)


def paint_atria(
    canvas: Canvas, where: Indices, x: F32, y: F32, z: F32, *, bones: Skeleton, state: ChambersState
) -> None:
    """Both atria, their walls and the septum between; x, y, z are the places of `where`."""
    depth, material = state.right_atrium.depth(x, y, z)
    ring = (x - np.float32(bones.tricuspid[0])) ** 2 + (y - np.float32(bones.tricuspid[1])) ** 2
    mouth = (ring < (bones.tricuspid_radius - 1) ** 2) & (np.abs(z - (state.tricuspid_mm - 3)) < 3)
    _wall(canvas, where, depth, material, thickness=2.2)
    cavity = (depth < 0) | mouth
    cavity &= z < state.tricuspid_mm
    right_atrium = np.flatnonzero(cavity)
    _cavity(canvas, where, right_atrium, material, Label.RA)

    right = depth
    depth, material = state.left_atrium.depth(x, y, z)
    septum = np.flatnonzero((right + depth < _SEPTUM_MM) & (right > 0) & (depth > 0))
    canvas.paint(where[septum], Label.WALL, material=chosen(material, septum), specular=0.3)
    _wall(canvas, where, depth, material, thickness=2.4)
    _cavity(canvas, where, np.flatnonzero(depth < 0), material, Label.LA)


def paint_right_ventricle(
    canvas: Canvas, where: Indices, x: F32, y: F32, z: F32, *, bones: Skeleton, state: ChambersState
) -> None:
    """The right ventricle and its wall, over the atria; x, y, z are the places of `where`."""
    depth, material = state.right_ventricle.depth(x, y, z)
    tricuspid = np.float32(state.tricuspid_mm)
    # The inflow ends at the tricuspid ring; the outflow tract goes on past the aorta.
    towards = x * np.float32(_OUTFLOW[0]) + y * np.float32(_OUTFLOW[1])
    np.maximum(depth, tricuspid - z - 2 * np.maximum(towards - np.float32(0.1 * bones.outer_radius), 0), out=depth)
    shell = np.flatnonzero((depth >= 0) & (depth < 4.2))
    shell = shell[canvas.labels[where[shell]] != Label.RA]
    canvas.paint(where[shell], Label.WALL, material=chosen(material, shell), specular=0.15)
    outer = np.flatnonzero((depth >= 4.2) & (depth < 6.0))
    outer = outer[canvas.labels[where[outer]] == Label.TISSUE]
    canvas.paint(where[outer], Label.WALL, material=chosen(material, outer), specular=0.7)
    _cavity(canvas, where, np.flatnonzero(depth < 0), material, Label.RV)


def _wall(canvas: Canvas, where: Indices, depth: F32, material: Axes, *, thickness: float) -> None:
    shell = np.flatnonzero((depth >= 0) & (depth < thickness))
    canvas.paint(where[shell], Label.WALL, material=chosen(material, shell), specular=0.3)


def _cavity(canvas: Canvas, where: Indices, inside: Indices, material: Axes, label: Label) -> None:
    canvas.paint(where[inside], label, material=chosen(material, inside))
